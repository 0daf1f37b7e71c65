"""The signal path of models that take any rate and are told where content ends."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from any_rate import RATE, write_any_rate_model
from fullband.audio.bandwidth import Segment
from fullband.audio.file import read, write
from fullband.audio.filters import crossover_width_hz
from fullband.audio.resample import resample
from fullband.engine import open_model
from fullband.enhancement import Analysis, EnhanceStage, analyse, enhance, enhance_file
from fullband.errors import AudioError
from signals import band, error_db, lag, low_passed, noise, rms_db, silence, split, tone, voice

SOURCE_RATES = [4000, 8000, 11_025, 16_000, 44_100, 48_000]


def narrow(sample_rate: int, duration_s: float = 1.0, seed: int = 0) -> np.ndarray:
    """A voice cut below the Nyquist frequency, and at 6 kHz at most. Shape: `[T]`."""
    sound = voice(duration_s, sample_rate, seed=seed)
    return low_passed(sound, sample_rate, min(0.85 * sample_rate / 2, 6000))


def protected_hz(bandwidth_hz: float) -> float:
    """Below this the kept band is untouched: the gate opens 50 Hz below the bandwidth, and the
    high-pass is open by then."""
    return bandwidth_hz - 50 - crossover_width_hz(bandwidth_hz)


def ends_hz(audio: np.ndarray, sample_rate: int) -> float:
    """Where content ends once the recording was resampled, as the model is told."""
    found_hz = analyse([np.atleast_2d(audio)], sample_rate).bandwidth_hz
    resampled_hz = sample_rate / 2 if sample_rate == RATE else 0.95 * sample_rate / 2
    return max(1900.0, min(found_hz, resampled_hz))


def in_blocks(
    model: object, analysis: Analysis, blocks: list[np.ndarray], target_rate: int
) -> np.ndarray:
    stage = EnhanceStage(open_model(str(model)), analysis, target_rate)
    return np.concatenate([*map(stage.push, blocks), stage.flush()], axis=-1)


@pytest.mark.parametrize("target_rate", [16_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("source_rate", SOURCE_RATES)
def test_the_band_that_is_there_is_untouched_and_the_one_above_is_filled(
    any_rate, source_rate, target_rate
):
    audio = narrow(source_rate)
    wide, rate = enhance(audio, source_rate, target_rate, str(any_rate))
    kept = resample(audio, source_rate, target_rate)
    bandwidth_hz = ends_hz(audio, source_rate)
    assert rate == target_rate
    assert wide.shape == kept.shape == (target_rate,)
    added = wide - kept
    # What the model adds is louder than the recording; 80 dB below that nothing of it is left.
    assert rms_db(band(added, target_rate, 0, protected_hz(bandwidth_hz))) < rms_db(added) - 80
    assert rms_db(band(added, target_rate, bandwidth_hz, target_rate / 2)) > rms_db(audio) - 10
    assert lag(wide, kept) == 0


@pytest.mark.parametrize("bandwidth_hz", [2000, 3400, 5500, 8000, 11_000, 16_000])
def test_the_join_has_neither_hole_nor_bump(tmp_path, bandwidth_hz):
    # White noise, of which a model that repeats the lowest 2 kHz makes white noise again: the
    # spectrum of the result shall be flat right across the join. Only in the 100 Hz in which this
    # model's gate opens, with nothing in its input to fill them up, it gives half the power.
    model = write_any_rate_model(tmp_path)
    audio = band(noise(12, RATE), RATE, 0, bandwidth_hz).astype(np.float32)
    wide, _ = enhance(audio, RATE, model=str(model), bandwidth_hz=bandwidth_hz)
    power = np.abs(np.fft.rfft(wide.astype(np.float64))) ** 2
    hz = np.fft.rfftfreq(len(wide), 1 / RATE)
    edges_hz = np.arange(bandwidth_hz - 600, bandwidth_hz + 600, 100)
    level_db = [
        10 * np.log10(power[(hz >= low_hz) & (hz < low_hz + 100)].mean()) for low_hz in edges_hz
    ]
    reference_db = 10 * np.log10(power[(hz > 100) & (hz < bandwidth_hz - 700)].mean())
    deviation_db = np.abs(np.array(level_db) - reference_db)
    opening = edges_hz == bandwidth_hz
    assert np.max(deviation_db[~opening]) < 1  # 0.2 but for where what is repeated begins anew
    assert np.max(deviation_db[opening]) < 3.5


@pytest.mark.parametrize("source_rate", [8000, 44_100])
def test_where_the_target_rate_is_the_models_the_input_is_resampled_once(
    monkeypatch, any_rate, source_rate
):
    made = []
    import fullband.enhancement

    class Counted(fullband.enhancement.Resampler):
        def __init__(self, source_rate, target_rate, channels):
            made.append((source_rate, target_rate))
            super().__init__(source_rate, target_rate, channels)

    monkeypatch.setattr("fullband.enhancement.Resampler", Counted)
    enhance(narrow(source_rate), source_rate, model=str(any_rate))
    assert [pair for pair in made if pair[0] != pair[1]] == [(source_rate, RATE)]


@pytest.mark.parametrize("target_rate", [16_000, 48_000])
@pytest.mark.parametrize("longest", [3000, 90_000])
def test_block_by_block_equals_the_whole_where_the_bandwidth_moves(
    monkeypatch, any_rate, target_rate, longest
):
    monkeypatch.setattr("fullband.engine._BLOCK_SAMPLES", 9600)
    audio = np.stack([narrow(8000, 4), narrow(8000, 4, seed=3)])
    segments = (Segment(0, 3300.0), Segment(9_001, 2300.0), Segment(20_017, 3700.0))
    analysis = dataclasses.replace(analyse([audio], 8000), segments=segments)
    blocks = split(audio, np.random.default_rng(longest), longest)
    streamed = in_blocks(any_rate, analysis, blocks, target_rate)
    monkeypatch.setattr("fullband.engine._BLOCK_SAMPLES", 1 << 22)
    whole = in_blocks(any_rate, analysis, [audio], target_rate)
    assert whole.shape == (2, 4 * target_rate)
    np.testing.assert_allclose(streamed, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [1, 2, 479, 480, 481, 2000])
def test_any_length_goes(any_rate, length):
    audio = narrow(8000)[3000 : 3000 + length]
    wide, _ = enhance(audio, 8000, model=str(any_rate))
    assert wide.shape == (6 * length,)
    assert np.all(np.isfinite(wide))


@pytest.fixture(scope="module")
def mixed():
    """Full-band, then 14 s as from a telephone, then full-band again, of one noise that goes on."""
    audio = noise(26, RATE, rms=0.05)
    audio[6 * RATE : 20 * RATE] = band(audio, RATE, 0, 3400)[6 * RATE : 20 * RATE]
    return audio


def test_a_telephone_within_a_full_band_recording_is_widened_alone(any_rate, mixed):
    analysis = analyse([mixed[None]], RATE)
    assert [round(part.start / RATE, 1) for part in analysis.segments] == [
        0,
        pytest.approx(6, abs=0.3),
        pytest.approx(20, abs=0.3),
    ]
    ends = [part.bandwidth_hz for part in analysis.segments]
    assert ends == [RATE / 2, pytest.approx(3400, rel=0.03), RATE / 2]
    wide, _ = enhance(mixed, RATE, model=str(any_rate))
    added = wide - mixed
    inside = added[7 * RATE : 19 * RATE] * np.hanning(12 * RATE)
    assert rms_db(inside) > rms_db(mixed) - 10
    assert rms_db(band(inside, RATE, 0, protected_hz(3350))) < rms_db(inside) - 80
    for start, end in ((0, 5.5), (20.5, 26)):
        assert not added[int(start * RATE) : int(end * RATE)].any()


def test_where_the_bandwidth_switches_nothing_clicks(tmp_path):
    # The same narrow sound throughout, said to be narrower in its second half. A click would be
    # loud where neither the sound nor what is added can be: below the kept band's own lower end,
    # at 300 Hz, and above what is repeated of it, at 22 kHz.
    model = write_any_rate_model(tmp_path)
    audio = band(noise(8, RATE), RATE, 300, 1800).astype(np.float32)
    analysis = analyse([audio[None]], RATE)
    segments = (Segment(0, 6000.0), Segment(4 * RATE + 123, 2500.0))
    switched = in_blocks(
        model, dataclasses.replace(analysis, segments=segments), [audio[None]], RATE
    )[0]
    added = (switched - audio).astype(np.float64)
    around = slice(4 * RATE + 123 - 4800, 4 * RATE + 123 + 4800)
    before = slice(2 * RATE, 2 * RATE + 9600)
    window = np.hanning(9600)
    low = [rms_db(band(added[part] * window, RATE, 0, 200)) for part in (around, before)]
    assert rms_db(added[around]) > -40
    assert low[0] < rms_db(added[around]) - 80
    # No sample stands out against the sound's own.
    steps = np.abs(np.diff(added))
    assert steps[around].max() < 1.5 * steps[4 * RATE + 5000 :].max()


def test_each_side_of_a_switch_is_what_it_would_be_alone(any_rate):
    audio = narrow(8000, 6)[None]
    analysis = analyse([audio], 8000)
    parts = (Segment(0, 3500.0), Segment(24_000, 2500.0))
    both = in_blocks(any_rate, dataclasses.replace(analysis, segments=parts), [audio], RATE)[0]
    for bandwidth_hz, start, end in ((3500.0, 0, 2.8), (2500.0, 3.2, 6)):
        alone = dataclasses.replace(analysis, segments=(Segment(0, bandwidth_hz),))
        expected = in_blocks(any_rate, alone, [audio], RATE)[0]
        inside = slice(int(start * RATE), int(end * RATE))
        np.testing.assert_allclose(both[inside], expected[inside], atol=1e-5)


def test_mirror_images_are_taken_out_and_what_they_mirror_stays(tmp_path):
    # Linear interpolation from 8 to 48 kHz. The model adds nothing.
    model = write_any_rate_model(tmp_path, loudness=0.0)
    audio = np.interp(np.arange(4 * RATE) / 6, np.arange(4 * 8000), noise(4, 8000))
    audio = np.stack([audio, 0.5 * audio]).astype(np.float32)
    analysis = analyse([audio], RATE)
    assert analysis.mirror_hz == 4000
    blocks = split(audio, np.random.default_rng(0), 30_000, shortest=1)
    wide = in_blocks(model, analysis, blocks, RATE)
    assert wide.shape == audio.shape
    assert rms_db(band(audio, RATE, 4150, 24_000)) > -45
    assert rms_db(band(wide, RATE, 4150, 24_000)) < -80
    # At its ends the recording itself begins and ends with a step.
    kept = [band(each, RATE, 0, 3800)[:, RATE : 3 * RATE] for each in (audio, wide)]
    assert rms_db(kept[1] - kept[0]) < rms_db(kept[0]) - 75
    # What is told where it ends is left as it is.
    told, _ = enhance(audio, RATE, model=str(model), bandwidth_hz=4000)
    assert rms_db(band(told, RATE, 4150, 24_000)) > -45


@pytest.mark.parametrize("sound", [noise, voice])
def test_nothing_is_added_to_what_is_full_band(any_rate, sound):
    audio = sound(2, RATE)
    np.testing.assert_array_equal(enhance(audio, RATE, model=str(any_rate))[0], audio)


def test_nothing_is_added_where_the_target_rate_has_no_room(any_rate):
    audio = band(noise(2, RATE), RATE, 0, 12_000).astype(np.float32)
    wide, _ = enhance(audio, RATE, 16_000, str(any_rate))
    np.testing.assert_array_equal(wide, resample(audio, RATE, 16_000))


@pytest.mark.parametrize("source_rate", [4000, 44_100])
def test_silence_stays_exactly_silence(any_rate, source_rate):
    wide, _ = enhance(silence(1, source_rate), source_rate, model=str(any_rate), bandwidth_hz=1500)
    assert wide.shape == (RATE,)
    assert not wide.any()


def test_content_that_ends_lower_than_the_model_knows_is_taken_to_end_there(any_rate):
    audio = band(noise(2, 8000), 8000, 0, 1200).astype(np.float32)
    found_hz = analyse([audio[None]], 8000).bandwidth_hz
    assert found_hz == pytest.approx(1200, rel=0.05)
    wide = enhance(audio, 8000, model=str(any_rate))[0]
    as_1900 = enhance(audio, 8000, model=str(any_rate), bandwidth_hz=1900)[0]
    np.testing.assert_array_equal(wide, as_1900)


@pytest.mark.parametrize("source_rate", [8000, 48_000])
def test_identical_channels_stay_identical_and_differences_of_level_are_kept(any_rate, source_rate):
    left = narrow(source_rate)
    wide, _ = enhance(np.stack([left, left, 0.25 * left]), source_rate, model=str(any_rate))
    np.testing.assert_array_equal(wide[0], wide[1])
    np.testing.assert_allclose(wide[2], 0.25 * wide[0], atol=1e-6)


def test_many_channels_go_through_one_by_one(monkeypatch, any_rate):
    audio = np.stack([narrow(8000, seed=seed) for seed in range(3)])
    together = enhance(audio, 8000, model=str(any_rate))[0]
    monkeypatch.setattr("fullband.engine._WINDOW_SAMPLES", 1)
    np.testing.assert_allclose(enhance(audio, 8000, model=str(any_rate))[0], together, atol=1e-6)


@pytest.mark.parametrize("gain", [0.01, 4.0])
def test_louder_in_is_louder_out(any_rate, gain):
    audio = narrow(8000)
    expected = gain * enhance(audio, 8000, model=str(any_rate))[0]
    actual = enhance(np.float32(gain) * audio, 8000, model=str(any_rate))[0]
    assert error_db(actual, expected) < -80


def test_a_bandwidth_that_is_given_rules(any_rate):
    audio = narrow(RATE)
    assert ends_hz(audio, RATE) == pytest.approx(6000, rel=0.05)
    wide, _ = enhance(audio, RATE, model=str(any_rate), bandwidth_hz=3000)
    added = wide - audio
    assert rms_db(band(added, RATE, 0, protected_hz(3000))) < rms_db(added) - 80
    assert rms_db(band(added, RATE, 3000, 5500)) > rms_db(audio) - 30


@pytest.mark.parametrize(
    ("bandwidth_hz", "message"),
    [
        (4001, "bandwidth 4001 Hz is outside 400 Hz to half the sample rate, 4000 Hz"),
        (399.5, "bandwidth 399.5 Hz is outside 400 Hz"),
        (-1, "bandwidth -1 Hz is outside"),
        (float("nan"), "bandwidth must be a number in Hz, got nan"),
        (float("inf"), "bandwidth must be a number in Hz, got inf"),
        ("wide", "bandwidth must be a number in Hz, got 'wide'"),
        (True, "bandwidth must be a number in Hz, got True"),
    ],
)
def test_a_bandwidth_that_cannot_be_is_refused(tmp_path, bandwidth_hz, message):
    audio = tone(440, 0.1, 8000)
    with pytest.raises(AudioError) as caught:
        enhance(audio, 8000, model="spline", bandwidth_hz=bandwidth_hz)
    assert str(caught.value).startswith(message)
    write(tmp_path / "in.wav", audio, 8000)
    with pytest.raises(AudioError):
        enhance_file(
            tmp_path / "in.wav", tmp_path / "out.wav", model="spline", bandwidth_hz=bandwidth_hz
        )
    assert not (tmp_path / "out.wav").exists()


def test_a_given_bandwidth_holds_for_other_models_too():
    audio = narrow(8000)
    wide, _ = enhance(audio, 8000, 48_000, "spline", bandwidth_hz=2500)
    measured, _ = enhance(audio, 8000, 48_000, "spline")
    assert np.max(np.abs(wide - measured)) > 1e-3


def test_a_file_is_what_the_array_would_be(tmp_path, any_rate, mixed):
    write(tmp_path / "in.wav", mixed, RATE, "FLOAT")
    summary = enhance_file(
        tmp_path / "in.wav", tmp_path / "out.wav", model=str(any_rate), rate=44_100
    )
    assert summary.added
    assert len(summary.analysis.segments) == 3
    expected, _ = enhance(mixed, RATE, 44_100, str(any_rate))
    np.testing.assert_allclose(read(tmp_path / "out.wav")[0], expected, atol=1e-5)


@pytest.fixture
def speech(tmp_path, monkeypatch):
    """The model released under the name that `auto` takes."""
    folder = tmp_path / "released"
    folder.mkdir()
    write_any_rate_model(folder, "speech")
    monkeypatch.setattr("fullband.card.RELEASED", folder)
    open_model.cache_clear()
    yield folder
    open_model.cache_clear()


@pytest.mark.parametrize(
    ("source_rate", "rate", "expected"),
    [(4000, None, 48_000), (44_100, None, 48_000), (96_000, None, 96_000), (8000, 16_000, 16_000)],
)
def test_auto_is_speech_at_48_khz_or_the_inputs_rate(speech, source_rate, rate, expected):
    audio = narrow(source_rate)
    wide, target_rate = enhance(audio, source_rate, rate)
    assert target_rate == expected
    np.testing.assert_array_equal(wide, enhance(audio, source_rate, rate, model="speech")[0])
    assert rms_db(wide - resample(audio, source_rate, target_rate)) > rms_db(audio) - 20


@pytest.mark.parametrize("side_db", [-12.0, -24.0])
def test_a_voice_panned_to_a_side_gets_one_new_band_panned_likewise(side_db):
    # With the released network, which does other things at other levels than it was made for.
    left = resample(voice(2, RATE), RATE, 8000)
    gain = np.float32(10 ** (side_db / 20))
    wide, _ = enhance(np.stack([left, gain * left]), 8000, model="speech")
    assert error_db(wide[1], gain * wide[0]) < -90
    assert rms_db(band(wide[0], RATE, 5000, 20_000)) > -90


@pytest.mark.parametrize("source_rate", [8000, 48_000])
def test_detail_is_the_amplitude_of_the_new_band(any_rate, source_rate):
    audio = np.stack([narrow(source_rate, seed=seed) for seed in (0, 1)])
    wide, half, none = (
        enhance(audio, source_rate, model=str(any_rate), detail=detail)[0] for detail in (1, 0.5, 0)
    )
    kept = resample(audio, source_rate, RATE)
    np.testing.assert_array_equal(none, kept)
    assert rms_db(wide - kept) > -60
    np.testing.assert_allclose(half - kept, (wide - kept) / 2, atol=1e-6)


def test_detail_of_a_file_is_that_of_its_audio(tmp_path, any_rate):
    write(tmp_path / "in.wav", narrow(8000), 8000, subtype="FLOAT")
    for detail in (0, 0.3):
        target = tmp_path / f"{detail}.wav"
        summary = enhance_file(tmp_path / "in.wav", target, model=str(any_rate), detail=detail)
        assert summary.added == (detail > 0)
        expected, _ = enhance(narrow(8000), 8000, model=str(any_rate), detail=detail)
        np.testing.assert_allclose(read(target)[0], expected, atol=1e-6)


@pytest.mark.parametrize("detail", [-0.1, 1.01, float("nan"), "much", True])
def test_a_detail_that_cannot_be_is_refused(tmp_path, detail):
    audio = tone(440, 0.1, 8000)
    with pytest.raises(AudioError, match="detail must be a number from 0 to 1"):
        enhance(audio, 8000, model="spline", detail=detail)
    write(tmp_path / "in.wav", audio, 8000)
    with pytest.raises(AudioError, match="detail must be a number from 0 to 1"):
        enhance_file(tmp_path / "in.wav", tmp_path / "out.wav", detail=detail)
    assert not (tmp_path / "out.wav").exists()


def test_auto_goes_by_what_it_hears(monkeypatch):
    asked = []

    def choose(bandwidth_hz, kind):
        asked.append(kind)
        return "sinc"

    monkeypatch.setattr("fullband.enhancement.choose_model", choose)
    spoken = noise(4, 8000) * ((np.arange(4 * 8000) / 8000 * 3) % 1 < 0.5)
    for audio in (spoken, tone(440, 4, 8000), np.stack([spoken, spoken])):
        enhance(audio.astype(np.float32), 8000)
    assert asked == ["speech", "music", "speech"]
