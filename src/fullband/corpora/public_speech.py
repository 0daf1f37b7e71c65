"""Speech in public git repositories: 9.1 h in some 40 languages, much of it with all its treble.

17,517 recordings at 44.1 and 48 kHz. Two voices read sentences (kathleen, US English, and nathalie,
Dutch; both CC0); the others are words and phrases that volunteers spoke for games and teaching
programs. Splits are disjoint by speaker within each repository, as far as folders and credits tell
speakers apart, except for the two single voices, which are in all three.

Licences are what the repositories say: GCompris recording by recording, where `GPL` and `CC BY-SA`
stand without a version and 96 recordings are not mentioned (`not stated`); the others as a whole.
"""

from __future__ import annotations

from functools import partial

from fullband.corpora.listing import listed_rows
from fullband.corpora.public import PublicCorpus, Repositories

__all__ = ["PUBLIC_SPEECH"]

_REPOSITORIES = Repositories(
    addresses={
        "artikulate": "https://github.com/KDE/artikulate-data.git",
        "gcompris": "https://github.com/gcompris/GCompris-voices.git",
        "kathleen": "https://github.com/rhasspy/dataset-voice-kathleen.git",
        "klettres": "https://github.com/KDE/klettres.git",
        "ktuberling": "https://github.com/KDE/ktuberling.git",
        "nathalie": "https://github.com/rhasspy/dataset-voice-nathalie.git",
    },
    listing="public-speech.csv.gz",
    size_bytes=943_000_000,
    room_bytes=2_000_000_000,
)

PUBLIC_SPEECH = PublicCorpus(
    name="public-speech",
    summary="speech of volunteers, and two single voices, at 44.1 and 48 kHz",
    kind="some 40 languages, 89 speakers",
    licence="CC0, GPL, GPL-2+, GPL-3+, CC BY-SA, PD",
    source=_REPOSITORIES,
    splits="listed, by speaker; the single voices kathleen and nathalie are in all three",
    rows=partial(listed_rows, _REPOSITORIES.listing),
    wanted=lambda member: True,
    note="files.csv has the licence of each recording; of 96 in gcompris it is not stated",
)
