"""Thirteen minutes of voices that were recorded at 48 kHz and lost nothing.

Public git repositories show what their code does with them. Few, but what others lack: their
microphones' and converters' noise, which no codec has taken out and which rises by some 10 dB from
10 kHz to the Nyquist frequency. 13 of the 15 voices are of VCTK, all among its first 99 speakers,
which train in the 2017 paper and ever since; the ones that others' systems are judged by are not
there. `again-vc` has them in the release 0.80, `stargan-vc` two minutes more. `magphase`
is a speaker of the same laboratory; `richard` recorded prompts for telephones with a laptop and a
headset. Splits are disjoint by speaker.

Licences are what the makers of the recordings say (VCTK), or the repositories as a whole.
"""

from __future__ import annotations

from functools import partial

from fullband.corpora.listing import listed_rows
from fullband.corpora.public import PublicCorpus, Repositories

__all__ = ["STUDIO_SPEECH"]

_REPOSITORIES = Repositories(
    addresses={
        "again-vc": "https://github.com/KimythAnly/AGAIN-VC.git",
        "magphase": "https://github.com/CSTR-Edinburgh/magphase.git",
        "richard": "https://github.com/racitup/freeswitch-sounds-en-gb-richard.git",
        "stargan-vc": "https://github.com/yl4579/StarGANv2-VC.git",
    },
    listing="studio-speech.csv.gz",
    size_bytes=160_000_000,
    room_bytes=350_000_000,
)

STUDIO_SPEECH = PublicCorpus(
    name="studio-speech",
    summary="voices without loss, with what microphones hear up to 24 kHz",
    kind="English, 15 speakers",
    licence="CC BY 4.0, Apache-2.0, GPL-3",
    source=_REPOSITORIES,
    splits="listed, by speaker",
    rows=partial(listed_rows, _REPOSITORIES.listing),
    wanted=lambda member: True,
    note="VCTK's voices are CC BY 4.0 by the word of its makers, not of the repositories",
)
