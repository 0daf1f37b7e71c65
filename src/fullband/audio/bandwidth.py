"""Where the real content of a recording ends, whatever its sample rate says.

A recording that was band-limited (by a lower sample rate once, a telephone, a codec) has a cliff
in its long-term spectrum: a steep fall to something that stays low up to Nyquist. Natural sound
falls too, but gently, and into a noise floor that goes on. So: take the long-term power spectrum,
smooth it, and look for the frequency where the level just below exceeds everything above by the
most; if that is enough, content ends where the fall begins.
"""

from __future__ import annotations

import numpy as np

from fullband.audio.samples import Audio

__all__ = ["BandwidthMeter", "detect_bandwidth"]

_LOWEST_HZ = 400.0  # content is never said to end below this
_SMOOTHING_HZ = 60.0
_BELOW_HZ = 250.0  # the level below an edge is that of so wide a band
_GAP = 0.06  # a cliff must fall within this fraction of its frequency, at least 150 Hz
_CLIFF_DB = 14.0
_VOICE_HZ = 1500.0  # vowels fall steeply below this, so a cliff must be higher there:
_VOICE_DB = 20.0  # by so much per octave
_EDGE_DB = 4.0  # content ends where it has fallen this far


class BandwidthMeter:
    """The bandwidth of a recording that arrives in blocks."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._frame = 1 << max(6, round(np.log2(sample_rate / 20)))  # bins of about 20 Hz
        self._window = np.hanning(self._frame + 1)[:-1]
        self._rest = np.zeros((0, 0), np.float32)
        self._power = np.zeros(self._frame // 2 + 1)
        self._frames = 0

    def push(self, block: Audio) -> None:
        """Add `[C, T]` samples."""
        held = np.concatenate([self._rest, block], axis=-1) if self._rest.size else block
        hop = self._frame // 2
        count = (held.shape[-1] - self._frame) // hop + 1
        if count <= 0:
            self._rest = held
            return
        self._add(np.lib.stride_tricks.sliding_window_view(held, self._frame, axis=-1)[:, ::hop])
        self._rest = held[:, count * hop :]

    def bandwidth_hz(self) -> float:
        """Where content ends, in Hz; the Nyquist frequency where no end is found."""
        return _find_edge(self.spectrum_db(), self.sample_rate)

    def spectrum_db(self) -> np.ndarray:
        """The long-term power spectrum `[F]` in dB, a full-scale sine being about 0."""
        power, frames = self._power, self._frames
        if not frames and self._rest.size:  # shorter than a frame
            padded = np.pad(self._rest, ((0, 0), (0, self._frame - self._rest.shape[-1])))
            spectrum = np.fft.rfft(padded * self._window, axis=-1)
            power, frames = np.mean(np.abs(spectrum) ** 2, axis=0), 1
        power = power / max(1, frames) / (self._frame / 4) ** 2
        level_db: np.ndarray = 10 * np.log10(power + 1e-20)
        return level_db

    def _add(self, frames: np.ndarray) -> None:
        for start in range(0, frames.shape[1], 256):  # bounded memory
            spectrum = np.fft.rfft(frames[:, start : start + 256] * self._window, axis=-1)
            power = spectrum.real**2 + spectrum.imag**2
            self._power += power.mean(axis=0).sum(axis=0)
            self._frames += power.shape[1]


def detect_bandwidth(audio: Audio, sample_rate: int) -> float:
    """Where the content of whole audio ends, in Hz; see `BandwidthMeter`.

    Shape:
        audio `[*, T]`.
    """
    meter = BandwidthMeter(sample_rate)
    meter.push(audio.reshape(-1, audio.shape[-1]))
    return meter.bandwidth_hz()


def _find_edge(spectrum_db: np.ndarray, sample_rate: int) -> float:
    nyquist = sample_rate / 2
    bin_hz = nyquist / (len(spectrum_db) - 1)
    level = _smooth(spectrum_db, max(1, round(_SMOOTHING_HZ / bin_hz)))
    below_bins = max(2, round(_BELOW_HZ / bin_hz))
    # Everything above: the highest level from each bin to Nyquist.
    above = np.maximum.accumulate(level[::-1])[::-1]
    first = max(below_bins, int(np.ceil(_LOWEST_HZ / bin_hz)))
    edges = np.arange(first, len(level) - 2)
    if not len(edges):
        return nyquist
    gaps = np.maximum(round(150.0 / bin_hz), np.round(_GAP * edges)).astype(int)
    past = np.minimum(edges + np.maximum(1, gaps), len(level) - 2)
    below = np.array([np.median(level[edge - below_bins : edge + 1]) for edge in edges])
    drop = below - above[past]
    octaves_down = np.clip(np.log2(_VOICE_HZ / (edges * bin_hz)), 0.0, None)
    excess = drop - _CLIFF_DB - _VOICE_DB * octaves_down
    best = int(np.argmax(excess))
    if excess[best] < 0:
        return nyquist
    # From the foot of the cliff back up to where the fall begins.
    edge = int(past[best])
    while edge > first and level[edge] < below[best] - _EDGE_DB:
        edge -= 1
    return float(min(nyquist, (edge + 1) * bin_hz))


def _smooth(spectrum_db: np.ndarray, width: int) -> np.ndarray:
    """Mean power over `width` bins, in dB."""
    if width <= 1:
        return spectrum_db
    power = np.pad(10 ** (spectrum_db / 10), (width // 2, width - 1 - width // 2), mode="edge")
    return 10 * np.log10(np.convolve(power, np.full(width, 1 / width), mode="valid"))
