"""The similarity of neurograms: by hand, against ViSQOL's own, and blind where it must be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fullband.losses.neurogram import band_centres_hz, dissimilarity, neurogram
from fullband.losses.new_band import Spectra
from signals import band, noise, tone

RATE = 48_000
END_HZ = 8000.0


def spectra(audio) -> Spectra:
    return Spectra(torch.from_numpy(np.asarray(audio, np.float32)[None]))


def unlike(predicted, wide, end_hz=END_HZ, true_hz=RATE / 2, **options):
    place = torch.tensor([end_hz]), torch.tensor([true_hz])
    return float(dissimilarity(spectra(predicted), spectra(wide), RATE, *place, **options))


def syllables(seed, rate=4.0):
    """Noise that comes and goes, at a level that swings by 26 dB."""
    time = np.arange(2 * RATE) / RATE
    return noise(2, RATE, seed) * 10 ** (0.65 * (np.sin(2 * np.pi * rate * time) - 1))


@pytest.fixture
def wide():
    return syllables(1)


def test_centres_by_hand():
    # Slaney 1993: 50 Hz to Nyquist in 32 steps of the ear's bandwidths, the last left out.
    centres = band_centres_hz(RATE).numpy()
    offset = 9.26449 * 24.7
    assert len(centres) == 32
    assert centres[0] == pytest.approx(50, abs=0.01)
    steps = np.diff(np.log(centres + offset))
    assert steps == pytest.approx(
        np.full(31, np.log((24_000 + offset) / (50 + offset)) / 32), rel=1e-4
    )


def test_levels_of_a_tone_by_hand():
    # A tone of amplitude 0.2 in the middle of a band has -17 dB, 73 dB above the floor at -90.
    # Levels count in units of 2 dB, and the Hann window takes 4.26 dB.
    band_number = 25
    hz = float(band_centres_hz(RATE)[band_number])
    levels = neurogram(spectra(tone(hz, 1.0, RATE, 0.2)), RATE)[0]
    expected = (10 * np.log10(0.2**2 / 2 * 3 / 8) + 90) / 2
    assert levels[:, band_number].numpy() == pytest.approx(expected, abs=0.02)
    # A bandwidth of 1.019 ERB beside the centre, four poles pass 16 times less power.
    width = 1.019 * (hz / 9.26449 + 24.7)
    beside = neurogram(spectra(tone(hz + width, 1.0, RATE, 0.2)), RATE)[0, :, band_number]
    assert beside.numpy() == pytest.approx(expected - 5 * np.log10(16), abs=0.05)


def test_it_is_nothing_for_the_same_and_more_for_what_is_less_alike(wide):
    assert unlike(wide, wide) == pytest.approx(0, abs=1e-4)
    assert unlike(np.zeros(RATE), np.zeros(RATE)) == pytest.approx(0, abs=1e-4)
    other_noise = np.abs(unlike(syllables(2), wide))
    at_other_times = unlike(syllables(2, rate=3.0), wide)
    missing = unlike(band(wide, RATE, 0, END_HZ), wide)
    assert 0 < other_noise < 0.6 < at_other_times < missing
    assert missing > 0.9


def test_a_slope_the_other_way_is_less_alike_than_none(wide):
    def tilted(audio, db_per_khz):
        spectrum = np.fft.rfft(audio)
        khz = np.fft.rfftfreq(len(audio), 1 / RATE) / 1000
        return np.fft.irfft(spectrum * 10 ** (db_per_khz * (khz - 16) / 20), len(audio))

    steady = noise(2, RATE, 3)
    falling, rising, flat = (tilted(noise(2, RATE, 4), slope) for slope in (-1.5, 1.5, 0.0))
    reference = tilted(steady, -1.5)
    assert unlike(falling, reference) < unlike(flat, reference) < unlike(rising, reference)
    assert unlike(rising, reference) > 1  # what rises where the other falls counts against


def test_only_the_new_band_counts_and_only_where_it_is_true(wide):
    low = wide + band(noise(2, RATE, 9, rms=0.5), RATE, 0, 5000)
    assert unlike(low, wide) < 0.02  # what leaks into the first band
    high = wide + band(noise(2, RATE, 9, rms=0.5), RATE, 19_500, 24_000)
    assert unlike(high, wide) > 0.1
    assert unlike(high, wide, true_hz=16_000.0) < 0.03
    assert unlike(high, wide, end_hz=8000.0, true_hz=8500.0) == 0  # no band lies between


def test_in_a_pause_a_noise_floor_is_true_above_a_wall():
    floor = torch.full((1, 129), -8.0)
    behind = noise(2, RATE, 5, rms=1e-4)
    silenced = band(behind, RATE, 0, 12_000)
    in_pauses = unlike(silenced, behind, true_hz=11_000.0, floor=floor)
    assert in_pauses == pytest.approx(unlike(silenced, behind, true_hz=0.96 * RATE / 2), rel=0.01)
    assert in_pauses > 2 * unlike(silenced, behind, true_hz=11_000.0) + 0.1


def test_what_is_shorter_than_a_frame_has_one():
    click = noise(0.01, RATE, 1)
    assert neurogram(spectra(click), RATE).shape == (1, 1, 32)
    assert unlike(click, click) == pytest.approx(0, abs=1e-4)


def test_its_filters_may_be_made_without_gradients(wide):
    rate = 44_100  # not asked for elsewhere
    with torch.inference_mode():
        neurogram(spectra(wide), rate)
    audio = torch.tensor(wide[None], dtype=torch.float32, requires_grad=True)
    neurogram(Spectra(audio), rate).sum().backward()
    assert audio.grad is not None


def test_a_gradient_there_is_always(wide):
    for reference in (wide, np.zeros_like(wide)):
        for given in (np.zeros_like(wide), band(wide, RATE, 0, END_HZ)):
            predicted = torch.tensor(given[None], dtype=torch.float32, requires_grad=True)
            place = torch.tensor([END_HZ]), torch.tensor([RATE / 2])
            dissimilarity(Spectra(predicted), spectra(reference), RATE, *place).backward()
            assert predicted.grad is not None
            assert predicted.grad.isfinite().all()


def test_levels_and_similarity_are_visqols(wide):
    gammatone = pytest.importorskip("visqol.gammatone")
    from visqol.analysis_window import AnalysisWindow
    from visqol.audio_utils import AudioSignal
    from visqol.nsim import measure_patch_similarity

    predicted = band(wide, RATE, 0, END_HZ) + band(syllables(2), RATE, END_HZ, 24_000)
    builder = gammatone.GammatoneSpectrogramBuilder(32, 50)
    window = AnalysisWindow(RATE)
    theirs = gammatone.prepare_spectrograms_for_comparison(
        *(builder.build(AudioSignal(audio, RATE), window) for audio in (wide, predicted))
    )
    ours = [neurogram(spectra(audio), RATE)[0].numpy().T for audio in (wide, predicted)]
    for mine, other in zip(ours, theirs, strict=True):
        assert np.std(mine - other) < 0.2  # but for a constant: theirs begin at their lowest
    means = measure_patch_similarity(*theirs).freq_band_means
    counted = band_centres_hz(RATE).numpy() >= 0.9 * END_HZ
    assert 1 - unlike(predicted, wide, true_hz=25_000.0) == pytest.approx(
        means[counted].mean(), abs=0.02
    )
