"""One step: the loss adds up, the learning rate follows its curve, the average follows."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from fullband.losses.spectral import relative_error_db, rmse
from fullband.train.config import LossConfig, OptimiserConfig, ScheduleConfig
from fullband.train.step import (
    NewBand,
    compute_loss,
    learning_rate,
    make_optimiser,
    update_average,
)


def test_the_loss_is_the_weighted_sum_of_what_has_weight():
    torch.manual_seed(0)
    wide = torch.randn(2, 4096)
    predicted = wide + 0.1 * torch.randn(2, 4096)
    weights = LossConfig(rmse=2.0, relative_error_db=0.5)
    loss, parts = compute_loss(weights, predicted, wide)
    expected = 2 * float(rmse(predicted, wide)) + 0.5 * float(relative_error_db(predicted, wide))
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert parts["loss"] == pytest.approx(expected, rel=1e-5)
    assert set(parts) == {"loss", "rmse", "relative_error_db"}


def test_every_loss_can_be_switched_on():
    wide = torch.randn(1, 8192)
    names = set(LossConfig.__dataclass_fields__) - {"spectral_error_band", "level_quantile", "fold"}
    weights = LossConfig(**dict.fromkeys(names, 1.0))
    ends = torch.tensor([3000.0]), torch.tensor([3000.0]), torch.tensor([7000.0])
    band = NewBand(16_000, 0 * wide, *ends, torch.ones(1), torch.full((1, 5), -20.0))
    loss, parts = compute_loss(weights, 0.5 * wide, wide, band)
    adversarial = {"adversarial", "feature_distance"}  # they need a discriminator, as the loop has
    assert set(parts) == {"loss", *names} - adversarial
    assert float(loss) == pytest.approx(sum(parts.values()) - parts["loss"], rel=1e-5)


def test_without_a_new_band_its_losses_are_left_out():
    wide = torch.randn(1, 8192)
    weights = LossConfig(new_band_lsd=1.0, band_level=1.0, join_error=1.0)
    assert set(compute_loss(weights, 0.5 * wide, wide)[1]) == {"loss", "rmse"}


def test_the_new_band_is_judged_where_it_lies_and_as_far_as_it_is_true():
    wide = torch.randn(2, 8192)
    wide[1] *= 0.5
    ends = torch.tensor([[3000.0] * 2, [3000.0] * 2, [6000.0] * 2])
    band = NewBand(16_000, 0 * wide, *ends, torch.ones(2), torch.full((2, 5), -20.0))
    weights = LossConfig(
        rmse=0.0, new_band_lsd=0.5, band_level=2.0, band_level_long=1.0, level_quantile=0.8
    )
    predicted = 0.5 * wide
    _, parts = compute_loss(weights, predicted, wide, band)
    step = 2 * math.log10(2)  # 6 dB down, in decades
    assert parts["new_band_lsd"] == pytest.approx(step, abs=1e-3)
    assert parts["band_level"] == pytest.approx(1.6 * step, abs=1e-3)
    assert parts["band_level_long"] == pytest.approx(1.6 * step, abs=1e-3)
    total = 0.5 * step + 3 * 1.6 * step
    assert parts["loss"] == pytest.approx(total, abs=5e-3)
    coarse = replace(band, fine=torch.tensor([1.0, 0.0]))
    predicted[1] *= 0.1
    _, parts = compute_loss(weights, predicted, wide, coarse)
    assert parts["new_band_lsd"] == pytest.approx(step, abs=1e-3)
    assert parts["band_level"] > 1.7 * step


def test_the_learning_rate_rises_then_falls_as_a_cosine():
    schedule = ScheduleConfig(steps=110, warmup_steps=10, final_fraction=0.1)
    rates = [learning_rate(2.0, schedule, step) for step in range(111)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[4] == pytest.approx(1.0)
    assert rates[9] == rates[10] == pytest.approx(2.0)
    assert rates[60] == pytest.approx(2.0 * 0.55)  # half way down, between 1 and 0.1
    quarter = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4))
    assert rates[35] == pytest.approx(2.0 * quarter)
    assert rates[110] == pytest.approx(0.2)
    assert learning_rate(2.0, schedule, 10_000) == pytest.approx(0.2)


def test_no_warm_up_starts_at_the_full_rate():
    assert learning_rate(1.0, ScheduleConfig(steps=1, warmup_steps=0), 0) == 1.0


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_the_optimiser_is_the_one_named(name, kind):
    settings = OptimiserConfig(name=name, learning_rate=0.1, beta1=0.8, weight_decay=0.5)
    optimiser = make_optimiser(settings, nn.Linear(2, 2))
    assert type(optimiser) is kind
    group = optimiser.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.1, (0.8, 0.999), 0.5)


def test_the_average_by_hand():
    model = nn.Linear(1, 1, bias=False)
    average = {"weight": torch.tensor([[1.0]])}
    nn.init.constant_(model.weight, 3.0)
    update_average(average, model, decay=0.9, step=10**6)
    assert float(average["weight"]) == pytest.approx(0.9 * 1 + 0.1 * 3)
    # At the start it follows faster: step 0 has a decay of 1 / 10.
    average = {"weight": torch.tensor([[1.0]])}
    update_average(average, model, decay=0.9, step=0)
    assert float(average["weight"]) == pytest.approx(0.1 * 1 + 0.9 * 3)


def test_the_average_copies_what_is_not_a_number_with_a_point():
    model = nn.BatchNorm1d(2)
    average = {name: value.clone() for name, value in model.state_dict().items()}
    model.num_batches_tracked += 5
    update_average(average, model, decay=0.9, step=0)
    assert int(average["num_batches_tracked"]) == 5
