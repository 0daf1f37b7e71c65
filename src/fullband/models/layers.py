"""Building blocks of the 1-D networks, for audio or any other time series.

Every one takes and returns `[B, C, T]`. `examples/another_time_series.py` builds a network for
something that is not audio out of them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import scipy.linalg
import scipy.signal
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullband.errors import AudioError, SettingsError

__all__ = [
    "Conv1d",
    "ConvNeXtBlock",
    "DownStage",
    "Equaliser",
    "SubpixelShuffle1d",
    "TFiLM",
    "UpStage",
]


_NOISE_OF_16_BITS = (2 / 2**16) ** 2 / 12  # power of rounding to 16 bits at full scale 1


class Conv1d(nn.Conv1d):
    """A 1-D convolution of odd kernel that keeps alignment; stride s gives `ceil(T / s)` samples.

    Computed as a 2-D convolution of height 1 in channels-last order, which on CPUs is up to 1.9
    times faster for narrow layers than the same thing as `nn.Conv1d`, and gives the same numbers.

    Shape:
        `[B, C, T]` to `[B, C', ceil(T / stride)]`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        bias: bool = True,
        dilation: int = 1,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2),
            bias=bias,
            dilation=dilation,
        )

    def forward(self, x: Tensor) -> Tensor:
        plane = x.unsqueeze(2)
        weight = self.weight.unsqueeze(2)
        if not torch.compiler.is_exporting():
            plane = plane.contiguous(memory_format=torch.channels_last)
            weight = weight.contiguous(memory_format=torch.channels_last)
        result = F.conv2d(
            plane,
            weight,
            self.bias,
            stride=(1, self.stride[0]),
            padding=(0, int(self.padding[0])),
            dilation=(1, self.dilation[0]),
        )
        return result.squeeze(2)


