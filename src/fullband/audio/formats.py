"""What audio files there are: endings, containers, sample formats, rates and bit rates.

Names of containers and sample formats are libsndfile's; those that only FFmpeg knows (extra
`formats`) have theirs in capitals. `docs/reliability.md` shows these tables with their tests.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullband.errors import DependencyError, OutputError

__all__ = [
    "DEPTHS",
    "FFMPEG",
    "READ_ONLY",
    "SUFFIXES",
    "AudioFile",
    "Muxer",
    "bitrate_bounds_kbps",
    "check_installed",
    "container_of",
    "is_lossy",
    "needing_ffmpeg",
    "not_written",
    "output_suffix",
    "subtype_like",
    "usual_kbps",
    "vorbis_quality",
]

SUFFIXES = {
    ".3g2": "3GP",
    ".3gp": "3GP",
    ".aif": "AIFF",
    ".aiff": "AIFF",
    ".au": "AU",
    ".avi": "AVI",
    ".caf": "CAF",
    ".flac": "FLAC",
    ".flv": "FLV",
    ".m4a": "M4A",
    ".m4b": "M4A",
    ".m4v": "MP4",
    ".mka": "MKA",
    ".mkv": "MKV",
    ".mov": "MOV",
    ".mp3": "MP3",
    ".mp4": "MP4",
    ".oga": "OGG",
    ".ogg": "OGG",
    ".opus": "OGG",
    ".rf64": "RF64",
    ".w64": "W64",
    ".wav": "WAV",
    ".webm": "WEBM",
}
"""File endings that are taken for audio in a folder and can be written, with the container."""

READ_ONLY = {
    ".722": ".wav",
    ".aac": ".m4a",
    ".ac3": ".wav",
    ".adts": ".m4a",
    ".amr": ".wav",
    ".asf": ".avi",
    ".eac3": ".wav",
    ".g722": ".wav",
    ".gsm": ".wav",
    ".m2ts": ".mkv",
    ".mp2": ".mp3",
    ".mpeg": ".mkv",
    ".mpg": ".mkv",
    ".mts": ".mkv",
    ".ts": ".mkv",
    ".tta": ".flac",
    ".weba": ".webm",
    ".wma": ".wav",
    ".wmv": ".avi",
    ".wv": ".flac",
}
"""File endings that are taken for audio in a folder but not written, and what is instead."""


@dataclass(frozen=True)
class Muxer:
    """A container that FFmpeg writes.

    Attributes:
        name: FFmpeg's.
        lossy, lossless: the codecs that go into it; the latter for recordings that came in it
            without loss and where a bit depth is asked for.
        moving: whether it is a container of video.
        covers: whether it takes attached pictures.
    """

    name: str
    lossy: str
    lossless: str
    moving: bool = True
    covers: bool = False


FFMPEG = {
    "3GP": Muxer("3gp", "AAC", "AAC"),
    "AVI": Muxer("avi", "PCM", "PCM"),  # MP3 in it is late by what its encoder puts in front
    "FLV": Muxer("flv", "AAC", "AAC"),
    "M4A": Muxer("mp4", "AAC", "ALAC", moving=False, covers=True),
    "MKA": Muxer("matroska", "OPUS", "FLAC", moving=False, covers=True),
    "MKV": Muxer(
        "matroska", "OPUS", "FLAC", covers=True
    ),  # its AAC is aligned by newer players only
    "MOV": Muxer("mov", "AAC", "PCM"),
    "MP4": Muxer("mp4", "AAC", "ALAC", covers=True),
    "WEBM": Muxer("webm", "OPUS", "OPUS"),
}
"""Containers that need the extra `formats`, by the name used here."""

DEPTHS = {"16": "PCM_16", "24": "PCM_24", "32f": "FLOAT"}
"""What `--depth` takes, with the sample format."""

OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
AAC_RATES = (*MP3_RATES, 64_000, 88_200, 96_000)
RATES = {"OPUS": OPUS_RATES, "MPEG_LAYER_III": MP3_RATES, "AAC": AAC_RATES}
"""The only sample rates that a codec takes, in Hz."""

MOST_CHANNELS = {"MP3": 2, "FLAC": 8, "OPUS": 8, "AAC": 8, "ALAC": 8}
"""By container or codec; all others take 64."""

# libvorbis' -q 0 to 10, for stereo.
VORBIS_KBPS = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
_KBPS_PER_CHANNEL = 128.0
_LOSSLESS = ("PCM", "FLOAT", "DOUBLE", "ALAC", "FLAC", "WAVPACK", "TTA")


@dataclass(frozen=True)
class AudioFile:
    """What a file's header says.

    Attributes:
        frames: samples per channel.
        container: libsndfile's name, for example `WAV`, or one of `FFMPEG` or FFmpeg's own.
        subtype: libsndfile's name of the sample format, for example `PCM_16`, or FFmpeg's codec.
        mask: which loudspeakers the channels are for, as in WAVEFORMATEXTENSIBLE; 0 is unknown.
        moving: whether there is a moving picture beside the sound.
        notes: what a listener has to know, for example that one of several tracks was taken.
    """

    name: str
    sample_rate: int
    channels: int
    frames: int
    container: str
    subtype: str
    mask: int = 0
    moving: bool = False
    notes: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        return self.frames / self.sample_rate


def container_of(path: str) -> str:
    """The container that a file's ending chooses; standard output is WAV.

    Raises:
        OutputError: the ending is not one that can be written.
    """
    if path == "-":
        return "WAV"
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(sorted(SUFFIXES))
        raise OutputError(f"{path}: cannot write files ending in '{suffix}'; use one of {known}")
    return SUFFIXES[suffix]


def check_installed(target: str) -> None:
    """Find out before any work that a target needs what is not installed.

    Raises:
        OutputError: see `container_of`.
        DependencyError: its container needs PyAV.
    """
    container = container_of(target)
    if container in FFMPEG and importlib.util.find_spec("av") is None:
        raise DependencyError(f"{target}: {container} needs PyAV: pip install 'fullband[formats]'")


def not_written(source: str) -> str | None:
    """The source's ending, if files that end so are read but not written."""
    suffix = Path(source).suffix.lower()
    return suffix if suffix in READ_ONLY else None


