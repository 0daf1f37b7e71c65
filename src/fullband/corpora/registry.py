"""The public corpora that fullband knows, by name."""

from __future__ import annotations

import difflib

from fullband.corpora.debian_music import DEBIAN_MUSIC
from fullband.corpora.debian_speech import DEBIAN_SPEECH
from fullband.corpora.ljspeech import LJSPEECH
from fullband.corpora.maestro import MAESTRO
from fullband.corpora.open_piano import OPEN_PIANO
from fullband.corpora.public import PublicCorpus
from fullband.corpora.public_speech import PUBLIC_SPEECH
from fullband.corpora.studio_speech import STUDIO_SPEECH
from fullband.corpora.vctk import VCTK_MULTI, VCTK_SINGLE
from fullband.errors import SettingsError

__all__ = ["CORPORA", "find_corpus"]

CORPORA: dict[str, PublicCorpus] = {
    corpus.name: corpus
    for corpus in (
        VCTK_SINGLE,
        VCTK_MULTI,
        LJSPEECH,
        MAESTRO,
        PUBLIC_SPEECH,
        STUDIO_SPEECH,
        DEBIAN_SPEECH,
        DEBIAN_MUSIC,
        OPEN_PIANO,
    )
}


def find_corpus(name: str) -> PublicCorpus:
    """A public corpus by its name.

    Raises:
        SettingsError: there is none of that name, with those there are.
    """
    if name not in CORPORA:
        near = difflib.get_close_matches(name, CORPORA, 1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise SettingsError(f"no corpus '{name}', only {', '.join(CORPORA)}{hint}")
    return CORPORA[name]
