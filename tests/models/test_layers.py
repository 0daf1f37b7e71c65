"""The building blocks: the shuffle worked by hand, the convolution against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fullband.models.layers import Conv1d, SubpixelShuffle1d


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
