"""Sounds whose properties are known before anything is measured, and what to measure on them.

Every maker takes its length in seconds and its rate in Hz, gives float32 `[T]`, and draws what is
random from a generator seeded by its argument. Full scale is 1.0.
"""

from __future__ import annotations

import numpy as np

from fullband.audio.samples import Audio

FADE_S = 0.02


def samples_of(duration_s: float, sample_rate: int) -> int:
    """How many samples last so long."""
    return round(duration_s * sample_rate)


def tone(frequency_hz: float, duration_s: float, sample_rate: int, amplitude: float = 0.5) -> Audio:
    """A sine that starts at phase 0, faded in and out so that its ends make no click."""
    t = np.arange(samples_of(duration_s, sample_rate)) / sample_rate
    return faded(amplitude * np.sin(2 * np.pi * frequency_hz * t), sample_rate)


def sweep(
    start_hz: float, stop_hz: float, duration_s: float, sample_rate: int, amplitude: float = 0.5
) -> Audio:
    """A sine whose frequency rises linearly, faded in and out."""
    t = np.arange(samples_of(duration_s, sample_rate)) / sample_rate
    phase = 2 * np.pi * (start_hz * t + (stop_hz - start_hz) / (2 * duration_s) * t**2)
    return faded(amplitude * np.sin(phase), sample_rate)


def noise(duration_s: float, sample_rate: int, seed: int = 0, rms: float = 0.1) -> Audio:
    """White Gaussian noise."""
    generator = np.random.default_rng(seed)
    return (rms * generator.standard_normal(samples_of(duration_s, sample_rate))).astype(np.float32)


def pink_noise(duration_s: float, sample_rate: int, seed: int = 0, rms: float = 0.1) -> Audio:
    """Gaussian noise that falls 3 dB per octave above 50 Hz."""
    white = noise(duration_s, sample_rate, seed)
    frequencies_hz = np.fft.rfftfreq(len(white), 1 / sample_rate)
    pink = np.fft.irfft(np.fft.rfft(white) / np.sqrt(np.maximum(frequencies_hz, 50.0)), len(white))
    return (pink * (rms / np.std(pink))).astype(np.float32)


def click(duration_s: float, sample_rate: int, at_s: float, amplitude: float = 0.5) -> Audio:
    """Silence but for one sample."""
    audio = silence(duration_s, sample_rate)
    audio[samples_of(at_s, sample_rate)] = amplitude
    return audio


def silence(duration_s: float, sample_rate: int) -> Audio:
    """Zeros."""
    return np.zeros(samples_of(duration_s, sample_rate), np.float32)


def voice(duration_s: float, sample_rate: int, seed: int = 0, rms: float = 0.05) -> Audio:
    """Something like speech: syllables four times a second, vowels and hisses in turn.

    The vowels are harmonics of a gliding 90 to 180 Hz with three formants, and fall steeply; the
    hisses are noise from 2 kHz up. There is something up to the Nyquist frequency, faintly.
    """
    length = samples_of(duration_s, sample_rate)
    t = np.arange(length) / sample_rate
    pitch_hz = 130 + 40 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / sample_rate
    vowels = np.zeros(length)
    for harmonic in range(1, 1 + int(sample_rate / 2 / 180)):
        at_hz = harmonic * 130
        gain = sum(
            level / (1 + ((at_hz - formant_hz) / width_hz) ** 2)
            for formant_hz, width_hz, level in ((600, 90, 1), (1300, 120, 0.4), (2600, 180, 0.2))
        )
        vowels += gain * np.sin(harmonic * phase + harmonic**2)
    hiss = noise(duration_s, sample_rate, seed, rms=1.0).astype(np.float64)
    spectrum = np.fft.rfft(hiss)
    frequencies_hz = np.fft.rfftfreq(length, 1 / sample_rate)
    spectrum *= 1 / (1 + (2500 / np.maximum(frequencies_hz, 1)) ** 4)
    hiss = np.fft.irfft(spectrum, length)
    syllable = np.sin(2 * np.pi * 2 * t) ** 2
    is_vowel = np.sin(2 * np.pi * 1 * t + 0.5) > -0.5
    sound = syllable * np.where(is_vowel, vowels / np.std(vowels), 0.3 * hiss / np.std(hiss))
    sound += 1e-3 * noise(duration_s, sample_rate, seed + 1, rms=1.0)  # the room
    return faded(sound * (rms / np.std(sound)), sample_rate)


def faded(audio: np.ndarray, sample_rate: int) -> Audio:
    """The same with 20 ms raised-cosine fades at both ends."""
    t = np.arange(audio.shape[-1]) / sample_rate
    duration_s = audio.shape[-1] / sample_rate
    from_end_s = np.minimum(t, duration_s - t)
    ramp = np.clip(from_end_s / min(FADE_S, duration_s / 2), 0, 1)
    return (audio * (0.5 - 0.5 * np.cos(np.pi * ramp))).astype(np.float32)


def band(audio: np.ndarray, sample_rate: int, low_hz: float, high_hz: float) -> np.ndarray:
    """What lies from one frequency up to another, cut without any slope by the whole's FFT."""
    spectrum = np.fft.rfft(audio.astype(np.float64), axis=-1)
    frequencies_hz = np.fft.rfftfreq(audio.shape[-1], 1 / sample_rate)
    spectrum[..., (frequencies_hz < low_hz) | (frequencies_hz >= high_hz)] = 0
    return np.fft.irfft(spectrum, audio.shape[-1], axis=-1)


def low_passed(audio: Audio, sample_rate: int, cutoff_hz: float) -> Audio:
    """The same with nothing from a frequency up, and with faded ends."""
    return faded(band(audio, sample_rate, 0.0, cutoff_hz), sample_rate)


def rounded(audio: Audio, bits: int) -> Audio:
    """The same rounded to the steps of an integer format."""
    steps = 2.0 ** (bits - 1)
    return (np.round(audio * steps) / steps).astype(np.float32)


def rms_db(audio: np.ndarray) -> float:
    """Root mean square in dB, 1.0 being 0 dB and zeros -400 dB."""
    return float(10 * np.log10(np.mean(np.square(audio, dtype=np.float64)) + 1e-40))


def error_db(actual: np.ndarray, expected: np.ndarray) -> float:
    """How far below `expected` the difference to it lies, in dB (negative is good)."""
    assert actual.shape == expected.shape
    return rms_db(actual.astype(np.float64) - expected) - rms_db(expected)


def lag(actual: np.ndarray, expected: np.ndarray) -> int:
    """By how many samples `actual` `[T]` comes later than `expected` `[T]`: the highest peak of
    their cross-correlation."""
    length = 2 * max(len(actual), len(expected))
    product = np.fft.rfft(actual, length) * np.conj(np.fft.rfft(expected, length))
    peak = int(np.argmax(np.fft.irfft(product, length)))
    return peak if peak < length // 2 else peak - length


def split(
    audio: Audio, generator: np.random.Generator, longest: int, shortest: int = 0
) -> list[Audio]:
    """`[C, T]` cut into consecutive blocks of random sizes; joined they are the whole."""
    blocks = []
    start = 0
    while start < audio.shape[-1]:
        size = int(generator.integers(shortest, longest + 1))
        blocks.append(audio[:, start : start + size])
        start += size
    return blocks
