"""Reading and writing through libsndfile: the base install's formats, and headerless samples."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import soundfile

from fullband.audio.formats import (
    AudioFile,
    bitrate_bounds_kbps,
    usual_kbps,
    vorbis_quality,
)
from fullband.audio.layout import default_mask, read_wav_mask, vorbis_order, write_wav_mask
from fullband.audio.raw import RawFormat
from fullband.audio.samples import Audio
from fullband.errors import AudioFileError

__all__ = ["ROUGH", "SndfileSink", "SndfileSource", "UnknownLengthError"]

ROUGH = ("MP3", "OGG")
"""Containers whose headers state the length roughly or not at all."""

_CORRECTION = re.compile(r"(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)")
_OPEN_ENDED = 0x7FFF_0000  # stated by programs that write to a pipe, and cannot know the length
_LONGEST = 1 << 53  # frames
_WRITTEN_AT_ONCE = 1 << 16  # frames; Vorbis' encoder keeps what it is given on the stack


class UnknownLengthError(Exception):
    """A FLAC file written to a pipe."""


class SndfileSource:
    """An open file that libsndfile reads.

    Args:
        file: its bytes, from the start.
        path: its name, for systems where an open file cannot be handed over; None if it has none.
        raw: how samples are stored in a file without a header.

    Raises:
        soundfile.LibsndfileError: libsndfile cannot read it.
        UnknownLengthError: it is FLAC that does not state its length, which libsndfile cannot end.
    """

    def __init__(
        self, file: IO[bytes], name: str, path: str | None = None, raw: RawFormat | None = None
    ) -> None:
        self._bytes, self._path, self._raw = file, path, raw
        # Before libsndfile has it open, which reads on from where the descriptor stands.
        mask = 0 if raw else read_wav_mask(file)
        self._file = self._open()
        self._fresh = True
        container, channels = self._file.format.replace("WAVEX", "WAV"), self._file.channels
        subtype = self._file.subtype
        self._order = vorbis_order(channels) if subtype in ("VORBIS", "OPUS") else None
        if self._file.frames > _LONGEST:
            self._file.close()
            raise UnknownLengthError
        self.info = AudioFile(
            name=name,
            sample_rate=self._file.samplerate,
            channels=channels,
            frames=_stated_frames(self._file),
            container=container,
            subtype=subtype,
            mask=mask if mask.bit_count() == channels else default_mask(channels),
        )
        self.tags: dict[str, str] = {} if raw else self._file.copy_metadata()
        self.exact = container not in ROUGH

    def blocks(self, frames: int) -> Iterator[Audio]:
        """Every sample from the start in `[C, T]` blocks of at most so many frames."""
        if not self._fresh:
            before = self._about()
            self._file.close()
            self._file = self._open()
            if self._about() != before:
                raise AudioFileError(f"{self.info.name}: changed while it was read")
        self._fresh = False
        while True:
            block = self._file.read(frames, dtype="float32", always_2d=True).T
            if not block.shape[-1]:
                return
            yield np.ascontiguousarray(block if self._order is None else block[list(self._order)])

    def close(self) -> None:
        self._file.close()

    def _about(self) -> tuple[int, ...]:
        return self._file.samplerate, self._file.channels, self._file.frames

    def _open(self) -> soundfile.SoundFile:
        self._bytes.seek(0)
        stored: dict[str, Any] = {}
        if self._raw is not None:
            stored = {
                "format": "RAW",
                "subtype": self._raw.subtype,
                "samplerate": self._raw.sample_rate,
                "channels": self._raw.channels,
                "endian": "LITTLE",
            }
        # By descriptor, libsndfile judges the content alone; by name it would take any file that
        # is called .gsm or .au for headerless telephone audio.
        if self._path is not None and os.name != "nt":
            return _Forward(self._bytes.fileno(), closefd=False, **stored)
        return _Forward(_Nameless(self._bytes), **stored)


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read from start to end.

    Where it can, soundfile seeks to where it is after each read. GSM in WAV cannot; MP3 can, but
    what follows is not what an uninterrupted decoder gives.
    """

    def seekable(self) -> bool:
        return False


