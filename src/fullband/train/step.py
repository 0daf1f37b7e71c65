"""One step of training: the loss, the learning rate, the moving average."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from fullband.losses.new_band import (
    band_level_distance,
    join_error,
    join_level_distance,
    new_band_lsd,
    unevenness,
)
from fullband.losses.spectral import (
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
    """Where each recording of a batch is to be judged: above its bandwidth, as far as it is true.

    Attributes:
        fine: 1 for recordings whose fine structure is to be believed, 0 where a codec left holes.

    Shape:
        bandwidth_hz, true_hz, fine `[B]`.
    """

    sample_rate: int
    bandwidth_hz: Tensor
    true_hz: Tensor
    fine: Tensor


def compute_loss(
    weights: LossConfig, predicted: Tensor, wide: Tensor, band: NewBand | None = None
) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum of the losses, and each of them by name.

    Args:
        band: where the new band lies; without it the losses on the new band are left out.

    Shape:
        predicted, wide `[B, T]`.
    """
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "rmse": rmse,
        "relative_error_db": relative_error_db,
        "spectral_error_db": partial(spectral_error_db, band=weights.spectral_error_band),
        "lsd_2017": log_spectral_distance,
        "multi_resolution_lsd": multi_resolution_log_spectral_distance,
    }
    if band is not None:
        place = (band.sample_rate, band.bandwidth_hz, band.true_hz)
        losses["new_band_lsd"] = lambda x, y: new_band_lsd(x, y, *place, weights=band.fine)
        losses["band_level"] = lambda x, y: band_level_distance(
            x, y, *place, quantile=weights.level_quantile
        )
        losses["band_level_long"] = lambda x, y: band_level_distance(
            x, y, *place, 2048, 8, weights.level_quantile
        )
        losses["join_level"] = lambda x, y: join_level_distance(x, y, *place[:2])
        losses["unevenness"] = lambda x, y: unevenness(x, band.sample_rate, band.true_hz)
        losses["join_error"] = lambda x, y: join_error(x, y, *place[:2])
    total = torch.zeros((), device=wide.device)
    parts = {}
    for name, function in losses.items():
        weight = getattr(weights, name)
        if weight:
            value = function(predicted.float(), wide)
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
