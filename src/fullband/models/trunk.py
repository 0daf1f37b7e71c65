"""What models of any bandwidth have in common: frames in, ConvNeXt blocks over time, bands out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from fullband.errors import SettingsError
from fullband.models.layers import ConvNeXtBlock

__all__ = ["BAND", "TrunkConfig", "convnext_blocks"]

BAND = 4
"""Frequencies of a frame to a band, at each of which the network says something. An even number:
what is copied upwards by whole bands keeps its phase from frame to frame."""


@dataclass(frozen=True)
class TrunkConfig:
    """The size of the trunk.

    Attributes:
        sample_rate: of input and output, Hz.
        hop: samples between frames, which are twice as long.
        width: channels of the trunk.
        depth: ConvNeXt blocks.
        expansion: how much wider their inside is.
        kernel: frames that a block's convolution over time sees.
        dilations: of those convolutions, repeated over the blocks.
        highest_hz: where the new band ends. What is said as far up as a loss reaches holds up to
            there; 0 stands for a little less than that, the last 300 to 400 Hz stay empty.

    Raises:
        SettingsError: there is no such network.
    """

    sample_rate: int = 48_000
    hop: int = 480
    width: int = 256
    depth: int = 6
    expansion: int = 2
    kernel: int = 7
    dilations: tuple[int, ...] = (1, 3, 9)
    upsampling: Literal["sinc"] = "sinc"
    highest_hz: float = 0.0

    def __post_init__(self) -> None:
        if self.hop < 8 or self.hop % BAND or min(self.width, self.depth, self.expansion) < 1:
            raise SettingsError(
                "a model of any bandwidth needs a hop that is a multiple of 4, "
                "width, depth, expansion >= 1"
            )
        if self.sample_rate < 1:
            raise SettingsError("a model of any bandwidth needs a sample rate above 0")
        if not 0 <= self.highest_hz <= self.sample_rate / 2:
            raise SettingsError("a model of any bandwidth needs highest_hz in [0, Nyquist]")
        if self.kernel < 1 or self.kernel % 2 == 0 or not self.dilations or min(self.dilations) < 1:
            raise SettingsError("a model of any bandwidth needs an odd kernel and dilations >= 1")

    @property
    def ratio(self) -> int:
        """1: the input is brought straight to the full rate."""
        return 1

    @property
    def stride(self) -> int:
        """A shift by it shifts the output."""
        return self.hop

    @property
    def reach(self) -> int:
        """Frames to each side that the blocks together see."""
        return sum(self.kernel // 2 * self.dilation(block) for block in range(self.depth))

    def dilation(self, block: int) -> int:
        """How far the frames lie apart that a block's convolution takes."""
        return self.dilations[block % len(self.dilations)]


def convnext_blocks(config: TrunkConfig) -> nn.ModuleList:
    """The blocks of a trunk; each adds, at first, a share of one over their number."""
    return nn.ModuleList(
        ConvNeXtBlock(
            config.width,
            config.kernel,
            config.dilation(block),
            config.expansion,
            1.0 / config.depth,
        )
        for block in range(config.depth)
    )
