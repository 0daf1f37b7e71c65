"""Where the real content of a recording ends, whatever its sample rate says.

A recording that was band-limited (by a lower sample rate once, a telephone, a codec) has a cliff
in its long-term spectrum: a steep fall to something that stays low up to Nyquist. Natural sound
falls too, but gently, and into a noise floor that goes on. So: take the long-term power spectrum,
smooth it, and look for the frequency where the level just below exceeds everything above by the
most; if that is enough, content ends where the level has fallen by 5 dB.

In a recording that is put together from several the end may move. The spectrum of every quarter of
a second is kept too, and a course of the end through time is sought that changes only where it has
to (`BandwidthMeter.segments`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fullband.audio.mirror import ENDS_BELOW_MIRROR, find_mirror
from fullband.audio.samples import Audio

__all__ = ["BandwidthMeter", "Segment", "bandwidths_at", "detect_bandwidth"]

_LOWEST_HZ = 400.0  # content is never said to end below this
_DEEP_DB, _DEEP_WITHIN = 24.0, 1.3  # a fall so deep within this ratio is an end, however gentle
_AIRY_HZ, _AIRY_DB = 15_000.0, 6.0  # microphones fall off from here: it has to be so much deeper
_BEGINS_DB = 10.0  # and it begins where the level is so far below that of the octave's third below
_SMOOTHING_HZ = 60.0
_BELOW_HZ = 250.0  # the level below an edge is that of so wide a band
_CLIFF_DB = 14.0  # a cliff falls at least so far within _GAPS[0] of its frequency,
_GAPS = (0.06, 0.12, 0.25)  # or within a wider gap
_GAP_DB = 30.0  # by so much more per octave
_VOICE_HZ = 1500.0  # vowels fall steeply below this, so a cliff must be higher there:
_VOICE_DB = 20.0  # by so much per octave
_EDGE_DB = 4.0  # content ends where it has fallen this far,
_STEEP_DB = 5.0  # and is no longer so far below the mean of what is near below it:
_NEAR, _NEAR_HZ = 0.1, 200.0  # a tenth of its frequency (or the gap), and at least so much

_WINDOW_S = 0.25
_WINDOWS_BYTES = 1 << 24  # of all windows' spectra; beyond, two become one
_PAUSE_DB = 35.0  # a window so far below the recording's mean says nothing
_ALIKE = 1.15  # ends within this ratio are one
_CHANGE_S = 1.0  # what a change of the end costs,
_UNUSED = 0.25  # against every second in which content ends lower; a second beyond costs 1
_STATES_PER_OCTAVE = 12
_GROUP = 3  # bins of a window's spectrum that are taken as one


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording, up to the next one, throughout which content ends alike.

    Attributes:
        start: its first sample.
    """

    start: int
    bandwidth_hz: float


def bandwidths_at(segments: Sequence[Segment], positions: np.ndarray) -> np.ndarray:
    """Where content ends at each of these samples.

    Shape:
        positions `[F]`; result `[F]`.
    """
    starts = [segment.start for segment in segments]
    index = np.searchsorted(starts, positions, side="right") - 1
    return np.array([segment.bandwidth_hz for segment in segments])[np.maximum(0, index)]