class _Nameless:
    """An open file without its name, which soundfile would judge it by."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell, self.readinto = file.seek, file.tell, file.readinto  # type: ignore[attr-defined]


class SndfileSink:
    """A new file written through libsndfile.

    Args:
        container, subtype: libsndfile's names.
        mask: the channel mask; WAV files with more than two channels state it.
        bitrate_kbps: for lossy formats.
        tags: what libsndfile can store of them is stored, where the container takes it.

    Raises:
        OSError, soundfile.LibsndfileError: it cannot be made.
    """

    def __init__(
        self,
        path: Path,
        container: str,
        subtype: str,
        sample_rate: int,
        channels: int,
        mask: int = 0,
        bitrate_kbps: float | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self._path = path
        self._mask = mask if container in ("WAV", "RF64") and channels > 2 else None
        extensible = container == "WAV" and self._mask is not None
        self._order = vorbis_order(channels) if subtype in ("VORBIS", "OPUS") else None
        self._file = soundfile.SoundFile(
            os.fspath(path),
            mode="w",
            samplerate=sample_rate,
            channels=channels,
            subtype=subtype,
            format="WAVEX" if extensible else container,
            **_compression(subtype, sample_rate, channels, bitrate_kbps),
        )
        for name, value in (tags or {}).items():
            self._tag(name, value)

    def write(self, block: Audio) -> None:
        """Append `[C, T]` samples."""
        if self._order is not None:
            block = block[list(np.argsort(self._order))]
        frames = np.ascontiguousarray(block.T)
        for start in range(0, len(frames), _WRITTEN_AT_ONCE):
            self._file.write(frames[start : start + _WRITTEN_AT_ONCE])

    def finish(self) -> int:
        """Complete the file; how many frames it has."""
        self._file.flush()
        frames = int(self._file.frames)
        self._file.close()
        if self._mask is not None:
            with self._path.open("rb+") as file:
                write_wav_mask(file, self._mask)
        return frames

    def close(self) -> None:
        self._file.close()

    def _tag(self, name: str, value: str) -> None:
        try:
            setattr(self._file, name, value)
        except (soundfile.LibsndfileError, AttributeError, UnicodeError):
            return  # this container has no place for it


def _compression(
    subtype: str, sample_rate: int, channels: int, kbps: float | None
) -> dict[str, Any]:
    """What soundfile is told so that a lossy format comes to a bit rate."""
    if subtype not in ("OPUS", "VORBIS", "MPEG_LAYER_III"):
        return {}
    lowest, highest = bitrate_bounds_kbps(subtype, sample_rate, channels)
    asked = min(max(kbps or usual_kbps(channels), lowest), highest)
    if subtype == "VORBIS":
        return {"compression_level": 1.0 - vorbis_quality(asked, channels)}
    if subtype == "OPUS":
        return {"compression_level": 1.0 - (asked - lowest) / (highest - lowest)}
    lowest = 32.0 if sample_rate >= 32_000 else 8.0  # what libsndfile counts from
    level = 1.0 - (asked - lowest) / (highest - lowest)
    return {"compression_level": level, "bitrate_mode": "CONSTANT"}


def _stated_frames(file: soundfile.SoundFile) -> int:
    """The length that the header of a WAV, AIFF or AU file states, so that a cut-off file is told.

    libsndfile counts the samples that are there, and only its log says that there should be more.
    """
    frames = int(file.frames)
    correction = _CORRECTION.search(file.extra_info)
    if correction is None:
        return frames
    stated, held = int(correction[1]), int(correction[2])
    if stated >= _OPEN_ENDED or not held:
        return frames
    return max(frames, round(frames * stated / held))
