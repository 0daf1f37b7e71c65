"""What decimation folded over is told apart again: a Wiener filter that follows the signal.

A low-pass in front of a decimation leaves a little of what lies just above the narrow Nyquist
frequency, which comes to lie, folded over, just below it; and the first image of an interpolation
has both above it. A linear filter can only weigh the two against each other once and for all, and
stays below an ideal low-pass. But a partial of a tone is the one or the other, and which of them is
mostly to be seen in the spectrum around it: a small network says so for every bin and frame.

The gains are those of a Wiener filter with local powers (Ephraim and Malah 1984, equation 7),
learnt as a ratio mask (Narayanan and Wang, "Ideal ratio mask estimation using deep neural networks
for robust speech recognition", ICASSP 2013); that aliasing can be used is Papoulis's generalised
sampling (1977).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullband.audio.samples import Audio
from fullband.errors import AudioError, SettingsError
from fullband.models.layers import ConvNeXtBlock, Equaliser
from fullband.models.network import Narrowed, Network

__all__ = ["TURNED", "Unfolder", "UnfolderConfig", "Unfolding", "unfolding_context"]

TURNED = 27
"""Samples by which scipy's `sosfiltfilt` of a filter of order 8 turns its input about its ends."""

_BAND = (0.8, 1.2)  # what is told apart, in narrow Nyquist frequencies
_KERNEL, _DILATIONS = 5, (1, 2, 4)
_LEAST_GAIN = 1e-3  # a response below it is not undone
_FLOOR = 1e-8


