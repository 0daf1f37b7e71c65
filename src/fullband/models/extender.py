"""Extender: any bandwidth in, the band above it added, in one pass over short-time spectra.

The input is audio at the full rate whose content ends somewhere, and where that is. Each frame's
spectrum below the end is what the network sees, as levels; what it says is the *envelope* of the
spectrum above, in bands. The fine structure is the top of the kept band copied upwards, piece by
piece, so that the new band keeps time with the old one (spectral translation; Makhoul and Berouti,
"High-frequency regeneration in speech coding systems", ICASSP 1979). It is taken twice, flattened
by its neighbourhood and flattened by itself (phase only), and mixed per band.

The trunk is a stack of ConvNeXt blocks (Liu et al., "A ConvNet for the 2020s", CVPR 2022) over
time, as in AP-BWE and Vocos. What is there passes through: the output is the input plus a band
that is gated to lie above its end. Where a filter has a gentle skirt, what is left of the original
beyond the end is raised rather than replaced. With the true envelope noise would do as well as this
fine structure (docs/design.md), so the envelope is what the network is for.

An extender that fills holes says the envelope below the end as well, and adds only what the input
lacks of it: nothing where the input is as loud, and below the end nothing unless it is far quieter,
as where a codec at a low rate has left out what it had no bits for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullband.audio.holes import HOLES_FROM_HZ
from fullband.models.network import Network
from fullband.models.trunk import BAND, TrunkConfig, convnext_blocks

__all__ = ["Extender", "ExtenderConfig", "ShortTimeFourier"]

# Sums with constants this small are written as multiples of them: the exporter's optimiser takes
# x + 1e-11 for x + 0 and drops it, and silence becomes the logarithm of nothing.
_FLOOR = 1e-11  # mean power of a sample, at full scale 1, below which nothing is told apart
_GATE_BELOW_HZ = 50.0  # the new band begins to open here below the end of the old
_GATE_WIDTH_HZ = 150.0
_LOWEST_HZ = 400.0  # what is translated reaches no lower
_LOWEST_END_HZ = 1000.0  # and is taken from no lower an end
_WHITENING_HZ = 450.0
_SEEN = 1.1  # of the bandwidth: how far beyond the end of content the network looks
_TINY = 1e-12
_UNHEARD = 6  # bins below Nyquist that no loss reaches
_PIECES = 4  # of the spectrum that a graph brings from bands to bins one by one
_NOTHING = math.exp(-40.0)  # power of what is said, the least there is
_HOLE = 4.0  # times its power has to be lacking below the end
_HOLE_BINS = 5  # over which the input's power is averaged to tell
_WIDTHS = 12  # of a piece that are tried, each two bins narrower than the one before
_COMPARED = 48  # bins below the end that have to look like those a piece lower
_STEADY = 16  # frames to each side over which they are averaged
_PEAK = 4.0  # times its neighbourhood, as loud as a partial counts at most
_IN_TUNE = 0.6  # how like the top has to be to what is a piece lower; noise gets to 0.5
_SAID = 4  # envelope, two kinds of fine structure, the input's own skirt


@dataclass(frozen=True)
class ExtenderConfig(TrunkConfig):
    """The network's size.

    Attributes:
        fills_holes: below the end of content, too, and add only what the input lacks.
        in_tune: copy pieces of such a width that partials come to lie where partials would be.
    """

    fills_holes: bool = False
    in_tune: bool = False

    @property
    def bins(self) -> int:
        """Frequencies of a frame, from 0 Hz to Nyquist."""
        return self.hop + 1

    @property
    def context(self) -> int:
        """Samples to each side that can change an output sample."""
        return (max(self.reach, _STEADY if self.in_tune else 0) + 2) * self.hop


class ShortTimeFourier(nn.Module):
    """Sine-windowed frames of `2 * hop` samples, and back: perfect reconstruction.

    Frame i is centred on sample `i * hop`. The sine window squared and shifted by half its length
    adds up to one (Princen and Bradley 1986), so it serves both ways.
    """

    window: Tensor
    cosines_even: Tensor
    cosines_odd: Tensor
    sines_even: Tensor
    sines_odd: Tensor

    def __init__(self, hop: int) -> None:
        super().__init__()
        self.hop = hop
        frame = 2 * hop
        window = torch.sin(math.pi * (torch.arange(frame, dtype=torch.float64) + 0.5) / frame)
        self.register_buffer("window", window.float(), persistent=False)
        # In a graph there is no fast transform, so it is done by matrices, made as small as the
        # symmetries allow. A frame's even part gives the real part by cosines, its odd part the
        # imaginary part by sines, each half as long; and of those, terms of even and of odd index
        # each give frequencies k and hop - k at once. An eighth of the full matrix is left.
        half = torch.arange(hop // 2 + 1)
        for parity, name in enumerate(("even", "odd")):
            index = torch.arange(parity, hop + 1, 2)
            angle = 2 * math.pi * (index[:, None] * half[None, :] % frame).double() / frame
            self.register_buffer(f"cosines_{name}", torch.cos(angle).float(), persistent=False)
            self.register_buffer(f"sines_{name}", torch.sin(angle).float(), persistent=False)

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary part of each frame. Shape: `[B, T]` to twice `[B, N, F]`.

        T has to be a multiple of the hop, and N is `T / hop + 1`.
        """
        blocks = F.pad(audio, (self.hop, self.hop)).reshape(audio.shape[0], -1, self.hop)
        return self.spectra(blocks)

    def spectra(self, blocks: Tensor) -> tuple[Tensor, Tensor]:
        """The same of blocks a hop long, each with its successor: `[B, N + 1, hop]`."""
        hop = self.hop
        if not torch.onnx.is_in_onnx_export():
            frames = torch.cat([blocks[:, :-1], blocks[:, 1:]], dim=-1) * self.window
            spectrum = torch.fft.rfft(frames)
            return spectrum.real, spectrum.imag
        # A frame's second half is folded onto its first: x[n] and x[N - n] side by side. The window
        # is the same either way, and what the ends hold the sines do not see.
        window = self.window[:hop]
        first = F.pad(blocks[:, :-1] * window, (0, 1))
        second = F.pad(blocks.flip(-1)[:, 1:] * window, (1, 0))
        return self._by_cosines(first + second), self._by_sines(second - first)

    def inverse(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Overlap and add. Shape: twice `[B, N, F]` to `[B, (N - 1) * hop]`."""
        first, second = self.halves(real, imaginary)
        blocks: Tensor = second[:, :-1] + first[:, 1:]
        return blocks.reshape(real.shape[0], -1)

    def halves(self, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        """What each frame gives to the block it begins with, and to the one it ends with.

        Shape: twice `[B, N, F]` to twice `[B, N, hop]`.
        """
        hop = self.hop
        if not torch.onnx.is_in_onnx_export():
            frames = torch.fft.irfft(torch.complex(real, imaginary), 2 * hop) * self.window
            return frames[..., :hop], frames[..., hop:]
        ends = torch.ones(hop + 1, device=real.device)
        ends[0] = ends[-1] = 0.5
        even, odd = self._by_cosines(real * ends), self._by_sines(imaginary)
        window = self.window[:hop] / hop
        return (even - odd)[..., :hop] * window, ((even + odd)[..., 1:] * window).flip(-1)

    def _by_cosines(self, x: Tensor) -> Tensor:
        """Sum of x[n] cos(pi n k / hop), k from 0 to hop. Shape: `[..., F]` to the same."""
        even, odd = x[..., 0::2] @ self.cosines_even, x[..., 1::2] @ self.cosines_odd
        mirrored = (even - odd)[..., :-1].flip(-1)  # cos(pi n (hop - k) / hop)
        return torch.cat([even + odd, mirrored], dim=-1)

    def _by_sines(self, x: Tensor) -> Tensor:
        """The same with sines."""
        even, odd = x[..., 0::2] @ self.sines_even, x[..., 1::2] @ self.sines_odd
        return torch.cat([even + odd, (odd - even)[..., :-1].flip(-1)], dim=-1)


class Extender(Network):
    """The network. Shape: audio `[B, T]` and bandwidth `[B, N]` to audio `[B, T]`, any T from 1.

    The bandwidth says for each frame (every `hop` samples, the first at sample 0) where the input's
    content ends, in Hz; the last holds for all further frames, so N = 1 gives one for all.

    Where it copies pieces in tune, a batch is the channels of one recording, which are tuned
    together; in training (`train()`), recordings of their own.
    """

    takes_bandwidth = True
    bins: Tensor
    bin_hz: Tensor
    between: Tensor
    hole_source: Tensor

    def __init__(self, config: ExtenderConfig) -> None:
        super().__init__(config)
        self.settings = config
        bins, width = config.bins, config.width
        self.fourier = ShortTimeFourier(config.hop)
        self.spacing_hz = config.sample_rate / 2 / config.hop
        self.bands = config.hop // BAND + 1
        self.highest = self.bands - 1  # the band that speaks for all above it
        if config.highest_hz:
            self.highest = max(0, (config.hop - _UNHEARD) // BAND - 1)
        self.enter = nn.Linear(bins + self.bands, width)
        self.enter_norm = nn.LayerNorm(width)
        self.blocks = convnext_blocks(config)
        self.leave_norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, _SAID * self.bands)
        bands = torch.arange(self.bands)[:, None]
        distance = (torch.arange(bins) / BAND - bands).abs()
        self.register_buffer("between", torch.clamp(1.0 - distance, min=0.0), False)
        self.register_buffer("bins", torch.arange(bins), False)
        self.register_buffer("bin_hz", torch.linspace(0, config.sample_rate / 2, bins), False)
        lowest, piece = (round(k * HOLES_FROM_HZ / self.spacing_hz / 2) * 2 for k in (1, 2))
        beyond = torch.clamp(torch.arange(bins) - lowest, min=0)
        self.register_buffer(
            "hole_source", torch.arange(bins).minimum(lowest + beyond % max(piece, 2)), False
        )
        self._initialise()

    def forward(self, audio: Tensor, bandwidth_hz: Tensor) -> Tensor:
        """Add the missing band."""
        return audio + self.new_band(audio, bandwidth_hz)

    def new_band(self, audio: Tensor, bandwidth_hz: Tensor) -> Tensor:
        """What is added, alone. Shape: as `forward`."""
        time, hop = audio.shape[-1], self.settings.hop
        padded = F.pad(audio, (0, (hop - time % hop) % hop))
        real, imaginary = self.fourier(padded)
        new = self._new_spectra(real, imaginary, bandwidth_hz, self._trunk)
        return self.fourier.inverse(*new)[:, :time]

    def _new_spectra(
        self,
        real: Tensor,
        imaginary: Tensor,
        bandwidth_hz: Tensor,
        trunk: Callable[[Tensor], Tensor],
    ) -> tuple[Tensor, Tensor]:
        """What is added to each frame. Shape: twice `[B, N, F]` to the same."""
        # What follows from the bandwidth is worked out once for each that is told. The network also
        # sees a little of what lies beyond: how steeply content ends.
        end_hz = bandwidth_hz.unsqueeze(-1)
        kept = self._up_to(end_hz)
        seen = self._up_to(_SEEN * end_hz)
        gate = torch.clamp((self.bin_hz - end_hz + _GATE_BELOW_HZ) / _GATE_WIDTH_HZ, 0.0, 1.0)
        gate = gate * self._heard()
        frame = torch.arange(real.shape[1], device=real.device)
        told = frame.clamp(max=bandwidth_hz.shape[1] - 1)
        end, piece = self._top_piece(end_hz)
        if not self.settings.in_tune:
            source = self._source(end, piece).index_select(1, told)
        below, kept, seen, gate, end, piece = (
            each.index_select(1, told) for each in (kept[..., ::BAND], kept, seen, gate, end, piece)
        )

        power = real * real + imaginary * imaginary
        level = _level(power, self.settings.hop)
        x = torch.cat([seen * (level + 6.0) / 2.0, below], dim=-1)
        x = self.enter(x.flatten(0, 1)).unflatten(0, level.shape[:2])
        x = trunk(self.enter_norm(x))
        envelope, fine, flat, skirt = self._say(self.leave_norm(x))

        if self.settings.in_tune:
            source = self._source(end, self._width_in_tune(power * kept, end, piece))
        copied = [(part * kept).gather(-1, source) for part in (real, imaginary)]
        energy = copied[0] * copied[0] + copied[1] * copied[1]
        whitening = round(_WHITENING_HZ / self.spacing_hz / 2)
        shape = fine * _inverse_root(_smooth(energy, whitening)) + flat * _inverse_root(energy)
        amplitude = torch.exp(torch.clamp(envelope, -20.0, 4.0))
        if self.settings.fills_holes:
            shape = self._lacking(gate, amplitude * (fine + flat), power) * shape * amplitude
        else:
            shape = gate * shape * amplitude
        skirt = gate * skirt * seen
        new_real, new_imaginary = (
            shape * copy + skirt * there
            for copy, there in zip(copied, (real, imaginary), strict=True)
        )
        return new_real, new_imaginary

    def _trunk(self, x: Tensor) -> Tensor:
        """Shape: `[B, N, C]` to the same."""
        for block in self.blocks:
            x = block(x)
        return x

    def _lacking(self, gate: Tensor, said: Tensor, power: Tensor) -> Tensor:
        """How much of the amplitude that is said the input lacks, instead of the gate alone.

        Shape: three times `[B, N, F]` to the same.
        """
        holes = torch.clamp(self.bin_hz / HOLES_FROM_HZ - 1.0, 0.0, 1.0)
        holes = holes * self._heard()
        there = _smooth(power, _HOLE_BINS // 2) / _NOTHING / (said * said / _NOTHING + 1.0)
        lacks = torch.clamp(1.0 - (_HOLE - (_HOLE - 1.0) * gate) * there, min=0.0)
        # The root, with a slope that stays finite at 0.
        lacks = (torch.sqrt(1e4 * lacks + 1.0) - 1.0) / (math.sqrt(1e4 + 1.0) - 1.0)
        return (gate + (1.0 - gate) * holes) * lacks

    def _heard(self) -> Tensor:
        """1, falling to 0 below the bins that stay empty, if any do. Shape: `[F]`."""
        if self.settings.highest_hz:
            above = (self.bin_hz - self.settings.highest_hz) / self.spacing_hz
            return torch.clamp(1.0 - above, 0.0, 1.0)
        return torch.clamp(self.settings.bins - 1 - _UNHEARD - self.bins, 0.0, 4.0) / 4.0

    def _up_to(self, end_hz: Tensor) -> Tensor:
        """1 for bins below, then falling to 0 within one. Shape: `[B, N, 1]` to `[B, N, F]`."""
        return torch.clamp((end_hz - self.bin_hz) / self.spacing_hz, 0.0, 1.0)

    def _top_piece(self, end_hz: Tensor) -> tuple[Tensor, Tensor]:
        """The last bin that is kept, and how many up to it are copied upwards.

        Pieces are an even number of bins wide, so that the copies keep their phase from frame to
        frame (a shift by one bin turns the phase by half a turn every hop).

        Shape: `[B, N, 1]` to twice the same, whole numbers.
        """
        last_kept = torch.floor(end_hz / self.spacing_hz - 1.0)
        end = last_kept.clamp(min=float(max(2, round(_LOWEST_END_HZ / self.spacing_hz))))
        lowest = torch.floor(end / 2.0).clamp(min=float(round(_LOWEST_HZ / self.spacing_hz)))
        return end, (2.0 * torch.floor((end - lowest) / 2.0)).clamp(min=2.0)

    def _width_in_tune(self, power: Tensor, end: Tensor, piece: Tensor) -> Tensor:
        """The width, of some, that puts partials onto partials: where the top of the kept band
        looks most like what lies so far below. Steady partials count, and others blur. Channels
        of a recording are asked together: one sound has its partials in the same places in both.

        Shape: power `[B, N, F]`, end and piece `[B, N, 1]`, to `[B, N, 1]`.
        """
        lowest = round(_LOWEST_HZ / self.spacing_hz)
        around = _smooth(power, round(_WHITENING_HZ / self.spacing_hz / 2))
        peaks = (torch.minimum(power, _PEAK * around) - around) * (1.0 / _TINY)
        peaks = peaks / (around * (1.0 / _TINY) + 1.0) * (self.bins >= lowest)
        first = end - _COMPARED
        top, lower = (
            _steady(
                peaks.gather(
                    -1,
                    (from_bin + torch.arange(width, device=end.device)).clamp(min=0.0).long(),
                )
            )
            for from_bin, width in ((first, _COMPARED), (first - piece, _COMPARED + 2 * _WIDTHS))
        )
        likeness = []
        for number in range(_WIDTHS):
            below = lower[..., 2 * number : 2 * number + _COMPARED]
            likewise, own, belows = (
                self._over_channels((one * other).sum(-1))
                for one, other in ((top, below), (top, top), (below, below))
            )
            likeness.append(likewise * torch.rsqrt(own * belows + 1e-4))
        likeness[0] = likeness[0].clamp(min=_IN_TUNE)
        best = torch.stack(likeness, dim=-1)
        narrower = 2.0 * torch.arange(_WIDTHS, device=end.device)
        best = torch.where(narrower <= piece / 2.0, best, -2.0)
        return piece - 2.0 * best.argmax(-1, keepdim=True)

    def _over_channels(self, x: Tensor) -> Tensor:
        """Summed over what is in a batch. In training, where those are no channels, as it was.

        Shape: `[B, N]` to the same.
        """
        return x if self.training else x.sum(0, keepdim=True).expand_as(x)

    def _source(self, end: Tensor, piece: Tensor) -> Tensor:
        """Which bin is copied to each: the top of the kept band goes upwards, piece by piece.

        Holes are filled with what lies between 1 and 3 kHz, where codecs leave none.
        """
        pieces = torch.floor((self.bins - end + piece - 0.5) / piece).clamp(min=0.0)
        source = (self.bins - pieces * piece).long()
        return (
            torch.where(pieces > 0, source, self.hole_source)
            if self.settings.fills_holes
            else source
        )

    def _say(self, x: Tensor) -> tuple[Tensor, ...]:
        """What the network says, from bands to bins, linearly. Shape: `[B, N, C]` to `[B, N, F]`s.

        In a graph that is done in pieces, each from the few bands that reach into it: a quarter of
        the work of one matrix, nearly all of which is empty.
        """
        said = self.leave(x.flatten(0, 1)).view(*x.shape[:2], _SAID, self.bands)
        if not torch.onnx.is_in_onnx_export():
            bands = torch.arange(self.bands, device=x.device).clamp(max=self.highest)
            return tuple((said.index_select(-1, bands) @ self.between).unbind(dim=-2))
        reach = -(-self.bands // _PIECES)  # bands to a piece, and the first of the next
        bands = reach * torch.arange(_PIECES)[:, None] + torch.arange(reach + 1)
        pieces = said.index_select(-1, bands.clamp(max=self.highest).flatten())
        between = self.between[: reach + 1, : reach * BAND]
        spread = (pieces.view(-1, reach + 1) @ between).view(*x.shape[:2], _SAID, -1)
        return tuple(spread[:, :, kind, : self.settings.bins] for kind in range(_SAID))

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            bias = self.leave.bias.view(_SAID, -1)
            bias[0] = -3.0  # an envelope far below full scale
            bias[1] = 1.0


def _smooth(energy: Tensor, half: int) -> Tensor:
    """Mean over `half` neighbouring frequencies to each side. Shape: `[B, N, F]` to the same."""
    width = 2 * half + 1
    padded = F.pad(energy, (half, half), mode="replicate")
    if not torch.onnx.is_in_onnx_export():
        return F.avg_pool1d(padded, width, stride=1)
    # Sums over 2, 4, 8, ... neighbours, and of those that make up the width.
    count, length = 1, padded.shape[-1]
    total: Tensor | None = None
    taken = 0
    while count <= width:
        if width & count:
            first = padded[..., taken : taken + energy.shape[-1]]
            total = first if total is None else total + first
            taken += count
        length -= count
        padded = padded[..., :length] + padded[..., count : count + length]
        count *= 2
    assert total is not None
    return total * (1.0 / width)


def _steady(peaks: Tensor) -> Tensor:
    """Mean over `_STEADY` frames to each side. Shape: `[B, N, K]` to the same."""
    width = 2 * _STEADY + 1
    mean = F.avg_pool1d(peaks.transpose(1, 2), width, stride=1, padding=_STEADY)
    return mean.transpose(1, 2)


def _level(power: Tensor, hop: int) -> Tensor:
    """log10 of the mean power of a sample, with a floor."""
    return torch.log10(power / (hop * _FLOOR) + 1.0) + math.log10(_FLOOR)


def _inverse_root(energy: Tensor) -> Tensor:
    """1 / sqrt(energy), with a floor."""
    return (1.0 / math.sqrt(_TINY)) * torch.rsqrt(energy / _TINY + 1.0)
