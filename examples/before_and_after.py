"""How much of the treble comes back: cut a wide recording down, enhance it, compare.

    python examples/before_and_after.py [WIDE.wav]

Without a file it makes a synthetic voice. Needs fullband[evaluate].
"""

from __future__ import annotations

import sys

import numpy as np

import fullband
from fullband.audio.resample import resample
from fullband.corpora.synthetic import synthetic_voice
from fullband.degrade import degrade
from fullband.evaluate.metrics import lsd, snr_db

RATE, NARROW_RATE = 16_000, 8_000

if len(sys.argv) > 1:
    wide, rate = fullband.read(sys.argv[1])
    wide = resample(np.atleast_2d(wide).mean(axis=0), rate, RATE)
else:
    wide = synthetic_voice(RATE, 3.0, np.random.default_rng(0))

narrow = degrade(wide, RATE, NARROW_RATE, "sinc-hann")
for model in ("sinc", "spline", "auto"):
    predicted, _ = fullband.enhance(narrow, sample_rate=NARROW_RATE, rate=RATE, model=model)
    length = min(len(predicted), len(wide))
    predicted, reference = predicted[:length], wide[:length]
    snr, distance = snr_db(predicted, reference), lsd(predicted, reference)
    print(f"{model:8} SNR {snr:6.2f} dB   lsd {distance:.2f}")
