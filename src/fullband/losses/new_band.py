"""Losses on the band above a cutoff, per recording: nothing below it counts, nor what its recording
is not to be believed about.

Shapes: audio `[B, T]`, frequencies `[B]` in Hz.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["band_level_distance", "band_mask", "join_error", "new_band_lsd"]

_BELOW_HZ = 150.0  # the join is part of the new band
_FLOOR = 1e-11  # mean power of a sample below which levels are not told apart


def band_mask(bins: int, sample_rate: int, bandwidth_hz: Tensor, true_hz: Tensor) -> Tensor:
    """1 for frequencies in the new band that are to be believed, else 0. Shape: `[B, bins]`."""
    hz = torch.linspace(0, sample_rate / 2, bins, device=bandwidth_hz.device)
    inside = (hz >= bandwidth_hz[:, None] - _BELOW_HZ) & (hz < true_hz[:, None])
    return inside.float()


def new_band_lsd(
    predicted: Tensor,
    wide: Tensor,
    sample_rate: int,
    bandwidth_hz: Tensor,
    true_hz: Tensor,
    weights: Tensor,
    frame: int = 2048,
    hop: int = 512,
) -> Tensor:
    """The differentiable twin of the `lsd` metric, in its units, above the cutoff alone.

    Args:
        weights: of each recording `[B]`. A codec leaves holes in a spectrum; 0 for recordings that
            have them, so that no network learns to.
    """
    logs = [torch.log10(power + 768 * _FLOOR) for power in _powers(predicted, wide, frame, hop)]
    mask = band_mask(frame // 2 + 1, sample_rate, bandwidth_hz, true_hz).unsqueeze(-1)
    squared = (mask * (logs[0] - logs[1]).square()).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
    distance = torch.sqrt(squared + 1e-4).mean(dim=-1)
    return (weights * distance).sum() / weights.sum().clamp(min=1e-6)


def band_level_distance(
    predicted: Tensor,
    wide: Tensor,
    sample_rate: int,
    bandwidth_hz: Tensor,
    true_hz: Tensor,
    frame: int = 512,
    bins: int = 6,
) -> Tensor:
    """Mean absolute difference of the levels of bands of some 500 Hz and 10 ms, in decades.

    Distances of logarithms bin by bin are smallest for a spectrum that is too quiet, since half of
    noise lies far below its mean. The mean power of a band is what is heard. Loud bands count more,
    up to four times as much as those near silence.
    """
    mask = band_mask(frame // 2 + 1, sample_rate, bandwidth_hz, true_hz).unsqueeze(1)
    full = (F.avg_pool1d(mask, bins)[:, 0] > 0.99).float().unsqueeze(1)  # bands inside as a whole
    levels = []
    for power in _powers(predicted, wide, frame, frame // 2):
        pooled = F.avg_pool1d(power.transpose(1, 2), bins) / (frame * 3 / 8)
        levels.append(torch.log10(pooled + _FLOOR))
    weights = full * torch.clamp((levels[1] + 10.0) / 4.0, 0.4, 1.6)
    distance = weights * (levels[0] - levels[1]).abs()
    return distance.sum() / weights.sum().clamp(min=1)


def join_error(
    predicted: Tensor, wide: Tensor, sample_rate: int, bandwidth_hz: Tensor, frame: int = 1024
) -> Tensor:
    """Error against signal from a little below the cutoff to 8 % above it, in decades.

    There a filter's skirt still has the original's phase, and raising it is better than inventing.
    """
    mask = band_mask(frame // 2 + 1, sample_rate, bandwidth_hz, 1.08 * bandwidth_hz).unsqueeze(-1)
    error, power = _powers(predicted - wide, wide, frame, frame // 2)
    error, power = (mask * error).sum(dim=(1, 2)), (mask * power).sum(dim=(1, 2))
    return torch.log10((error + 1e-6) / (power + 1e-6) + 1e-3).mean()


def _powers(predicted: Tensor, wide: Tensor, frame: int, hop: int) -> tuple[Tensor, Tensor]:
    window = torch.hann_window(frame, device=wide.device)
    result = []
    for audio in (predicted, wide):
        frames = audio.float().unfold(-1, frame, hop) * window
        spectrum = torch.view_as_real(torch.fft.rfft(frames))
        result.append(spectrum.square().sum(dim=-1).transpose(1, 2))
    return result[0], result[1]
