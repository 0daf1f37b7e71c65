"""Losses on the band above a cutoff, per recording: nothing below it counts, nor what its recording
is not to be believed about.

What is compared comes as `Spectra`, so that losses on frames of one size share the transforms.
Shapes: audio `[B, T]`, frequencies `[B]` in Hz.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "Spectra",
    "band_level_distance",
    "band_levels",
    "band_mask",
    "believed_hz",
    "join_error",
    "join_level_distance",
    "low_level_distance",
    "new_band_lsd",
    "snr_cost_db",
    "unevenness",
]

_BELOW_HZ = 150.0  # the join is part of the new band
_BENEATH_HZ = 2000.0  # what lies so far below a wall tells whether anything was lost above it
_JUST_NOISE = 1.6  # times a noise floor's power: the most that noise has in so many bins
_TOP = 0.96  # of the Nyquist frequency: what is learnt above is not heard
_FLOOR = 1e-11  # mean power of a sample below which levels are not told apart
_UNHEARD = 10**-7.5  # mean power of an error that costs no SNR: 50 dB below speech
_FREE_DB = 0.2  # of SNR
_LOWS_HZ = 300.0  # below it telephones have nothing, whatever the new band is like


class Spectra:
    """The short-time spectra of audio `[B, T]`, each kind computed once."""

    def __init__(self, audio: Tensor) -> None:
        self.audio = audio
        self._complex: dict[tuple[int, int], Tensor] = {}
        self._power: dict[tuple[int, int], Tensor] = {}

    def complex(self, frame: int, hop: int = 0) -> Tensor:
        """Of Hann-windowed frames, at a hop of half their length if none is told; only audio
        shorter than a frame is padded.

        Shape: real and imaginary part, `[B, frames, F, 2]`.
        """
        kind = (frame, hop or frame // 2)
        if kind not in self._complex:
            window = torch.hann_window(frame, device=self.audio.device)
            audio = F.pad(self.audio.float(), (0, max(0, frame - self.audio.shape[-1])))
            frames = audio.unfold(-1, *kind) * window
            self._complex[kind] = torch.view_as_real(torch.fft.rfft(frames))
        return self._complex[kind]

    def power(self, frame: int, hop: int = 0) -> Tensor:
        """The square of their magnitude. Shape: `[B, frames, F]`."""
        kind = (frame, hop or frame // 2)
        if kind not in self._power:
            self._power[kind] = self.complex(*kind).square().sum(dim=-1)
        return self._power[kind]


def band_mask(bins: int, sample_rate: int, bandwidth_hz: Tensor, true_hz: Tensor) -> Tensor:
    """1 for frequencies in the new band that are to be believed, else 0.

    Shape: true_hz `[B]` or `[B, frames]`; the mask is `[B, 1 or frames, bins]`.
    """
    hz = torch.linspace(0, sample_rate / 2, bins, device=bandwidth_hz.device)
    true_hz = true_hz.view(len(true_hz), -1, 1)
    return ((hz >= bandwidth_hz[:, None, None] - _BELOW_HZ) & (hz < true_hz)).float()


def believed_hz(
    wide: Spectra,
    sample_rate: int,
    true_hz: Tensor,
    floor: Tensor | None,
    frame: int,
    hop: int = 0,
) -> Tensor:
    """Up to where each frame is to be believed. Shape: `[B, frames]`, or `[B, 1]` without a floor.

    A codec's wall is no wall for noise that was added behind it. Where nothing but that noise lies
    below the wall, the recording had nothing above it either, and all of the frame is true: it is
    a pause.

    Args:
        floor: the noise that was added, log10 of its mean power of a sample, at frequencies from 0
            to Nyquist. Shape: `[B, K]`.
        frame, hop: as in `Spectra.complex`.
    """
    if floor is None:
        return true_hz[:, None]
    bins = frame // 2 + 1
    beneath = band_mask(bins, sample_rate, true_hz - _BENEATH_HZ + _BELOW_HZ, true_hz - 100.0)
    count = beneath.sum(dim=-1).clamp(min=1) * (frame * 3 / 8)
    noise = (beneath * 10 ** _spread(floor, bins).unsqueeze(1)).sum(dim=-1) * (frame * 3 / 8)
    there = (beneath * wide.power(frame, hop)).sum(dim=-1)
    pause = (there < _JUST_NOISE * noise) & (noise > _FLOOR * count)
    top_hz = torch.full_like(there, _TOP * sample_rate / 2)
    return torch.where(pause, torch.maximum(true_hz[:, None], top_hz), true_hz[:, None])


def _spread(floor: Tensor, bins: int) -> Tensor:
    """A noise floor at the frequencies of a frame's transform. Shape: `[B, K]` to `[B, bins]`."""
    return F.interpolate(floor.unsqueeze(1), bins, mode="linear", align_corners=True)[:, 0]


