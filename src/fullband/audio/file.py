"""Audio files in and out. The only place that opens one.

Reading goes through libsndfile (WAV, RF64, W64, AIFF, FLAC, Ogg Vorbis and Opus, MP3 and more) and,
for what it cannot read, through FFmpeg, in blocks. Writing goes to a temporary file in the same
folder that is renamed when it is complete, so a reader never sees half a file and a failure leaves
nothing behind.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import io
import os
import shutil
import stat
import sys
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import soundfile

from fullband.audio import tags
from fullband.audio.dither import quantised
from fullband.audio.ffmpeg import FfmpegSource, ffmpeg_errors
from fullband.audio.formats import (
    FFMPEG,
    MOST_CHANNELS,
    RATES,
    SUFFIXES,
    AudioFile,
    bitrate_bounds_kbps,
    container_of,
    is_lossy,
    needing_ffmpeg,
)
from fullband.audio.layout import default_mask
from fullband.audio.muxing import FfmpegSink, codec_in
from fullband.audio.raw import RawFormat
from fullband.audio.samples import (
    MAX_CHANNELS,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    Audio,
    as_audio,
    check_finite,
    check_sample_rate,
)
from fullband.audio.sndfile import SndfileSink, SndfileSource, UnknownLengthError
from fullband.audio.temporary import hold, temporary_name
from fullband.errors import (
    AudioError,
    AudioFileError,
    DependencyError,
    MissingFileError,
    OutputError,
    reason,
)

__all__ = [
    "BLOCK_SAMPLES",
    "SUFFIXES",
    "AudioFile",
    "AudioReader",
    "AudioWriter",
    "container_of",
    "read",
    "write",
]

BLOCK_SAMPLES = 1 << 18  # over all channels: 1 MiB of float32 in memory
_STEPS = {"PCM_S8": 1 << 7, "PCM_U8": 1 << 7, "PCM_16": 1 << 15, "PCM_24": 1 << 23}
_WIDTHS = {"PCM_16": 2, "PCM_24": 3}  # bytes of what is written to standard output as it comes
_BYTES = {**_WIDTHS, "PCM_U8": 1, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
_LARGEST_WAV = (1 << 32) - (1 << 16)  # bytes; beyond, the header has another form
_SNIFFED = 1024  # bytes
_NO_COVER = "{} takes no cover art; it stays behind"
_LOST_S = 0.3  # a compressed file that ends earlier than it says, by more than its last frames


class AudioReader:
    """An open audio file that gives its samples in blocks, as often as asked.

    What it is is judged by its content. Standard input (`-`) is kept in a temporary file, since a
    stream cannot be read twice, unless it is a file itself.

    Args:
        raw: how the samples of a file without a header are stored, as `RawFormat.parse` takes it.

    Raises:
        MissingFileError: there is no such file.
        AudioFileError: it is not audio, has no samples, is damaged, or has a rate or channel
            count outside the limits.
        DependencyError: it needs PyAV, which is not installed.
        AudioError: there is no such raw format.
    """

    def __init__(self, path: str | os.PathLike[str], raw: str | RawFormat | None = None) -> None:
        self.path = os.fspath(path)
        self.name = "standard input" if self.path == "-" else self.path
        self._raw = RawFormat.parse(raw) if isinstance(raw, str) else raw
        if raw is None and Path(self.path).suffix.lower() in (".g722", ".722"):
            self._raw = RawFormat("g722", 16_000)
        self._bytes = self._open_bytes()
        try:
            self.source = self._open_source()
            self.info = self.source.info
            self._check()
        except BaseException:
            self.close()
            raise

    def blocks(self, most_samples: int = BLOCK_SAMPLES) -> Iterator[Audio]:
        """Every sample from the start, as consecutive `[C, T]` blocks of bounded size.

        Args:
            most_samples: of a block, over all its channels.
        """
        done = 0
        try:
            for block in self.source.blocks(max(1, most_samples // self.info.channels)):
                try:
                    check_finite(block, start=done)
                except AudioError as error:
                    raise AudioFileError(f"{self.name}: {error}") from None
                done += block.shape[-1]
                yield block
        except AudioFileError:
            raise
        except (soundfile.LibsndfileError, ValueError, *ffmpeg_errors()) as error:
            # ValueError is soundfile's, where the decoder says that it stands behind the end.
            raise self._damaged(done, reason(error)) from None
        if not done:
            raise AudioFileError(f"{self.name}: holds no samples")
        tolerated = 0 if isinstance(self.source, SndfileSource) else _LOST_S * self.info.sample_rate
        if self.source.exact and done + tolerated < self.info.frames:
            raise self._damaged(done, "the rest is missing")

    def another(self) -> IO[bytes]:
        """The file's bytes once more, to be closed by who asks: they are read apart from these."""
        if self.path == "-":
            return _Apart(self._bytes)  # type: ignore[return-value]
        try:
            return Path(self.path).open("rb")
        except OSError:
            raise AudioFileError(f"{self.name}: changed while it was read") from None

    def close(self) -> None:
        if hasattr(self, "source"):
            self.source.close()
        self._bytes.close()

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_bytes(self) -> IO[bytes]:
        if self.path == "-":
            return spooled_input()
        self._check_is_file()
        try:
            # Without a buffer of its own: libsndfile reads the same descriptor.
            return Path(self.path).open("rb", buffering=0)
        except PermissionError:
            raise AudioFileError(f"{self.name}: may not be read (permissions)") from None

    def _open_source(self) -> SndfileSource | FfmpegSource:
        """By libsndfile, or where it does not know the content, by FFmpeg."""
        if self._raw is not None and self._raw.coding == "g722":
            return self._by_ffmpeg("G.722", "g722")
        kind = None if self._raw is not None else needing_ffmpeg(self._head())
        if kind is not None:
            return self._by_ffmpeg(kind)
        try:
            path = None if self.path == "-" else self.path
            return SndfileSource(self._bytes, self.name, path, self._raw)
        except UnknownLengthError:
            return self._by_ffmpeg("FLAC that does not state its length")
        except soundfile.LibsndfileError as error:
            if self._raw is None and importlib.util.find_spec("av") is not None:
                with contextlib.suppress(AudioFileError):
                    return FfmpegSource(self._bytes, self.name)
            raise AudioFileError(
                f"{self.name}: is not audio that can be read ({reason(error)})"
            ) from None

    def _by_ffmpeg(self, kind: str, demuxer: str | None = None) -> FfmpegSource:
        try:
            return FfmpegSource(self._bytes, self.name, demuxer)
        except DependencyError as error:
            raise DependencyError(f"{self.name}: is {kind}, which {error}") from None

    def _head(self) -> bytes:
        """How the file begins, behind an ID3 tag."""
        self._bytes.seek(0)
        self._bytes.seek(tags.id3_length(self._bytes.read(10)))
        head = self._bytes.read(_SNIFFED)
        self._bytes.seek(0)
        return head

    def _check_is_file(self) -> None:
        """Refuse what is no file without opening it: a device never ends, a pipe never begins."""
        try:
            status = Path(self.path).stat()
        except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: a null in the name
            raise MissingFileError(f"{self.name}: no such file") from None
        except OSError as error:
            raise AudioFileError(f"{self.name}: cannot be read ({reason(error)})") from None
        if stat.S_ISDIR(status.st_mode):
            raise AudioFileError(f"{self.name}: is a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise AudioFileError(f"{self.name}: is not a regular file")
        if not status.st_size:
            raise AudioFileError(f"{self.name}: is empty")

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

    def _damaged(self, done: int, why: str) -> AudioFileError:
        rate = self.info.sample_rate
        return AudioFileError(
            f"{self.name}: damaged after {done / rate:.2f} s of "
            f"{self.info.frames / rate:.2f} s ({why}); nothing was written for it"
        )


class AudioWriter:
    """A new audio file that appears, whole, when the `with` block ends without an error.

    Samples beyond full scale cannot be held by integer and lossy formats. They are limited to full
    scale and counted in `limited`, with the highest level in `peak`, so that the caller can say so.

    Args:
        path: where the file shall appear; `-` is standard output, as WAV. The ending chooses the
            container.
        subtype: libsndfile's sample format; None takes the container's usual one. In a container
            that FFmpeg writes, `PCM_16` and `PCM_24` ask for a codec without loss.
        force: replace a file that exists.
        frames: how many samples will come, where that is known. Standard output then begins with
            the first of them (in integer formats, whose header can be written beforehand), and a
            WAV file beyond 4 GB becomes RF64.
        like: an open file whose tags, cover art and loudspeakers the new one has too, and where
            both are video, its picture. What is known of a file gives the loudspeakers alone.
        dither: add noise of one step before samples are rounded to 16 bits or fewer.
        bitrate_kbps: of lossy formats, for all channels together; None is 128 for each.

    Attributes:
        notes: what could not be kept, in words.

    Raises:
        OutputError: it exists already, the ending is unknown, the format cannot hold this rate,
            channel count or bit rate, the folder cannot be written, or the disk is full.
        DependencyError: the container needs PyAV, which is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        channels: int,
        subtype: str | None = None,
        force: bool = False,
        frames: int | None = None,
        like: AudioReader | AudioFile | None = None,
        dither: bool = False,
        bitrate_kbps: float | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.name = "standard output" if self.path == "-" else self.path
        self.sample_rate = sample_rate
        self.channels = channels
        self.frames = 0
        self.limited = 0
        self.peak = 0.0
        self.notes: tuple[str, ...] = ()
        self._target = Path(self.path)
        self._force = force
        self._dither = dither
        self.container = container_of(self.path)
        self.subtype = _fitting_subtype(self.name, self.container, sample_rate, channels, subtype)
        _check_bitrate(self.name, self.subtype, sample_rate, channels, bitrate_kbps)
        self._kbps = bitrate_kbps
        self._bounded = self.subtype not in ("FLOAT", "DOUBLE")
        self._steps = _steps_of(self.subtype)
        if self.container == "WAV" and self._beyond_wav(frames or 0):
            self.container = "RF64"
        self._attached: tags.Tags | None = None
        self._sink: SndfileSink | FfmpegSink | None = None
        self._temporary: Path | None = None
        self._held: IO[bytes] | None = None
        if self.path == "-" and frames is not None and self._begin_stream(frames):
            return
        if self.path == "-":
            folder = Path(tempfile.gettempdir())
        else:
            folder = self._target.parent
            refuse_existing(self._target, force)
        self._temporary = temporary_name(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            known = like.info if isinstance(like, AudioReader) else like
            mask = 0 if known is None else known.mask
            self._sink = self._open_sink(like if isinstance(like, AudioReader) else None, mask)
            self._held = hold(self._temporary)
        except DependencyError as error:
            self._discard()
            raise DependencyError(f"{self.name}: {self.container} {error}") from None
        except (OSError, soundfile.LibsndfileError, *ffmpeg_errors()) as error:
            self._discard()
            why = str(error) if isinstance(error, OutputError) else reason(error)
            raise OutputError(f"{self.name}: cannot be written ({why})") from None

    def write(self, block: Audio) -> None:
        """Append `[C, T]` samples."""
        if not block.shape[-1]:
            return
        peak = max(float(np.max(block)), -float(np.min(block)))
        self.peak = max(self.peak, peak)
        if self._bounded and peak > 1.0:
            self.limited += int(np.sum(np.abs(block) > 1.0))
            block = np.clip(block, -1.0, 1.0)
        if self._steps is not None:  # libsndfile itself rounds down, which moves everything by half
            dither = self._dither and self._steps <= 1 << 15
            block = quantised(block, self._steps, self.frames, dither)
        if self._sink is None:
            self._stream(np.ascontiguousarray(block.T))
            return
        self._refuse_beyond_wav(block.shape[-1])
        try:
            self._sink.write(block)
        except (OSError, soundfile.LibsndfileError, *ffmpeg_errors()) as error:
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
            if self._sink is not None:
                with contextlib.suppress(OSError, soundfile.LibsndfileError, *ffmpeg_errors()):
                    self._sink.close()
            self._discard()

    def _open_sink(self, like: AudioReader | None, mask: int) -> SndfileSink | FfmpegSink:
        assert self._temporary is not None
        if mask.bit_count() != self.channels:
            mask = default_mask(self.channels)
        told = tags.Tags()
        if like is not None:
            with like.another() as file:
                told = tags.read(file, like.info.container, like.source.tags)
        if self.container in FFMPEG:
            return self._open_ffmpeg_sink(like, mask, told)
        attached = self.container in tags.ATTACHED_TO and importlib.util.find_spec("av") is not None
        if attached and (told.texts or told.pictures or told.chapters):
            self._attached = told
        elif told.pictures:
            self.notes += (_NO_COVER.format(self.container),)
        return SndfileSink(
            self._temporary,
            self.container,
            self.subtype,
            self.sample_rate,
            self.channels,
            mask,
            self._kbps,
            {} if self._attached else tags.libsndfile_names(told.texts),
        )

    def _open_ffmpeg_sink(self, like: AudioReader | None, mask: int, told: tags.Tags) -> FfmpegSink:
        assert self._temporary is not None
        muxer = FFMPEG[self.container]
        if told.pictures and not muxer.covers:
            self.notes += (_NO_COVER.format(self.container),)
        video: dict[str, Any] = {}
        if like is not None and like.info.moving and muxer.moving:
            assert isinstance(like.source, FfmpegSource)
            video = {"video": like.another(), **like.source.placed()}
        return FfmpegSink(
            self._temporary,
            self.container,
            self.subtype,
            self.sample_rate,
            self.channels,
            mask,
            self._kbps,
            told.texts,
            told.chapters,
            told.pictures if muxer.covers else (),
            **video,
        )

    def _begin_stream(self, frames: int) -> bool:
        """Write the header of so many samples, if they can be written as they come."""
        width = _WIDTHS.get(self.subtype, 0)
        if not width or self.container != "WAV" or self.channels > 2:
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

    def _beyond_wav(self, frames: int) -> bool:
        return frames * self.channels * _BYTES.get(self.subtype, 4) > _LARGEST_WAV

    def _refuse_beyond_wav(self, more: int) -> None:
        if self.container == "WAV" and self._beyond_wav(self.frames + more):
            raise OutputError(f"{self.name}: WAV holds at most 4 GB; use .rf64 or .w64")

    def _finish(self) -> None:
        if self._sink is None or self._temporary is None:
            if self.frames != self._told:
                raise OutputError(f"{self.name}: {self.frames} samples came, not {self._told}")
            return
        try:
            if self._sink.finish() < self.frames:
                raise OSError("the disk took fewer samples than were written")
            if self._attached is not None:
                tags.attach(self._temporary, self.container, self._attached)
            with self._temporary.open("rb+") as written:
                os.fsync(written.fileno())
            if self.path == "-":
                with self._temporary.open("rb") as written:
                    shutil.copyfileobj(written, sys.stdout.buffer)
                    sys.stdout.buffer.flush()
            else:
                refuse_existing(self._target, self._force)
                os.replace(self._temporary, self._target)
        except (OSError, soundfile.LibsndfileError, *ffmpeg_errors()) as error:
            if isinstance(error, OutputError):
                raise
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> OutputError:
        assert self._temporary is not None
        free = shutil.disk_usage(self._temporary.parent).free
        why = "the disk is full" if free < 1 << 20 else reason(error)
        return OutputError(f"{self.name}: could not be written ({why}); nothing was left behind")

    def _discard(self) -> None:
        if self._held is not None:
            self._held.close()
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)


class _Apart(io.RawIOBase):
    """An open file's bytes, read at a place of its own."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        length = os.fstat(self._file.fileno()).st_size if size < 0 else size
        content = os.pread(self._file.fileno(), length, self._at)
        self._at += len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        end = os.fstat(self._file.fileno()).st_size
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: end}[whence]
        return self._at

    def tell(self) -> int:
        return self._at


