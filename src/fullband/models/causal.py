"""Causal extender: the extender for streams, with a look ahead of one short frame and no more.

Frames are half as long as the extender's, so that little has to be waited for, and the trunk looks
back only: its convolutions over time take the frames that have been. What is said of a sample
depends on the input up to `2 * hop` samples behind it. `Step` is the same network with what it has
to remember passed in and out, for one graph that runs frame by frame.

Where lows are added, the band below 300 Hz that a telephone cuts away comes from the rectified
input: between a voice's partials lies its fundamental, and the magnitude of their sum swings with
it (Makhoul and Berouti, ICASSP 1979, on rectification). How loud it is, is what the network says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullband.errors import SettingsError
from fullband.models.extender import Extender, ExtenderConfig
from fullband.models.layers import ConvNeXtBlock

__all__ = ["CausalConvNeXtBlock", "CausalExtender", "CausalExtenderConfig", "Step"]

_LOWS_HZ = 300.0  # up to where lows are added, and fade over as much as they rise from 0 Hz
_FADES_OVER_HZ = 100.0
_TINY = 1e-12
_LACKING = 4.0  # times the input's power has to be short of what is said, for anything to be added


@dataclass(frozen=True)
class CausalExtenderConfig(ExtenderConfig):
    """The network's size.

    Attributes:
        adds_lows: below 300 Hz, where the input has nothing there, as well.
    """

    hop: int = 240
    width: int = 160
    kernel: int = 5
    adds_lows: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.in_tune:
            raise SettingsError("a causal extender cannot look ahead for partials: in_tune")

    @property
    def reach(self) -> int:
        """Frames of the past that the blocks together see."""
        return sum(self.pasts)

    @property
    def pasts(self) -> tuple[int, ...]:
        """Frames of the past that each block takes."""
        return tuple((self.kernel - 1) * self.dilation(block) for block in range(self.depth))

    @property
    def context(self) -> int:
        """Samples to each side that can change an output sample."""
        return (self.reach + 2) * self.hop

    @property
    def delay(self) -> int:
        """Samples by which what a stream gives comes after what it takes, beside waiting for whole
        hops."""
        return self.hop

    @property
    def memory(self) -> int:
        """Numbers that a stream keeps from one step to the next."""
        return 2 * self.hop + self.reach * self.width


class CausalConvNeXtBlock(ConvNeXtBlock):
    """A ConvNeXt block whose convolution takes frames up to now.

    Attributes:
        past: how many of those before it takes.

    Shape: `[B, N, C]` to the same. With what was before in front of it, taken `[B, past + N, C]`,
    where that is known; else there was nothing.
    """

    def __init__(
        self, width: int, kernel: int, dilation: int, expansion: int, scale: float
    ) -> None:
        super().__init__(width, kernel, dilation, expansion, scale)
        self.past = (kernel - 1) * dilation
        self.over_time.padding = (0,)

    def forward(self, x: Tensor, taken: Tensor | None = None) -> Tensor:
        if taken is None:
            taken = F.pad(x, (0, 0, self.past, 0))
            over_time = self.over_time(taken.transpose(1, 2)).transpose(1, 2)
        else:
            # Few frames of many streams: a runtime does this faster than a convolution by channels.
            dilation = self.over_time.dilation[0]
            assert self.over_time.bias is not None
            over_time = self.over_time.bias
            for tap in range(self.over_time.kernel_size[0]):
                shifted = taken[:, tap * dilation : tap * dilation + x.shape[1]]
                over_time = over_time + self.over_time.weight[:, 0, tap] * shifted
        y = self.norm(over_time).flatten(0, 1)
        y = self.scale * self.narrow(F.gelu(self.widen(y)))
        widened: Tensor = x + y.view(x.shape)
        return widened


class CausalExtender(Extender):
    """The network. Shape: audio `[B, T]` and bandwidth `[B, N]` to audio `[B, T]`, any T from 1.

    As the extender, but for its trunk and the lows. Output and input lie side by side in time: the
    delay is a matter of streams.
    """

    lows: Tensor
    low_gate: Tensor

    def __init__(self, config: CausalExtenderConfig) -> None:
        super().__init__(config)
        self.causal = config
        self.memory = config.memory
        self.blocks = nn.ModuleList(
            CausalConvNeXtBlock(
                config.width,
                config.kernel,
                config.dilation(block),
                config.expansion,
                1.0 / config.depth,
            )
            for block in range(config.depth)
        )
        if config.adds_lows:
            # Bins up to where it ends, of the rectified input's frames.
            count = 1 + math.ceil((_LOWS_HZ + _FADES_OVER_HZ) / self.spacing_hz)
            angle = torch.arange(2 * config.hop).double()[:, None] * torch.arange(count)
            angle = angle * (math.pi / config.hop)
            self.register_buffer(
                "lows", torch.cat([torch.cos(angle), -torch.sin(angle)], dim=1).float(), False
            )
            hz = self.bin_hz[:count]
            rises, falls = hz / _FADES_OVER_HZ, (_LOWS_HZ + _FADES_OVER_HZ - hz) / _FADES_OVER_HZ
            self.register_buffer(
                "low_gate", torch.minimum(rises.clamp(0.0, 1.0), falls.clamp(0.0, 1.0)), False
            )
            self.leave_low = nn.Linear(config.width, count)
            nn.init.trunc_normal_(self.leave_low.weight, std=0.02)
            nn.init.constant_(self.leave_low.bias, -5.0)

    def step(self) -> Step:
        """The same network with its memory outside."""
        return Step(self)

    def new_band(self, audio: Tensor, bandwidth_hz: Tensor) -> Tensor:
        """What is added, alone. Shape: as `forward`."""
        time, hop = audio.shape[-1], self.settings.hop
        padded = F.pad(audio, (hop, hop + (hop - time % hop) % hop))
        blocks = padded.view(audio.shape[0], -1, hop)
        new, lows, _ = self.added_to(blocks, bandwidth_hz, None)
        if lows is not None:
            new = tuple(part + low for part, low in zip(new, lows, strict=True))
        return self.fourier.inverse(*new)[:, :time]

    def added_to(
        self, blocks: Tensor, bandwidth_hz: Tensor, before: Sequence[Tensor] | None
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...] | None, list[Tensor]]:
        """The spectra of what is added to each frame: the new band's and the lows'.

        Args:
            before: what each block of the trunk remembers, as it was handed out last; None for a
                recording that is there as a whole, and then nothing is handed out.

        Shape:
            blocks `[B, N + 1, hop]`, bandwidth_hz `[B, N]`, or fewer, the last of which holds on;
            pairs of real and imaginary parts `[B, N, F]`; before `[B, past * width]` each.
        """
        after: list[Tensor] = []
        said: list[Tensor] = []

        def trunk(x: Tensor) -> Tensor:
            for number, block in enumerate(self.blocks):
                if before is None:
                    x = block(x)
                    continue
                taken = torch.cat([before[number].view(x.shape[0], -1, x.shape[2]), x], dim=1)
                after.append(taken[:, x.shape[1] :].flatten(1))
                x = block(x, taken)
            said.append(x)
            return x

        real, imaginary = self.fourier.spectra(blocks)
        new = self._new_spectra(real, imaginary, bandwidth_hz, trunk)
        lows = None
        if self.causal.adds_lows:
            lows = self._lows(said[0], blocks.abs(), real, imaginary)
        return new, lows, after

    def _lows(
        self, x: Tensor, rectified: Tensor, real: Tensor, imaginary: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The lows' spectra, by what the trunk says. Shape: x `[B, N, C]`; else as `added_to`."""
        count = self.lows.shape[1] // 2
        said = self.leave_low(self.leave_norm(x).flatten(0, 1))
        amplitude = torch.exp(torch.clamp(said, -20.0, 4.0)).view(*real.shape[:2], count)
        frames = torch.cat([rectified[:, :-1], rectified[:, 1:]], dim=-1)
        window = self.fourier.window
        mean = (frames * window).sum(dim=-1, keepdim=True) / window.sum()
        frames = (frames - mean) * window
        parts = (frames.flatten(0, 1) @ self.lows).view(*real.shape[:2], 2, count)
        # All bins by one factor, so that a tone stays one.
        energy = parts.square().sum(dim=(-1, -2)).unsqueeze(-1)
        flattened = (1.0 / math.sqrt(_TINY)) * torch.rsqrt(energy / _TINY + 1.0)
        # Whether there is something already is told by bins that nothing above 300 Hz reaches.
        told = int(_LOWS_HZ / self.spacing_hz)
        there = real[..., :told].square() + imaginary[..., :told].square()
        there = there.mean(dim=-1, keepdim=True)
        wanted = amplitude[..., :told].square().mean(dim=-1, keepdim=True)  # exp(-40) at least
        lacks = torch.clamp(1.0 - _LACKING * there / wanted, min=0.0)
        lacks = (torch.sqrt(1e4 * lacks + 1.0) - 1.0) / (math.sqrt(1e4 + 1.0) - 1.0)
        gain = amplitude * flattened * self.low_gate * lacks
        empty = (0, real.shape[-1] - count)
        return F.pad(parts[..., 0, :] * gain, empty), F.pad(parts[..., 1, :] * gain, empty)


