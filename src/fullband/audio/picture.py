"""Spectrograms as PNG pictures, one above the other on the same frequency axis."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fullband.audio.samples import Audio

__all__ = ["RANGE_DB", "Panel", "SpectrogramMeter", "colours", "draw_spectrograms", "feed"]

_COLUMNS, _ROWS = 900, 320
RANGE_DB = 90.0
"""From the darkest to the brightest colour of a spectrogram."""

_DIM_DB = -60.0  # a picture without anything louder is not brightened, so that silence is dark
_FRAME_S = 0.032
_INK, _PAPER, _MARK = (40, 40, 40), (255, 255, 255), (90, 220, 255)
# From black through violet and orange to pale yellow: dark is quiet, and so it is in grey.
_COLOURS = (
    (0, 0, 8),
    (60, 15, 110),
    (150, 45, 125),
    (230, 90, 85),
    (252, 175, 110),
    (252, 250, 200),
)


@dataclass(frozen=True)
class Panel:
    """One spectrogram: its level in dB `[rows, columns]` from 0 Hz up, and what to write on it."""

    title: str
    level_db: np.ndarray
    highest_hz: float
    duration_s: float
    mark_hz: float | None = None


class SpectrogramMeter:
    """A spectrogram of bounded size from audio of any length that arrives in blocks.

    Each column holds the highest power of the frames that fall into it, so a short sound in a long
    recording is still seen.

    Args:
        frames: the length of the audio, samples per channel.
        highest_hz: top of the picture; content up to the audio's own Nyquist frequency is drawn.
    """

    def __init__(self, sample_rate: int, frames: int, highest_hz: float) -> None:
        self.sample_rate = sample_rate
        self.frames = max(1, frames)
        self.highest_hz = highest_hz
        self._frame = 1 << max(5, round(np.log2(sample_rate * _FRAME_S)))
        self._hop = max(1, min(self._frame // 4, self.frames // _COLUMNS + 1))
        if self.frames > 64 * _COLUMNS * self._frame:  # hours: look at fewer frames
            self._hop = self._frame
        self._window = np.hanning(self._frame + 1)[:-1]
        self._power = np.zeros((self._frame // 2 + 1, _COLUMNS))
        self._held = np.zeros(self._frame // 2)
        self._position = 0  # of the centre of the next frame

    def push(self, block: Audio) -> None:
        """Add `[C, T]` samples; channels are averaged."""
        self._held = np.concatenate([self._held, block.mean(axis=0)])
        count = (len(self._held) - self._frame) // self._hop + 1
        if count > 0:
            self._add(count)

    def panel(self, title: str, mark_hz: float | None = None) -> Panel:
        """What was pushed, as a picture's panel; levels relative to a full-scale sine."""
        self._held = np.pad(self._held, (0, self._frame // 2))
        self._add(max(0, (len(self._held) - self._frame) // self._hop + 1))
        level = 10 * np.log10(self._power / (self._frame / 4) ** 2 + 1e-16)
        last = min(_COLUMNS - 1, (self._position - self._hop) * _COLUMNS // self.frames)
        filled = np.flatnonzero(self._power[:, : max(1, last + 1)].any(axis=0))
        if len(filled):  # fewer frames than columns: repeat the nearest
            nearest = filled[np.searchsorted(filled, np.arange(_COLUMNS)).clip(0, len(filled) - 1)]
            short = self.frames < 2 * _COLUMNS * self._hop
            level = level[:, nearest] if short else level
        rows = np.linspace(0, self.highest_hz, _ROWS) / (self.sample_rate / 2)
        source = np.round(rows * (len(level) - 1)).astype(int)
        resized = np.full((_ROWS, _COLUMNS), -160.0)
        inside = source < len(level)
        resized[inside] = level[source[inside]]
        duration_s = self.frames / self.sample_rate
        return Panel(title, resized, self.highest_hz, duration_s, mark_hz)

    def _add(self, count: int) -> None:
        view = np.lib.stride_tricks.sliding_window_view(self._held, self._frame)
        for start in range(0, count, 512):
            frames = view[start * self._hop : count * self._hop : self._hop][:512]
            spectrum = np.fft.rfft(frames * self._window, axis=-1)
            power = (spectrum.real**2 + spectrum.imag**2).T
            centres = self._position + np.arange(power.shape[1]) * self._hop
            columns = np.clip(centres * _COLUMNS // self.frames, 0, _COLUMNS - 1)
            np.maximum.at(self._power.T, columns, power.T)
            self._position += power.shape[1] * self._hop
        self._held = self._held[count * self._hop :]


def draw_spectrograms(path: str | os.PathLike[str], panels: Sequence[Panel]) -> None:
    """Draw panels above each other into a PNG file, with axes in kHz and seconds.

    All share one colour scale that ends at the loudest point of any.
    """
    from PIL import Image, ImageDraw, ImageFont

    font: Any = ImageFont.load_default(14)
    left, right, top, bottom, gap = 64, 20, 34, 44, 34
    height = top + len(panels) * (_ROWS + gap) - gap + bottom
    image = Image.new("RGB", (left + _COLUMNS + right, height), _PAPER)
    draw = ImageDraw.Draw(image)
    loudest = max(_DIM_DB, *(float(panel.level_db.max()) for panel in panels))
    for index, panel in enumerate(panels):
        y = top + index * (_ROWS + gap)
        image.paste(Image.fromarray(colours(panel.level_db[::-1] - loudest)), (left, y))
        draw.rectangle((left - 1, y - 1, left + _COLUMNS, y + _ROWS), outline=_INK)
        draw.text((left, y - 22), panel.title, fill=_INK, font=font)

        def height_of(hz: float, y: int = y, panel: Panel = panel) -> float:
            return y + _ROWS - hz / panel.highest_hz * _ROWS

        for hz in _ticks(panel.highest_hz, 6):
            draw.line((left - 5, height_of(hz), left - 1, height_of(hz)), fill=_INK)
            text = (left - 8, height_of(hz))
            draw.text(text, f"{hz / 1000:g} kHz", fill=_INK, font=font, anchor="rm")
        if panel.mark_hz is not None and panel.mark_hz < panel.highest_hz:
            at = height_of(panel.mark_hz)
            for x in range(left, left + _COLUMNS, 12):
                draw.line((x, at, x + 5, at), fill=_MARK)
        if index == len(panels) - 1:
            for second in _ticks(panel.duration_s, 10):
                across = left + second / panel.duration_s * _COLUMNS
                draw.line((across, y + _ROWS, across, y + _ROWS + 5), fill=_INK)
                draw.text(
                    (across, y + _ROWS + 8), f"{second:g} s", fill=_INK, font=font, anchor="mt"
                )
    image.save(os.fspath(path), format="PNG", optimize=True)


def feed(meter: SpectrogramMeter, blocks: Iterable[Audio]) -> SpectrogramMeter:
    """Push every block into a meter and give it back."""
    for block in blocks:
        meter.push(block)
    return meter


def colours(level_db: np.ndarray) -> np.ndarray:
    """The colour of levels relative to the brightest.

    Shape:
        level_db `[*]`; result uint8 `[*, 3]`.
    """
    position = np.clip(1 + level_db / RANGE_DB, 0, 1)
    stops = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(position, stops, [c[i] for c in _COLOURS]) for i in range(3)]
    pixels: np.ndarray = np.stack(channels, axis=-1).round()
    return pixels.astype(np.uint8)


def _ticks(highest: float, about: int) -> list[float]:
    """Round numbers from 0 to `highest`, about so many."""
    raw = highest / about
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(float(m * power) for m in (1, 2, 5, 10) if m * power >= raw)
    return [round(i * step, 10) for i in range(int(highest / step + 1e-9) + 1)]
