"""Streams: whatever the packets, as the model makes it of the whole, together as alone, in time."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest

import fullband
from fullband.audio.bandwidth import Segment
from fullband.audio.resample import resample
from fullband.engine import StreamingModel, open_model
from fullband.errors import AudioError, ModelError
from fullband.streaming import LIVE, Streams, stream
from signals import click, error_db, lag, noise, tone, voice

RATE = 8000


def streamed(opened, audio, lengths) -> np.ndarray:
    pieces, start = [], 0
    while start < audio.shape[-1]:
        length = int(next(lengths))
        pieces.append(opened(audio[..., start : start + length]))
        start += length
    return np.concatenate([*pieces, opened.flush()], axis=-1)


def always(length: int):
    while True:
        yield length


@pytest.mark.parametrize("source_rate", [8000, 16_000, 22_050, 48_000])
@pytest.mark.parametrize("target_rate", [None, 24_000])
def test_packets_of_any_length_give_the_same_and_all_of_it(source_rate, target_rate):
    if target_rate is not None and target_rate < source_rate:
        return
    audio = voice(1.03, source_rate)
    settings = {"source_rate": source_rate, "target_rate": target_rate}
    whole = streamed(stream(**settings), audio, always(len(audio)))
    generator = np.random.default_rng(4)
    sizes = iter(lambda: generator.integers(1, source_rate // 20), None)
    pieces = streamed(stream(**settings), audio, sizes)
    assert len(whole) == round(len(audio) * (target_rate or 48_000) / source_rate)
    assert pieces.shape == whole.shape
    np.testing.assert_allclose(pieces, whole, atol=5e-6)
    assert np.abs(whole).max() > 0.05


def test_what_is_streamed_is_what_the_model_makes_of_the_whole():
    """At the model's own rate nothing but the model lies between: its offline run is the answer."""
    model = open_model(LIVE)
    assert isinstance(model, StreamingModel)
    audio = voice(1.5, 16_000)
    upsampled = np.zeros(48_000 * 3 // 2, np.float32)
    upsampled[::3] = audio
    narrow = np.convolve(upsampled, np.sinc(np.arange(-60, 61) / 3) * np.hanning(121), "same")
    narrow = narrow.astype(np.float32)
    expected = model.run(narrow[None], 7500.0)[0]
    opened = stream(source_rate=48_000, bandwidth_hz=7500.0, lows=1.0)
    found = streamed(opened, narrow, always(333))
    np.testing.assert_allclose(found, expected, atol=5e-6)
    assert error_db(narrow, expected) > -60  # and the model did something


def test_streams_together_as_each_alone():
    """Calls that came at different times, at different rates and with different packets."""
    audio = {index: voice(0.8, rate, seed=index) for index, rate in enumerate((8000, 8000, 16_000))}
    rates = (8000, 8000, 16_000)
    alone = [streamed(stream(source_rate=rate), audio[i], always(rate // 50)) for i, rate in
             enumerate(rates)]  # fmt: skip
    calls = Streams()
    opened = [calls.open(rate) for rate in rates]
    pieces: list[list[np.ndarray]] = [[], [], []]
    for packet in range(45):
        blocks = {}
        for index, rate in enumerate(rates):
            first = (packet - 2 * index) * rate // 50  # the later ones ring later
            if 0 <= first < len(audio[index]):
                blocks[opened[index]] = audio[index][first : first + rate // 50]
        for call, wide in calls.push(blocks).items():
            pieces[opened.index(call)].append(wide)
    for index, call in enumerate(opened):
        together = np.concatenate([*pieces[index], call.flush()])
        np.testing.assert_allclose(together, alone[index], atol=5e-6)


def test_channels_are_streams_of_their_own_in_step():
    left, right = voice(0.5, RATE, seed=1), tone(440.0, 0.5, RATE)
    both = streamed(stream(source_rate=RATE, channels=2, bandwidth_hz=3800.0),
                    np.stack([left, right]), always(160))  # fmt: skip
    assert both.shape == (2, 24_000)
    for index, one in enumerate((left, right)):
        alone = streamed(stream(source_rate=RATE, bandwidth_hz=3800.0), one, always(160))
        np.testing.assert_allclose(both[index], alone, atol=5e-6)


@pytest.mark.parametrize(
    ("source_rate", "target_rate"), [(8000, 48_000), (16_000, 48_000), (8000, 16_000)]
)
def test_an_impulse_comes_out_where_it_went_in_and_within_20_ms(source_rate, target_rate):
    """Fed sample by sample: all of an impulse's peak is there `delay_s` after it was pushed."""
    opened = stream(source_rate=source_rate, target_rate=target_rate)
    assert opened.delay_s <= 0.020
    at = round(0.1 * source_rate) + 3
    audio = click(0.3, source_rate, at / source_rate)
    given, when = [], {}
    for index, sample in enumerate(audio):
        wide = opened(np.array([sample], np.float32))
        for value in wide:
            when[len(given)] = index
            given.append(float(value))
    peak = int(np.argmax(np.abs(given)))
    assert abs(peak - at * target_rate / source_rate) <= 1
    waited_s = (when[peak] - at + 1) / source_rate
    assert waited_s <= opened.delay_s + 1e-9
    # Of all samples some wait as long as is said, or it would be said less.
    waits = [(index + 1) / source_rate - n / target_rate for n, index in when.items()]
    assert max(waits) > opened.delay_s - 2 / source_rate


def test_what_is_below_the_end_is_the_input():
    audio = voice(2.0, RATE)
    wide = streamed(stream(source_rate=RATE, bandwidth_hz=3800.0), audio, always(160))
    back = resample(wide, 48_000, RATE)
    spectra = [np.fft.rfft(each.astype(np.float64)) for each in (audio, back)]
    below = np.fft.rfftfreq(len(audio), 1 / RATE) < 3400
    error = np.sum(np.abs(spectra[1] - spectra[0])[below] ** 2)
    assert 10 * np.log10(error / np.sum(np.abs(spectra[0][below]) ** 2)) < -30
    assert lag(back, audio) == 0


def test_bypassed_it_is_the_resampled_input_and_comes_and_goes_without_a_click():
    audio = tone(1000.0, 2.0, RATE)
    kept = streamed(stream(source_rate=RATE, bypass=True), audio, always(160))
    t = np.arange(len(kept)) / 48_000
    inside = slice(4800, -4800)
    assert (
        error_db(kept[inside], (0.5 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)[inside])
        < -60
    )
    opened = stream(source_rate=RATE)
    pieces = []
    for number, packet in enumerate(audio.reshape(-1, 160)):
        opened.bypass = 30 <= number < 60
        pieces.append(opened(packet))
    found = np.concatenate([*pieces, opened.flush()])
    # While it is bypassed nothing is added; the hop in which the new band fades is a hop long.
    middle = slice(31 * 960, 60 * 960 - 960)
    np.testing.assert_allclose(found[middle], kept[middle], atol=1e-6)
    steps = np.abs(np.diff(found))
    assert steps.max() < 1.5 * np.abs(np.diff(kept)).max() + 0.02


def test_silence_stays_silent():
    wide = streamed(stream(source_rate=RATE, lows=1.0), np.zeros(RATE, np.float32), always(160))
    assert np.abs(wide).max() < 1e-4


def test_where_content_ends_is_heard_after_a_while_whatever_the_packets():
    """A narrow voice in a 16 kHz stream: believed to reach 7.9 kHz at first, then known better."""
    narrow = voice(5.0, RATE)
    audio = resample(narrow, RATE, 16_000)
    ends = []
    for lengths in (always(320), always(1777)):
        opened = stream(source_rate=16_000)
        assert opened.bandwidth_hz > 7500
        found = streamed(opened, audio, lengths)
        ends.append(opened.bandwidth_hz)
        last = found
    assert ends[0] == ends[1]
    assert 3200 < ends[0] < 4300
    np.testing.assert_allclose(
        last, streamed(stream(source_rate=16_000), audio, always(999)), atol=5e-6
    )
    assert stream(source_rate=16_000, bandwidth_hz=4000.0).bandwidth_hz == 4000.0


def test_detail_is_the_amplitude_of_the_new_band_and_lows_come_when_asked():
    audio = voice(1.0, RATE)
    settings = {"source_rate": RATE, "bandwidth_hz": 3800.0}
    none, half, whole = (
        streamed(stream(detail=detail, **settings), audio, always(160)) for detail in (0, 0.5, 1)
    )
    np.testing.assert_allclose(half - none, (whole - none) / 2, atol=2e-6)
    np.testing.assert_allclose(none, streamed(stream(bypass=True, **settings), audio, always(160)),
                               atol=1e-6)  # fmt: skip


def test_a_stream_of_hours_needs_no_more_memory():
    calls = Streams()
    opened = [calls.open(RATE, bandwidth_hz=3800.0) for _ in range(3)]
    packets = [dict.fromkeys(opened, packet) for packet in noise(1.0, RATE).reshape(-1, 160)]

    def minute() -> int:
        for _ in range(6):
            for packet in packets[:10]:
                calls.push(packet)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        minute()
        first = minute()
        for _ in range(4):
            last = minute()
    finally:
        tracemalloc.stop()
    assert last - first < 20_000


def test_integers_and_blocks_of_nothing_are_welcome():
    whole = (voice(0.5, RATE) * 32767).astype(np.int16)
    opened = stream(source_rate=RATE)
    found = streamed(opened, whole, always(160))
    as_float = streamed(stream(source_rate=RATE), whole.astype(np.float32) / 32768, always(160))
    assert np.array_equal(found, as_float)
    assert stream(source_rate=RATE)(np.zeros(0, np.float32)).shape == (0,)
    assert stream(source_rate=RATE).flush().shape == (0,)


def test_a_bad_block_is_refused_and_nothing_of_the_others_is_lost():
    calls = Streams()
    first, second = calls.open(RATE), calls.open(RATE)
    audio = voice(0.4, RATE)
    start = calls.push({first: audio[:160], second: audio[:160]})[first]
    with pytest.raises(AudioError, match="NaN"):
        calls.push({first: audio[160:320], second: np.full(160, np.nan, np.float32)})
    rest = [first(audio[160:]), first.flush()]
    expected = streamed(stream(source_rate=RATE), audio, always(160))
    np.testing.assert_allclose(np.concatenate([start, *rest]), expected, atol=5e-6)
    with pytest.raises(AudioError, match="flushed"):
        first(audio)
    with pytest.raises(AudioError, match="channels"):
        second(np.zeros((2, 160), np.float32))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"source_rate": 2000}, "source rate"),
        ({"source_rate": 96_000}, "source rate"),
        ({"source_rate": 8000.5}, "whole number"),
        ({"source_rate": 16_000, "target_rate": 8000}, "target rate"),
        ({"source_rate": 7919}, "no stream from"),
        ({"source_rate": 8000, "channels": 0}, "channels"),
        ({"source_rate": 8000, "detail": 2.0}, "detail"),
        ({"source_rate": 8000, "lows": float("nan")}, "lows"),
        ({"source_rate": 8000, "bandwidth_hz": -1.0}, "bandwidth"),
    ],
)
def test_what_cannot_be_is_refused_in_words(settings, reason):
    with pytest.raises(AudioError, match=reason):
        stream(**settings)


