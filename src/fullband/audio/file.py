"""Audio files in and out. The only place that opens one.

Reading goes through libsndfile (WAV, RF64, W64, AIFF, FLAC, Ogg Vorbis and Opus, MP3 and more), in
blocks. Writing goes to a temporary file in the same folder that is renamed when it is complete, so
a reader never sees half a file and a failure leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import secrets
import shutil
import sys
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import soundfile

from fullband.audio.samples import (
    MAX_CHANNELS,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    Audio,
    as_audio,
    check_finite,
    check_sample_rate,
)
from fullband.errors import AudioError, AudioFileError, MissingFileError, OutputError

__all__ = ["BLOCK_SAMPLES", "SUFFIXES", "AudioFile", "AudioReader", "AudioWriter", "read", "write"]

SUFFIXES = {
    ".aif": "AIFF",
    ".aiff": "AIFF",
    ".au": "AU",
    ".caf": "CAF",
    ".flac": "FLAC",
    ".mp3": "MP3",
    ".oga": "OGG",
    ".ogg": "OGG",
    ".opus": "OGG",
    ".rf64": "RF64",
    ".w64": "W64",
    ".wav": "WAV",
}
"""File endings that are taken for audio in a folder, with libsndfile's name for the container."""

_LOSSY_OR_LONG = ("MP3", "OGG")  # their headers state the length roughly or not at all
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_CORRECTION = re.compile(r"(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)")
_OPEN_ENDED = 0x7FFF_0000  # stated by programs that write to a pipe, and cannot know the length
BLOCK_SAMPLES = 1 << 18  # over all channels: 1 MiB of float32 in memory
_STEPS = {"PCM_S8": 1 << 7, "PCM_U8": 1 << 7, "PCM_16": 1 << 15, "PCM_24": 1 << 23}
_WIDTHS = {"PCM_16": 2, "PCM_24": 3}  # bytes of what is written to standard output as it comes
_LARGEST_WAV = (1 << 32) - (1 << 16)  # bytes; beyond, the header has another form
_WRITTEN_AT_ONCE = 1 << 16  # frames; Vorbis' encoder keeps what it is given on the stack


@dataclass(frozen=True)
class AudioFile:
    """What a file's header says.

    Attributes:
        frames: samples per channel.
        container: libsndfile's name, for example `WAV`.
        subtype: libsndfile's name of the sample format, for example `PCM_16`.
    """

    name: str
    sample_rate: int
    channels: int
    frames: int
    container: str
    subtype: str

    @property
    def duration_s(self) -> float:
        return self.frames / self.sample_rate


