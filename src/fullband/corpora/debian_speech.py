"""Speech that Debian packages carry: games and teaching programs in 33 languages and variants.

11,070 recordings with content up to 8 kHz and beyond, all free. Splits are disjoint by speaker, as
far as folders and credits tell speakers apart. The list (`lists/debian-speech.csv.gz`) names them
with language, `wall_hz` and `bandwidth_hz`. Headerless G.722 prompts are left out. The packages
klettres-data and ktuberling-data are older than the same projects in `public-speech`.
"""

from __future__ import annotations

from functools import partial

from fullband.corpora.listing import listed_rows
from fullband.corpora.public import Packages, PublicCorpus

__all__ = ["DEBIAN_SPEECH"]

_PACKAGES = Packages(
    names=(
        "fillets-ng-data-cs",
        "fillets-ng-data-nl",
        "klettres-data",
        "ktuberling-data",
        "tuxpaint-stamps-default",
    ),
    listing="debian-speech.csv.gz",
    size_bytes=319_000_000,
    room_bytes=1_000_000_000,
)

DEBIAN_SPEECH = PublicCorpus(
    name="debian-speech",
    summary="speech in Debian's games and teaching programs",
    kind="33 languages, 104 speakers",
    licence="GPL-2, GPL-2+",
    source=_PACKAGES,
    splits="listed, by speaker; valid-short and test-short are every eighth file",
    rows=partial(listed_rows, _PACKAGES.listing, short=True),
    wanted=lambda member: True,
)
