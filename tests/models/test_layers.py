"""The building blocks, by hand, against torch's own and against a second path."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fullband.errors import AudioError, SettingsError
from fullband.models.layers import (
    Conv1d,
    DownStage,
    Equaliser,
    SubpixelShuffle1d,
    TFiLM,
    UpStage,
)


def test_the_shuffle_by_hand():
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]])  # 4 channels of 2 samples
    expected = torch.tensor([[[1.0, 5.0, 2.0, 6.0], [3.0, 7.0, 4.0, 8.0]]])
    torch.testing.assert_close(SubpixelShuffle1d()(x), expected, rtol=0, atol=0)


def test_the_shuffle_follows_its_definition():
    x = torch.randn(2, 6, 5)
    y = SubpixelShuffle1d()(x)
    assert y.shape == (2, 3, 10)
    for channel in range(3):
        for time in range(5):
            for half in range(2):
                moved = y[:, channel, 2 * time + half]
                assert torch.equal(moved, x[:, half * 3 + channel, time])


@pytest.mark.parametrize("kernel", [1, 9, 65])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("time", [1, 7, 64])
def test_the_convolution_is_torchs(kernel, stride, bias, time):
    torch.manual_seed(0)
    ours = Conv1d(3, 5, kernel, stride, bias)
    theirs = nn.Conv1d(3, 5, kernel, stride, padding=kernel // 2, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, time)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
    assert ours(x).shape == (2, 5, -(-time // stride))


def test_the_convolutions_gradient_is_torchs():
    torch.manual_seed(0)
    ours = Conv1d(2, 3, 9, 2)
    theirs = nn.Conv1d(2, 3, 9, 2, padding=4)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 2, 50)
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.bias.grad, theirs.bias.grad, rtol=1e-4, atol=1e-4)


def test_a_dilated_convolution_is_torchs():
    torch.manual_seed(0)
    ours = Conv1d(3, 5, 9, dilation=2)
    theirs = nn.Conv1d(3, 5, 9, padding=8, dilation=2)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 40)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_tfilm_scales_whole_blocks_by_what_the_lstm_says():
    torch.manual_seed(0)
    layer = TFiLM(channels=3, block=4)
    x = torch.randn(2, 3, 20)
    maxima = torch.stack([x[:, :, 4 * i : 4 * i + 4].max(dim=2).values for i in range(5)], dim=1)
    gains = layer.lstm(maxima)[0]
    expected = x.clone()
    for i in range(5):
        expected[:, :, 4 * i : 4 * i + 4] *= gains[:, i, :, None]
    torch.testing.assert_close(layer(x), expected)


def test_tfilm_forgets_at_the_end_of_its_memory():
    torch.manual_seed(0)
    layer = TFiLM(channels=2, block=4, memory=3)
    x = torch.randn(1, 2, 36)
    changed = x.clone()
    changed[:, :, 12:16] += 5
    same = (layer(x) == layer(changed)).all(dim=1)[0]
    assert same[:12].all()  # nothing goes back in time
    assert not same[16:24].any()  # the rest of the memory hears of it
    assert same[24:].all()  # the next does not


@pytest.mark.parametrize(("block", "memory"), [(0, None), (4, 0)])
def test_tfilm_refuses_nothing_to_remember(block, memory):
    with pytest.raises(SettingsError, match="block >= 1"):
        TFiLM(2, block, memory)


@pytest.mark.parametrize("pooled", [True, False])
def test_a_stage_down_halves_and_a_stage_up_doubles(pooled):
    torch.manual_seed(0)
    down = DownStage(2, 6, 9, pooled=pooled)
    up = UpStage(6, 5, 9)
    x = torch.randn(3, 2, 32)
    deep = down(x)
    assert deep.shape == (3, 6, 16)
    joined = up(deep, x)
    assert joined.shape == (3, 5 + 2, 32)
    torch.testing.assert_close(joined[:, 5:], x)  # the way down's half comes through as it is


def test_a_pooled_stage_takes_the_larger_of_every_two():
    torch.manual_seed(0)
    stage = DownStage(1, 1, 1, bias=False, pooled=True)
    nn.init.ones_(stage.conv.weight)
    x = torch.tensor([[[1.0, 3.0, -4.0, -2.0]]])
    torch.testing.assert_close(stage(x), torch.tensor([[[3.0, -0.4]]]))  # 0.2 times -2


def filtered_pairs(kernel: np.ndarray, count: int = 8, time: int = 2000):
    """Noise as the wide audio, and the noise through a filter as the narrow."""
    generator = np.random.default_rng(0)
    for _ in range(count):
        wide = 0.1 * generator.standard_normal((2, time))
        narrow = np.stack([np.convolve(row, kernel)[:time] for row in wide])
        yield narrow.astype(np.float32), wide.astype(np.float32)


def test_before_it_is_fitted_the_equaliser_passes_everything():
    x = torch.randn(2, 1, 100)
    torch.testing.assert_close(Equaliser(31)(x), x, rtol=0, atol=0)


def test_the_equaliser_finds_the_inverse_of_a_filter():
    # 1 / (1 + 0.5 z^-1) = 1 - 0.5 z^-1 + 0.25 z^-2 - ...: by hand.
    equaliser = Equaliser(41)
    equaliser.fit(filtered_pairs(np.array([1.0, 0.5])))
    impulse = torch.zeros(1, 1, 201)
    impulse[0, 0, 100] = 1
    response = equaliser(impulse)[0, 0, 100:110]
    torch.testing.assert_close(response, (-0.5) ** torch.arange(10), rtol=0, atol=1e-4)


def test_the_equaliser_undoes_a_delay():
    equaliser = Equaliser(21)
    equaliser.fit(filtered_pairs(np.array([0.0, 0.0, 0.0, 2.0])))
    x = torch.randn(1, 1, 200)
    moved = 2 * torch.roll(x, 3, dims=2)
    inside = slice(20, 180)
    torch.testing.assert_close(equaliser(moved)[..., inside], x[..., inside], atol=1e-4, rtol=0)


def test_the_equaliser_is_the_least_squares_filter():
    # A second path: the filter from an explicit design matrix.
    generator = np.random.default_rng(3)
    narrow = generator.standard_normal((1, 400)).astype(np.float32)
    wide = (np.convolve(narrow[0], [0.3, 1.0, -0.4], "same") + 0.1 * narrow[0] ** 2)[None]
    equaliser = Equaliser(9)
    equaliser.fit([(narrow, wide.astype(np.float32))])
    windows = np.lib.stride_tricks.sliding_window_view(narrow[0].astype(np.float64), 9)
    kernel = np.linalg.lstsq(windows, wide[0, 4:-4], rcond=None)[0]
    np.testing.assert_allclose(equaliser.kernels[0, 0].numpy(), kernel, atol=1e-6)


def test_near_the_ends_the_equaliser_does_not_amplify():
    # What undoes a steep filter makes a bang of a recording that begins in the middle of a sound.
    taps = np.array([1.0, 1.99, 0.995])  # nearly a zero at the Nyquist frequency
    equaliser = Equaliser(63)
    equaliser.fit(filtered_pairs(taps))
    assert equaliser.kernels[0].abs().sum() > 2 * equaliser.kernels[1].abs().sum()
    x = torch.randn(1, 1, 300)
    gentle = torch.nn.functional.pad(x, (31, 31), mode="replicate")
    gentle = torch.nn.functional.conv1d(gentle, equaliser.kernels[1:])
    torch.testing.assert_close(equaliser(x)[..., :31], gentle[..., :31])
    torch.testing.assert_close(equaliser(x)[..., -31:], gentle[..., -31:])


def test_the_equaliser_of_silence_is_finite():
    equaliser = Equaliser(5)
    equaliser.fit([(np.zeros((1, 50), np.float32), np.zeros((1, 50), np.float32))])
    assert torch.isfinite(equaliser.kernels).all()


def test_the_equaliser_refuses_patches_shorter_than_itself():
    with pytest.raises(AudioError, match="at least as long"):
        Equaliser(51).fit([(np.zeros((1, 50), np.float32), np.zeros((1, 50), np.float32))])


def test_an_equaliser_can_turn_a_signal_about_its_ends():
    """A slope goes on for so many samples, then the last of them stays; by hand."""
    network = Equaliser(7, turned=2)
    x = torch.tensor([[[1.0, 3.0, 4.0, 8.0]]])
    expected = [-2.0, -2.0, -1.0, 1.0, 3.0, 4.0, 8.0, 12.0, 13.0, 13.0]
    assert network._continued(x, 3)[0, 0].tolist() == expected
    assert network._continued(x[..., :1], 3)[0, 0].tolist() == [1.0] * 7
    torch.testing.assert_close(network(x), x)


@pytest.mark.parametrize("taps", [0, 8, -3])
def test_the_equaliser_refuses_an_even_length(taps):
    with pytest.raises(SettingsError, match="odd number of taps"):
        Equaliser(taps)