def read(path: str | os.PathLike[str], raw: str | RawFormat | None = None) -> tuple[Audio, int]:
    """Read a whole file.

    Args:
        raw: see `AudioReader`.

    Shape:
        audio `[T]` for one channel, else `[C, T]`; the sample rate in Hz beside it.

    Raises:
        MissingFileError, AudioFileError, DependencyError: see `AudioReader`.
    """
    with AudioReader(path, raw) as reader:
        audio = np.concatenate(list(reader.blocks()), axis=-1)
    return (audio[0] if len(audio) == 1 else audio), reader.info.sample_rate


def write(
    path: str | os.PathLike[str],
    audio: Audio,
    sample_rate: int,
    subtype: str | None = None,
    force: bool = False,
    dither: bool = False,
    bitrate_kbps: float | None = None,
) -> None:
    """Write a whole file, whole or not at all.

    The default sample format is 16-bit for lossless containers, so samples beyond full scale are
    limited; `subtype="FLOAT"` keeps them in WAV.

    Args:
        dither, bitrate_kbps: see `AudioWriter`.

    Shape:
        audio `[T]` or `[C, T]`.

    Raises:
        AudioError: the samples are not audio.
        OutputError, DependencyError: see `AudioWriter`.
    """
    channels = np.atleast_2d(as_audio(audio))
    rate = check_sample_rate(sample_rate)
    with AudioWriter(
        path,
        rate,
        len(channels),
        subtype,
        force,
        # A count that is known is only of use where the length of a file decides its container.
        None if os.fspath(path) == "-" else channels.shape[-1],
        dither=dither,
        bitrate_kbps=bitrate_kbps,
    ) as writer:
        writer.write(channels)


