"""Losses on the new band: by hand on noise of known levels, and blind where they must be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fullband.losses.new_band import (
    Spectra,
    band_level_distance,
    band_levels,
    band_mask,
    believed_hz,
    join_error,
    join_level_distance,
    new_band_lsd,
    snr_cost_db,
    unevenness,
)
from signals import band, noise, rms_db

RATE = 16_000
END_HZ, TRUE_HZ = 3000.0, 6000.0


def batch(*recordings) -> torch.Tensor:
    return torch.from_numpy(np.stack(recordings).astype(np.float32))


def place(count: int = 1, end_hz: float = END_HZ, true_hz: float = TRUE_HZ):
    return torch.full((count,), end_hz), torch.full((count,), true_hz)


def lsd(predicted, wide, weights=None):
    weights = torch.ones(len(wide)) if weights is None else torch.tensor(weights)
    spectra = Spectra(predicted), Spectra(wide)
    return float(new_band_lsd(*spectra, RATE, *place(len(wide)), weights))


def level_distance(predicted, wide, **options):
    spectra = Spectra(predicted), Spectra(wide)
    return float(band_level_distance(*spectra, RATE, *place(len(wide)), **options))


def changed(audio, low_hz, high_hz, gain):
    """The same with one band so many times as strong."""
    return audio + (gain - 1) * band(audio, RATE, low_hz, high_hz)


@pytest.fixture
def wide():
    return noise(1, RATE)


def test_the_mask_by_hand():
    # Bins of 1 kHz: from 150 Hz below the end up to, not including, where it is true.
    mask = band_mask(9, RATE, torch.tensor([3000.0, 3200.0, 0.0]), torch.tensor([6000.0] * 3))
    assert mask.tolist() == [
        [[0, 0, 0, 1, 1, 1, 0, 0, 0]],
        [[0, 0, 0, 0, 1, 1, 0, 0, 0]],
        [[1, 1, 1, 1, 1, 1, 0, 0, 0]],
    ]
    by_frame = band_mask(9, RATE, torch.tensor([3000.0]), torch.tensor([[4000.0, 6000.0]]))
    assert by_frame.tolist() == [[[0, 0, 0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 0, 0, 0]]]


# A recording whose codec ended it at 6 kHz: speech (here noise), then a pause; and in a second copy
# a noise floor that rises by 20 dB from 0 to 8 kHz and was added behind the codec.
FLOOR = torch.linspace(-6, -4, 5)[None]
SPEECH = band(noise(1, RATE, 5), RATE, 0, 6000)
CODED = np.concatenate([SPEECH, np.zeros(RATE)])


def risen(audio):
    """With the noise floor."""
    spectrum = np.fft.rfft(noise(len(audio) / RATE, RATE, 6, rms=1.0))
    hz = np.fft.rfftfreq(len(audio), 1 / RATE)
    return audio + np.fft.irfft(spectrum * 10 ** ((-60 + 20 * hz / 8000) / 20), len(audio))


@pytest.mark.parametrize("frame", [512, 2048])
def test_a_pause_with_noise_behind_a_wall_is_true_throughout(frame):
    wide = Spectra(batch(risen(CODED)))
    frames = wide.power(frame).shape[1]
    hz = believed_hz(wide, RATE, torch.tensor([TRUE_HZ]), FLOOR, frame)[0]
    assert {round(value) for value in hz.tolist()} == {TRUE_HZ, 0.96 * 8000}
    speech, pause = hz[: frames // 2 - 4], hz[frames // 2 + 4 :]
    assert (speech == TRUE_HZ).all()
    assert (pause > TRUE_HZ).float().mean() > 0.95


@pytest.mark.parametrize("floor", [None, torch.full((1, 5), -20.0)])
def test_without_noise_nothing_above_a_wall_is_believed(floor):
    wide = Spectra(batch(CODED))
    hz = believed_hz(wide, RATE, torch.tensor([TRUE_HZ]), floor, 512)
    assert (hz == TRUE_HZ).all()


def test_a_noise_floor_is_learnt_above_a_wall():
    wide = risen(CODED)
    right, quiet = wide.copy(), wide - band(wide, RATE, 6500, 8000) * 0.9
    other = np.concatenate([wide[:RATE], quiet[RATE:]])  # too quiet in the pause alone
    for predicted, costs in ((right, False), (other, True)):
        assert (level_distance(batch(predicted), batch(wide), floor=FLOOR) > 0.02) == costs
        assert level_distance(batch(predicted), batch(wide)) < 0.02  # a wall, as far as is known
    weights = torch.ones(1)
    args = Spectra(batch(other)), Spectra(batch(wide)), RATE, *place(), weights
    assert float(new_band_lsd(*args, floor=FLOOR)) > float(new_band_lsd(*args)) + 0.1


def test_under_speech_a_noise_floor_is_the_least():
    # 20 dB more above the wall costs nothing while something is said, 20 dB less does.
    wide = risen(SPEECH)
    top = band(wide, RATE, 6500, 8000)
    louder, quieter = batch(wide + 9 * top), batch(wide - 0.9 * top)
    assert level_distance(louder, batch(wide), floor=FLOOR) < 0.02
    assert level_distance(quieter, batch(wide), floor=FLOOR) > 0.05


def test_six_decibels_are_sixty_percent_of_a_decade(wide):
    # log10 of a quarter of the power is -0.602. The distance has 1e-4 under its root.
    predicted = batch(changed(wide, 2000, 8000, 0.5))
    assert lsd(predicted, batch(wide)) == pytest.approx(2 * math.log10(2), abs=0.01)
    for frame, bins in ((512, 6), (2048, 8)):
        distance = level_distance(predicted, batch(wide), frame=frame, bins=bins)
        assert distance == pytest.approx(2 * math.log10(2), abs=0.01)


def test_what_is_right_costs_nothing(wide):
    assert lsd(batch(wide), batch(wide)) == pytest.approx(0.01, abs=1e-6)
    assert level_distance(batch(wide), batch(wide)) == 0


def test_what_lies_outside_does_not_count(wide):
    # A few bins of the frames' transform away, so that a window's main lobe does not reach in.
    for low_hz, high_hz in ((0, 2600), (6300, 8000)):
        other = batch(changed(wide, low_hz, high_hz, 0.3))
        assert lsd(other, batch(wide)) < 0.03
        assert level_distance(other, batch(wide)) < 0.01
    inside = batch(changed(wide, 4000, 5000, 0.3))
    assert lsd(inside, batch(wide)) > 0.4
    assert level_distance(inside, batch(wide)) > 0.25


def test_lsd_weighs_recordings(wide):
    both = batch(wide, wide)
    predicted = batch(changed(wide, 2000, 8000, 0.5), changed(wide, 2000, 8000, 0.1))
    one, ten = lsd(predicted[:1], both[:1]), lsd(predicted[1:], both[:1])
    assert ten == pytest.approx(2, abs=0.01)
    assert lsd(predicted, both, [1.0, 0.0]) == pytest.approx(one, rel=1e-5)
    assert lsd(predicted, both, [1.0, 3.0]) == pytest.approx((one + 3 * ten) / 4, rel=1e-5)
    assert lsd(predicted, both, [0.0, 0.0]) == 0


def test_levels_by_hand():
    # White noise of a mean power of 0.01, and what is not there.
    levels = band_levels(Spectra(batch(noise(4, RATE, rms=0.1), np.zeros(4 * RATE))), 512, 6)
    assert levels.shape == (2, 249, 42)
    assert float(levels[0].exp().mean().log()) == pytest.approx(-2, abs=0.1)
    np.testing.assert_allclose(levels[1], -11, atol=1e-5)


def test_loud_bands_count_more():
    # Levels of -2 and -11 to -10.9: the weights are ((-2 + 10) / 4)^2, at most 1.6^2, and 0.4^2.
    loud, quiet = noise(1, RATE, rms=0.1), noise(1, RATE, seed=1, rms=1e-6)
    wide = batch(np.concatenate([loud, quiet]))
    only_loud = batch(np.concatenate([0.5 * loud, quiet]))
    only_quiet = batch(np.concatenate([loud, 2 * quiet]))
    share = np.array([1.6**2, 0.4**2]) / (1.6**2 + 0.4**2)
    # In the quiet half the floor of 1e-11 counts: from 1.1e-11 to 1.4e-11.
    assert level_distance(only_loud, wide) == pytest.approx(share[0] * 0.602, rel=0.05)
    expected = share[1] * math.log10((4e-12 + 1e-11) / (1e-12 + 1e-11))
    assert level_distance(only_quiet, wide) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("quantile", [0.3, 0.5, 0.8])
def test_above_the_median_what_is_missing_costs_more(wide, quantile):
    step = 2 * math.log10(2)
    softer, louder = (batch(changed(wide, 2000, 8000, gain)) for gain in (0.5, 2.0))
    missing = level_distance(softer, batch(wide), quantile=quantile)
    surplus = level_distance(louder, batch(wide), quantile=quantile)
    assert missing == pytest.approx(2 * quantile * step, abs=0.01)
    assert surplus == pytest.approx(2 * (1 - quantile) * step, abs=0.01)


def test_the_join_by_hand(wide):
    end_hz, _ = place()

    def error(predicted):
        spectra = Spectra(batch(predicted)), Spectra(batch(wide))
        return float(join_error(*spectra, RATE, end_hz))

    # A tenth too soft: an error of a hundredth of the power, and a thousandth for the floor.
    assert error(0.9 * wide) == pytest.approx(math.log10(0.011), abs=1e-3)
    assert error(wide) == pytest.approx(-3, abs=1e-3)
    assert error(0 * wide) == pytest.approx(math.log10(1.001), abs=1e-3)
    # It looks from 2850 to 3240 Hz.
    assert error(changed(wide, 3400, 8000, 0.0)) < -2.9
    assert error(changed(wide, 0, 2700, 0.0)) < -2.9
    assert error(changed(wide, 2900, 3200, 0.0)) > -0.3


LOSSES = [
    lambda x, y, *at: new_band_lsd(x, y, RATE, *at, torch.ones(len(y.audio))),
    lambda x, y, *at: band_level_distance(x, y, RATE, *at),
    lambda x, y, *at: band_level_distance(x, y, RATE, *at, 2048, 8, 0.7),
    lambda x, y, *at: join_error(x, y, RATE, at[0]),
    lambda x, y, *at: join_level_distance(x, y, RATE, at[0]),
    lambda x, y, *at: snr_cost_db(x, y, Spectra(0.9 * y.audio), RATE, at[1]),
]


def test_snr_costs_what_is_beyond_a_fifth_of_a_decibel(wide):
    narrow = wide - band(wide, RATE, 3000, 8000)

    def cost(predicted, true_hz=TRUE_HZ):
        spectra = (Spectra(batch(audio)) for audio in (predicted, wide, narrow))
        return float(snr_cost_db(*spectra, RATE, torch.tensor([true_hz])))

    other = band(noise(1, RATE, seed=9), RATE, 3000, 8000)
    for share in (1.0, 0.5):  # about 3 and 1 dB
        errors = [band(wide - part, RATE, 0, TRUE_HZ) for part in (narrow, narrow + share * other)]
        expected = rms_db(errors[1]) - rms_db(errors[0])
        assert cost(narrow + share * other) == pytest.approx(expected - 0.2, abs=0.05)
    assert cost(narrow) == cost(wide) == 0
    # Nothing above 3 kHz is to be believed, and what lies there cannot be wrong.
    assert cost(narrow + band(other, RATE, 3200, 8000), 3000.0) < 0.01


def test_a_noise_floor_costs_no_snr():
    speech = band(noise(1, RATE), RATE, 300, 3000)
    floor, other = (band(noise(1, RATE, seed, rms=3e-5), RATE, 3100, 8000) for seed in (2, 3))
    spectra = [Spectra(batch(audio)) for audio in (speech + other, speech + floor, speech)]
    assert float(snr_cost_db(*spectra, RATE, torch.tensor([8000.0]))) == 0


def test_unevenness_by_hand():
    # Above 4 kHz nothing is known. One band in two has a tenth of the power.
    even = noise(1, RATE)
    uneven = even
    for low in range(0, 8000, 375):
        uneven = changed(uneven, low, low + 187.5, 0.316)
    rough, flat = (
        float(unevenness(Spectra(batch(audio)), RATE, torch.tensor([4000.0])))
        for audio in (uneven, even)
    )
    assert flat < 0.3 < 0.6 < rough


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("case", ["usual", "exact", "silence", "nothing true"])
def test_gradients_are_finite(loss, case):
    wide = torch.zeros(2, 4096) if case == "silence" else batch(noise(0.256, RATE)).repeat(2, 1)
    predicted = (wide if case != "usual" else 0.5 * wide).clone().requires_grad_()
    where = place(2, true_hz=1000.0 if case == "nothing true" else TRUE_HZ)
    value = loss(Spectra(predicted), Spectra(wide), *where)
    value.backward()
    assert bool(torch.isfinite(value))
    assert bool(torch.isfinite(predicted.grad).all())
    if case == "usual":
        value = value.detach()
        downhill = predicted.detach() - 1e-2 * predicted.grad / predicted.grad.norm()
        assert float(loss(Spectra(downhill), Spectra(wide), *where)) < float(value)
