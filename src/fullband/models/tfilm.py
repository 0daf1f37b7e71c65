"""The TFiLM U-Net of Birnbaum, Kuleshov, Enam, Koh and Ermon (2019).

AudioUNet with dilated convolutions that are pooled instead of strided, and after every one of them
a recurrent network that sets the channels' gains block by block, so that a stretch of audio can be
treated in the light of what came long before it.

"Temporal FiLM: Capturing Long-Range Sequence Dependencies with Feature-Wise Modulations", NeurIPS
2019, https://arxiv.org/abs/1909.06628; sizes as in the authors' code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fullband.errors import SettingsError
from fullband.models.audiounet import AudioUNet, AudioUNetConfig
from fullband.models.layers import DownStage, TFiLM, UpStage

__all__ = ["TFiLMUNet", "TFiLMUNetConfig"]

_DILATION = 2


@dataclass(frozen=True)
class TFiLMUNetConfig(AudioUNetConfig):
    """As AudioUNet's, and how the modulation is cut in time.

    Attributes:
        block: samples that share a gain, at the first level's rate (half the sample rate); as long
            in seconds at every level. The authors' is 128.
        memory: blocks after which the recurrent networks begin anew. The authors' patches of 8192
            samples hold 32; here recordings are cut likewise, so that what a sample depends on is
            bounded.
    """

    block: int = 128
    memory: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory < 1 or self.block < 1 or self.block % (1 << self.depth):
            raise SettingsError(
                f"tfilm needs memory >= 1 and a block that is a multiple of {1 << self.depth}"
            )

    @property
    def stride(self) -> int:
        """The recurrent networks' span: lengths are padded to whole ones."""
        return math.lcm(2 * self.block * self.memory, self.unfold_frame // 4 or 1)

    @property
    def context(self) -> int:
        """The convolutions' reach, and the whole span that a sample at its end lies in."""
        halves = [_DILATION * (kernel // 2) for kernel in self.kernels]
        pooled = 1 << (self.depth + 1)  # a pool takes the larger of two neighbours, at each level
        down = sum(half << level for level, half in enumerate(halves)) + pooled
        bottleneck = halves[-1] << self.depth
        up = sum(half << (level + 2) for level, half in enumerate(halves)) + pooled
        reach = down + bottleneck + up + 8 + self.front_context
        modulations = 2 * self.depth + 1  # each can look back over the span that it lies in
        return reach + modulations * self.stride


class TFiLMUNet(AudioUNet):
    """The network. Shape: audio `[B, T]` to `[B, T]`, any T from 1."""

    def make_down(
        self, config: AudioUNetConfig, level: int, channels: int, filters: int
    ) -> DownStage:
        assert isinstance(config, TFiLMUNetConfig)
        deepest = level == config.depth
        return DownStage(
            channels,
            filters,
            config.kernels[-1 if deepest else level],
            config.bias,
            dropout=config.dropout if deepest else 0.0,
            dilation=_DILATION,
            pooled=True,
            modulate=TFiLM(filters, config.block >> level, config.memory),
        )

    def make_up(self, config: AudioUNetConfig, level: int, channels: int, filters: int) -> UpStage:
        assert isinstance(config, TFiLMUNetConfig)
        return UpStage(
            channels,
            filters,
            config.kernels[level],
            config.bias,
            config.dropout,
            dilation=_DILATION,
            modulate=TFiLM(filters, config.block >> level, config.memory),
        )
