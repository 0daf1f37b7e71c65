"""How alike two recordings look to the ear above a cutoff: the neurogram similarity index.

NSIM (Hines and Harte, "Speech intelligibility prediction using a Neurogram Similarity Index
Measure", Speech Communication 54, 2012) compares spectrograms in bands of the ear's width as the
structural similarity index compares pictures: in each neighbourhood of three bands and three frames
the levels, and whether these rise and fall together. ViSQOL (Chinen et al., QoMEX 2020) is made of
it, so a network that is trained with this loss is trained towards that measure, and has to be
judged by others beside it.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from fullband.losses.new_band import Spectra, believed_hz

__all__ = ["band_centres_hz", "dissimilarity", "neurogram"]

_BANDS = 32
_LOWEST_HZ = 50.0
_EAR_Q, _LEAST_HZ = 9.26449, 24.7  # of equivalent rectangular bandwidths, Glasberg and Moore 1990
_FRAME_S, _HOP_S = 0.08, 0.02
_FLOOR = 1e-9  # power below which nothing is told apart: 90 dB below full scale
_SAME_LEVEL = 1.0  # in units of two decibels, as levels are counted here, squared
_STEADY = 0.05  # variance as small as noise has by itself is no structure
_NEIGHBOURS = (0.0113033910173052, 0.0838251475442633, 0.619485845753726)  # corner, side, centre


def band_centres_hz(sample_rate: int) -> Tensor:
    """The centres of 32 bands from 50 Hz upwards, evenly spaced in the ear's bandwidths (Slaney
    1993), ascending."""
    offset = _EAR_Q * _LEAST_HZ
    top, low = (torch.tensor(hz + offset) for hz in (sample_rate / 2, _LOWEST_HZ))
    steps = torch.arange(_BANDS, 0, -1) / _BANDS
    return torch.exp(top.log() + steps * (low.log() - top.log())) - offset


@lru_cache(maxsize=4)
@torch.inference_mode(False)  # what is kept may be asked for by a validation first
def _filters(sample_rate: int, frame: int) -> Tensor:
    """The power that each band's gammatone filter of fourth order passes. Shape: `[F, bands]`."""
    centres = band_centres_hz(sample_rate)
    hz = torch.linspace(0, sample_rate / 2, frame // 2 + 1)[:, None]
    width = 1.019 * (centres / _EAR_Q + _LEAST_HZ)
    return (1 + ((hz - centres) / width).square()) ** -4


def neurogram(audio: Spectra, sample_rate: int) -> Tensor:
    """Levels above the floor, in units of two decibels of power. Shape: `[B, frames, bands]`.

    Frames of 80 ms come every 20 ms.
    """
    frame, hop = round(_FRAME_S * sample_rate), round(_HOP_S * sample_rate)
    power = audio.power(frame, hop) @ _filters(sample_rate, frame).to(audio.audio.device)
    power = 2 * power / frame**2  # of one side of the spectrum, a sample's mean
    return 5 * torch.log10(power / _FLOOR + 1)


def dissimilarity(
    predicted: Spectra,
    wide: Spectra,
    sample_rate: int,
    from_hz: Tensor,
    true_hz: Tensor,
    floor: Tensor | None = None,
) -> Tensor:
    """1 less the mean similarity in the bands of the new band; 0 where both are the same.

    Shape:
        audio `[B, T]`; from_hz, true_hz `[B]`; floor `[B, K]` as in
        `fullband.losses.new_band.believed_hz`.
    """
    frame, hop = round(_FRAME_S * sample_rate), round(_HOP_S * sample_rate)
    levels = [neurogram(audio, sample_rate) for audio in (wide, predicted)]
    means, squares, products = _local(*levels)
    level = (2 * means[0] * means[1] + _SAME_LEVEL) / (
        means[0].square() + means[1].square() + _SAME_LEVEL
    )
    variances = [
        (square - mean.square()).clamp(min=0) for square, mean in zip(squares, means, strict=True)
    ]
    together = products - means[0] * means[1]
    # The index adds its constant to the root; so written there is a slope at 0 as well.
    both = torch.sqrt((variances[0] + _STEADY) * (variances[1] + _STEADY))
    structure = (together + _STEADY) / both
    believed = believed_hz(wide, sample_rate, true_hz, floor, frame, hop)
    believed = -F.max_pool1d(-believed.unsqueeze(1), 3, stride=1, padding=1)[:, 0]
    centres = band_centres_hz(sample_rate).to(true_hz.device)
    above = torch.cat([centres[1:], centres[-1:]])  # a band counts where the one above it is true
    counts = ((centres >= 0.9 * from_hz[:, None, None]) & (above < believed[..., None])).float()
    counts = counts.expand_as(level)
    similarity = (counts * level * structure).sum() / counts.sum().clamp(min=1)
    return (counts.sum() > 0) * (1 - similarity)


def _local(
    wide: Tensor, predicted: Tensor
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
    """Means of a neighbourhood: of both, of their squares, of their product."""
    corner, side, centre = _NEIGHBOURS
    rows = [[corner, side, corner], [side, centre, side], [corner, side, corner]]
    kernel = torch.tensor([[rows]], device=wide.device)
    maps = torch.stack(
        [wide, predicted, wide.square(), predicted.square(), wide * predicted], dim=1
    )
    padded = F.pad(maps.flatten(0, 1).unsqueeze(1), (1, 1, 1, 1), mode="replicate")
    found = F.conv2d(padded, kernel).view_as(maps).unbind(dim=1)
    return found[:2], found[2:4], found[4]
