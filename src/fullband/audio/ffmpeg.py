"""Reading through FFmpeg's libraries, by PyAV, what libsndfile cannot. Extra `formats`.

A recording's first sample is the first that its container says is heard: what an encoder put in
front and behind (edit lists, Opus' pre-skip, LAME's and iTunes' notes) is taken out. Files are
judged by their content, by the demuxers named here only, and none of them may open another file.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import sys
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from fullband.audio.formats import AudioFile
from fullband.audio.layout import default_mask, mask_of
from fullband.audio.samples import Audio
from fullband.errors import AudioFileError, DependencyError, reason

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = [
    "DEMUXERS",
    "FfmpegSource",
    "ffmpeg_errors",
    "import_av",
    "is_cover",
    "open_to_copy",
    "read_chapters",
    "read_tags",
    "told",
]

DEMUXERS = {
    "aac": "AAC",
    "ac3": "AC3",
    "aiff": "AIFF",
    "amr": "AMR",
    "asf": "ASF",
    "avi": "AVI",
    "caf": "CAF",
    "eac3": "EAC3",
    "flac": "FLAC",
    "flv": "FLV",
    "g722": "G722",
    "gsm": "GSM",
    "matroska": "MKV",
    "mov": "MP4",
    "mpeg": "MPEG",
    "mpegts": "MPEGTS",
    "ogg": "OGG",
    "tta": "TTA",
    "wav": "WAV",
    "wv": "WV",
}
"""FFmpeg's demuxers that are used, and the container's name. MP3 is libsndfile's."""

_SNDFILES = ("aiff", "caf", "wav")  # opened here only for codecs that libsndfile lacks
_TIMED = ("matroska", "mov", "mpegts", "flv")  # whose time stamps tell what is missing in between
_SHORTEST_GAP_S = 0.1
_LONGEST_GAP_S = 600.0
_MOST_PADDING = 16_384  # samples that an encoder may put behind, and before, a recording
_TECHNICAL = {"compatible_brands", "creation_time", "duration", "encoder", "major_brand"} | {
    *("minor_version", "handler_name", "vendor_id", "itunsmpb", "itunnorm", "software"),
}
_ATTACHED = 0x400  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC
_DEFAULT = 0x1