def refuse_existing(target: Path, force: bool) -> None:
    """Refuse to write where something is, or cannot be.

    Raises:
        OutputError: a folder is there, or anything without `force`; or no file can have this name.
    """
    try:
        found = target.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except ValueError:  # a null in the name
        raise OutputError(f"{target}: no file can have this name") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return  # a link to itself, which is replaced
        raise OutputError(f"{target}: cannot be written ({reason(error)})") from None
    if stat.S_ISDIR(found.st_mode):
        raise OutputError(f"{target}: is a folder; give a file name")
    if not force:
        raise OutputError(f"{target}: exists already; use --force to replace it")


def spooled_input() -> IO[bytes]:
    """Standard input as a file that can be read from the start again and again.

    Raises:
        AudioFileError: it is empty, or too long for the disk that temporary files are on.
    """
    with contextlib.suppress(OSError):  # there may be none
        descriptor = sys.stdin.buffer.fileno()
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and not os.lseek(descriptor, 0, os.SEEK_CUR):
            if not os.fstat(descriptor).st_size:
                raise AudioFileError("standard input: is empty")
            return os.fdopen(os.dup(descriptor), "rb")
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        shutil.copyfileobj(sys.stdin.buffer, spool)
        if not spool.tell():
            raise AudioFileError("standard input: is empty")
        spool.seek(0)
    except OSError as error:
        spool.close()
        raise AudioFileError(f"standard input: cannot be kept ({reason(error)})") from None
    except BaseException:
        spool.close()
        raise
    return spool