class Step(nn.Module):
    """The network with its memory outside: what a graph that runs frame by frame does.

    Shape:
        audio `[B, N, hop]`, bandwidth_hz `[B, N]`, mix `[B, 2]` (how much of the new band and of
        the lows), memory `[B, M]` (zeros at first), to wide `[B, N, hop]`, which is the audio of a
        hop before with what is added to it, and the memory for the next step.
    """

    def __init__(self, network: CausalExtender) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, audio: Tensor, bandwidth_hz: Tensor, mix: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        network, hop = self.network, self.network.settings.hop
        pasts = [past * network.causal.width for past in network.causal.pasts]
        held, overlap, *before = torch.split(memory, [hop, hop, *pasts], dim=1)
        blocks = torch.cat([held.unsqueeze(1), audio], dim=1)
        new, lows, after = network.added_to(blocks, bandwidth_hz, before)
        mixed = [part * mix[:, :1, None] for part in new]
        if lows is not None:
            mixed = [part + low * mix[:, 1:, None] for part, low in zip(mixed, lows, strict=True)]
        first, second = network.fourier.halves(*mixed)
        finished = torch.cat([overlap.unsqueeze(1), second[:, :-1]], dim=1) + first
        wide = blocks[:, :-1] + finished
        return wide, torch.cat([blocks[:, -1], second[:, -1], *after], dim=1)
