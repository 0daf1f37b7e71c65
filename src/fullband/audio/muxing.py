"""Writing through FFmpeg's libraries, by PyAV: sound beside a copied picture. Extra `formats`."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np

from fullband.audio.ffmpeg import import_av, open_to_copy, told
from fullband.audio.formats import FFMPEG, RATES, bitrate_bounds_kbps, usual_kbps
from fullband.audio.layout import default_mask
from fullband.audio.samples import Audio
from fullband.errors import OutputError

__all__ = ["ENCODERS", "FfmpegSink", "add_pictures", "codec_in"]

ENCODERS = {
    "AAC": "aac",
    "ALAC_16": "alac",
    "ALAC_24": "alac",
    "FLAC_16": "flac",
    "FLAC_24": "flac",
    "OPUS": "libopus",
    "PCM_16": "pcm_s16le",
    "PCM_24": "pcm_s24le",
}
"""FFmpeg's encoder of each sample format that goes into `FFMPEG`."""

_ALAC_LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1(back)", "7.1(wide)")


class FfmpegSink:
    """A new file whose sound FFmpeg encodes, with another file's pictures copied beside it.

    Beside a moving picture everything but the replaced sound track is copied, at its own times, and
    the new track begins where the old one did.

    Args:
        container: one of `FFMPEG`.
        subtype: what `codec_in` gave.
        mask: which loudspeakers the channels are for; 0 is unknown.
        chapters: as PyAV has them.
        covers: attached pictures: `image/jpeg` or `image/png`, and the content.
        video: a file whose moving picture is copied; it is closed by this one.
        track: the number of its stream that the new sound replaces.
        start_s: when that begins.

    Raises:
        DependencyError: PyAV is not installed.
        OSError, av.FFmpegError: it cannot be made.
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
        chapters: Sequence[Any] = (),
        covers: Sequence[tuple[str, bytes]] = (),
        video: IO[bytes] | None = None,
        track: int | None = None,
        start_s: float = 0.0,
    ) -> None:
        self._av = import_av()
        self._muxer = FFMPEG[container]
        self._rate, self._channels = sample_rate, channels
        self._format, self._steps = _encoded_as(subtype)
        self._at = round(start_s * sample_rate)
        self._written = 0
        self._copies: dict[int, Any] = {}
        self._waiting: Any = None
        self._open = contextlib.ExitStack()
        try:
            # PyAV does not close a file that it opened itself if no header can be written.
            file = self._open.enter_context(path.open("wb"))
            self._out = self._open.enter_context(
                self._av.open(
                    file,
                    "w",
                    format=self._muxer.name,
                    options=_muxed_with(container, sample_rate),
                )
            )
            source = None
            if video is not None:
                self._open.callback(video.close)
                source = self._open.enter_context(open_to_copy(self._av, video))
            self._layout = _layout(self._av, mask, channels)
            if subtype.startswith("ALAC") and self._layout not in _ALAC_LAYOUTS:
                raise OutputError(
                    f"{container} without loss has no {self._layout}; use .flac or .mka"
                )
            self._lay_out(source, track, subtype, bitrate_kbps)
            pictures = () if source is not None else add_pictures(self._out, covers)
            self._out.metadata.update(tags or {})
            if chapters:
                self._out.set_chapters(list(chapters))
            self._out.start_encoding()
            for packet in pictures:
                self._out.mux(packet)
            self._packets: Iterator[Any] = iter(())
            if source is not None and self._copies:
                self._packets = source.demux([source.streams[i] for i in self._copies])
            self._skipped = 0
            if source is not None and self._muxer.name == "avi":
                self._begin_with(source, start_s)
        except BaseException:
            self.close()
            raise

    def write(self, block: Audio) -> None:
        """Append `[C, T]` samples."""
        self._written += block.shape[-1]
        dropped = min(self._skipped, block.shape[-1])
        self._skipped -= dropped
        if dropped < block.shape[-1]:
            self._encode(self._frame(block[:, dropped:]))

    def _frame(self, block: Audio) -> Any:
        samples = block.T if self._steps is None else _as_integers(block.T, self._steps)
        frame = self._av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples).reshape(1, -1), self._format, self._layout
        )
        frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
        frame.pts = self._at
        self._at += block.shape[-1]
        return frame

    def finish(self) -> int:
        """Complete the file; how many frames it has."""
        self._encode(None)
        self._copy_until(None)
        self.close()
        return self._written

    def close(self) -> None:
        self._open.close()

    def _lay_out(self, source: Any, track: int | None, subtype: str, kbps: float | None) -> None:
        """Make the streams, in the order that the source has them."""
        if source is None:
            self._stream = self._new_track(subtype, kbps)
            return
        for stream in source.streams:
            if stream.index == track:
                self._stream = self._new_track(subtype, kbps)
                self._stream.metadata.update(told(stream.metadata))
                self._stream.disposition = stream.disposition
            else:
                self._copy_stream(stream)

    def _begin_with(self, source: Any, start_s: float) -> None:
        """In AVI everything begins at once: silence before the sound, or a part of it left out."""
        pictures = [video for video in source.streams.video if video.start_time is not None]
        first_s = min((float(video.start_time * video.time_base) for video in pictures), default=0)
        late = round((start_s - first_s) * self._rate)
        self._at = 0
        self._skipped = max(0, -late)
        while late > 0:
            length = min(late, self._rate)
            self._encode(self._frame(np.zeros((self._channels, length), np.float32)))
            late -= length

    def _new_track(self, subtype: str, kbps: float | None) -> Any:
        encoder = ENCODERS[subtype]
        stream = self._out.add_stream(encoder, rate=self._rate, layout=self._layout)
        stream.codec_context.thread_count = 1
        if subtype in ("AAC", "OPUS"):
            lowest, highest = bitrate_bounds_kbps(subtype, self._rate, self._channels)
            asked = min(max(kbps or usual_kbps(self._channels), lowest), highest)
            stream.bit_rate = int(asked * 1000)
            if subtype == "OPUS" and self._channels > 2:
                stream.codec_context.options = {"mapping_family": "1"}
        if self._format in ("s16", "s32") and subtype.startswith(("ALAC", "FLAC")):
            planar = "p" if subtype.startswith("ALAC") else ""
            stream.codec_context.format = self._format + planar
        return stream

    def _copy_stream(self, stream: Any) -> None:
        if stream.type == "attachment":
            self._out.add_attachment(stream.name or "attachment", stream.mimetype, stream.data)
            return
        if stream.type not in ("video", "audio", "subtitle"):
            return  # time codes and the like, which muxers make anew or refuse
        try:
            copy = self._out.add_stream_from_template(stream)
        except ValueError:  # what its muxer has no name for
            codec = stream.codec_context.name if stream.codec_context else stream.type
            raise OutputError(f"{self._muxer.name} cannot hold its {codec}; use .mkv") from None
        copy.metadata.update(told(stream.metadata))
        copy.disposition = stream.disposition
        self._copies[stream.index] = copy

    def _encode(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            if packet.dts is not None:
                self._copy_until(float(packet.dts * packet.time_base))
            self._out.mux(packet)

    def _copy_until(self, time_s: float | None) -> None:
        """Copy the pictures up to a time, or all; the muxer wants them in turn with the sound."""
        while True:
            if self._waiting is None:
                self._waiting = next(self._packets, None)
            packet = self._waiting
            if packet is None:
                return
            at_s = None if packet.dts is None else float(packet.dts * packet.time_base)
            if time_s is not None and at_s is not None and at_s > time_s:
                return
            self._waiting = None
            if packet.size:
                packet.stream = self._copies[packet.stream.index]
                self._out.mux(packet)


def codec_in(container: str, sample_rate: int, subtype: str | None) -> str:
    """The sample format to write into one of `FFMPEG`.

    Args:
        subtype: `PCM_16` or `PCM_24` for a codec without loss, else the container's lossy one,
            where that takes the sample rate.
    """
    muxer = FFMPEG[container]
    if muxer.lossy == "PCM":
        return "PCM_16"
    if subtype not in ("PCM_16", "PCM_24"):
        if sample_rate in RATES[muxer.lossy] or muxer.lossless != "FLAC":
            return muxer.lossy
        subtype = "PCM_16"
    if muxer.lossless == muxer.lossy:
        return muxer.lossy
    return f"{muxer.lossless}_{subtype[-2:]}"


def add_pictures(out: Any, covers: Sequence[tuple[str, bytes]]) -> list[Any]:
    """Make a place for attached pictures in a file that is begun; what to put there afterwards."""
    av = import_av()
    packets = []
    for kind, content in covers:
        if out.format.name == "matroska":
            out.add_attachment(f"cover.{kind.rpartition('/')[2]}", kind, content)
            continue
        with av.open(io.BytesIO(content)) as picture:
            stream = out.add_stream_from_template(picture.streams.video[0])
        stream.disposition = av.stream.Disposition.attached_pic
        packet = av.Packet(content)
        packet.stream, packet.pts, packet.dts = stream, 0, 0
        packets.append(packet)
    return packets


def _muxed_with(container: str, sample_rate: int) -> dict[str, str]:
    """What FFmpeg's muxer is told."""
    if FFMPEG[container].name not in ("3gp", "mov", "mp4"):
        return {}
    brand = {"brand": "M4A "} if container == "M4A" else {}
    # The edit list counts in the movie's time: in samples, it is exact.
    return {"movie_timescale": str(sample_rate), **brand}


def _encoded_as(subtype: str) -> tuple[str, int | None]:
    """The interleaved sample format that an encoder is given, and its steps to full scale."""
    if subtype.endswith("_16"):
        return "s16", 1 << 15
    if subtype.endswith("_24"):
        return "s32", 1 << 23
    return "flt", None


def _as_integers(samples: Audio, steps: int) -> np.ndarray:
    """Samples on the grid of so many steps as the integers that FFmpeg wants, 24 bits in 32."""
    whole = np.clip(np.rint(samples.astype(np.float64) * steps), -steps, steps - 1)
    return whole.astype(np.int16) if steps == 1 << 15 else whole.astype(np.int32) << 8


def _layout(av: Any, mask: int, channels: int) -> str:
    """FFmpeg's name of a layout."""
    fits = mask and mask.bit_count() == channels
    layout = av.AudioLayout(f"{mask if fits else default_mask(channels):#x}")
    return str(layout.name)
