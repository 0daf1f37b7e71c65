"""The adversarial losses by hand, and what the discriminator can and cannot see."""

from __future__ import annotations

import math

import pytest
import torch

from fullband.losses.adversarial import adversarial_loss, discriminator_loss, feature_distance
from fullband.losses.discriminators import LevelDiscriminator
from signals import band, noise

RATE = 16_000


def features(*values):
    return [torch.tensor(value) for value in values]


def test_the_hinge_by_hand():
    # Judgements beyond 1 and -1 cost nothing: (0 + 0.5) / 2 and (0 + 3) / 2.
    real, predicted = features([9.0], [2.0, 0.5]), features([9.0], [-5.0, 2.0])
    assert float(discriminator_loss(real, predicted)) == pytest.approx(0.25 + 1.5)
    assert float(adversarial_loss(predicted)) == pytest.approx(1.5)


def test_the_distance_of_features_by_hand():
    # |1 - 2| and |3 - 2| against a mean of 2, then 4 against 1; the judgements do not count.
    real = features([2.0, -2.0], [1.0], [100.0])
    predicted = features([1.0, -3.0], [5.0], [0.0])
    assert float(feature_distance(real, predicted)) == pytest.approx((1 / 2 + 4) / 2, rel=1e-5)
    assert float(feature_distance(real, real)) == 0


def test_the_distance_of_features_does_not_move_the_real_ones():
    real = [torch.ones(3, requires_grad=True), torch.ones(1)]
    predicted = [torch.zeros(3, requires_grad=True), torch.ones(1)]
    feature_distance(real, predicted).backward()
    assert real[0].grad is None
    torch.testing.assert_close(predicted[0].grad, torch.full((3,), -1 / 3))


def judge():
    torch.manual_seed(0)
    return LevelDiscriminator(RATE).eval()


def judged(audio, bandwidth_hz=3000.0, true_hz=5400.0, network=None):
    audio = torch.from_numpy(audio.astype("float32"))[None]
    with torch.inference_mode():
        return (network or judge())(audio, torch.tensor([bandwidth_hz]), torch.tensor([true_hz]))


def test_features_are_maps_and_the_last_are_judgements():
    found = judged(noise(0.5, RATE))
    frames = (8000 - 512) // 256 + 1
    assert [tuple(each.shape) for each in found] == [
        (1, 24, 42, frames),
        (1, 32, 21, frames),
        (1, 48, 11, frames),
        (1, 48, 11, frames),
        (1, 1, 11, frames),
    ]


@pytest.mark.parametrize("true_hz", [5300.0, 5400.0, 5437.5, 5500.0])
def test_it_does_not_see_what_is_not_to_be_believed(true_hz):
    # Bands of six bins of 31.25 Hz; those that are not true as a whole are blanked. A window's
    # main lobe reaches two bins further down.
    wide = noise(0.5, RATE)
    without = wide - band(wide, RATE, true_hz + 63, 8000)
    for ours, theirs in zip(
        judged(wide, 3000.0, true_hz), judged(without, 3000.0, true_hz), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-3)


@pytest.mark.parametrize(("low_hz", "high_hz"), [(1000, 2000), (4000, 5000)])
def test_it_sees_both_the_kept_and_the_new_band(low_hz, high_hz):
    wide = noise(0.5, RATE)
    without = wide - band(wide, RATE, low_hz, high_hz)
    assert float((judged(wide)[-1] - judged(without)[-1]).abs().max()) > 1e-3


def test_it_sees_where_the_new_band_begins():
    wide = noise(0.5, RATE)
    assert not torch.equal(judged(wide, 3000.0)[-1], judged(wide, 4000.0)[-1])


def test_silence_is_judged_too():
    assert all(math.isfinite(float(each.abs().max())) for each in judged(0 * noise(0.5, RATE)))
