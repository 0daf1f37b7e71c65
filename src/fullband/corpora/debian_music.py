"""Music that Debian packages carry: 165 pieces from games, 9 hours, orchestral to electronic.

Split by piece. Vorbis of 80 to 360 kb/s, so content ends where the encoder ended it, at 16 to
21 kHz: `bandwidth_hz`.
"""

from __future__ import annotations

from functools import partial

from fullband.corpora.listing import listed_rows
from fullband.corpora.public import Packages, PublicCorpus

__all__ = ["DEBIAN_MUSIC"]

_PACKAGES = Packages(
    names=(
        "0ad-data",
        "hyperrogue-music",
        "singularity-music",
        "ufoai-music",
        "wesnoth-1.16-music",
    ),
    listing="debian-music.csv.gz",
    size_bytes=1_857_000_000,
    room_bytes=6_000_000_000,
)

DEBIAN_MUSIC = PublicCorpus(
    name="debian-music",
    summary="music of Debian's games, stereo",
    kind="orchestral to electronic",
    licence="CC BY, CC BY-SA, GPL-2+, PD",
    source=_PACKAGES,
    splits="listed, by piece",
    rows=partial(listed_rows, _PACKAGES.listing),
    wanted=lambda member: True,
)
