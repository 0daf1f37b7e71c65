"""The contract of enhancement, for a baseline and for networks that add noise of their own."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

import fullband
from fullband.audio.file import AudioReader, AudioWriter, read, write
from fullband.audio.resample import resample
from fullband.engine import open_model
from fullband.enhancement import EnhanceStage, analyse, enhance, enhance_file, load
from fullband.errors import AudioError, ModelError, OutputError
from signals import (
    band,
    click,
    error_db,
    lag,
    low_passed,
    noise,
    pink_noise,
    rms_db,
    silence,
    split,
    tone,
    voice,
)

SOURCE_RATES = [4000, 8000, 11_025, 22_050, 44_100, 48_000]
TARGET_RATES = [16_000, 44_100, 48_000]
MODELS = ["spline", "tiny-4x", "tiny-3x"]


@pytest.fixture(params=MODELS)
def model(request) -> str:
    """What `--model` would be given. The networks are only made where they are asked for."""
    if request.param == "spline":
        return "spline"
    return str(request.getfixturevalue("exported")[4 if request.param == "tiny-4x" else 3])


def narrow(sample_rate: int, seed: int = 0, duration_s: float = 0.602) -> np.ndarray:
    """A voice in stereo, the right channel another and quieter, cut below the Nyquist frequency."""
    left, right = (voice(duration_s, sample_rate, seed=seed + i) for i in (0, 5))
    cut_hz = min(0.85 * sample_rate / 2, 3400)
    return low_passed(np.stack([left, 0.5 * right[::-1]]), sample_rate, cut_hz)


def whole(model: str, audio: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    return enhance(audio, source_rate, target_rate, model)[0]


def in_blocks(
    model: str, blocks: list[np.ndarray], source_rate: int, target_rate: int
) -> np.ndarray:
    stage = EnhanceStage(open_model(model), analyse(blocks, source_rate), target_rate)
    return np.concatenate([*map(stage.push, blocks), stage.flush()], axis=-1)


@pytest.mark.parametrize("target_rate", TARGET_RATES)
@pytest.mark.parametrize("source_rate", SOURCE_RATES)
def test_contract(model, source_rate, target_rate):
    audio = narrow(source_rate)
    wide, rate = enhance(audio, source_rate, target_rate, model)
    kept = resample(audio, source_rate, target_rate)
    bandwidth_hz = analyse([audio], source_rate).bandwidth_hz
    assert rate == target_rate
    assert wide.dtype == np.float32
    assert wide.shape == (2, round(audio.shape[-1] * target_rate / source_rate))
    below, expected = (band(x, target_rate, 0, bandwidth_hz) for x in (wide, kept))
    for channel in (0, 1):
        assert error_db(below[channel], expected[channel]) < -60
        assert lag(wide[channel], kept[channel]) == 0
        scale = np.dot(below[channel], expected[channel]) / np.sum(expected[channel] ** 2)
        assert scale == pytest.approx(1, abs=1e-3)
    mono = whole(model, audio[0], source_rate, target_rate)
    assert mono.shape == wide[0].shape


def test_twice_is_the_same(model):
    audio = narrow(11_025)
    np.testing.assert_array_equal(
        whole(model, audio, 11_025, 48_000), whole(model, audio, 11_025, 48_000)
    )


@pytest.mark.parametrize("source_rate", [4000, 11_025, 48_000])
def test_something_is_added_above_the_bandwidth_and_nowhere_else(exported, source_rate):
    audio = narrow(source_rate)[0]
    wide = whole(str(exported[4]), audio, source_rate, 48_000)
    added = wide - resample(audio, source_rate, 48_000)
    bandwidth_hz = analyse([audio[None]], source_rate).bandwidth_hz
    assert rms_db(band(added, 48_000, bandwidth_hz, 8000)) > rms_db(audio) - 30
    assert rms_db(band(added, 48_000, 0, bandwidth_hz)) < rms_db(audio) - 60
    assert rms_db(band(added, 48_000, 8100, 24_000)) < rms_db(audio) - 60  # the model ends there


@pytest.mark.parametrize("source_rate", [8000, 44_100])
def test_channels_are_not_mixed(model, source_rate):
    audio = narrow(source_rate)
    audio[1] = 0
    wide = whole(model, audio, source_rate, 16_000)
    assert rms_db(wide[0]) > -60
    assert np.max(np.abs(wide[1])) < 1e-7


def test_one_by_one_channels_equal_stereo(model):
    # The level and the bandwidth are the recording's; both channels here have the same.
    sound = narrow(8000)[0]
    stereo = whole(model, np.stack([sound, -sound]), 8000, 48_000)
    np.testing.assert_allclose(stereo[0], whole(model, sound, 8000, 48_000), atol=1e-5)
    np.testing.assert_allclose(stereo[1], whole(model, -sound, 8000, 48_000), atol=1e-5)


def test_a_stage_treats_every_channel_by_itself(model):
    audio = narrow(8000)
    analysis = analyse([audio], 8000)
    stage = EnhanceStage(open_model(model), analysis, 48_000)
    stereo = np.concatenate([stage.push(audio), stage.flush()], axis=-1)
    swapped_stage = EnhanceStage(open_model(model), analysis, 48_000)
    swapped = np.concatenate([swapped_stage.push(audio[::-1]), swapped_stage.flush()], axis=-1)
    np.testing.assert_allclose(swapped[::-1], stereo, atol=1e-6)


@pytest.mark.parametrize("source_rate", [4000, 11_025, 48_000])
def test_silence_stays_silence(model, source_rate):
    wide = whole(model, silence(0.4, source_rate), source_rate, 48_000)
    assert wide.shape == (19_200,)
    assert not wide.any()


@pytest.mark.parametrize("gain", [0.02, 3.0])
def test_louder_in_is_louder_out(model, gain):
    audio = narrow(8000)
    expected = gain * whole(model, audio, 8000, 16_000)
    actual = whole(model, np.float32(gain) * audio, 8000, 16_000)
    assert np.max(np.abs(actual - expected)) < 1e-4 * np.max(np.abs(expected))


@pytest.mark.parametrize(("source_rate", "target_rate"), [(8000, 48_000), (44_100, 16_000)])
@pytest.mark.parametrize("longest", [900, 20_000])
def test_block_by_block_equals_the_whole(monkeypatch, model, source_rate, target_rate, longest):
    monkeypatch.setattr("fullband.engine._BLOCK_SAMPLES", 8192)
    audio = narrow(source_rate)
    blocks = split(audio, np.random.default_rng(longest), longest)
    streamed = in_blocks(model, blocks, source_rate, target_rate)
    np.testing.assert_allclose(
        streamed, whole(model, audio, source_rate, target_rate), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("length", [1, 2, 5, 21, 300])
def test_sample_by_sample_equals_the_whole(model, length):
    audio = narrow(8000)[:, 2000 : 2000 + length]
    streamed = in_blocks(model, [audio[:, i : i + 1] for i in range(length)], 8000, 44_100)
    expected = whole(model, audio, 8000, 44_100)
    assert expected.shape == (2, round(length * 44_100 / 8000))
    np.testing.assert_allclose(streamed, expected, atol=1e-5, rtol=0)


def test_a_narrow_recording_in_a_wide_file_is_recognised(exported):
    wide_sound = pink_noise(2, 48_000)
    audio = low_passed(wide_sound, 48_000, 8000)
    analysis = analyse([audio[None]], 48_000)
    assert analysis.bandwidth_hz == pytest.approx(8000, rel=0.05)
    wide, rate = enhance(audio, 48_000, model=str(exported[3]))
    assert (rate, wide.shape) == (48_000, audio.shape)
    assert error_db(band(wide, 48_000, 0, analysis.bandwidth_hz), audio) < -60
    assert rms_db(band(wide, 48_000, 8500, 24_000)) > rms_db(audio) - 30


@pytest.mark.parametrize("target_rate", [44_100, 48_000])
@pytest.mark.parametrize("sound", [noise, pink_noise, voice])
def test_nothing_is_added_to_full_band_content(model, sound, target_rate):
    audio = sound(1, 48_000)
    np.testing.assert_array_equal(
        whole(model, audio, 48_000, target_rate), resample(audio, 48_000, target_rate)
    )


def test_sinc_is_resampling():
    audio = narrow(8000)
    np.testing.assert_array_equal(whole("sinc", audio, 8000, 44_100), resample(audio, 8000, 44_100))


def test_a_click_stays_where_it_is():
    wide = whole("spline", click(0.5, 8000, at_s=0.25), 8000, 48_000)
    assert np.argmax(np.abs(wide)) == 12_000


@pytest.mark.parametrize(
    ("source_rate", "name", "expected"),
    [(8000, "spline", 16_000), (44_100, "spline", 44_100), (8000, "sinc", 16_000)],
)
def test_the_rate_of_the_result_is_never_below_the_inputs(source_rate, name, expected):
    assert enhance(tone(440, 0.1, source_rate), source_rate, model=name)[1] == expected


def test_the_rate_of_the_result_is_the_models(exported):
    assert enhance(tone(440, 0.1, 8000), 8000, model=str(exported[4]))[1] == 16_000
    assert enhance(tone(440, 0.1, 8000), 8000, model=str(exported[3]))[1] == 48_000
    assert enhance(tone(440, 0.1, 44_100), 44_100, model=str(exported[4]))[1] == 44_100


def test_integers_are_scaled():
    sound = narrow(8000)
    as_int = np.round(sound * 32768).astype(np.int16)
    np.testing.assert_allclose(
        whole("spline", as_int, 8000, 16_000), whole("spline", sound, 8000, 16_000), atol=2e-4
    )


def test_the_input_is_not_changed(model):
    audio = narrow(8000)
    before = audio.copy()
    enhance(audio, 8000, model=model)
    np.testing.assert_array_equal(audio, before)


@pytest.mark.parametrize(
    ("audio", "sample_rate", "rate", "message"),
    [
        (np.zeros(0), 8000, None, "no samples"),
        (np.zeros((2, 0)), 8000, None, "no samples"),
        (np.zeros((0, 5)), 8000, None, "no samples"),
        (np.zeros(10), 1, None, "sample rate 1 Hz is outside"),
        (np.zeros(10), 8000, 999, "sample rate 999 Hz is outside"),
        (np.zeros(10), 8000, 1_000_000, "sample rate 1000000 Hz is outside"),
        (np.full(10, np.nan), 8000, None, "sample 0 is NaN"),
        (np.zeros((480, 2)), 8000, None, "time comes last"),
    ],
)
def test_what_cannot_be_enhanced_is_refused(audio, sample_rate, rate, message):
    with pytest.raises(AudioError, match=message):
        enhance(audio, sample_rate, rate, model="spline")


def test_an_unknown_model_is_refused_when_it_is_loaded():
    with pytest.raises(ModelError, match="did you mean 'spline'"):
        load("splines")


def test_analysis_by_hand():
    audio = np.stack([tone(1000, 1, 8000, amplitude=0.5), silence(1, 8000)])
    analysis = analyse(split(audio, np.random.default_rng(0), 3000, shortest=1), 8000)
    assert (analysis.sample_rate, analysis.channels, analysis.frames) == (8000, 2, 8000)
    assert analysis.peak == pytest.approx(0.5, abs=1e-6)
    # 0.5 of a sine is -9.03 dB, half of the channels are silent: 3.01 dB less.
    assert analysis.level_db == pytest.approx(-12.04, abs=0.2)
    assert 1000 <= analysis.bandwidth_hz < 1200


@pytest.fixture
def narrow_file(tmp_path):
    write(tmp_path / "narrow.wav", narrow(8000), 8000, "FLOAT")
    return tmp_path / "narrow.wav"


def test_a_file_is_what_the_array_would_be(tmp_path, narrow_file, model):
    summary = enhance_file(narrow_file, tmp_path / "wide.wav", rate=44_100, model=model)
    audio, rate = read(tmp_path / "wide.wav")
    expected = whole(model, read(narrow_file)[0], 8000, 44_100)
    assert rate == summary.target_rate == 44_100
    assert summary.frames == audio.shape[-1]
    assert summary.added
    assert (summary.source, summary.target) == (str(narrow_file), str(tmp_path / "wide.wav"))
    assert summary.analysis.frames == 4816
    assert summary.times_real_time == pytest.approx(0.602 / summary.seconds)
    np.testing.assert_allclose(audio, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("source_subtype", "target", "expected"),
    [
        ("PCM_U8", "out.wav", "PCM_16"),
        ("ULAW", "out.wav", "PCM_16"),
        ("PCM_16", "out.wav", "PCM_16"),
        ("PCM_24", "out.wav", "PCM_24"),
        ("PCM_32", "out.wav", "PCM_32"),
        ("FLOAT", "out.wav", "FLOAT"),
        ("DOUBLE", "out.wav", "FLOAT"),  # what is computed has 24 bits
        ("PCM_24", "out.flac", "PCM_24"),
        ("PCM_16", "out.flac", "PCM_16"),
        ("FLOAT", "out.flac", "PCM_24"),
        ("PCM_24", "out.aiff", "PCM_24"),
        ("PCM_24", "out.ogg", "VORBIS"),
        ("PCM_24", "out.opus", "OPUS"),
    ],
)
def test_the_bit_depth_is_kept(tmp_path, source_subtype, target, expected):
    write(tmp_path / "in.wav", narrow(8000), 8000, source_subtype)
    enhance_file(tmp_path / "in.wav", tmp_path / target, model="spline", rate=16_000)
    with AudioReader(tmp_path / target) as reader:
        assert reader.info.subtype == expected


def test_a_sample_format_may_be_asked_for(tmp_path, narrow_file):
    enhance_file(narrow_file, tmp_path / "wide.wav", model="spline", subtype="PCM_24")
    assert soundfile.info(tmp_path / "wide.wav").subtype == "PCM_24"


def test_what_had_to_be_limited_is_counted(tmp_path):
    # A square wave at full scale rings beyond it once it is resampled.
    square = np.sign(tone(101, 1, 8000)) * np.float32(0.999)
    write(tmp_path / "loud.wav", low_passed(square, 8000, 3000) * np.float32(1.0), 8000, "PCM_16")
    summary = enhance_file(tmp_path / "loud.wav", tmp_path / "wide.wav", model="spline")
    assert summary.limited > 0
    assert summary.peak > 1
    assert np.max(np.abs(read(tmp_path / "wide.wav")[0])) <= 1


def test_progress_goes_from_nothing_to_all(tmp_path):
    write(tmp_path / "long.wav", noise(80, 8000), 8000)
    heard: list[float] = []
    enhance_file(
        tmp_path / "long.wav", tmp_path / "wide.wav", model="spline", progress=heard.append
    )
    assert heard == sorted(heard)
    assert heard[0] <= 0.1 < heard[-2]
    assert heard[-1] == 1


def test_a_file_of_many_blocks_is_what_the_array_would_be(tmp_path):
    audio = noise(100, 8000)
    write(tmp_path / "long.wav", audio, 8000, "FLOAT")
    enhance_file(tmp_path / "long.wav", tmp_path / "wide.wav", 16_000, "spline", dither=False)
    expected = whole("spline", audio, 8000, 16_000)
    np.testing.assert_allclose(read(tmp_path / "wide.wav")[0], expected, atol=1e-5)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_what_goes_wrong_at_any_block_is_told_and_leaves_nothing(monkeypatch, tmp_path, at):
    write(tmp_path / "long.wav", noise(100, 8000), 8000)
    written = AudioWriter.write
    calls: list[int] = []

    def fails(self: AudioWriter, block: np.ndarray) -> None:
        calls.append(block.shape[-1])
        if len(calls) == at:
            raise OutputError("wide.wav: no space left on the disk")
        written(self, block)

    monkeypatch.setattr(AudioWriter, "write", fails)
    with pytest.raises(OutputError, match="no space left"):
        enhance_file(tmp_path / "long.wav", tmp_path / "wide.wav", 16_000, "spline")
    assert len(calls) == at
    assert [path.name for path in tmp_path.iterdir()] == ["long.wav"]


def test_the_target_is_checked_before_any_work(tmp_path, narrow_file):
    def never(_: float) -> None:
        raise AssertionError

    (tmp_path / "there.wav").write_text("precious")
    for target, message in (
        ("narrow.wav", "is the input itself"),
        ("there.wav", "exists already"),
        (".", "cannot write files ending in ''"),
        ("wide.xyz", "cannot write files ending in"),
    ):
        with pytest.raises(OutputError, match=message):
            enhance_file(narrow_file, tmp_path / target, model="spline", progress=never)
    assert (tmp_path / "there.wav").read_text() == "precious"


def test_the_package_offers_what_it_says():
    for name in fullband.__all__:
        assert name in dir(fullband)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fullband.nothing
