"""Files that FFmpeg's encoders make of a sound, and of a picture that moves, for tests."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from fullband.audio.layout import default_mask


def encode(
    path: Path | str,
    audio: np.ndarray,
    sample_rate: int,
    encoder: str,
    muxer: str,
    video: str | None = None,
    late_s: float = 0.0,
    options: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    chapters: list[Any] | None = None,
) -> None:
    """Encode `[T]` or `[C, T]` samples, with FFmpeg alone.

    Args:
        video: the encoder of a picture that moves for as long, at 25 Hz.
        late_s: when the sound begins after the picture.
    """
    channels = np.atleast_2d(audio)
    layout = av.AudioLayout(f"{default_mask(len(channels)):#x}").name
    with av.open(os.fspath(path), "w", format=muxer, options=options or {}) as out:
        out.metadata.update(tags or {})
        if chapters:
            out.set_chapters(chapters)
        moving: Any = None
        if video is not None:
            moving = out.add_stream(video, rate=25)
            moving.width, moving.height, moving.pix_fmt = 32, 32, "yuv420p"
        stream: Any = out.add_stream(encoder, rate=sample_rate, layout=layout)
        stream.bit_rate = 12_200 if "amr" in encoder else 128_000 * len(channels)
        packed = np.ascontiguousarray(channels.T, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate, frame.time_base = sample_rate, Fraction(1, sample_rate)
        frame.pts = round(late_s * sample_rate)
        packets = [] if moving is None else list(_moving(moving, channels.shape[-1] / sample_rate))
        for given in (frame, None):
            packets += stream.encode(given)
        packets.sort(key=lambda each: float((each.dts or 0) * each.time_base))
        for packet in packets:
            out.mux(packet)


def _moving(stream: Any, duration_s: float) -> Any:
    """A bright bar that wanders over the picture."""
    for number in range(max(1, round(duration_s * 25))):
        image = np.zeros((32, 32, 3), np.uint8)
        image[:, number % 32] = 255
        frame = av.VideoFrame.from_ndarray(image, "rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def packets_of(path: Path | str, kind: str) -> list[bytes]:
    """The encoded content of the first stream of a kind, packet by packet."""
    with av.open(os.fspath(path)) as file:
        stream = next(each for each in file.streams if each.type == kind)
        return [bytes(packet) for packet in file.demux(stream) if packet.size]


def first_time_s(path: Path | str, kind: str) -> float:
    """When the first picture is seen or the first sample heard."""
    with av.open(os.fspath(path)) as file:
        stream = next(each for each in file.streams if each.type == kind)
        frame = next(file.decode(stream))
        return float(frame.pts * frame.time_base)


def decoded(path: Path | str) -> np.ndarray:
    """`[C, T]` samples by FFmpeg alone, whatever it thinks is heard."""
    parts = []
    with av.open(os.fspath(path)) as file:
        convert = av.AudioResampler(format="flt")
        for frame in file.decode(file.streams.audio[0]):
            for packed in convert.resample(frame):
                parts.append(packed.to_ndarray().reshape(-1, frame.layout.nb_channels).T)
    return np.concatenate(parts, axis=-1)
