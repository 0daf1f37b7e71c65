"""The dense baseline: whole patches through fully connected layers, after Li and Lee (2015).

As Kuleshov, Enam and Ermon built it to compare their network with: no convolutions, every sample of
a patch sees every other, the result is added to the spline. Li and Lee, "A deep neural network
approach to speech bandwidth expansion", ICASSP 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from fullband.errors import SettingsError
from fullband.models.network import Network

__all__ = ["DNN", "DNNConfig"]


@dataclass(frozen=True)
class DNNConfig:
    """The authors' proportions: a sixth of the patch, then half of it, then the patch.

    Attributes:
        sample_rate: of input and output, Hz.
        ratio: how many times the input's own rate that is.
        depth: dense layers in all.
        patch: samples that go through at once; recordings are cut into patches of it.
    """

    sample_rate: int = 16_000
    ratio: int = 4
    depth: int = 3
    patch: int = 8192
    upsampling: Literal["spline"] = "spline"

    def __post_init__(self) -> None:
        if self.depth < 1 or self.patch < 6:
            raise SettingsError("dnn needs depth >= 1 and patch >= 6")
        if self.ratio < 2:
            raise SettingsError(f"the ratio must be at least 2, not {self.ratio}")

    @property
    def units(self) -> tuple[int, ...]:
        """Outputs of each layer."""
        hidden = [self.patch // 6, *[self.patch // 2] * max(0, self.depth - 2)]
        return (*hidden[: self.depth - 1], self.patch)

    @property
    def stride(self) -> int:
        """Lengths are padded to whole patches."""
        return self.patch

    @property
    def context(self) -> int:
        """Nothing outside a patch can change it."""
        return 0


class DNN(Network):
    """The network. Shape: audio `[B, T]` to `[B, T]`, any T from 1."""

    def __init__(self, config: DNNConfig) -> None:
        super().__init__(config)
        self.patch = config.patch
        self.dense = nn.ModuleList()
        self.normalise = nn.ModuleList()
        inputs = config.patch
        for units in config.units:
            self.dense.append(nn.Linear(inputs, units))
            self.normalise.append(nn.BatchNorm1d(units))
            inputs = units
        self._initialise()

    def forward(self, audio: Tensor) -> Tensor:
        """Add the missing band. Shape: `[B, T]` to `[B, T]`."""
        batch, time = audio.shape
        padded = F.pad(audio, (0, (self.patch - time % self.patch) % self.patch))
        x = padded.reshape(-1, self.patch)
        for dense, normalise in zip(self.dense, self.normalise, strict=True):
            x = F.leaky_relu(normalise(dense(x)), 0.2)
        residual = x.reshape(batch, -1)[:, :time]
        wide: Tensor = audio + residual.to(audio.dtype)
        return wide

    def _initialise(self) -> None:
        # The last normalisation decides how loud the residual is: nearly nothing to begin with.
        last = self.normalise[-1]
        assert isinstance(last, nn.BatchNorm1d)
        nn.init.normal_(last.weight, std=1e-3)
