"""The anchors of MUSHRA: the reference with its treble taken off, and nothing else changed."""

from __future__ import annotations

import numpy as np

from fullband.audio.filters import Fir, crossover_width_hz, lowpass_kernel
from fullband.audio.samples import Audio
from fullband.errors import SettingsError
from fullband.listening.session import LOW_ANCHOR, MID_ANCHOR

__all__ = ["ANCHORS_HZ", "anchor"]

ANCHORS_HZ = {LOW_ANCHOR: 3500.0, MID_ANCHOR: 7000.0}
"""Where the two standard anchors of ITU-R BS.1534-3 end."""


def anchor(reference: Audio, sample_rate: int, cutoff_hz: float) -> Audio:
    """The reference up to a frequency: an anchor of ITU-R BS.1534-3 at 3.5 or 7 kHz.

    The standard asks of the 3.5 kHz filter for at most 0.1 dB of ripple below, 25 dB of attenuation
    at 4 kHz and 50 dB at 4.5 kHz. This one is linear-phase with its delay taken out, is flat to
    0.01 dB up to the cutoff, and 80 dB down from 3.78 kHz on, or 7.4 kHz.

    Shape:
        reference `[C, T]`; result the same, at the same level and instant.

    Raises:
        SettingsError: the rate is so low that the anchor would be the reference.
    """
    width_hz = crossover_width_hz(cutoff_hz)
    if sample_rate / 2 < cutoff_hz + width_hz:
        raise SettingsError(
            f"at {sample_rate} Hz there is nothing to take off above {cutoff_hz / 1000:g} kHz: "
            f"MUSHRA needs references of {2 * (cutoff_hz + width_hz):.0f} Hz or more"
        )
    fir = Fir(lowpass_kernel(sample_rate, cutoff_hz, width_hz), len(reference))
    return np.concatenate([fir.push(reference), fir.flush()], axis=-1)
