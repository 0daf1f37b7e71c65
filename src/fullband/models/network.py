"""What every trainable network is: a torch module with the contract of `fullband.models`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from torch import nn

from fullband.audio.samples import Audio

__all__ = ["Narrowed", "Network", "NetworkConfig"]

Narrowed = Callable[[Audio], Audio]
"""Wide audio `[B, T]` to narrow audio, brought back to its rate, of the same shape."""


class NetworkConfig(Protocol):
    """What a network's configuration says to whoever trains or runs it.

    Attributes:
        sample_rate: of input and output, Hz.
        ratio: how many times the rate that recordings are brought to first (the entry rate) it is.
        upsampling: how they are brought from there to `sample_rate`: `spline` or `sinc`.
        stride: lengths are padded to a multiple of it inside; a shift by it shifts the output.
        context: samples to each side that can change an output sample.
    """

    @property
    def sample_rate(self) -> int: ...

    @property
    def ratio(self) -> int: ...

    @property
    def upsampling(self) -> str: ...

    @property
    def stride(self) -> int: ...

    @property
    def context(self) -> int: ...


class Network(nn.Module):
    """The base of every architecture. Shape: audio `[B, T]` to `[B, T]`, any T from 1.

    Attributes:
        takes_bandwidth: whether it works for any bandwidth and is told it, as a second argument
            `[B, N]` in Hz, one for each `config.stride` samples or one for all.
        memory: of one that can run frame by frame, how many numbers it keeps in between; `step()`
            is then the module that does so.
    """

    takes_bandwidth = False
    memory: int | None = None

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config: NetworkConfig = config

    def step(self) -> nn.Module:
        """The same network with its memory outside, for graphs that run frame by frame.

        Shape:
            audio `[B, N, stride]`, bandwidth_hz `[B, N]`, mix `[B, 2]` and memory `[B, memory]` to
            wide `[B, N, stride]`, a stride later, and the memory after it.
        """
        raise NotImplementedError

    def fit(self, pairs: Iterable[tuple[Audio, Audio]], narrowed: Narrowed) -> None:
        """Set what is solved for rather than trained, from narrow and wide patches `[B, T]`.

        Called once, before training; most networks have nothing of the kind.

        Args:
            narrowed: makes narrow audio of any wide audio, as the patches were made.
        """
