"""Losses on the waveform and the log spectrum: `[B, T]` twice in, a scalar out."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "fold_error_db",
    "log_spectral_distance",
    "multi_resolution_log_spectral_distance",
    "relative_error_db",
    "rmse",
    "spectral_error_db",
]


def rmse(predicted: Tensor, wide: Tensor) -> Tensor:
    """Mean over the batch of sqrt(mean squared error + 1e-6), as in Kuleshov et al. (2017)."""
    return torch.sqrt((predicted - wide).square().mean(dim=-1) + 1e-6).mean()


def relative_error_db(predicted: Tensor, wide: Tensor) -> Tensor:
    """The negative SNR of the whole batch in dB.

    Its gradient is that of the squared error divided by the error itself, so that its weight
    against other losses means the same early and late: a loss of 1 dB of SNR costs 1.
    """
    error = (predicted - wide).square().sum()
    return 10 * torch.log10((error + 1e-8) / (wide.square().sum() + 1e-8))


def spectral_error_db(
    predicted: Tensor,
    wide: Tensor,
    frame: int = 512,
    floor_db: float = -40.0,
    band: float = 1.0,
) -> Tensor:
    """The negative SNR of the whole batch at each frequency in dB, averaged over frequency.

    Squared error is dominated by the frequencies where the signal is strongest, or least
    predictable. Here each frequency counts the same, by how much of its own energy is missed: what
    can be predicted in a weak band is worth as much as in a strong one. Errors further below their
    frequency's energy than the floor count as the floor.

    Args:
        band: the part of the spectrum that counts, from 0 Hz up to this fraction of Nyquist. What
            lies far above the cutoff cannot be predicted as a waveform and only adds noise.
    """
    bins = round(band * (frame // 2)) + 1
    error = _stft_power(predicted - wide, frame, frame // 4)[:, :bins].sum(dim=(0, 2))
    power = _stft_power(wide, frame, frame // 4)[:, :bins].sum(dim=(0, 2))
    floor = 10 ** (floor_db / 10)
    return (10 * torch.log10((error + floor * power + 1e-8) / (power + 1e-8))).mean()


def fold_error_db(
    predicted: Tensor, wide: Tensor, fold: float, reach: float = 0.2, frame: int = 4096
) -> Tensor:
    """The mean over patches of the negative SNR in dB around a narrow Nyquist frequency.

    There alone does it pay to tell apart what decimation folded over, and each patch counts the
    same, loud or soft.

    Args:
        fold: the narrow Nyquist frequency, as a fraction of the wide one.
        reach: how far to each side of it errors count, as a fraction of it.
        frame: shorter patches are taken as one frame.
    """
    frame = min(frame, predicted.shape[-1])
    first, last = (round(edge * fold * (frame // 2)) for edge in (1 - reach, 1 + reach))
    error, power = (
        _stft_power(audio, frame, frame // 4)[:, first : last + 1].sum(dim=(1, 2))
        for audio in (predicted - wide, wide)
    )
    return (10 * torch.log10((error + 1e-6) / (power + 1e-6))).mean()


def log_spectral_distance(
    predicted: Tensor, wide: Tensor, frame: int = 2048, hop: int = 512, over: str = "time"
) -> Tensor:
    """The differentiable twin of the `lsd_2017` metric, in nepers of power.

    Args:
        over: `time` takes the root of the mean over time and then the mean over frequency, as
            `lsd_2017` does; `frequency` the other way round, as `lsd` does.
    """
    logs = [torch.log(_stft_power(audio, frame, hop) + 1e-8) for audio in (predicted, wide)]
    squared = (logs[0] - logs[1]).square()
    inner = squared.mean(dim=-1 if over == "time" else -2)
    return torch.sqrt(inner + 1e-8).mean()


def multi_resolution_log_spectral_distance(predicted: Tensor, wide: Tensor) -> Tensor:
    """Mean of `log_spectral_distance` over frames of 2048, 512 and 128, each at a quarter's hop.

    The short frames hold the new band's level to its place in time, which the long one leaves free.
    """
    frames = (2048, 512, 128)
    total = torch.zeros((), device=predicted.device)
    for frame in frames:
        total = total + log_spectral_distance(predicted, wide, frame, frame // 4)
    return total / len(frames)


def _stft_power(audio: Tensor, frame: int, hop: int) -> Tensor:
    """|X|^2 of Hann-windowed frames, without padding. Shape: `[B, T]` to `[B, F, frames]`."""
    window = torch.hann_window(frame, device=audio.device)
    spectrum = torch.stft(
        audio.float(), frame, hop, window=window, center=False, return_complex=True
    )
    return torch.view_as_real(spectrum).square().sum(dim=-1)
