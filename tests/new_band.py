"""What tests ask of a network of any bandwidth: to say something, and what it then adds."""

from __future__ import annotations

import torch

from fullband.models.network import Network

__all__ = ["added", "enliven"]


def enliven(network: Network) -> None:
    """Have an untrained network say something else for every frame."""
    with torch.no_grad():
        for block in network.blocks:
            block.widen.weight *= 20
            block.narrow.weight *= 50
        network.leave.weight *= 20


def added(network: Network, audio, bandwidth_hz=3000.0) -> torch.Tensor:
    """The new band alone. A bandwidth for all, or one for each frame."""
    audio = torch.as_tensor(audio).float()
    audio = audio[None] if audio.ndim == 1 else audio
    told = torch.as_tensor(bandwidth_hz, dtype=torch.float32).reshape(1, -1)
    with torch.inference_mode():
        return network.new_band(audio, told.expand(len(audio), -1))