def import_av() -> Any:
    """PyAV.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import av
    except ModuleNotFoundError:
        raise DependencyError("needs PyAV: pip install 'fullband[formats]'") from None
    return av


class FfmpegSource:
    """An open file that FFmpeg reads: its sound, and what else is in it.

    Args:
        file: its bytes, from the start.
        raw: the demuxer of samples without a header, else the content says.

    Raises:
        DependencyError: PyAV is not installed.
        AudioFileError: FFmpeg cannot read it, or there is no sound in it.
    """

    def __init__(self, file: IO[bytes], name: str, raw: str | None = None) -> None:
        self._av = import_av()
        self._bytes, self._name, self._raw = file, name, raw
        self._demuxer = raw or ""
        self._limit: int | None = None
        with self._opened() as container:
            self._demuxer = container.format.name.split(",")[0]
            self.track = self._choose(container)
            stream = container.streams[self.track]
            first = self._first_frame(container, stream)
            self._rate, self._channels = first.sample_rate, first.layout.nb_channels
            self.start_s = float(first.pts * first.time_base) if first.pts is not None else 0.0
            self.tags = tags_of(container, stream)
            self._limit = self._stated_end(container, stream)
            self._stated_s = self._stated_length_s(container, stream)
            self.info = self._describe(container, stream, first)
        # Of an MP4 file that was cut off, FFmpeg says itself that samples are missing.
        self.exact = self._stated_s is not None

    def blocks(self, frames: int) -> Iterator[Audio]:
        """Every sample from the start in `[C, T]` blocks of at most so many frames.

        Raises:
            av.FFmpegError: FFmpeg cannot go on.
            AudioFileError: the format changes on the way.
        """
        held: list[Audio] = []
        ready = 0
        failure: Exception | None = None
        parts = self._limited()
        while True:
            try:
                part = next(parts, None)
            except self._av.FFmpegError as error:
                failure, part = error, None  # after what was decoded before it
            if part is None:
                break
            held.append(part)
            ready += part.shape[-1]
            if ready < frames:
                continue
            joined = np.concatenate(held, axis=-1)
            whole = ready - ready % frames
            for start in range(0, whole, frames):
                yield np.ascontiguousarray(joined[:, start : start + frames])
            held, ready = [joined[:, whole:]], ready - whole
        if ready:
            yield np.concatenate(held, axis=-1)
        if failure is not None:
            raise failure

    def placed(self) -> dict[str, Any]:
        """Which stream was taken and when it begins, as `FfmpegSink` wants to know it."""
        return {"track": self.track, "start_s": self.start_s}

    def close(self) -> None:
        """Nothing stays open between two passes."""

    @contextlib.contextmanager
    def _opened(self) -> Iterator[InputContainer]:
        self._bytes.seek(0)
        # Playlists and reference movies name further files, which nobody has asked to open.
        only = {"protocol_whitelist": "none", "format_whitelist": self._raw or _allowed()}
        try:
            container = self._av.open(
                _Nameless(self._bytes), format=self._raw, options=only, metadata_errors="replace"
            )
        except self._av.FFmpegError as error:
            raise AudioFileError(
                f"{self._name}: is not audio that can be read ({reason(error)})"
            ) from None
        with container:
            yield container

    def _choose(self, container: InputContainer) -> int:
        """The number of the stream to hear: the default one of several."""
        tracks = [track for track in container.streams.audio if track.codec_context is not None]
        if not tracks:
            kind = "no sound that can be decoded" if container.streams.audio else "no sound"
            raise AudioFileError(f"{self._name}: holds {kind}")
        chosen = next((track for track in tracks if int(track.disposition) & _DEFAULT), tracks[0])
        return int(chosen.index)

    def _first_frame(self, container: InputContainer, stream: Any) -> Any:
        """What is decoded first tells rate and channels; headers of AAC may tell half of it."""
        try:
            frame = next(self._frames(container, stream), None)
        except self._av.FFmpegError as error:
            raise AudioFileError(
                f"{self._name}: is not audio that can be read ({reason(error)})"
            ) from None
        if frame is None:
            raise AudioFileError(f"{self._name}: holds no samples")
        if self._demuxer in _SNDFILES and stream.codec_context.name.startswith("pcm_"):
            raise AudioFileError(f"{self._name}: is not audio that can be read (damaged header)")
        return frame

    def _describe(self, container: InputContainer, stream: Any, first: Any) -> AudioFile:
        kind = DEMUXERS[self._demuxer]
        moving = any(not is_cover(video) for video in container.streams.video)
        if kind == "MKV" and b"webm" in self._head():
            kind = "WEBM"
        elif kind == "MKV" and not moving:
            kind = "MKA"
        elif kind == "MP4" and self._head()[8:10] == b"qt":
            kind = "MOV"
        elif kind == "MP4" and self._head()[8:11] in (b"3gp", b"3g2"):
            kind = "3GP"
        elif kind == "MP4" and not moving:
            kind = "M4A"
        tracks = container.streams.audio
        notes: tuple[str, ...] = ()
        if len(tracks) > 1:
            number = 1 + next(i for i, track in enumerate(tracks) if track.index == self.track)
            language = f" ({stream.metadata['language']})" if "language" in stream.metadata else ""
            notes = (f"has {len(tracks)} sound tracks; number {number}{language} was taken",)
        names = [channel.name for channel in first.layout.channels]
        return AudioFile(
            name=self._name,
            sample_rate=self._rate,
            channels=self._channels,
            frames=self._stated_frames(container, stream),
            container=kind,
            subtype=_subtype(stream.codec_context.name, first.format.name),
            mask=mask_of(names) or default_mask(self._channels),
            moving=moving,
            notes=notes,
        )

    def _head(self) -> bytes:
        self._bytes.seek(0)
        return self._bytes.read(64)

    def _stated_frames(self, container: InputContainer, stream: Any) -> int:
        """How many samples there should be, roughly where the container does not say it."""
        if self._limit is not None:
            return self._limit
        if self._stated_s is not None:
            return max(1, int(self._stated_s * self._rate))
        if stream.duration and stream.time_base:
            return max(1, int(stream.duration * stream.time_base * self._rate))
        return max(1, int((container.duration or 0) / 1e6 * self._rate))

    def _stated_length_s(self, container: InputContainer, stream: Any) -> float | None:
        """How long a Matroska file says that its sound lasts, which tells one that was cut off."""
        if self._demuxer != "matroska":
            return None
        told = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", ""))
        if told is not None:
            ends_s = 3600 * int(told[1]) + 60 * int(told[2]) + float(told[3])
            # Tools that shorten a file may leave the note as it was.
            whole_s = container.duration / 1e6 if container.duration else ends_s
            return max(0.0, min(ends_s, whole_s) - self.start_s)
        if len(container.streams) > 1 or not container.duration:
            return None
        return container.duration / 1e6

    def _stated_end(self, container: InputContainer, stream: Any) -> int | None:
        """How many samples an MP4 file says are heard, or at most a little more."""
        if self._demuxer != "mov" or not stream.duration or not stream.time_base:
            return None
        exact: Fraction = Fraction(stream.duration) * stream.time_base * self._rate
        noted = {**stream.metadata, **container.metadata}.get("iTunSMPB", "")
        told = re.match(r"\s*(?:[0-9A-F]+\s+){3}([0-9A-F]{1,16})\b", noted, re.IGNORECASE)
        if told is not None and abs(int(told[1], 16) - exact) < _MOST_PADDING:
            return int(told[1], 16)
        ticks = _movie_timescale(self._bytes)
        # The edit list counts in the movie's time, often milliseconds, and may be rounded down.
        slack = 0 if not ticks or ticks % self._rate == 0 else -(-self._rate // ticks)
        return max(1, round(exact) + slack)

    def _limited(self) -> Iterator[Audio]:
        """The samples, without what lies behind the stated end."""
        left = self._limit
        behind: list[Audio] = []
        for part in self._continuous():
            if left is None:
                yield part
                continue
            yield part[:, :left]
            if part.shape[-1] > left:
                behind.append(part[:, left:])
            left = max(0, left - part.shape[-1])
            if sum(each.shape[-1] for each in behind) > _MOST_PADDING:
                yield from behind  # so much is no padding: the file was still being written
                left = None

    def _continuous(self) -> Iterator[Audio]:
        """The decoded samples, with silence where time stamps say that some are missing."""
        expected_s: float | None = None
        filled_s = 0.0
        with self._opened() as container:
            stream = container.streams[self.track]
            for frame in self._frames(container, stream):
                if frame.sample_rate != self._rate or frame.layout.nb_channels != self._channels:
                    raise AudioFileError(
                        f"{self._name}: its sample rate or number of channels changes on the way; "
                        "split it there"
                    )
                if frame.pts is not None and self._demuxer in _TIMED:
                    begins_s = float(frame.pts * frame.time_base)
                    gap_s = begins_s - (begins_s if expected_s is None else expected_s)
                    if gap_s > _SHORTEST_GAP_S and filled_s + gap_s < _LONGEST_GAP_S:
                        filled_s += gap_s
                        yield from self._silence(gap_s)
                    expected_s = begins_s + frame.samples / self._rate
                yield _as_float(frame)

    def _silence(self, duration_s: float) -> Iterator[Audio]:
        left = round(duration_s * self._rate)
        while left:
            length = min(left, self._rate)
            yield np.zeros((self._channels, length), np.float32)
            left -= length

    def _frames(self, container: InputContainer, stream: Any) -> Iterator[Any]:
        """Decoded frames, the last one cut where its packet says that it ends."""
        stream.codec_context.thread_count = 1
        begun = False
        ends: int | None = None
        before = None
        for packet in container.demux(stream):
            if packet.pts is not None and packet.duration and not packet.is_discard:
                ends = packet.pts + packet.duration
            try:
                decoded = packet.decode()
            except self._av.FFmpegError:
                if begun or packet.size == 0:
                    raise
                continue  # a recording that begins in the middle of something
            for frame in decoded:
                if not frame.samples:
                    continue
                begun = True
                if before is not None:
                    yield before
                before = frame
        if before is not None:
            yield before if self._demuxer != "mov" else _Cut.to(before, ends, stream)


class _Cut:
    """A decoded frame of which only the first samples count."""

    def __init__(self, frame: Any, samples: int) -> None:
        self.samples, self.planes = samples, frame.planes
        self.pts, self.time_base = frame.pts, frame.time_base
        self.sample_rate, self.layout, self.format = frame.sample_rate, frame.layout, frame.format

    @classmethod
    def to(cls, frame: Any, ends: int | None, stream: Any) -> Any:
        """The frame up to where the last packet ends."""
        if ends is None or frame.pts is None:
            return frame
        lasts_s = ends * stream.time_base - frame.pts * frame.time_base
        counted = round(lasts_s * frame.sample_rate)
        return cls(frame, counted) if 0 < counted < frame.samples else frame


class _Nameless:
    """An open file without its name, which FFmpeg would judge it by."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.tell, self._seek = file.read, file.tell, file.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        """Where it is then; -1, which FFmpeg understands, of a place that no file has."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError):
            return -1


