"""AudioUNet: the 1-D convolutional U-Net of Kuleshov, Enam and Ermon (2017).

The input is the narrow signal brought to the target rate by a cubic spline; the network adds what
is missing. Each level on the way down halves the time and widens the channels; each level on the
way up undoes one with a subpixel shuffle and sees what the way down had there.

"Audio Super Resolution Using Neural Networks", https://arxiv.org/abs/1708.00853
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from fullband.audio.samples import Audio
from fullband.errors import SettingsError
from fullband.models.layers import Conv1d, DownStage, Equaliser, SubpixelShuffle1d, UpStage
from fullband.models.network import Narrowed, Network
from fullband.models.unfolder import TURNED, Unfolding, unfolding_context

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
        equaliser_taps: length of the linear filter in front that is fitted to the training data in
            closed form (`fullband.models.layers.Equaliser`), odd; 0 leaves it out, as the paper
            does, and the network has to learn what the filter does too.
        unfold_frame: beside the U-Net, frames by which what decimation folded over is told from
            what was there (`fullband.models.unfolder.Unfolding`); 0 leaves that out.
        unfold_width, unfold_depth: of the network that tells.
    """

    sample_rate: int = 16_000
    ratio: int = 4
    depth: int = 4
    width: float = 1.0
    dropout: float = 0.5
    bias: bool = True
    equaliser_taps: int = 0
    unfold_frame: int = 0
    unfold_width: int = 256
    unfold_depth: int = 4
    upsampling: Literal["spline"] = "spline"

    def __post_init__(self) -> None:
        if self.depth < 1 or self.width <= 0 or not 0 <= self.dropout < 1:
            raise SettingsError("a U-Net needs depth >= 1, width > 0 and dropout in [0, 1)")
        if self.equaliser_taps and (self.equaliser_taps < 0 or self.equaliser_taps % 2 == 0):
            raise SettingsError(f"equaliser_taps must be odd or 0, not {self.equaliser_taps}")
        if self.ratio < 2:
            raise SettingsError(f"the ratio must be at least 2, not {self.ratio}")
        if self.unfold_frame and not self.equaliser_taps:
            raise SettingsError("unfold_frame needs an equaliser in front of it: equaliser_taps")

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
        """What lengths are padded to a multiple of: the bottleneck's samples and whole frames."""
        return math.lcm(self.bottleneck_samples, self.unfold_frame // 4 or 1)

    @property
    def bottleneck_samples(self) -> int:
        """Samples that become one in the bottleneck."""
        return 1 << (self.depth + 1)

    @property
    def front_context(self) -> int:
        """Samples to each side that what stands in front of the U-Net takes in."""
        half = self.equaliser_taps // 2
        if not self.unfold_frame:
            return half
        return half + unfolding_context(self.unfold_frame, self.unfold_depth)

    @property
    def context(self) -> int:
        """Samples to each side that can change an output sample: half the receptive field."""
        halves = [kernel // 2 for kernel in self.kernels]
        down = sum(half << level for level, half in enumerate(halves))
        bottleneck = halves[-1] << self.depth
        up = sum(half << (level + 2) for level, half in enumerate(halves))
        shuffles = self.bottleneck_samples  # second halves borrow from the left
        last = 2 * (_LAST_KERNEL // 2)
        return down + bottleneck + up + last + shuffles + self.front_context


class AudioUNet(Network):
    """The network. Shape: audio `[B, T]` to `[B, T]`, any T from 1."""

    def __init__(self, config: AudioUNetConfig) -> None:
        super().__init__(config)
        turned = TURNED if config.unfold_frame else 0
        self.equaliser = None
        if config.equaliser_taps:
            self.equaliser = Equaliser(config.equaliser_taps, turned)
        self.unfolding = None
        if config.unfold_frame:
            self.unfolding = Unfolding(
                config.ratio, config.unfold_frame, config.unfold_width, config.unfold_depth
            )
        self.down = nn.ModuleList()
        channels = 1
        for level, filters in enumerate(config.filters):
            self.down.append(self.make_down(config, level, channels, filters))
            channels = filters
        self.bottleneck = self.make_down(config, config.depth, channels, channels)
        self.up = nn.ModuleList()
        for level, filters in reversed(list(enumerate(config.filters))):
            self.up.append(self.make_up(config, level, channels, filters))
            channels = 2 * filters  # half of them shuffled up, half from the way down
        self.last = Conv1d(channels, 2, _LAST_KERNEL, bias=config.bias)
        self.shuffle = SubpixelShuffle1d()
        self._initialise()

    def make_down(
        self, config: AudioUNetConfig, level: int, channels: int, filters: int
    ) -> DownStage:
        """The stage from level to level + 1; the last of them is the bottleneck."""
        deepest = level == config.depth
        kernel = config.kernels[-1 if deepest else level]
        dropout = config.dropout if deepest else 0.0
        return DownStage(channels, filters, kernel, config.bias, dropout)

    def make_up(self, config: AudioUNetConfig, level: int, channels: int, filters: int) -> UpStage:
        """The stage that undoes `make_down` of the next level."""
        return UpStage(channels, filters, config.kernels[level], config.bias, config.dropout)

    def fit(self, pairs: Iterable[tuple[Audio, Audio]], narrowed: Narrowed) -> None:
        """Fit the equaliser and the unfolding, where they are."""
        if self.equaliser is None:
            return  # and no pairs are drawn
        kept = list(pairs)
        self.equaliser.fit(kept)
        if self.unfolding is not None:
            self.unfolding.fit(kept, narrowed)

    def forward(self, audio: Tensor) -> Tensor:
        """Add the missing band. Shape: `[B, T]` to `[B, T]`."""
        narrow, time, stride = audio, audio.shape[-1], self.config.stride
        if self.equaliser is not None:
            audio = self.equaliser(audio.unsqueeze(1)).squeeze(1)
        x = F.pad(audio, (0, (stride - time % stride) % stride)).unsqueeze(1)
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = self.bottleneck(x)
        for up in self.up:
            x = up(x, skips.pop())
        residual = self.shuffle(self.last(x)).squeeze(1)[:, :time]
        wide: Tensor = audio + residual.to(audio.dtype)
        if self.unfolding is not None:
            wide = wide + self.unfolding(narrow, audio)
        return wide

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, Conv1d):  # the unfolding has none
                nn.init.orthogonal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.last.weight, std=1e-3)
