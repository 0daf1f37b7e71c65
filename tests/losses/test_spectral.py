"""The losses: by hand, and against the metrics that they stand in for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fullband.evaluate import metrics
from fullband.losses.spectral import (
    log_spectral_distance,
    multi_resolution_log_spectral_distance,
    relative_error_db,
    rmse,
    spectral_error_db,
)
from signals import low_passed, noise, tone

LOSSES = [
    rmse,
    relative_error_db,
    spectral_error_db,
    log_spectral_distance,
    multi_resolution_log_spectral_distance,
]


def batch(*recordings) -> torch.Tensor:
    return torch.from_numpy(np.stack(recordings))


def noises(amplitude: float = 1.0) -> torch.Tensor:
    return amplitude * batch(noise(1, 16_000, seed=1), noise(1, 16_000, seed=2))


def test_rmse_by_hand():
    predicted = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    wide = torch.tensor([[1.0, 5.0], [4.0, 0.0]])
    # Each recording's root of its mean square: sqrt(9 / 2) and sqrt(16 / 2).
    expected = (math.sqrt(4.5) + math.sqrt(8)) / 2
    assert float(rmse(predicted, wide)) == pytest.approx(expected, rel=1e-4)


def test_relative_error_is_the_negative_snr_of_the_batch():
    wide = torch.cat([noises(), noises(0.1)])
    predicted = wide + 0.3 * torch.flip(wide, dims=[0, 1])
    flat = metrics.snr_db(predicted.flatten().numpy(), wide.flatten().numpy())
    assert float(relative_error_db(predicted, wide)) == pytest.approx(-flat, abs=1e-3)


def test_spectral_error_of_a_scaled_copy_is_the_same_at_every_frequency():
    wide = noises()
    assert float(spectral_error_db(0.9 * wide, wide)) == pytest.approx(-20, abs=0.1)


def test_spectral_error_counts_weak_frequencies_like_strong_ones():
    # Loud at 1 kHz, weak at 6 kHz, over a floor of noise 40 dB below that. Losing the weak tone
    # changes what the squared error sees by next to nothing.
    strong, weak = tone(1000, 1, 16_000, amplitude=0.5), tone(6000, 1, 16_000, amplitude=0.005)
    floor = 1e-6 * noise(1, 16_000)
    wide, without = batch(strong + weak + floor), batch(strong + floor)
    assert float(relative_error_db(without, wide)) == pytest.approx(-40, abs=0.1)
    bins = 257
    lost = float(spectral_error_db(without, wide)) - float(spectral_error_db(wide, wide))
    assert lost > 3 * 40 / bins  # the bins of the tone's main lobe went from -40 dB to 0 dB


def test_spectral_error_has_its_floor():
    wide = noises()
    assert float(spectral_error_db(wide, wide)) == pytest.approx(-40, abs=0.1)
    assert float(spectral_error_db(wide, wide, floor_db=-20.0)) == pytest.approx(-20, abs=0.1)


def test_spectral_error_in_part_of_the_band_does_not_see_the_rest():
    low = low_passed(noise(1, 16_000), 16_000, 3000)
    wide = batch(low + tone(7000, 1, 16_000))
    predicted = batch(0.9 * low)
    floor = float(spectral_error_db(predicted, wide, band=0.25))
    assert floor == pytest.approx(-20, abs=0.1)
    assert float(spectral_error_db(predicted, wide)) > floor + 5


def test_log_spectral_distance_is_the_metric():
    wide, predicted = noise(1, 16_000, seed=1), noise(1, 16_000, seed=2)
    expected = metrics.lsd_2017(predicted, wide)
    # The metric pads the ends of a recording and the loss does not: a few frames' difference.
    assert float(log_spectral_distance(batch(predicted), batch(wide))) == pytest.approx(
        expected, rel=0.05
    )


@pytest.mark.parametrize("over", ["time", "frequency"])
def test_log_spectral_distance_of_a_scaled_copy_by_hand(over):
    wide = noises()
    expected = 2 * math.log(10)  # ln of a hundredfold power
    assert float(log_spectral_distance(0.1 * wide, wide, over=over)) == pytest.approx(
        expected, rel=1e-3
    )


def test_where_the_two_orders_of_averaging_differ():
    # Silence in half the frames: the root over time mixes loud and silent frames in each bin, the
    # root over frequency keeps them apart.
    wide = noises()
    predicted = wide.clone()
    predicted[:, 8000:] *= 0.1
    d = 2 * math.log(10)
    over_time = float(log_spectral_distance(predicted, wide, over="time"))
    over_frequency = float(log_spectral_distance(predicted, wide, over="frequency"))
    assert over_time == pytest.approx(d * math.sqrt(0.5), rel=0.1)
    assert over_frequency == pytest.approx(d * 0.5, rel=0.1)


def test_several_resolutions_agree_on_a_scaled_copy():
    wide = noises()
    assert float(multi_resolution_log_spectral_distance(0.1 * wide, wide)) == pytest.approx(
        2 * math.log(10), rel=1e-3
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_less_error_is_less_loss(loss):
    wide = noises()
    disturbance = torch.flip(wide, dims=[1])
    values = [float(loss(wide + a * disturbance, wide)) for a in (0.01, 0.1, 1.0)]
    assert values == sorted(values)
    assert values[2] - values[0] > 0.05


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("case", ["silence", "exact", "usual"])
def test_gradients_are_finite(loss, case):
    wide = torch.zeros(2, 16_000) if case == "silence" else noises()
    predicted = (wide if case != "usual" else 0.5 * wide).clone().requires_grad_()
    loss(predicted, wide).backward()
    assert bool(torch.isfinite(predicted.grad).all())
    if case == "usual":
        assert float(predicted.grad.abs().max()) > 0


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_points_uphill(loss):
    wide = noises()
    predicted = (0.5 * wide).requires_grad_()
    loss(predicted, wide).backward()
    downhill = predicted.detach() - 1e-2 * predicted.grad / predicted.grad.norm()
    assert float(loss(downhill, wide)) < float(loss(predicted.detach(), wide))
