"""One step of training: the loss, the learning rate, the moving average."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from fullband.losses.neurogram import dissimilarity
from fullband.losses.new_band import (
    Spectra,
    band_level_distance,
    join_error,
    join_level_distance,
    low_level_distance,
    new_band_lsd,
    snr_cost_db,
    unevenness,
)
from fullband.losses.spectral import (
    fold_error_db,
    log_spectral_distance,
    multi_resolution_log_spectral_distance,
    relative_error_db,
    rmse,
    spectral_error_db,
)
from fullband.train.config import LossConfig, OptimiserConfig, ScheduleConfig

__all__ = ["NewBand", "compute_loss", "learning_rate", "make_optimiser", "update_average"]


@dataclass(frozen=True)
class NewBand:
    """Where each recording of a batch is to be judged: where it lacks something, and is true.

    Attributes:
        narrow: what the network was given.
        from_hz: from where on it may lack something; its bandwidth, unless a codec left holes.
        fine: 1 for recordings whose fine structure is to be believed, 0 where a codec left holes.
        floor: the noise that was added to each, which is true everywhere; see
            `fullband.losses.new_band.believed_hz`.

    Shape:
        narrow `[B, T]`; bandwidth_hz, from_hz, true_hz, fine `[B]`; floor `[B, K]`.
    """

    sample_rate: int
    narrow: Tensor
    bandwidth_hz: Tensor
    from_hz: Tensor
    true_hz: Tensor
    fine: Tensor
    floor: Tensor


def compute_loss(
    weights: LossConfig, predicted: Tensor, wide: Tensor, band: NewBand | None = None
) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum of the losses, and each of them by name.

    Args:
        band: where the new band lies; without it the losses on the new band are left out.

    Shape:
        predicted, wide `[B, T]`.
    """
    on_audio: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "rmse": rmse,
        "relative_error_db": relative_error_db,
        "spectral_error_db": partial(spectral_error_db, band=weights.spectral_error_band),
        "fold_error_db": partial(fold_error_db, fold=weights.fold),
        "lsd_2017": log_spectral_distance,
        "multi_resolution_lsd": multi_resolution_log_spectral_distance,
    }
    losses = {name: partial(loss, predicted.float(), wide) for name, loss in on_audio.items()}
    if band is not None:
        x, y, narrow = (Spectra(audio) for audio in (predicted.float(), wide, band.narrow))
        rate, end_hz, true_hz = band.sample_rate, band.bandwidth_hz, band.true_hz
        place = (rate, band.from_hz, true_hz)
        level_distance = partial(
            band_level_distance, x, y, *place, quantile=weights.level_quantile, floor=band.floor
        )
        losses |= {
            "new_band_lsd": partial(new_band_lsd, x, y, *place, band.fine, floor=band.floor),
            "band_level": level_distance,
            "band_level_long": partial(level_distance, frame=2048, bins=8),
            "join_level": partial(join_level_distance, x, y, rate, end_hz),
            "join_error": partial(join_error, x, y, rate, end_hz),
            "neurogram": partial(dissimilarity, x, y, *place, floor=band.floor),
            "low_level": partial(low_level_distance, x, y, rate),
            "snr_cost_db": partial(snr_cost_db, x, y, narrow, rate, true_hz),
            "unevenness": partial(unevenness, x, rate, true_hz),
        }
    total = torch.zeros((), device=wide.device)
    parts = {}
    for name, loss in losses.items():
        weight = getattr(weights, name)
        if weight:
            value = loss()
            total = total + weight * value
            parts[name] = float(value.detach())
    return total, {"loss": float(total.detach()), **parts}


def make_optimiser(settings: OptimiserConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Adam or AdamW over all parameters."""
    kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    return kind(
        model.parameters(),
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay,
    )


def learning_rate(base: float, schedule: ScheduleConfig, step: int) -> float:
    """The learning rate of a step (from 0): linear warm-up, then half a cosine."""
    if step < schedule.warmup_steps:
        return base * (step + 1) / schedule.warmup_steps
    span = max(1, schedule.steps - schedule.warmup_steps)
    done = min(1.0, (step - schedule.warmup_steps) / span)
    floor = schedule.final_fraction
    return base * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done)))


@torch.no_grad()
def update_average(average: dict[str, Tensor], model: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the weights; young averages follow faster, so that the random
    initial weights do not linger in them."""
    decay = min(decay, (1 + step) / (10 + step))
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value.to(average[name].dtype), 1 - decay)
        else:
            average[name].copy_(value)