class SubpixelShuffle1d(nn.Module):
    """Turn channels into time: the first half gives the even samples, the second half the odd.

    The 1-D form of the subpixel layer of Shi et al. (2016), by a factor of two: output channel c at
    time 2t + i is input channel i * C/2 + c at time t.

    Shape:
        `[B, C, T]` to `[B, C / 2, 2 T]`.
    """

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, time = x.shape
        pairs = x.reshape(batch, 2, channels // 2, time).permute(0, 2, 3, 1)
        return pairs.reshape(batch, channels // 2, 2 * time)


class TFiLM(nn.Module):
    """Temporal feature-wise linear modulation: a recurrent network sets each channel's gain.

    Time is cut into blocks; the largest value of every channel in every block goes through an LSTM,
    whose outputs scale the channels of their block. Convolutions see their kernels' reach; this
    carries what happened long before. Birnbaum et al., "Temporal FiLM: Capturing Long-Range
    Sequence Dependencies with Feature-Wise Modulations", NeurIPS 2019, section 3.

    Args:
        block: samples that share a gain.
        memory: blocks after which the LSTM begins anew, so that what it knows is bounded and audio
            can be processed in pieces; None lets it run over the whole input.

    Shape:
        `[B, C, T]` to `[B, C, T]`, T a multiple of `block`, and of `block * memory` if that is set.
    """

    def __init__(self, channels: int, block: int, memory: int | None = None) -> None:
        super().__init__()
        if block < 1 or (memory is not None and memory < 1):
            raise SettingsError("TFiLM needs block >= 1 and memory >= 1")
        self.block = block
        self.memory = memory
        self.lstm = nn.LSTM(channels, channels, batch_first=True)
        # Gains begin at about 0.7 rather than near 0, so that a deep stack passes a signal at all.
        _, _, input_bias, hidden_bias = self.lstm.all_weights[0]
        nn.init.ones_(input_bias)
        nn.init.zeros_(hidden_bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, time = x.shape
        blocks = x.reshape(batch, channels, time // self.block, self.block)
        steps = blocks.amax(dim=3).permute(0, 2, 1).float()
        count = self.memory or steps.shape[1]
        with torch.autocast(x.device.type, enabled=False):
            gains = self.lstm(steps.reshape(-1, count, channels))[0].reshape(steps.shape)
        gains = gains.permute(0, 2, 1).unsqueeze(3).to(x.dtype)
        modulated: Tensor = (blocks * gains).reshape(batch, channels, time)
        return modulated


class DownStage(nn.Module):
    """Halve the time: a convolution of stride 2, or one that is pooled; then LeakyReLU 0.2.

    Args:
        pooled: convolve at full rate and take the larger of every two, as the TFiLM U-Net does.
        modulate: run on the result, `[B, C', T / 2]` to the same.

    Shape:
        `[B, C, T]` to `[B, C', T / 2]`, T even.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = True,
        dropout: float = 0.0,
        dilation: int = 1,
        pooled: bool = False,
        modulate: nn.Module | None = None,
    ) -> None:
        super().__init__()
        stride = 1 if pooled else 2
        self.conv = Conv1d(in_channels, out_channels, kernel_size, stride, bias, dilation)
        self.pooled = pooled
        self.dropout = nn.Dropout(dropout)
        self.modulate = modulate or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.pooled:
            x = F.max_pool1d(x, 2)
        modulated: Tensor = self.modulate(F.leaky_relu(self.dropout(x), 0.2))
        return modulated


class UpStage(nn.Module):
    """Double the time by a subpixel shuffle, and join what the way down had at that rate.

    Args:
        modulate: run on the shuffled half, `[B, C', 2 T]` to the same, before joining.

    Shape:
        x `[B, C, T]`, skip `[B, C'', 2 T]`; result `[B, C' + C'', 2 T]`, C' being `out_channels`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = True,
        dropout: float = 0.0,
        dilation: int = 1,
        modulate: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = Conv1d(in_channels, 2 * out_channels, kernel_size, 1, bias, dilation)
        self.dropout = nn.Dropout(dropout)
        self.shuffle = SubpixelShuffle1d()
        self.modulate = modulate or nn.Identity()

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.shuffle(F.relu(self.dropout(self.conv(x))))
        return torch.cat([self.modulate(x), skip], dim=1)


class ConvNeXtBlock(nn.Module):
    """A depthwise convolution over time, then a two-layer network per frame, added to the input
    (Liu et al., "A ConvNet for the 2020s", CVPR 2022).

    Args:
        kernel, dilation: frames that the convolution takes, and how far they lie apart.
        expansion: how much wider the two layers' inside is.
        scale: what each channel of their result is multiplied by at first.

    Shape: `[B, N, C]` to the same.
    """

    def __init__(
        self, width: int, kernel: int, dilation: int, expansion: int, scale: float
    ) -> None:
        super().__init__()
        padding = kernel // 2 * dilation
        self.over_time = nn.Conv1d(
            width, width, kernel, padding=padding, dilation=dilation, groups=width
        )
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor) -> Tensor:
        # Frames in one row: a runtime then adds the constants of a layer while it multiplies.
        y = self.norm(self.over_time(x.transpose(1, 2)).transpose(1, 2)).flatten(0, 1)
        y = self.scale * self.narrow(F.gelu(self.widen(y)))
        widened: Tensor = x + y.view(x.shape)
        return widened


class Equaliser(nn.Module):
    """The best linear filter from narrow to wide: fitted in closed form, not trained.

    It undoes what the low-pass in front of a protocol's decimation did to the band that was kept
    (its droop, its phase, its delay) and what spline interpolation left above it. The filter is the
    one with the least squared error over the pairs it was fitted to, the Wiener filter (Haykin,
    "Adaptive Filter Theory", chapter 2); before that, it passes audio unchanged.

    To undo a steep low-pass it raises what is left of a band by up to 45 dB, and with it the
    discontinuity at either end of a recording. So within half a filter of the ends a second filter
    is used, fitted likewise but against noise 40 dB below the signal, which keeps its gain low.

    Args:
        taps: odd; as many before a sample as after it.
        turned: beyond either end, so many samples are what lies before it, turned about it (so that
            a slope goes on), as a zero-phase filter continues what it filters; then, as if there
            are none, the last of them stays.

    Shape:
        `[B, 1, T]` to `[B, 1, T]`.
    """

    def __init__(self, taps: int, turned: int = 0) -> None:
        super().__init__()
        if taps < 1 or taps % 2 == 0:
            raise SettingsError(f"an equaliser needs an odd number of taps, not {taps}")
        self.turned = turned
        kernels = torch.zeros(2, 1, taps)
        kernels[:, 0, taps // 2] = 1
        self.kernels = nn.Parameter(kernels, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        half, time = self.kernels.shape[-1] // 2, x.shape[-1]
        with torch.autocast(x.device.type, enabled=False):
            padded = self._continued(x.float(), half)
            both = F.conv1d(padded, self.kernels)
        n = torch.arange(time, device=x.device)
        return torch.where((n < half) | (n >= time - half), both[:, 1:], both[:, :1])

    def _continued(self, x: Tensor, half: int) -> Tensor:
        """With so many samples more on both sides."""
        if not self.turned:
            return F.pad(x, (half, half), mode="replicate")
        last = x.shape[-1] - 1
        n = torch.arange(-half, x.shape[-1] + half, device=x.device)
        beyond = n.clamp(-self.turned, last + self.turned)
        within = torch.where(beyond > last, 2 * last - beyond, beyond.abs()).clamp(0, last)
        continued = x.index_select(-1, within)
        continued = torch.where(n < 0, 2 * x[..., :1] - continued, continued)
        return torch.where(n > last, 2 * x[..., -1:] - continued, continued)

    def fit(self, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Solve the normal equations over pairs of narrow and wide audio, each `[B, T]`.

        Only samples with all of the filter's taps inside their patch count (the covariance method:
        with the patches' ends, which look like jumps, a band 60 dB below the loudest would be
        lost). The narrow audio is taken to carry noise like that of 16-bit storage, so that a band
        that is not there is not raised without limit.

        Raises:
            AudioError: the patches are shorter than the filter.
        """
        taps = self.kernels.shape[-1]
        products, crossed = np.zeros((taps, taps)), np.zeros(taps)
        edges, count = np.zeros((taps - 1, taps - 1)), 0
        for narrow, wide in pairs:
            if narrow.shape[-1] < taps:
                raise AudioError(f"an equaliser of {taps} taps needs patches at least as long")
            for x, y in zip(narrow.astype(np.float64), wide.astype(np.float64), strict=True):
                # Tap i sees x[m - i] where the wanted sample is y[m - taps // 2].
                products[0] += scipy.signal.correlate(x, x[taps - 1 :], "valid", "fft")[::-1]
                wanted = y[taps // 2 : len(y) - taps // 2]
                crossed += scipy.signal.correlate(x, wanted, "valid", "fft")[::-1]
                entering, leaving = x[taps - 2 :: -1], x[:-taps:-1]
                edges += np.outer(entering, entering) - np.outer(leaving, leaving)
                count += len(wanted)
        products[:, 0] = products[0]
        for row in range(taps - 1):  # one step down the diagonal drops a sample and takes one in
            products[row + 1, 1:] = products[row, :-1] + edges[row]
        noises = _NOISE_OF_16_BITS * count, 1e-4 * products[0, 0] + _NOISE_OF_16_BITS * count
        for kernel, noise in zip(self.kernels, noises, strict=True):
            noisy = products + noise * np.eye(taps)
            solution = scipy.linalg.solve(noisy, crossed, assume_a="pos")
            # `conv1d` correlates: its kernel runs backwards in time.
            kernel[0].copy_(torch.from_numpy(solution[::-1].copy()))
