"""Translator: what the extender does, in one real transform and whole bands, for small models.

The spectrum is that of the modified discrete cosine transform (MDCT; Princen, Johnson and Bradley,
"Subband/transform coding using filter bank designs based on time domain aliasing cancellation",
ICASSP 1987): one real number where the short-time Fourier transform has two. The top of the kept
band is copied upwards by whole bands of an even number of coefficients, and what the network says
is one level for each band. So codecs fill what they had no bits for (intelligent gap filling,
ISO/IEC 23008-3). A copied tone is less steady than the extender's: what folds over in the
transform cancels only where nothing was changed.

What is there passes through; only the new band takes the way through the transform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullband.models.network import Network
from fullband.models.trunk import BAND, TrunkConfig, convnext_blocks

__all__ = ["CosineTransform", "Translator", "TranslatorConfig"]

_FLOOR = 1e-11  # mean power of a sample, at full scale 1, below which nothing is told apart
_TINY = 1e-12
_GATE_BELOW_HZ = 50.0  # the new band begins to open here below the end of the old
_GATE_WIDTH_HZ = 150.0
_LOWEST_HZ = 400.0  # what is translated reaches no lower
_LOWEST_END_HZ = 1000.0  # and is taken from no lower an end
_UNHEARD = 2  # bands below Nyquist that no loss reaches


@dataclass(frozen=True)
class TranslatorConfig(TrunkConfig):
    """The network's size. A frame has as many coefficients as a hop has samples."""

    width: int = 96
    depth: int = 4
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4)

    @property
    def bands(self) -> int:
        """What a frame is divided into, from 0 Hz to Nyquist."""
        return self.hop // BAND

    @property
    def context(self) -> int:
        """Samples to each side that can change an output sample."""
        return (max(self.reach, 1) + 2) * self.hop


class CosineTransform(nn.Module):
    """The MDCT of sine-windowed frames of `2 * hop` samples, and back: perfect reconstruction but
    for the 16 bits in which its matrix is stored (an error more than 60 dB below the signal).

    Frame i reaches from sample `(i - 1) * hop` to `(i + 1) * hop`.
    """

    window: Tensor
    cosines: Tensor

    def __init__(self, hop: int) -> None:
        super().__init__()
        self.hop = hop
        index = torch.arange(hop, dtype=torch.float64) + 0.5
        self.register_buffer("window", torch.sin(math.pi * index / (2 * hop)).float(), False)
        # DCT-IV, its own inverse. Half of it would be enough, at the price of moving data about.
        cosines = math.sqrt(2 / hop) * torch.cos(math.pi / hop * index[:, None] * index)
        self.register_buffer("cosines", cosines.half().float(), False)

    def forward(self, audio: Tensor) -> Tensor:
        """Shape: `[B, T]` to `[B, N, hop]`, with T a multiple of the hop and N = T / hop + 1."""
        blocks = F.pad(audio, (self.hop, self.hop)).reshape(audio.shape[0], -1, self.hop)
        half = self.hop // 2
        first, second = blocks[..., :half], blocks[..., half:].flip(-1)
        rising, falling = self.window[:half], self.window[half:].flip(0)
        # A frame (a, b, c, d) is folded to (-c' - d, a - b'), where ' turns a part around: what its
        # first block gives, and what its second one does.
        entering = first * rising - second * falling
        leaving = -(first * falling + second * rising).flip(-1)
        return torch.cat([leaving[:, 1:], entering[:, :-1]], dim=-1) @ self.cosines

    def inverse(self, coefficients: Tensor) -> Tensor:
        """Unfold, overlap and add. Shape: `[B, N, hop]` to `[B, (N - 1) * hop]`."""
        half = self.hop // 2
        folded = coefficients @ self.cosines
        # A block is the second half of one frame and the first half of the next.
        leaving, entering = folded[:, :-1, :half].flip(-1), folded[:, 1:, half:]
        rising, falling = self.window[:half], self.window[half:].flip(0)
        first = entering * rising - leaving * falling
        second = -(entering * falling + leaving * rising).flip(-1)
        return torch.cat([first, second], dim=-1).reshape(coefficients.shape[0], -1)