def new_band_lsd(
    predicted: Spectra,
    wide: Spectra,
    sample_rate: int,
    bandwidth_hz: Tensor,
    true_hz: Tensor,
    weights: Tensor,
    frame: int = 2048,
    floor: Tensor | None = None,
) -> Tensor:
    """The differentiable twin of the `lsd` metric, in its units, above the cutoff alone.

    Args:
        weights: of each recording `[B]`. A codec leaves holes in a spectrum; 0 for recordings that
            have them, so that no network learns to.
        floor: as in `believed_hz`.
    """
    true_hz = believed_hz(wide, sample_rate, true_hz, floor, frame)
    logs = [torch.log10(audio.power(frame) + 768 * _FLOOR) for audio in (predicted, wide)]
    mask = band_mask(frame // 2 + 1, sample_rate, bandwidth_hz, true_hz)
    squared = (mask * (logs[0] - logs[1]).square()).sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)
    distance = torch.sqrt(squared + 1e-4).mean(dim=-1)
    return (weights * distance).sum() / weights.sum().clamp(min=1e-6)


def band_levels(audio: Spectra, frame: int, bins: int) -> Tensor:
    """log10 of the mean power of a sample in each band. Shape: `[B, frames, bands]`.

    Args:
        frame: samples, at a hop of half of it.
        bins: frequencies of the frame's transform to a band.
    """
    return torch.log10(F.avg_pool1d(audio.power(frame), bins) / (frame * 3 / 8) + _FLOOR)


def band_level_distance(
    predicted: Spectra,
    wide: Spectra,
    sample_rate: int,
    bandwidth_hz: Tensor,
    true_hz: Tensor,
    frame: int = 512,
    bins: int = 6,
    quantile: float = 0.5,
    floor: Tensor | None = None,
) -> Tensor:
    """Mean absolute difference of the levels of bands of some 500 Hz and 10 ms, in decades.

    Distances of logarithms bin by bin are smallest for a spectrum that is too quiet, since half of
    noise lies far below its mean. The mean power of a band is what is heard. Loud bands count more.

    Args:
        quantile: of the levels that could be meant, the one that is aimed at (Koenker and Bassett
            1978). Above 0.5 a fricative that may be there is rather heard than left out.
        floor: as in `believed_hz`. Where more than it lies below a recording's wall, it is still
            the least that lies above: there a level below it counts, and none above.
    """
    count = frame // 2 + 1
    believed = believed_hz(wide, sample_rate, true_hz, floor, frame)
    full = _inside(band_mask(count, sample_rate, bandwidth_hz, believed), bins)
    levels = [band_levels(audio, frame, bins) for audio in (predicted, wide)]
    weights = torch.clamp((levels[1] + 10.0) / 4.0, 0.4, 1.6).square()
    missing = levels[1] - levels[0]
    distance = 2 * full * torch.maximum(quantile * missing, (quantile - 1) * missing)
    if floor is not None:
        top_hz = torch.full_like(true_hz, _TOP * sample_rate / 2)
        above = _inside(band_mask(count, sample_rate, true_hz + _BELOW_HZ, top_hz), bins)
        noise = F.avg_pool1d(_spread(floor, count).unsqueeze(1), bins).clamp(min=math.log10(_FLOOR))
        distance = distance + above * (1 - full) * F.relu(
            torch.minimum(levels[1], noise) - levels[0]
        )
    return (weights * distance).sum() / (weights * full).sum().clamp(min=1)


def _inside(mask: Tensor, bins: int) -> Tensor:
    """1 for bands that lie inside as a whole. Shape: `[B, N, F]` to `[B, N, bands]`."""
    return (F.avg_pool1d(mask, bins) > 0.99).float()


def unevenness(
    predicted: Spectra, sample_rate: int, true_hz: Tensor, frame: int = 512, bins: int = 6
) -> Tensor:
    """Mean absolute step from band to band above where recordings are true, in decades.

    Nothing else is known there, and a spectrum goes on rather than jumps.
    """
    levels = band_levels(predicted, frame, bins)
    edge_hz = torch.arange(levels.shape[-1], device=true_hz.device) * bins * sample_rate / frame
    above = (edge_hz[None, 1:] > true_hz[:, None] - 600.0) & (edge_hz[1:] < _TOP * sample_rate / 2)
    weights = above.float().unsqueeze(1)
    steps = weights * (levels[..., 1:] - levels[..., :-1]).abs()
    return steps.sum() / (weights.sum() * levels.shape[1]).clamp(min=1)