def _fitting_subtype(
    name: str, container: str, sample_rate: int, channels: int, subtype: str | None
) -> str:
    """The sample format to write: the one asked for if the container holds it, else its usual."""
    if container in FFMPEG:
        subtype = codec_in(container, sample_rate, subtype)
    else:
        if name.lower().endswith(".opus"):
            subtype = "OPUS"
        if subtype is None or not soundfile.check_format(container, subtype):
            subtype = "PCM_16" if container == "RF64" else soundfile.default_subtype(container)
        if subtype is None or not soundfile.check_format(container, subtype):
            raise OutputError(f"{name}: this libsndfile cannot write {container}")
    if subtype in RATES and sample_rate not in RATES[subtype]:
        rates = ", ".join(str(rate) for rate in RATES[subtype])
        raise OutputError(
            f"{name}: {container} cannot hold {sample_rate} Hz; --rate one of {rates}"
        )
    most = MOST_CHANNELS.get(container, MAX_CHANNELS if container not in FFMPEG else 8)
    if channels > most:
        raise OutputError(f"{name}: {container} holds at most {most} channels, this has {channels}")
    if container == "FLAC" and sample_rate > 655_350:
        raise OutputError(f"{name}: FLAC cannot hold {sample_rate} Hz; use .wav")
    return subtype


def _check_bitrate(
    name: str, subtype: str, sample_rate: int, channels: int, kbps: float | None
) -> None:
    if kbps is None:
        return
    if not is_lossy(subtype):
        raise OutputError(f"{name}: {subtype} has no bit rate to choose")
    lowest, highest = bitrate_bounds_kbps(subtype, sample_rate, channels)
    if not lowest <= kbps <= highest:
        raise OutputError(
            f"{name}: a bit rate of {kbps:g} kb/s is outside {lowest:.0f} to {highest:.0f} kb/s "
            f"for {subtype} of {channels} channels at {sample_rate} Hz"
        )


def _steps_of(subtype: str) -> int | None:
    """The steps of a sample format between 0 and full scale; None where they are not to be seen."""
    return _STEPS.get(subtype.replace("ALAC_", "PCM_").replace("FLAC_", "PCM_"))
