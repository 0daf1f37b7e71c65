"""Piano in public git repositories: seven pieces played, and every note of a grand by itself.

`ishizaka` is Kimiko Ishizaka's Open Well-Tempered Clavier (CC0), Vorbis at 96 kHz, out of a game
that gave the pieces names of its own; which piece is which was found by comparing. Only pieces
that the piano corpus of the 2017 paper's tasks does not test on are listed: six to train, one to
validate. `splendid` is the Splendid Grand Piano, a Steinway that Akai sampled in four loudnesses
and gave to the public domain: 226 notes at 44.1 kHz, without loss.
"""

from __future__ import annotations

from functools import partial

from fullband.corpora.listing import listed_rows
from fullband.corpora.public import PublicCorpus, Repositories

__all__ = ["OPEN_PIANO"]

_REPOSITORIES = Repositories(
    addresses={
        "ishizaka": "https://github.com/Vale717171/archive-of-oblivion.git",
        "splendid": "https://github.com/sfzinstruments/SplendidGrandPiano.git",
    },
    listing="open-piano.csv.gz",
    size_bytes=200_000_000,
    room_bytes=500_000_000,
)

OPEN_PIANO = PublicCorpus(
    name="open-piano",
    summary="seven pieces of Bach by K. Ishizaka, and the notes of a sampled grand",
    kind="piano, two instruments",
    licence="CC0, PD",
    source=_REPOSITORIES,
    splits="listed, by piece; of the grand all notes are to train on",
    rows=partial(listed_rows, _REPOSITORIES.listing),
    wanted=lambda member: True,
)