class AudioReader:
    """An open audio file that gives its samples in blocks, as often as asked.

    Standard input (`-`) is kept in a temporary file, since a stream cannot be read twice.

    Raises:
        MissingFileError: there is no such file.
        AudioFileError: it is not audio, has no samples, is damaged, or has a rate or channel
            count outside the limits.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.name = "standard input" if self.path == "-" else self.path
        self._spool: IO[bytes] | None = None
        try:
            self._file = self._open()
        except BaseException:
            self._close_spool()
            raise
        self.info = AudioFile(
            name=self.name,
            sample_rate=self._file.samplerate,
            channels=self._file.channels,
            frames=_stated_frames(self._file),
            container=self._file.format,
            subtype=self._file.subtype,
        )
        try:
            self._check()
        except AudioFileError:
            self.close()
            raise

    def blocks(self, most_samples: int = BLOCK_SAMPLES) -> Iterator[Audio]:
        """Every sample from the start, as consecutive `[C, T]` blocks of bounded size.

        Args:
            most_samples: of a block, over all its channels.
        """
        frames = max(1, most_samples // self.info.channels)
        done = 0
        try:
            self._file.seek(0)
            while True:
                block = self._file.read(frames, dtype="float32", always_2d=True)
                if not len(block):
                    break
                try:
                    check_finite(block.T, start=done)
                except AudioError as error:
                    raise AudioFileError(f"{self.name}: {error}") from None
                done += len(block)
                yield np.ascontiguousarray(block.T)
        except soundfile.LibsndfileError as error:
            raise self._damaged(done, _reason(error)) from None
        if not done:
            raise AudioFileError(f"{self.name}: holds no samples")
        if done < self.info.frames and self.info.container not in _LOSSY_OR_LONG:
            raise self._damaged(done, "the rest is missing")

    def close(self) -> None:
        self._file.close()
        self._close_spool()

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> soundfile.SoundFile:
        if self.path == "-":
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
            shutil.copyfileobj(sys.stdin.buffer, self._spool)
            if not self._spool.tell():
                raise AudioFileError("standard input: is empty")
            self._spool.seek(0)
            source: Any = self._spool
        else:
            path = Path(self.path)
            if not path.exists():
                raise MissingFileError(f"{self.name}: no such file")
            if path.is_dir():
                raise AudioFileError(f"{self.name}: is a folder, not a file")
            if not path.is_file():
                raise AudioFileError(f"{self.name}: is not a regular file")
            if not path.stat().st_size:
                raise AudioFileError(f"{self.name}: is empty")
            source = self.path
        try:
            return soundfile.SoundFile(source)
        except soundfile.LibsndfileError as error:
            if self.path != "-" and not os.access(self.path, os.R_OK):
                raise AudioFileError(f"{self.name}: may not be read (permissions)") from None
            raise AudioFileError(
                f"{self.name}: is not audio that can be read ({_reason(error)})"
            ) from None
        except (TypeError, ValueError) as error:  # a name libsndfile takes for headerless data
            raise AudioFileError(f"{self.name}: is not audio that can be read ({error})") from None

    def _check(self) -> None:
        info = self.info
        if not MIN_SAMPLE_RATE <= info.sample_rate <= MAX_SAMPLE_RATE:
            raise AudioFileError(
                f"{self.name}: sample rate {info.sample_rate} Hz is outside "
                f"{MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
            )
        if info.channels > MAX_CHANNELS:
            raise AudioFileError(
                f"{self.name}: has {info.channels} channels, at most {MAX_CHANNELS} are supported"
            )
        if not info.frames:
            raise AudioFileError(f"{self.name}: holds no samples")

    def _damaged(self, done: int, reason: str) -> AudioFileError:
        rate = self.info.sample_rate
        return AudioFileError(
            f"{self.name}: damaged after {done / rate:.2f} s of "
            f"{self.info.frames / rate:.2f} s ({reason}); nothing was written for it"
        )

    def _close_spool(self) -> None:
        if self._spool is not None:
            self._spool.close()


class AudioWriter:
    """A new audio file that appears, whole, when the `with` block ends without an error.

    Samples beyond full scale cannot be held by integer and lossy formats. They are limited to full
    scale and counted in `limited`, with the highest level in `peak`, so that the caller can say so.

    Args:
        path: where the file shall appear; `-` is standard output, as WAV. The ending chooses the
            container.
        subtype: libsndfile's sample format; None takes the container's usual one.
        force: replace a file that exists.
        frames: how many samples will come, where that is known. Standard output then begins with
            the first of them (in integer formats, whose header can be written beforehand).

    Raises:
        OutputError: it exists already, the ending is unknown, the format cannot hold this rate or
            channel count, the folder cannot be written, or the disk is full.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        channels: int,
        subtype: str | None = None,
        force: bool = False,
        frames: int | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.name = "standard output" if self.path == "-" else self.path
        self.sample_rate = sample_rate
        self.channels = channels
        self.frames = 0
        self.limited = 0
        self.peak = 0.0
        self._target = Path(self.path)
        self._force = force
        self.container = container_of(self.path)
        self.subtype = _fitting_subtype(self.name, self.container, sample_rate, channels, subtype)
        self._integer = self.subtype not in ("FLOAT", "DOUBLE")
        self._file: soundfile.SoundFile | None = None
        self._temporary: Path | None = None
        if self.path == "-" and frames is not None and self._begin_stream(frames):
            return
        if self.path == "-":
            folder = Path(tempfile.gettempdir())
        else:
            folder = self._target.parent
            self._refuse_existing()
        self._temporary = folder / f".fullband-{secrets.token_hex(8)}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = soundfile.SoundFile(
                os.fspath(self._temporary),
                mode="w",
                samplerate=sample_rate,
                channels=channels,
                subtype=self.subtype,
                format=self.container,
            )
        except (OSError, soundfile.LibsndfileError) as error:
            self._discard()
            raise OutputError(f"{self.name}: cannot be written ({_reason(error)})") from None

    def write(self, block: Audio) -> None:
        """Append `[C, T]` samples."""
        if not block.shape[-1]:
            return
        peak = max(float(np.max(block)), -float(np.min(block)))
        self.peak = max(self.peak, peak)
        if self._integer and peak > 1.0:
            self.limited += int(np.sum(np.abs(block) > 1.0))
            block = np.clip(block, -1.0, 1.0)
        if self.subtype in _STEPS:  # libsndfile itself rounds down, which moves everything by half
            steps = np.float32(_STEPS[self.subtype])
            block = block * steps
            np.rint(block, out=block)
            block *= 1 / steps  # exactly: it is a power of two
        frames = np.ascontiguousarray(block.T)
        if self._file is None:
            self._stream(frames)
            return
        try:
            for start in range(0, len(frames), _WRITTEN_AT_ONCE):
                self._file.write(frames[start : start + _WRITTEN_AT_ONCE])
        except (OSError, soundfile.LibsndfileError) as error:
            raise self._failed(error) from None
        self.frames += block.shape[-1]

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            if self._file is not None:
                with contextlib.suppress(OSError, soundfile.LibsndfileError):
                    self._file.close()
            self._discard()

    def _begin_stream(self, frames: int) -> bool:
        """Write the header of so many samples, if they can be written as they come."""
        width = _WIDTHS.get(self.subtype, 0)
        if not width or frames * width * self.channels > _LARGEST_WAV:
            return False
        head = io.BytesIO()
        with wave.open(head, "wb") as header:
            header.setparams((self.channels, width, self.sample_rate, frames, "NONE", ""))
            header.writeframesraw(b"")
            self._head = head.getvalue()  # closing it would put in that there were none
        self._told = frames
        return True

    def _stream(self, frames: np.ndarray) -> None:
        """`[T, C]` samples to standard output, in libsndfile's rounding."""
        raw = io.BytesIO()
        soundfile.write(raw, frames, self.sample_rate, self.subtype, endian="LITTLE", format="RAW")
        sys.stdout.buffer.write(self._head + raw.getvalue())
        sys.stdout.buffer.flush()
        self._head = b""
        self.frames += len(frames)

    def _finish(self) -> None:
        if self._file is None or self._temporary is None:
            if self.frames != self._told:
                raise OutputError(f"{self.name}: {self.frames} samples came, not {self._told}")
            return
        try:
            self._file.flush()
            expected = self._file.frames
            self._file.close()
            if expected < self.frames:
                raise OSError("the disk took fewer samples than were written")
            with self._temporary.open("rb+") as written:
                os.fsync(written.fileno())
            if self.path == "-":
                with self._temporary.open("rb") as written:
                    shutil.copyfileobj(written, sys.stdout.buffer)
                    sys.stdout.buffer.flush()
            else:
                self._refuse_existing()
                os.replace(self._temporary, self._target)
        except (OSError, soundfile.LibsndfileError) as error:
            if isinstance(error, OutputError):
                raise
            raise self._failed(error) from None

    def _refuse_existing(self) -> None:
        if self._target.is_dir():
            raise OutputError(f"{self.name}: is a folder")
        if self._target.exists() and not self._force:
            raise OutputError(f"{self.name}: exists already; use --force to replace it")

    def _failed(self, error: Exception) -> OutputError:
        assert self._temporary is not None
        free = shutil.disk_usage(self._temporary.parent).free
        reason = "the disk is full" if free < 1 << 20 else _reason(error)
        return OutputError(f"{self.name}: could not be written ({reason}); nothing was left behind")

    def _discard(self) -> None:
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> tuple[Audio, int]:
    """Read a whole file.

    Shape:
        audio `[T]` for one channel, else `[C, T]`; the sample rate in Hz beside it.

    Raises:
        MissingFileError, AudioFileError: see `AudioReader`.
    """
    with AudioReader(path) as reader:
        audio = np.concatenate(list(reader.blocks()), axis=-1)
    return (audio[0] if len(audio) == 1 else audio), reader.info.sample_rate