def unfolding_context(frame: int, depth: int) -> int:
    """Samples to each side that can change one that `Unfolding` makes."""
    frames = sum(dilation * (_KERNEL // 2) for dilation in _dilations(depth))
    return frame + frames * (frame // 4)


class Unfolding(nn.Module):
    """What to add to an equalised signal so that each bin near the narrow Nyquist frequency is
    either what lay there, or what decimation folded there. Towards both ends it fades to nothing.

    Frames are Blackman-Harris windowed (Harris 1978, four terms): a partial folded over lies 20 to
    60 dB below others, and must not drown in their side lobes.

    Args:
        ratio: how many times the narrow rate the audio's is.
        frame: samples, a multiple of four; how finely frequencies are told apart.
        width, depth: of the network.

    Shape:
        narrow and equalised audio `[B, T]`; result `[B, T]`.
    """

    def __init__(self, ratio: int, frame: int, width: int, depth: int) -> None:
        super().__init__()
        self.window: Tensor
        self.synthesis: Tensor
        if frame < 64 or frame % 4:
            raise SettingsError(f"unfolding needs frames of a multiple of 4 samples, not {frame}")
        self.ratio, self.frame, self.hop = ratio, frame, frame // 4
        self.nyquist = frame / 2 / ratio  # in bins
        self.first, self.last = (round(edge * self.nyquist) for edge in _BAND)
        self.heard = math.floor(self.nyquist) + 1  # bins that the network sees
        told = self.last - self.first
        window = _blackman_harris(frame)
        self.register_buffer("window", window, False)
        overlapped = window.square().view(4, self.hop).sum(dim=0)
        self.register_buffer("synthesis", window / overlapped.repeat(4), False)
        self.inverse = nn.Parameter(torch.zeros(2, self.last), requires_grad=False)
        self.enter = nn.Linear(self.heard, width)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(width, _KERNEL, dilation, 2, 0.5) for dilation in _dilations(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, told)
        nn.init.normal_(self.leave.weight, std=1e-3)
        nn.init.zeros_(self.leave.bias)

    @property
    def context(self) -> int:
        """Samples to each side that can change an output sample."""
        frames = sum(
            _DILATIONS[level % len(_DILATIONS)] * (_KERNEL // 2)
            for level in range(len(self.blocks))
        )
        return self.frame + frames * self.hop

    def forward(self, narrow: Tensor, equalised: Tensor) -> Tensor:
        undone = self._undone(narrow)
        gains = self._gains(undone)
        told = self._analysed(equalised)[..., self.first : self.last, :]
        added = gains.unsqueeze(-1) * undone[..., self.first :, :] - told
        # Where a recording ends within a note, that jump would be raised with all the rest.
        time = narrow.shape[-1]
        begin = (torch.arange(added.shape[1], device=added.device) - 3) * self.hop
        inside = (begin >= 0) & (begin + self.frame <= time)
        return self._synthesised(added * inside[:, None, None], time)

    def fit(self, pairs: Iterable[tuple[Audio, Audio]], narrowed: Narrowed) -> None:
        """Set what undoes decimation and interpolation, and begin with the best gains that do not
        change, unless there are others already.

        Args:
            pairs: narrow and wide audio, each `[B, T]`.
            narrowed: makes the one of the other.

        Raises:
            AudioError: the patches are shorter than a frame.
        """
        response = self._response(narrowed)
        inverse = response.conj() / (response.abs().square() + _LEAST_GAIN**2)
        self.inverse.copy_(torch.view_as_real(inverse).T)
        if self.leave.bias.any():
            return
        crossed, power = torch.zeros(self.last), torch.zeros(self.last)
        for narrow, wide in pairs:
            if narrow.shape[-1] < self.frame:
                raise AudioError(f"unfolding by {self.frame} samples needs patches as long")
            x, y = (
                torch.view_as_complex(self._analysed(torch.from_numpy(audio)))[..., : self.last]
                for audio in (narrow, wide)
            )
            undone = (x * inverse).flatten(0, 1)
            crossed += (y.flatten(0, 1) * undone.conj()).real.sum(dim=0)
            power += undone.abs().square().sum(dim=0)
        best = (crossed / power.clamp(min=1e-30)).clamp(1e-6, 1 - 1e-4)
        self.leave.bias.copy_(torch.logit(best[self.first :]))

    def _response(self, narrowed: Narrowed) -> Tensor:
        """What is left of each bin in its place: the mean response to impulses at each of the
        places that decimation tells apart, in which all that is folded over cancels."""
        length = 8 * self.frame
        total = np.zeros(length)
        for place in range(self.ratio):
            impulse = np.zeros((1, length), np.float32)
            impulse[0, length // 2 + place] = 1.0
            total += np.roll(narrowed(impulse)[0].astype(np.float64), -place)
        spectrum = np.fft.rfft(np.roll(total / self.ratio, -(length // 2)))[:: length // self.frame]
        return torch.from_numpy(spectrum[: self.last].astype(np.complex64))

    def _undone(self, narrow: Tensor) -> Tensor:
        """Spectra as they would be if every bin were what lay there. `[B, N, last, 2]`."""
        real, imaginary = self._analysed(narrow)[..., : self.last, :].unbind(dim=-1)
        gain, turned = self.inverse
        return torch.stack(
            [real * gain - imaginary * turned, real * turned + imaginary * gain], dim=-1
        )

    def _gains(self, undone: Tensor) -> Tensor:
        """Between 0 and 1, of each bin that is told apart. `[B, N, last - first]`."""
        # An exporter takes a constant as small as the floor for nothing, so it is 1 here.
        power = undone[..., : self.heard, :].square().sum(dim=-1)
        heard = torch.log(power / _FLOOR + 1.0)
        x = self.enter(0.3 * (heard - heard.mean(dim=-1, keepdim=True)))
        for block in self.blocks:
            x = block(x)
        return torch.sigmoid(self.leave(self.norm(x)))

    def _analysed(self, audio: Tensor) -> Tensor:
        """`[B, T]` to `[B, N, F, 2]`; the first frame ends a hop after the first sample."""
        time = audio.shape[-1]
        # Whole hops, rounded up; an exporter divides towards 0.
        frames = (time + self.hop - 1) // self.hop + 3
        padded = F.pad(audio.float(), (3 * self.hop, frames * self.hop - time))
        pieces = padded.view(len(audio), frames + 3, self.hop)
        whole = torch.cat([pieces[:, part : part + frames] for part in range(4)], dim=-1)
        return torch.view_as_real(torch.fft.rfft(whole * self.window))

    def _synthesised(self, bins: Tensor, time: int) -> Tensor:
        """Bins from `first` on back to audio. `[B, N, K, 2]` to `[B, T]`."""
        rest = self.frame // 2 + 1 - self.last
        spectrum = F.pad(bins, (0, 0, self.first, rest))
        whole = torch.fft.irfft(torch.view_as_complex(spectrum), self.frame) * self.synthesis
        pieces = whole.view(len(bins), -1, 4, self.hop)
        padded = [F.pad(pieces[:, :, part], (0, 0, part, 3 - part)) for part in range(4)]
        audio = torch.stack(padded).sum(dim=0).flatten(1)
        return audio[:, 3 * self.hop : 3 * self.hop + time]


@dataclass(frozen=True)
class UnfolderConfig:
    """An equaliser and the unfolding behind it.

    Attributes:
        sample_rate: of input and output, Hz.
        ratio: how many times the input's own rate that is.
        equaliser_taps: length of the linear filter, odd.
        frame: samples that frequencies are told apart by.
        width, depth: of the network that tells.
    """

    sample_rate: int = 16_000
    ratio: int = 4
    equaliser_taps: int = 1025
    frame: int = 8192
    width: int = 256
    depth: int = 4
    upsampling: Literal["spline"] = "spline"

    def __post_init__(self) -> None:
        if self.equaliser_taps < 1 or self.equaliser_taps % 2 == 0:
            raise SettingsError(f"equaliser_taps must be odd, not {self.equaliser_taps}")
        if self.ratio < 2:
            raise SettingsError(f"the ratio must be at least 2, not {self.ratio}")
        if self.width < 1 or self.depth < 0:
            raise SettingsError("unfolding needs width >= 1 and depth >= 0")

    @property
    def stride(self) -> int:
        """A hop of its frames."""
        return self.frame // 4

    @property
    def context(self) -> int:
        """That of the network, and half the filter."""
        return unfolding_context(self.frame, self.depth) + self.equaliser_taps // 2


class Unfolder(Network):
    """The two in a row. Shape: audio `[B, T]` to `[B, T]`, any T from 1."""

    def __init__(self, config: UnfolderConfig) -> None:
        super().__init__(config)
        self.equaliser = Equaliser(config.equaliser_taps, TURNED)
        self.unfolding = Unfolding(config.ratio, config.frame, config.width, config.depth)

    def fit(self, pairs: Iterable[tuple[Audio, Audio]], narrowed: Narrowed) -> None:
        """Solve for the equaliser, and for what the unfolding begins with."""
        kept = list(pairs)
        self.equaliser.fit(kept)
        with torch.no_grad():
            self.unfolding.fit(kept, narrowed)

    def forward(self, audio: Tensor) -> Tensor:
        """Shape: `[B, T]` to `[B, T]`."""
        equalised = self.equaliser(audio.unsqueeze(1)).squeeze(1)
        wide: Tensor = equalised + self.unfolding(audio, equalised)
        return wide


def _dilations(depth: int) -> list[int]:
    return [_DILATIONS[level % len(_DILATIONS)] for level in range(depth)]


def _blackman_harris(frame: int) -> Tensor:
    angle = 2 * math.pi * torch.arange(frame, dtype=torch.float64) / frame
    shares = (0.35875, -0.48829, 0.14128, -0.01168)
    terms = [share * torch.cos(order * angle) for order, share in enumerate(shares)]
    return torch.stack(terms).sum(dim=0).float()