def tags_of(container: InputContainer, stream: Any) -> dict[str, str]:
    """Title, artist and so on, by FFmpeg's names; nothing that describes the file itself."""
    # Ogg has them with the stream, all others with the file.
    own = told(stream.metadata) if container.format.name == "ogg" else {}
    return {**told(container.metadata), **own}


def read_tags(file: IO[bytes]) -> tuple[dict[str, str], list[tuple[str, bytes]]]:
    """Tags and attached pictures (`image/jpeg` or `image/png`, content) of any file.

    Raises:
        DependencyError: PyAV is not installed.
        av.FFmpegError: FFmpeg cannot read it.
    """
    av = import_av()
    with open_to_copy(av, file) as container:
        covers = [stream for stream in container.streams.video if is_cover(stream)]
        pictures = []
        missing = {stream.index for stream in covers}
        for packet in container.demux(covers) if covers else ():
            if packet.size and packet.stream.index in missing:
                kind = "png" if packet.stream.codec_context.name == "png" else "jpeg"
                pictures.append((f"image/{kind}", bytes(packet)))
                missing.discard(packet.stream.index)
            if not missing:
                break
        sound = container.streams.audio
        return (tags_of(container, sound[0]) if sound else {}), pictures


def read_chapters(file: IO[bytes]) -> list[Any]:
    """The chapters of any file, as PyAV has them."""
    with open_to_copy(import_av(), file) as container:
        return list(container.chapters())