class Translator(Network):
    """The network. Shape: audio `[B, T]` and bandwidth `[B, N]` to audio `[B, T]`, any T from 1.

    The bandwidth says for each frame (every `hop` samples, the first at sample 0) where the input's
    content ends, in Hz; the last holds for all further frames, so N = 1 gives one for all.
    """

    takes_bandwidth = True
    bands: Tensor
    coefficient_hz: Tensor

    def __init__(self, config: TranslatorConfig) -> None:
        super().__init__(config)
        self.settings = config
        width = config.width
        self.transform = CosineTransform(config.hop)
        self.band_hz = config.sample_rate / 2 / config.bands
        self.enter = nn.Linear(2 * config.bands, width)
        self.enter_norm = nn.LayerNorm(width)
        self.blocks = convnext_blocks(config)
        self.leave_norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, config.bands)
        self.register_buffer("bands", torch.arange(config.bands), False)
        spacing_hz = config.sample_rate / 2 / config.hop
        self.register_buffer("coefficient_hz", spacing_hz * (torch.arange(config.hop) + 0.5), False)
        self._initialise()

    def forward(self, audio: Tensor, bandwidth_hz: Tensor) -> Tensor:
        """Add the missing band."""
        return audio + self.new_band(audio, bandwidth_hz)

    def new_band(self, audio: Tensor, bandwidth_hz: Tensor) -> Tensor:
        """What is added, alone. Shape: as `forward`."""
        time, hop, count = audio.shape[-1], self.settings.hop, self.settings.bands
        coefficients = self.transform(F.pad(audio, (0, (hop - time % hop) % hop)))
        batch, frames = coefficients.shape[:2]
        end_hz = bandwidth_hz.unsqueeze(-1)
        kept, gate, source = (
            self._told(each, frames)
            for each in (self._kept(end_hz), self._gate(end_hz), self._source(end_hz))
        )

        banded = coefficients.view(batch, frames, count, BAND)
        energy = (banded * banded).sum(-1) * (1.0 / BAND)
        level = torch.log10(energy / _FLOOR + 1.0) + math.log10(_FLOOR)
        x = torch.cat([kept * (level + 6.0) / 2.0, kept], dim=-1)
        x = self.enter(x.flatten(0, 1)).view(batch, frames, -1)
        x = self.enter_norm(x)
        for block in self.blocks:
            x = block(x)
        said = self.leave(self.leave_norm(x).flatten(0, 1)).view(batch, frames, count)
        if self.settings.highest_hz:
            highest = max(0, count - _UNHEARD - 1)
            said = said.index_select(-1, torch.arange(count, device=x.device).clamp(max=highest))

        # The copies are flattened by their neighbourhood: three bands, each as far as it is kept,
        # of three frames, between which the transform of a steady tone swings.
        around, there = (_three(each) for each in (_steadied(energy) * kept, kept))
        flattening = (1.0 / math.sqrt(_TINY)) * torch.rsqrt(
            around / (_TINY * there.clamp(min=1.0)) + 1.0
        )
        gain = kept * flattening
        gain = gain.gather(-1, source) * torch.exp(torch.clamp(said, -20.0, 4.0))
        each = (BAND * source.unsqueeze(-1) + torch.arange(BAND, device=source.device)).flatten(-2)
        copied = coefficients.gather(-1, each).view(banded.shape) * gain.unsqueeze(-1)
        return self.transform.inverse(copied.flatten(-2) * gate)[:, :time]

    def _told(self, value: Tensor, frames: int) -> Tensor:
        """For every frame, of what follows from each bandwidth. Shape: `[B, N, F]` to the same."""
        frame = torch.arange(frames, device=value.device)
        return value.index_select(1, frame.clamp(max=value.shape[1] - 1))

    def _kept(self, end_hz: Tensor) -> Tensor:
        """1 for bands that are there, as whole ones. Shape: `[B, N, 1]` to `[B, N, bands]`."""
        return (self.bands < self._whole(end_hz)).float()

    def _whole(self, end_hz: Tensor) -> Tensor:
        """How many bands lie below the end. Shape: `[B, N, 1]` to the same, whole numbers."""
        return torch.floor(end_hz / self.band_hz).clamp(min=_LOWEST_END_HZ / self.band_hz).long()

    def _gate(self, end_hz: Tensor) -> Tensor:
        """1 where there is to be something new. Shape: `[B, N, 1]` to `[B, N, hop]`."""
        opens = (self.coefficient_hz - end_hz + _GATE_BELOW_HZ) / _GATE_WIDTH_HZ
        highest_hz = self.settings.highest_hz or self.band_hz * (self.settings.bands - _UNHEARD)
        return torch.clamp(opens, 0.0, 1.0) * (self.coefficient_hz < highest_hz).float()

    def _source(self, end_hz: Tensor) -> Tensor:
        """Which band is copied to each: the top of the kept ones goes upwards, piece by piece.

        The band that content ends in is new, too, from the gate on.
        """
        end = self._whole(end_hz)
        lowest = torch.maximum(end // 2, torch.full_like(end, round(_LOWEST_HZ / self.band_hz)))
        piece = end - lowest
        pieces = torch.clamp((self.bands - end + piece) // piece, min=0)
        return (self.bands - pieces * piece).clamp(min=0)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        nn.init.constant_(self.leave.bias, -5.0)  # far below full scale


def _three(bands: Tensor) -> Tensor:
    """Sum of each band and its neighbours. Shape: `[B, N, F]` to the same."""
    return bands + F.pad(bands[..., :-1], (1, 0)) + F.pad(bands[..., 1:], (0, 1))


def _steadied(energy: Tensor) -> Tensor:
    """Mean of each frame and the mean of its neighbours. Shape: `[B, N, F]` to the same."""
    before, after = F.pad(energy[:, :-1], (0, 0, 1, 0)), F.pad(energy[:, 1:], (0, 0, 0, 1))
    return 0.5 * energy + 0.25 * (before + after)
