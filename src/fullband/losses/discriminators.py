"""What tells the levels of predicted audio from those of wide audio, for the adversarial losses.

Small on purpose: it does not look at waveforms or at single bins, since with the true levels of
bands of some 500 Hz and 10 ms any fine structure sounds right, but at the map of these levels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullband.losses.new_band import Spectra, band_levels, band_mask

__all__ = ["LevelDiscriminator"]

_FRAME = 512
_BINS = 6
_CHANNELS = (24, 32, 48, 48)


class LevelDiscriminator(nn.Module):
    """Judges the map of band levels, as a patch discriminator (Isola et al., CVPR 2017) does.

    It sees the kept band too, so that it can tell whether the new one fits it, and where the new
    one begins. Bands that are not to be believed as a whole are blanked on both sides.

    Shape:
        audio `[B, T]`, bandwidth_hz and true_hz `[B]`; result a list of features
        `[B, C, bands, frames]`, the last of which, with C = 1, are the judgements.
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        layers, channels = [], 2
        for index, width in enumerate(_CHANNELS):
            stride = (2, 1) if index in (1, 2) else (1, 1)
            layers.append(nn.Conv2d(channels, width, (5, 5), stride, padding=(2, 2)))
            channels = width
        layers.append(nn.Conv2d(channels, 1, (3, 3), padding=(1, 1)))
        self.layers = nn.ModuleList(nn.utils.parametrizations.weight_norm(each) for each in layers)

    def forward(self, audio: Tensor, bandwidth_hz: Tensor, true_hz: Tensor) -> list[Tensor]:
        levels = (band_levels(Spectra(audio), _FRAME, _BINS) + 7.0) / 2.0  # [B, frames, bands]
        bins = _FRAME // 2 + 1
        believed = band_mask(bins, self.sample_rate, torch.zeros_like(true_hz), true_hz)
        new = band_mask(bins, self.sample_rate, bandwidth_hz, true_hz)
        masks = [F.avg_pool1d(mask, _BINS) for mask in (believed, new)]  # [B, 1, bands]
        whole = (masks[0] > 0.99).float()  # a band that is not true throughout shows what is not
        seen = [levels * whole, masks[1].expand_as(levels)]
        x = torch.stack(seen, dim=1).transpose(2, 3)
        features = []
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), 0.1)
            features.append(x)
        return [*features, self.layers[-1](x)]