class BandwidthMeter:
    """The bandwidth of a recording that arrives in blocks."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._frame = 1 << max(6, round(np.log2(sample_rate / 20)))  # bins of about 20 Hz
        self._hop = self._frame // 2
        self._window = np.hanning(self._frame + 1)[:-1].astype(np.float32)
        self._rest = np.zeros((0, 0), np.float32)
        bins = self._frame // 2 + 1
        self._power = np.zeros(bins)
        self._frames = 0
        self._per_window = max(1, round(_WINDOW_S * sample_rate / self._hop))  # frames
        self._most_windows = _WINDOWS_BYTES // 2 // bins // 2 * 2
        self._windows: list[np.ndarray] = []  # in dB, 16-bit floats
        self._open = np.zeros(bins)  # the power of the window that is not yet full
        self._open_frames = 0
        self._known: tuple[float, float | None] | None = None  # as long as nothing is pushed

    def push(self, block: Audio) -> None:
        """Add `[C, T]` samples."""
        self._known = None
        held = np.concatenate([self._rest, block], axis=-1) if self._rest.size else block
        count = (held.shape[-1] - self._frame) // self._hop + 1
        if count <= 0:
            self._rest = held
            return
        frames = np.lib.stride_tricks.sliding_window_view(held, self._frame, axis=-1)
        for start in range(0, count, 256):  # bounded memory
            chosen = frames[:, start * self._hop : count * self._hop : self._hop][:, :256]
            self._add(self._spectra(chosen))
        self._rest = held[:, count * self._hop :]

    def bandwidth_hz(self) -> float:
        """Where content ends, in Hz; the Nyquist frequency where no end is found."""
        return self._found()[0]

    def mirror_hz(self) -> float | None:
        """Above what frequency there are but mirror images of what is below; None if there is more.

        See `fullband.audio.mirror`.
        """
        return self._found()[1]

    def segments(self) -> list[Segment]:
        """Where content ends as time goes by: one segment, unless it clearly and lastingly changes.

        Of a recording of one segment, that is `bandwidth_hz`. One that changes is cut at windows'
        borders, and a window that has both belongs to the wider side.
        """
        overall_hz, mirror_hz = self._found()
        overall = [Segment(0, overall_hz)]
        windows = self._all_windows()
        if len(windows) < 2:
            return overall
        ends, levels_db = self._ends_of(windows)
        if mirror_hz is not None:
            ends = np.minimum(ends, mirror_hz)
        heard = levels_db > _decibels(np.mean(_powers(levels_db))) - _PAUSE_DB
        window_s = self._per_window * self._hop / self.sample_rate
        course = _cheapest_course(ends, heard, self.sample_rate / 2, window_s)
        firsts = [0, *(np.flatnonzero(np.diff(course)) + 1)]
        if len(firsts) == 1:
            return overall
        segments: list[Segment] = []
        for first, last in zip(firsts, [*firsts[1:], len(windows)], strict=True):
            pooled = np.zeros(self._frame // 2 + 1)
            for window in windows[first:last]:
                pooled += _powers(window)
            end_hz = _find_end(_decibels(pooled), self.sample_rate, mirror_hz)
            start = first * self._per_window * self._hop + self._hop // 2 if first else 0
            before = segments[-1].bandwidth_hz if segments else 0.0
            if not max(end_hz, before) < _ALIKE * min(end_hz, before):
                segments.append(Segment(int(start), end_hz))
        return segments if len(segments) > 1 else overall

    def _found(self) -> tuple[float, float | None]:
        """`bandwidth_hz` and `mirror_hz` of all that was pushed so far."""
        if self._known is None:
            windows = self._all_windows()
            mirror_hz = find_mirror(np.stack(windows), self.sample_rate) if windows else None
            end_hz = _find_end(self.spectrum_db(), self.sample_rate, mirror_hz)
            self._known = end_hz, mirror_hz
        return self._known

    def _all_windows(self) -> list[np.ndarray]:
        """Those that are full, and the one that is not yet."""
        if not self._open_frames:
            return self._windows
        last = _decibels(self._open / self._open_frames).astype(np.float16)
        return [*self._windows, last]

    def _ends_of(self, windows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Where content ends in each window, roughly, and each one's level."""
        nyquist = self.sample_rate / 2
        bins = self._frame // 2 // _GROUP * _GROUP
        bin_hz = _GROUP * nyquist / (self._frame // 2)
        ends, levels_db = [], []
        for start in range(0, len(windows), 512):  # bounded memory
            powers = 10 ** (np.stack(windows[start : start + 512]).astype(np.float32) / 10)
            grouped = powers[:, 1 : 1 + bins].reshape(len(powers), -1, _GROUP).mean(axis=-1)
            cliff = _find_cliff(_decibels(grouped), bin_hz)
            ends.append(np.where(cliff.gap > 0, (cliff.edge + 1) * bin_hz, nyquist))
            levels_db.append(_decibels(grouped.sum(axis=-1)))
        return np.concatenate(ends), np.concatenate(levels_db)

    def spectrum_db(self) -> np.ndarray:
        """The long-term power spectrum `[F]` in dB, a full-scale sine being about 0."""
        power, frames = self._power, self._frames
        if not frames and self._rest.size:  # shorter than a frame
            missing = self._frame - self._rest.shape[-1]
            power = self._spectra(np.pad(self._rest, ((0, 0), (0, missing)))[:, None])[0]
        return _decibels(power / max(1, frames))

    def _spectra(self, frames: np.ndarray) -> np.ndarray:
        """The power of frames `[C, N, frame]`, mean over channels: `[N, F]`, a sine being 1."""
        spectrum = np.fft.rfft(frames * self._window, axis=-1)
        power = np.square(spectrum.real, dtype=np.float64)
        power += np.square(spectrum.imag, dtype=np.float64)
        mean: np.ndarray = power[0] if len(power) == 1 else power.mean(axis=0)
        mean /= (self._frame / 4) ** 2
        return mean

    def _add(self, powers: np.ndarray) -> None:
        self._power += powers.sum(axis=0, dtype=np.float64)
        self._frames += len(powers)
        while len(powers):
            now, powers = np.split(powers, [self._per_window - self._open_frames])
            self._open += now.sum(axis=0)
            self._open_frames += len(now)
            if self._open_frames == self._per_window:
                self._windows.append(_decibels(self._open / self._open_frames).astype(np.float16))
                self._open = np.zeros_like(self._open)
                self._open_frames = 0
                if len(self._windows) >= self._most_windows:
                    self._merge_windows()

    def _merge_windows(self) -> None:
        """Make two windows one, so that a recording of any length needs no more memory."""
        pairs = zip(self._windows[::2], self._windows[1::2], strict=True)
        self._windows = [
            _decibels((_powers(first) + _powers(second)) / 2).astype(np.float16)
            for first, second in pairs
        ]
        self._per_window *= 2


def detect_bandwidth(audio: Audio, sample_rate: int) -> float:
    """Where the content of whole audio ends, in Hz; see `BandwidthMeter`.

    Shape:
        audio `[*, T]`.
    """
    meter = BandwidthMeter(sample_rate)
    meter.push(audio.reshape(-1, audio.shape[-1]))
    return meter.bandwidth_hz()


@dataclass(frozen=True)
class _Cliff:
    """The clearest cliff of each spectrum: arrays `[W]`.

    Attributes:
        edge, foot: bins above and below it.
        below_db: the level of the band that ends at `edge`.
        gap: between the two, as a fraction of the frequency; 0 where there is no cliff.
    """

    edge: np.ndarray
    foot: np.ndarray
    below_db: np.ndarray
    gap: np.ndarray


def _find_cliff(level_db: np.ndarray, bin_hz: float) -> _Cliff:
    """Where the level just below exceeds everything above by the most.

    Shape:
        level_db `[W, F]`.
    """
    windows, bins = level_db.shape
    below_bins = max(2, round(_BELOW_HZ / bin_hz))
    first = max(below_bins, int(np.ceil(_LOWEST_HZ / bin_hz)))
    edges = np.arange(first, bins - 2)
    nothing = np.zeros(windows, int)
    cliff = _Cliff(nothing, nothing, np.zeros(windows), np.zeros(windows))
    if not len(edges):
        return cliff
    # Everything above: the highest level from each bin to Nyquist.
    above = np.maximum.accumulate(level_db[:, ::-1], axis=1)[:, ::-1]
    total = np.pad(np.cumsum(level_db, axis=1), ((0, 0), (1, 0)))
    below = (total[:, edges + 1] - total[:, edges - below_bins]) / (below_bins + 1)
    octaves_down = np.clip(np.log2(_VOICE_HZ / (edges * bin_hz)), 0.0, None)
    rows = np.arange(windows)
    for gap in _GAPS[::-1]:  # the narrowest that has one counts
        between = np.maximum(max(1, round(150.0 / bin_hz)), np.round(gap * edges)).astype(int)
        past = np.minimum(edges + between, bins - 2)
        needed_db = _CLIFF_DB + _GAP_DB * np.log2((1 + gap) / (1 + _GAPS[0]))
        excess = below - above[:, past] - (needed_db + _VOICE_DB * octaves_down)
        if gap == _GAPS[-1]:  # a gentle fall at the very end may be the microphone's
            excess[:, edges * (1 + gap) > bins] = -np.inf
        best = np.argmax(excess, axis=1)
        found = excess[rows, best] > 0
        cliff = _Cliff(
            np.where(found, edges[best], cliff.edge),
            np.where(found, past[best], cliff.foot),
            np.where(found, below[rows, best], cliff.below_db),
            np.where(found, gap, cliff.gap),
        )
    return cliff


def _find_end(spectrum_db: np.ndarray, sample_rate: int, mirror_hz: float | None) -> float:
    """Where content ends, of which there is none above a mirror."""
    if mirror_hz is None:
        return _find_edge(spectrum_db, sample_rate)
    bins = round(mirror_hz / (sample_rate / 2) * (len(spectrum_db) - 1)) + 1
    return min(_find_edge(spectrum_db[:bins], 2 * mirror_hz), ENDS_BELOW_MIRROR * mirror_hz)


def _find_edge(spectrum_db: np.ndarray, sample_rate: float) -> float:
    nyquist = sample_rate / 2
    bin_hz = nyquist / (len(spectrum_db) - 1)
    level = _smooth(spectrum_db, max(1, round(_SMOOTHING_HZ / bin_hz)))
    cliff = _find_cliff(level[None], bin_hz)
    gap, edge = float(cliff.gap[0]), int(cliff.foot[0])
    gentle = _find_gentle_end(level, bin_hz)
    if not gap:
        return float((gentle + 1) * bin_hz) if gentle else nyquist
    # From the foot of the cliff back up to where the fall begins.
    lowest = int(_LOWEST_HZ / bin_hz)
    while edge > lowest and level[edge] < cliff.below_db[0] - _EDGE_DB:
        edge -= 1
    while edge > lowest and level[edge] < _mean_below(level, edge, bin_hz, gap) - _STEEP_DB:
        edge -= 1
    if gentle and gentle < edge and level[edge] < level[gentle] - _EDGE_DB:
        edge = gentle
    return float(min(nyquist, (edge + 1) * bin_hz))


def _find_gentle_end(level: np.ndarray, bin_hz: float) -> int:
    """Where content begins to fall to nothing, if it does so within a third of an octave, else 0.

    Software that brings narrow audio to a higher rate with a short filter leaves a mirror image of
    the top of the band above it, which falls no steeper than a slope but far deeper: real content
    is not 24 dB lower within so little.
    """
    edges = np.arange(int(np.ceil(_VOICE_HZ / bin_hz)), int((len(level) - 2) / _DEEP_WITHIN))
    if not len(edges):
        return 0
    above = np.maximum.accumulate(level[::-1])[::-1]
    feet = np.round(_DEEP_WITHIN * edges).astype(int)
    below = np.array([_median(level[int(0.85 * edge) : edge + 1]) for edge in edges])
    depth = below - above[feet] - np.where(edges * bin_hz > _AIRY_HZ, _AIRY_DB, 0.0)
    if depth.max() < _DEEP_DB:
        return 0
    foot = int(feet[int(np.argmax(depth))])
    for edge in range(foot, foot // 2, -1):
        usual = float(np.median(level[int(0.7 * edge) : int(0.85 * edge) + 1]))
        if level[edge] >= usual - _BEGINS_DB:
            return edge
    return 0


def _median(levels: np.ndarray) -> float:
    """As `numpy.median` without the ceremony, which costs more than the median of so few."""
    ordered = np.sort(levels)
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _mean_below(level: np.ndarray, edge: int, bin_hz: float, gap: float) -> float:
    bins = max(2, round(max(_NEAR_HZ, max(_NEAR, gap) * edge * bin_hz) / bin_hz))
    return float(np.mean(level[max(0, edge - bins) : edge + 1]))


def _cheapest_course(
    ends: np.ndarray, heard: np.ndarray, nyquist: float, window_s: float
) -> np.ndarray:
    """The course of the end through windows that contradicts them least and changes least.

    Content beyond the end speaks strongly against it; content that stays below does not (a vowel
    has no treble). Every change costs. Found by dynamic programming (Viterbi) over ends in steps of
    a twelfth of an octave.

    Shape:
        ends, heard `[W]`; result `[W]`, numbers of steps.
    """
    steps = int(np.ceil(_STATES_PER_OCTAVE * np.log2(nyquist / _LOWEST_HZ))) + 1
    states = nyquist * 2 ** (-np.arange(steps) / _STATES_PER_OCTAVE)
    beyond = ends[:, None] > _ALIKE * states
    unused = ends[:, None] * _ALIKE < states
    cost = window_s * heard[:, None] * np.where(beyond, 1.0, np.where(unused, _UNUSED, 0.0))
    best = cost[0]
    came_from = np.zeros(cost.shape, np.int32)
    for window in range(1, len(cost)):
        cheapest = int(np.argmin(best))
        stays = best <= best[cheapest] + _CHANGE_S
        came_from[window] = np.where(stays, np.arange(steps), cheapest)
        best = np.where(stays, best, best[cheapest] + _CHANGE_S) + cost[window]
    course = np.empty(len(cost), np.int32)
    course[-1] = np.argmin(best)
    for window in range(len(cost) - 1, 0, -1):
        course[window - 1] = came_from[window, course[window]]
    return course


def _decibels(power: np.ndarray) -> np.ndarray:
    level_db: np.ndarray = 10 * np.log10(np.asarray(power, np.float64) + 1e-20)
    return level_db


def _powers(level_db: np.ndarray) -> np.ndarray:
    power: np.ndarray = 10 ** (level_db.astype(np.float64) / 10)
    return power


def _smooth(spectrum_db: np.ndarray, width: int) -> np.ndarray:
    """Mean power over `width` bins, in dB."""
    if width <= 1:
        return spectrum_db
    power = np.pad(_powers(spectrum_db), (width // 2, width - 1 - width // 2), mode="edge")
    return _decibels(np.convolve(power, np.full(width, 1 / width), mode="valid"))
