"""The networks' building blocks on something that is not audio.

    python examples/another_time_series.py

A heart-like oscillator (van der Pol's) is measured at every 16th point only; a small U-Net with
temporal feature-wise modulation learns to draw the curve between. Prints the error of a cubic
spline and of the network on oscillators that neither has seen.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor, nn

from fullband.models.layers import Conv1d, DownStage, SubpixelShuffle1d, TFiLM, UpStage

TIME, EVERY = 512, 16


class Interpolator(nn.Module):
    """What the spline makes of the measured points, `[B, 1, T]`, to the curve, `[B, 1, T]`."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            [
                DownStage(1, 16, 9, modulate=TFiLM(16, block=32)),
                DownStage(16, 32, 9, modulate=TFiLM(32, block=16)),
            ]
        )
        self.bottleneck = DownStage(32, 32, 9)
        self.up = nn.ModuleList([UpStage(32, 32, 9), UpStage(64, 16, 9)])
        self.last = Conv1d(32, 2, 9)
        self.shuffle = SubpixelShuffle1d()

    def forward(self, drawn: Tensor) -> Tensor:
        x, skips = drawn, []
        for stage in self.down:
            x = stage(x)
            skips.append(x)
        x = self.bottleneck(x)
        for stage in self.up:
            x = stage(x, skips.pop())
        predicted: Tensor = drawn + self.shuffle(self.last(x))
        return predicted


def oscillators(count: int, seed: int) -> Tensor:
    """Curves `[count, 1, T]` of x'' = mu (1 - x^2) x' - x, started and stretched at random."""
    generator = np.random.default_rng(seed)
    position, speed = generator.uniform(-2, 2, (2, count))
    stiffness, step = generator.uniform(2, 5, count), generator.uniform(0.03, 0.06, count)
    curve = np.empty((count, TIME), np.float32)
    for n in range(-400, TIME):  # the first 400 steps are left to settle
        speed = speed + step * (stiffness * (1 - position**2) * speed - position)
        position = position + step * speed
        if n >= 0:
            curve[:, n] = position
    return torch.from_numpy(curve)[:, None]


def drawn_through_every_16th(curve: Tensor) -> Tensor:
    """The cubic spline through the measured points. Shape: `[B, 1, T]` to the same."""
    points = np.arange(0, TIME, EVERY)
    spline = CubicSpline(points, curve[..., ::EVERY].numpy(), axis=-1)
    return torch.from_numpy(spline(np.arange(TIME)).astype(np.float32))


def error(predicted: Tensor, curve: Tensor) -> float:
    """Root of the mean squared error, the ends left out, where the spline has nothing to go by."""
    inside = slice(EVERY, TIME - 2 * EVERY)
    return float((predicted - curve)[..., inside].square().mean().sqrt())


def main(steps: int = 150) -> tuple[float, float]:
    """Train, and return the errors of the spline and of the network."""
    torch.manual_seed(0)
    curves = oscillators(256, seed=1)
    drawn = drawn_through_every_16th(curves)
    network = Interpolator()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for step in range(steps):
        batch = torch.arange(16 * step, 16 * step + 16) % len(curves)
        loss = (network(drawn[batch]) - curves[batch]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    unseen = oscillators(64, seed=2)
    start = drawn_through_every_16th(unseen)
    with torch.inference_mode():
        return error(start, unseen), error(network(start), unseen)


if __name__ == "__main__":
    spline_error, network_error = main()
    print(f"cubic spline {spline_error:.3f}, network {network_error:.3f}")
