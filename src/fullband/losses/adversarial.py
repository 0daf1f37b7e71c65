"""The two sides of an adversarial training, and the distance of features between them.

Hinge losses as in Lim and Ye, "Geometric GAN" (2017); feature matching as in Larsen et al.,
"Autoencoding beyond pixels using a learned similarity metric" (ICML 2016). Features are lists as
`fullband.losses.discriminators` gives them, the last being the judgements.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["adversarial_loss", "discriminator_loss", "feature_distance"]


def discriminator_loss(real: list[Tensor], predicted: list[Tensor]) -> Tensor:
    """What the discriminator minimises: judgements beyond 1 for real and -1 for predicted audio."""
    return torch.relu(1 - real[-1]).mean() + torch.relu(1 + predicted[-1]).mean()


def adversarial_loss(predicted: list[Tensor]) -> Tensor:
    """What the network minimises: the judgement of what it predicts, with its sign turned."""
    return -predicted[-1].mean()


def feature_distance(real: list[Tensor], predicted: list[Tensor]) -> Tensor:
    """Mean absolute difference of the features, relative to how large the real ones are."""
    total = torch.zeros((), device=predicted[-1].device)
    for x, y in zip(predicted[:-1], real[:-1], strict=True):
        y = y.detach()
        total = total + (x - y).abs().mean() / (y.abs().mean() + 1e-6)
    return total / max(1, len(real) - 1)