def join_level_distance(
    predicted: Spectra, wide: Spectra, sample_rate: int, bandwidth_hz: Tensor, frame: int = 1024
) -> Tensor:
    """Mean absolute difference of the levels from 100 Hz below the cutoff to 400 Hz above it.

    In decades, per frame, loud frames weighted as in `band_level_distance`, whose bands begin only
    above the join: a hole there is a line in the spectrogram.
    """
    bins = frame // 2 + 1
    mask = band_mask(bins, sample_rate, bandwidth_hz + 50.0, bandwidth_hz + 400.0)
    levels = []
    for audio in (predicted, wide):
        power = (mask * audio.power(frame)).sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)
        levels.append(torch.log10(power / (frame * 3 / 8) + _FLOOR))
    weights = torch.clamp((levels[1] + 10.0) / 4.0, 0.4, 1.6).square()
    return (weights * (levels[1] - levels[0]).abs()).sum() / weights.sum()


def join_error(
    predicted: Spectra, wide: Spectra, sample_rate: int, bandwidth_hz: Tensor, frame: int = 1024
) -> Tensor:
    """Error against signal from a little below the cutoff to 5 % above it, in decades.

    There a filter's skirt still has the original's phase, and raising it is better than inventing.
    To be weighted lightly: where nothing of the original is left, it asks for a hole.
    """
    mask = band_mask(frame // 2 + 1, sample_rate, bandwidth_hz, 1.05 * bandwidth_hz)
    error = (mask * _error(predicted, wide, frame)).sum(dim=(1, 2))
    power = (mask * wide.power(frame)).sum(dim=(1, 2))
    return torch.log10((error + 1e-6) / (power + 1e-6) + 1e-3).mean()


def low_level_distance(
    predicted: Spectra, wide: Spectra, sample_rate: int, frame: int = 4096
) -> Tensor:
    """Mean absolute difference of the levels of six bands from 60 to 300 Hz, in decades.

    Frames are long enough to tell a voice's fundamental from its neighbours. Loud bands count more.
    """
    edges = torch.linspace(60.0, _LOWS_HZ, 7) * (frame / sample_rate)
    bins = [(int(low), max(int(low) + 1, int(high))) for low, high in edges.unfold(0, 2, 1)]
    levels = [
        torch.stack([power[..., low:high].mean(dim=-1) for low, high in bins], dim=-1)
        for power in (predicted.power(frame), wide.power(frame))
    ]
    logs = [torch.log10(level / (frame * 3 / 8) + _FLOOR) for level in levels]
    weights = torch.clamp((logs[1] + 10.0) / 4.0, 0.4, 1.6).square()
    return (weights * (logs[1] - logs[0]).abs()).sum() / weights.sum()


def snr_cost_db(
    predicted: Spectra,
    wide: Spectra,
    narrow: Spectra,
    sample_rate: int,
    true_hz: Tensor,
    frame: int = 1024,
) -> Tensor:
    """By how many dB the SNR is lower than the input's, beyond the first 0.2 dB, mean over patches.

    A band at the right level but with phases of its own doubles the error, and does so where it is
    loudest. This asks for less there, and for phases that are right where they can be known.
    Errors 50 dB below the nominal level of speech cost nothing, so that noise floors stay, and
    neither does what is below 300 Hz.
    """
    hz = torch.linspace(0, sample_rate / 2, frame // 2 + 1, device=true_hz.device)
    mask = ((hz < true_hz[:, None]) & (hz >= _LOWS_HZ)).float().unsqueeze(1)
    unheard = _UNHEARD * frame * 3 / 8 * (frame // 2 + 1) * wide.power(frame).shape[1]
    before, after = (
        (mask * _error(audio, wide, frame)).sum(dim=(1, 2)) + unheard
        for audio in (narrow, predicted)
    )
    return F.relu(10 * torch.log10(after / before) - _FREE_DB).mean()


def _error(predicted: Spectra, wide: Spectra, frame: int) -> Tensor:
    """The power of the difference. Shape: `[B, frames, F]`."""
    return (predicted.complex(frame) - wide.complex(frame)).square().sum(dim=-1)