def write(
    path: str | os.PathLike[str],
    audio: Audio,
    sample_rate: int,
    subtype: str | None = None,
    force: bool = False,
) -> None:
    """Write a whole file, whole or not at all.

    The default sample format is 16-bit for lossless containers, so samples beyond full scale are
    limited; `subtype="FLOAT"` keeps them in WAV.

    Shape:
        audio `[T]` or `[C, T]`.

    Raises:
        AudioError: the samples are not audio.
        OutputError: see `AudioWriter`.
    """
    channels = np.atleast_2d(as_audio(audio))
    rate = check_sample_rate(sample_rate)
    with AudioWriter(path, rate, channels.shape[0], subtype, force) as writer:
        writer.write(channels)


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


def _fitting_subtype(
    name: str, container: str, sample_rate: int, channels: int, subtype: str | None
) -> str:
    """The sample format to write: the one asked for if the container holds it, else its usual."""
    if name.lower().endswith(".opus"):
        subtype = "OPUS"
    if subtype is None or not soundfile.check_format(container, subtype):
        subtype = "PCM_16" if container == "RF64" else soundfile.default_subtype(container)
    if subtype is None or not soundfile.check_format(container, subtype):
        raise OutputError(f"{name}: this libsndfile cannot write {container}")
    limits = {"OPUS": _OPUS_RATES, "MPEG_LAYER_III": _MP3_RATES}
    if subtype in limits and sample_rate not in limits[subtype]:
        rates = ", ".join(str(rate) for rate in limits[subtype])
        raise OutputError(
            f"{name}: {container} cannot hold {sample_rate} Hz; --rate one of {rates}"
        )
    most = {"MP3": 2, "FLAC": 8}.get(container, MAX_CHANNELS)
    if channels > most:
        raise OutputError(f"{name}: {container} holds at most {most} channels, this has {channels}")
    if container == "FLAC" and sample_rate > 655_350:
        raise OutputError(f"{name}: FLAC cannot hold {sample_rate} Hz; use .wav")
    return subtype


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


def _reason(error: Exception) -> str:
    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string).strip().rstrip(".")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)
