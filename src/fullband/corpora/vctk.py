"""VCTK: the corpus of the 2017 paper's two speech tasks.

The paper took release 0.80: 109 speakers, 48 kHz WAV under `wav48`, one microphone. It can no
longer be had from its makers; release 0.92 can. What differs there: 110 speakers (`s5` is new and
sorts last, so it is a test speaker), FLAC, two microphones (the first is taken here, the one that
0.80 has), and silence before and after each utterance is cut. Scores on it are therefore near the
paper's but not the same. A folder with release 0.80 is taken as well: `prepare --name`.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from fullband.corpora.public import Archive, PublicCorpus, folder_with
from fullband.corpora.table import Row
from fullband.errors import MissingFileError

__all__ = ["VCTK_MULTI", "VCTK_SINGLE"]

_SPEAKER = "p225"
_SINGLE_TRAIN, _SINGLE_TEST = 223, 8  # all 231 utterances of p225 in release 0.80
_MULTI_TRAIN = 99
_AUDIO = {"wav48_silence_trimmed": "*/*_mic1.flac", "wav48": "*/*.wav"}  # of 0.92 and of 0.80

# Size and MD5 are those that the repository states for the file. Its old address
# (bitstream/handle/10283/3443/...) answers with a page instead of the file.
_ARCHIVE = Archive(
    file_name="VCTK-Corpus-0.92.zip",
    url="https://datashare.ed.ac.uk/server/api/core/bitstreams/"
    "535f4286-e54c-4038-838c-a02285e32cb2/content",
    size_bytes=11_747_302_977,
    algorithm="md5",
    digest="8a6ba2946b36fcbef0212cad601f4bfa",
)


def _recordings(folder: Path) -> list[PurePosixPath]:
    """Names relative to the folder, sorted."""
    for name, pattern in _AUDIO.items():
        base = folder_with(folder, name)
        if base is not None:
            found = (base / name).glob(pattern)
            return sorted(PurePosixPath(path.relative_to(folder).as_posix()) for path in found)
    raise MissingFileError(f"{folder}: is not VCTK, it has none of {', '.join(_AUDIO)}")


def _row(recording: PurePosixPath, split: str) -> Row:
    return {
        "file": str(recording),
        "split": split,
        "speaker": recording.parent.name,
        "language": "en",
        "licence": "CC BY 4.0",
    }


def _single_rows(folder: Path) -> list[Row]:
    own = [path for path in _recordings(folder) if path.parent.name == _SPEAKER]
    if len(own) <= _SINGLE_TEST:
        raise MissingFileError(f"{folder}: has only {len(own)} utterances of {_SPEAKER}")
    train, test = own[:-_SINGLE_TEST][:_SINGLE_TRAIN], own[-_SINGLE_TEST:]
    return [*(_row(path, "train") for path in train), *(_row(path, "test") for path in test)]


def _multi_rows(folder: Path) -> list[Row]:
    recordings = _recordings(folder)
    speakers = sorted({path.parent.name for path in recordings})
    if len(speakers) <= _MULTI_TRAIN:
        raise MissingFileError(
            f"{folder}: has only {len(speakers)} speakers, of which {_MULTI_TRAIN} are for training"
        )
    train = set(speakers[:_MULTI_TRAIN])
    return [_row(path, "train" if path.parent.name in train else "test") for path in recordings]


def _is_text(member: str) -> bool:
    """Licence, read-me and the table of speakers, which lie beside the folders."""
    return member.endswith(".txt") and "/txt/" not in f"/{member}"


VCTK_SINGLE = PublicCorpus(
    name="vctk-single",
    summary="one speaker of VCTK 0.92, the paper's single-speaker task",
    kind="English, 1 speaker (p225)",
    licence="CC BY 4.0",
    source=_ARCHIVE,
    splits="the paper's: the first 223 utterances train, the last 8 test; no valid",
    rows=_single_rows,
    wanted=lambda member: (
        _is_text(member) or (f"/{_SPEAKER}/" in member and member.endswith("_mic1.flac"))
    ),
)

VCTK_MULTI = PublicCorpus(
    name="vctk-multi",
    summary="all speakers of VCTK 0.92, the paper's multi-speaker task",
    kind="English, 110 speakers",
    licence="CC BY 4.0",
    source=_ARCHIVE,
    splits="the paper's: the first 99 speakers train, the others test; no valid",
    rows=_multi_rows,
    wanted=lambda member: _is_text(member) or member.endswith("_mic1.flac"),
)
