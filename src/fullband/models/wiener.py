"""The best that a linear filter can do: a least-squares FIR filter from narrow to wide.

It tells how much of a network's margin over the spline comes from undoing the protocol's low-pass,
and how much from predicting what is not there. Nothing in it is trained: it is solved for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from fullband.audio.samples import Audio
from fullband.errors import SettingsError
from fullband.models.layers import Equaliser
from fullband.models.network import Narrowed, Network

__all__ = ["Wiener", "WienerConfig"]


@dataclass(frozen=True)
class WienerConfig:
    """One filter.

    Attributes:
        sample_rate: of input and output, Hz.
        ratio: how many times the input's own rate that is.
        taps: length of the filter in samples, odd.
    """

    sample_rate: int = 16_000
    ratio: int = 4
    taps: int = 513
    upsampling: Literal["spline"] = "spline"

    def __post_init__(self) -> None:
        if self.taps < 1 or self.taps % 2 == 0:
            raise SettingsError(f"wiener needs an odd number of taps, not {self.taps}")
        if self.ratio < 2:
            raise SettingsError("wiener needs a ratio of at least 2")

    @property
    def stride(self) -> int:
        """It may begin anywhere."""
        return 1

    @property
    def context(self) -> int:
        """Half the filter."""
        return self.taps // 2


class Wiener(Network):
    """The filter. Shape: audio `[B, T]` to `[B, T]`, any T from 1."""

    def __init__(self, config: WienerConfig) -> None:
        super().__init__(config)
        self.equaliser = Equaliser(config.taps)

    def fit(self, pairs: Iterable[tuple[Audio, Audio]], narrowed: Narrowed) -> None:
        """Solve for the filter."""
        self.equaliser.fit(pairs)

    def forward(self, audio: Tensor) -> Tensor:
        """Filter. Shape: `[B, T]` to `[B, T]`."""
        wide: Tensor = self.equaliser(audio.unsqueeze(1)).squeeze(1)
        return wide
