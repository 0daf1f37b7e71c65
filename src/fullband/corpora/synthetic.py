"""A corpus made of nothing but arithmetic, for tests and for trying a recipe in seconds."""

from __future__ import annotations

import numpy as np

from fullband.audio.level import active_level_db
from fullband.audio.samples import Audio
from fullband.corpora.dataset import Decoded

__all__ = ["synthetic_corpus", "synthetic_voice"]


def synthetic_voice(sample_rate: int, duration_s: float, generator: np.random.Generator) -> Audio:
    """Something with harmonics up to Nyquist, a gliding pitch, noise and pauses.

    Harmonics fall by 6 dB per octave and are in phase with the fundamental, so what lies above a
    cutoff can be predicted from what lies below.

    Shape:
        result `[T]`.
    """
    t = np.arange(round(duration_s * sample_rate)) / sample_rate
    start, end = generator.uniform(100, 250, 2)
    pitch = start + (end - start) * t / max(duration_s, 1e-9)
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    highest = int(0.45 * sample_rate / max(start, end))
    voice = sum(np.sin(k * phase) / k for k in range(1, highest + 1))
    syllables = np.clip(np.sin(2 * np.pi * generator.uniform(1.5, 3) * t), 0, None)
    noise = 0.002 * generator.standard_normal(len(t))
    return (0.1 * voice * syllables + noise).astype(np.float32)


def synthetic_corpus(
    sample_rate: int, seed: int, count: int = 4, duration_s: float = 3.0
) -> Decoded:
    """`count` recordings of `synthetic_voice`, the same for the same seed."""
    generator = np.random.default_rng(seed)
    recordings = [synthetic_voice(sample_rate, duration_s, generator) for _ in range(count)]
    starts = np.cumsum([0, *(len(recording) for recording in recordings)])
    return Decoded(
        samples=np.concatenate(recordings),
        starts=tuple(int(start) for start in starts),
        levels_db=tuple(active_level_db(recording, sample_rate) for recording in recordings),
        names=tuple(f"synthetic-{index}" for index in range(count)),
        sample_rate=sample_rate,
    )
