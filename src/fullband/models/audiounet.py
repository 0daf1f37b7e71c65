"""AudioUNet: the 1-D convolutional U-Net of Kuleshov, Enam and Ermon (2017).

The input is the narrow signal brought to the target rate by a cubic spline; the network adds what
is missing. Each level on the way down halves the time and widens the channels; each level on the
way up undoes one with a subpixel shuffle and sees what the way down had there.

"Audio Super Resolution Using Neural Networks", https://arxiv.org/abs/1708.00853
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullband.errors import SettingsError
from fullband.models.layers import Conv1d, SubpixelShuffle1d
from fullband.models.network import Network

__all__ = ["AudioUNet", "AudioUNetConfig"]

_FILTERS = (128, 256, 512, 512)
_KERNELS = (65, 33, 17, 9)
_LAST_KERNEL = 9


@dataclass(frozen=True)
class AudioUNetConfig:
    """The paper's network at `width = 1`, and anything smaller or deeper.

    Attributes:
        sample_rate: of input and output, Hz.
        ratio: how many times the input's own rate that is.
        depth: levels; the paper uses 4, and 8 for its largest. Levels past the fourth repeat it.
        width: multiplies the number of filters, 128-256-512-512 at 1.
        dropout: in the bottleneck and on the way up; the paper uses 0.5.
        bias: whether convolutions add constants, as the paper's do. Without them the network is
            positively homogeneous: silence stays silence and louder in is exactly as much louder
            out. With them it hums at multiples of the bottleneck's rate (500 Hz) in pauses.
    """

    sample_rate: int = 16_000
    ratio: int = 4
    depth: int = 4
    width: float = 1.0
    dropout: float = 0.5
    bias: bool = True
    upsampling: Literal["spline"] = "spline"

    def __post_init__(self) -> None:
        if self.depth < 1 or self.width <= 0 or not 0 <= self.dropout < 1:
            raise SettingsError("audiounet needs depth >= 1, width > 0 and dropout in [0, 1)")
        if self.ratio < 2 or self.sample_rate % self.ratio:
            raise SettingsError(f"ratio {self.ratio} does not divide {self.sample_rate} Hz")

    @property
    def filters(self) -> tuple[int, ...]:
        """Channels of each level on the way down."""
        return tuple(
            max(1, round(self.width * _FILTERS[min(level, len(_FILTERS) - 1)]))
            for level in range(self.depth)
        )

    @property
    def kernels(self) -> tuple[int, ...]:
        """Taps of each level's convolutions."""
        return tuple(_KERNELS[min(level, len(_KERNELS) - 1)] for level in range(self.depth))

    @property
    def stride(self) -> int:
        """Samples that become one in the bottleneck: lengths are padded to a multiple of it."""
        return 1 << (self.depth + 1)

    @property
    def context(self) -> int:
        """Samples to each side that can change an output sample: half the receptive field."""
        halves = [kernel // 2 for kernel in self.kernels]
        down = sum(half << level for level, half in enumerate(halves))
        bottleneck = halves[-1] << self.depth
        up = sum(half << (level + 2) for level, half in enumerate(halves))
        shuffles = self.stride  # each shuffle's second half borrows from its left neighbour
        return down + bottleneck + up + 2 * (_LAST_KERNEL // 2) + shuffles


class AudioUNet(Network):
    """The network. Shape: audio `[B, T]` to `[B, T]`, any T from 1."""

    def __init__(self, config: AudioUNetConfig) -> None:
        super().__init__(config)
        self.down = nn.ModuleList()
        channels = 1
        for filters, kernel in zip(config.filters, config.kernels, strict=True):
            self.down.append(Conv1d(channels, filters, kernel, 2, config.bias))
            channels = filters
        self.bottleneck = Conv1d(channels, channels, config.kernels[-1], 2, config.bias)
        self.up = nn.ModuleList()
        for filters, kernel in zip(config.filters[::-1], config.kernels[::-1], strict=True):
            self.up.append(Conv1d(channels, 2 * filters, kernel, bias=config.bias))
            channels = 2 * filters  # half of them after the shuffle, and as many from the way down
        self.last = Conv1d(channels, 2, _LAST_KERNEL, bias=config.bias)
        self.shuffle = SubpixelShuffle1d()
        self.dropout = nn.Dropout(config.dropout)
        self._initialise()

    def forward(self, audio: Tensor) -> Tensor:
        """Add the missing band. Shape: `[B, T]` to `[B, T]`."""
        time = audio.shape[-1]
        stride = self.config.stride
        x = F.pad(audio, (0, (stride - time % stride) % stride)).unsqueeze(1)
        skips = []
        for down in self.down:
            x = F.leaky_relu(down(x), 0.2)
            skips.append(x)
        x = F.leaky_relu(self.dropout(self.bottleneck(x)), 0.2)
        for up in self.up:
            x = self.shuffle(F.relu(self.dropout(up(x))))
            x = torch.cat([x, skips.pop()], dim=1)
        residual = self.shuffle(self.last(x)).squeeze(1)[:, :time]
        wide: Tensor = audio + residual.to(audio.dtype)
        return wide

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, Conv1d):
                nn.init.orthogonal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.last.weight, std=1e-3)