def test_a_model_of_whole_recordings_is_no_model_for_streams():
    with pytest.raises(ModelError, match="does not run frame by frame"):
        stream("speech", source_rate=8000)


def test_the_public_names():
    assert fullband.stream is stream
    opened = fullband.stream("live", source_rate=8000, target_rate=48_000)
    assert isinstance(opened, fullband.Stream)


def test_whole_recordings_go_through_in_blocks_and_from_any_stride_on_as_at_once():
    model = open_model(LIVE)
    audio = np.stack([noise(2.0, 48_000, seed) for seed in (1, 2)])
    segments = [Segment(0, 3800.0), Segment(50_000, 7600.0)]

    def through(part: np.ndarray, sizes, start: int = 0) -> np.ndarray:
        stage = model.stage(2, segments, start)
        assert stage is not None
        pieces, at = [], 0
        while at < part.shape[-1]:
            length = int(next(sizes))
            pieces.append(stage.push(part[:, at : at + length]))
            at += length
        return np.concatenate([*pieces, stage.flush()], axis=-1)

    whole = through(audio, always(audio.shape[-1]))
    generator = np.random.default_rng(6)
    sizes = iter(lambda: generator.integers(1, 9000), None)
    assert whole.shape == audio.shape
    assert np.array_equal(through(audio, sizes), whole)
    start = 70 * model.stride
    stage = model.stage(2, segments, start)
    assert stage is not None
    late = through(audio[:, start:], always(7777), start)
    inside = stage.reach
    assert np.array_equal(late[:, inside:], whole[:, start + inside :])


def test_it_enhances_files_as_other_models_do():
    audio = voice(1.0, RATE)
    wide, rate = fullband.enhance(audio, sample_rate=RATE, model=LIVE)
    assert (len(wide), rate) == (48_000, 48_000)
    spectrum = np.abs(np.fft.rfft(wide)) ** 2
    hz = np.fft.rfftfreq(len(wide), 1 / rate)
    assert spectrum[(hz > 5000) & (hz < 12_000)].sum() > 1e-5 * spectrum.sum()