def ffmpeg_errors() -> tuple[type[Exception], ...]:
    """What FFmpeg raises: nothing before it is first used."""
    av = sys.modules.get("av")
    return () if av is None else (av.FFmpegError,)


def open_to_copy(av: Any, file: IO[bytes]) -> Any:
    """A container whose streams, tags or pictures are taken, of any kind that is read here."""
    only = {"protocol_whitelist": "none", "format_whitelist": f"{_allowed()},mp3"}
    return av.open(_Nameless(file), options=only, metadata_errors="replace")


def _allowed() -> str:
    return ",".join(name for name in DEMUXERS if name != "g722")  # which any bytes could be


def is_cover(stream: Any) -> bool:
    """Whether a stream is an attached picture, which does not move."""
    return stream.type == "video" and bool(int(stream.disposition) & _ATTACHED)


def told(metadata: Mapping[str, str]) -> dict[str, str]:
    """What people say of a recording, without what describes the file."""
    return {name: value for name, value in metadata.items() if name.lower() not in _TECHNICAL}


_DTYPES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}


def _as_float(frame: Any) -> Audio:
    """A decoded frame of any sample format as `[C, T]` floats."""
    name, channels = frame.format.name, frame.layout.nb_channels
    dtype = _DTYPES.get(name.removesuffix("p"))
    if dtype is None:
        raise AudioFileError(f"samples of the form '{name}' are not read")
    # PyAV lists one channel too many where there are eight separate ones.
    planes = frame.planes[:channels] if frame.format.is_planar else frame.planes[:1]
    parts = [np.frombuffer(plane, dtype) for plane in planes]
    if frame.format.is_planar:
        samples = np.stack([part[: frame.samples] for part in parts])
    else:
        samples = parts[0][: frame.samples * channels].reshape(-1, channels).T
    if dtype is np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif np.issubdtype(dtype, np.integer):
        samples = samples / float(2 ** (8 * samples.dtype.itemsize - 1))
    return np.ascontiguousarray(samples, np.float32)


def _subtype(codec: str, sample_format: str) -> str:
    """What a codec is called here, with its bits where it has no loss."""
    deep = sample_format.startswith(("s32", "flt", "dbl"))
    if codec in ("alac", "flac", "wavpack", "tta"):
        return f"{codec.upper()}_{24 if deep else 16}"
    if codec.startswith(("pcm_f", "pcm_s32", "pcm_s24", "pcm_s16")):
        return "FLOAT" if codec.startswith("pcm_f") else f"PCM_{codec[5:7]}"
    known = {"mp3float": "MPEG_LAYER_III", "mp2float": "MPEG_LAYER_II", "pcm_mulaw": "ULAW"}
    return known.get(codec, codec.upper())


def _movie_timescale(file: IO[bytes]) -> int:
    """The ticks per second that an MP4 file's edit list counts in; 0 where it is not found."""
    file.seek(0, os.SEEK_END)
    end, at = file.tell(), 0
    for _ in range(1000):
        if at + 16 > end:
            return 0
        file.seek(at)
        size, kind, large = struct.unpack(">I4sQ", file.read(16))
        if kind == b"moov":
            at, end = at + 8, at + size
        elif kind == b"mvhd":
            file.seek(at + 8)
            header = file.read(28)
            where = 20 if header[:1] == b"\x01" else 12
            return int.from_bytes(header[where : where + 4], "big")
        else:
            at += large if size == 1 else size if size >= 8 else end
    return 0