def output_suffix(source: Path) -> str:
    """The source's own ending where it can be written, else that of the nearest that can."""
    suffix = source.suffix.lower()
    return source.suffix if suffix in SUFFIXES else READ_ONLY.get(suffix, ".wav")


def subtype_like(info: AudioFile, target: str, depth: str | None = None) -> str | None:
    """The sample format for a bit depth that is asked for, else one of the source's class.

    8-bit and telephone formats become 16-bit: their own noise would cover what is added.

    Args:
        info: the source.
        target: where the result goes.
        depth: a key of `DEPTHS`, or None.

    Returns:
        A sample format for `AudioWriter`; None leaves the choice to the container.

    Raises:
        OutputError: the container cannot hold that depth.
    """
    container = container_of(target)
    if depth is not None:
        return _asked_for(container, depth, target)
    muxer = FFMPEG.get(container)
    if container in ("MP3", "OGG"):
        return None
    deep = info.subtype.endswith(("_24", "_32")) or info.subtype in ("FLOAT", "DOUBLE")
    if muxer is not None:
        kept = info.container == container and not is_lossy(info.subtype)
        return ("PCM_24" if deep else "PCM_16") if kept else None
    if container == "FLAC":
        return "PCM_24" if deep else "PCM_16"
    if info.subtype in ("PCM_24", "PCM_32"):
        return info.subtype
    if info.subtype in ("FLOAT", "DOUBLE"):
        return "FLOAT"
    return "PCM_24" if deep else "PCM_16"


def _asked_for(container: str, depth: str, target: str) -> str:
    if depth not in DEPTHS:
        raise OutputError(f"{target}: a depth is one of {', '.join(DEPTHS)}, not '{depth}'")
    muxer = FFMPEG.get(container)
    chosen = muxer is None or muxer.lossless != muxer.lossy or container == "AVI"
    if container in ("MP3", "OGG") or not chosen:
        raise OutputError(f"{target}: {container} has no bit depth to choose")
    if depth == "32f" and (container == "FLAC" or muxer is not None):
        raise OutputError(f"{target}: {container} holds 16 or 24 bits; use .wav for 32f")
    if depth == "24" and container == "AVI":
        raise OutputError(f"{target}: AVI is written with 16 bits")
    return DEPTHS[depth]


def is_lossy(subtype: str) -> bool:
    """Whether a sample format or codec throws something away."""
    return not subtype.startswith(_LOSSLESS)


def usual_kbps(channels: int) -> float:
    """The bit rate of lossy results unless one is asked for: no codec here is heard at it."""
    return _KBPS_PER_CHANNEL * channels


def bitrate_bounds_kbps(subtype: str, sample_rate: int, channels: int) -> tuple[float, float]:
    """The lowest and the highest bit rate that a codec can be told.

    MP3 has lower ones, whose frames are too small for the header that tells its exact length.
    """
    if subtype == "OPUS":
        return 6.0 * channels, 256.0 * channels
    if subtype == "MPEG_LAYER_III":
        if sample_rate >= 16_000:
            return 64.0, 320.0 if sample_rate >= 32_000 else 160.0
        return 32.0, 64.0
    if subtype == "VORBIS":
        per_pair = (float(VORBIS_KBPS[0]), float(VORBIS_KBPS[-1]))
        return per_pair[0] * channels / 2, per_pair[1] * channels / 2
    # AAC: at most 6144 bits in a frame of 1024 samples, of each channel.
    return 8.0 * channels, 6.144 * sample_rate / 1024 * channels


def vorbis_quality(kbps: float, channels: int) -> float:
    """The quality, 0 to 1, at which libvorbis comes to so much on average."""
    per_pair = kbps * 2 / channels
    return float(np.interp(per_pair, VORBIS_KBPS, np.arange(len(VORBIS_KBPS)) / 10))


# What files begin with that libsndfile does not read, and what to call them.
_SIGNATURES: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("MP4", lambda head: head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"pnot")),
    ("Matroska or WebM", lambda head: head.startswith(b"\x1aE\xdf\xa3")),
    ("Windows Media", lambda head: head.startswith(b"0&\xb2u\x8ef\xcf\x11")),
    ("AMR", lambda head: head.startswith(b"#!AMR")),
    ("AVI", lambda head: head.startswith(b"RIFF") and head[8:12] == b"AVI "),
    ("Flash video", lambda head: head.startswith(b"FLV\x01")),
    ("AC-3", lambda head: head.startswith(b"\x0bw")),
    ("WavPack", lambda head: head.startswith(b"wvpk")),
    ("True Audio", lambda head: head.startswith(b"TTA1")),
    ("MPEG video", lambda head: head.startswith(b"\x00\x00\x01\xba")),
    ("an MPEG transport stream", lambda head: _repeats(head, 0, 188) or _repeats(head, 4, 192)),
    ("Speex", lambda head: head.startswith(b"OggS") and b"Speex   " in head[:64]),
    ("AAC", lambda head: head[:1] == b"\xff" and head[1:2] != b"" and head[1] & 0xF6 == 0xF0),
)


def needing_ffmpeg(head: bytes) -> str | None:
    """What a file is that only FFmpeg reads, judged by how it begins; None for all others.

    Args:
        head: at least its first kilobyte, without an ID3 tag.
    """
    return next((name for name, fits in _SIGNATURES if fits(head)), None)


def _repeats(head: bytes, start: int, stride: int) -> bool:
    """Whether packets of this size begin with the transport stream's mark."""
    marks = head[start : start + 4 * stride : stride]
    return len(marks) == 4 and set(marks) == {0x47}
