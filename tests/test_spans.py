"""Spans joined together are the whole recording's result; where they could not be, there is one."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fullband.audio.bandwidth import Segment
from fullband.engine import open_model
from fullband.enhancement import Analysis, EnhanceStage, analyse
from fullband.spans import enhance_span, spans_of
from signals import low_passed, noise, split, voice

ROUNDING = 1e-6  # full scale is 1. The resampler rounds in blocks of its own: fullband.spans


def recording(sample_rate: int, duration_s: float = 20.0, channels: int = 1) -> np.ndarray:
    """Voices cut at 80 % of the Nyquist frequency or 6 kHz. Shape: `[C, T]`."""
    cutoff_hz = min(0.8 * sample_rate / 2, 6000)
    voices = [voice(duration_s, sample_rate, seed) for seed in range(channels)]
    return np.stack([low_passed(each, sample_rate, cutoff_hz) for each in voices])


def whole(model, analysis: Analysis, rate: int, audio: np.ndarray, detail: float) -> np.ndarray:
    stage = EnhanceStage(open_model(str(model)), analysis, rate, detail)
    return np.concatenate([stage.push(audio), stage.flush()], axis=-1)


def joined(
    model, analysis: Analysis, rate: int, audio: np.ndarray, span_s: float, detail: float
) -> tuple[np.ndarray, int]:
    """The spans' results end to end, each enhanced from blocks of random sizes; and how many."""
    opened = open_model(str(model))
    spans = spans_of(opened, analysis, rate, span_s, detail)
    generator = np.random.default_rng(0)
    pieces = []
    for span in spans:
        blocks = split(audio[:, span.first : span.last], generator, 100_000, 1)
        pieces += enhance_span(opened, analysis, rate, span, blocks, detail)
    return np.concatenate(pieces, axis=-1), len(spans)


def compare(model, source_rate, rate, audio, span_s=4.0, analysis=None, detail=1.0):
    """How far apart whole and joined are at most."""
    analysis = analysis or analyse([audio], source_rate)
    expected = whole(model, analysis, rate, audio, detail)
    actual, count = joined(model, analysis, rate, audio, span_s, detail)
    assert count > 1
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max())


@pytest.mark.parametrize("source_rate", [8000, 11_025, 44_100])
def test_spans_of_a_told_model_are_the_whole(any_rate, source_rate):
    far = compare(any_rate, source_rate, 48_000, recording(source_rate))
    assert far <= ROUNDING


@pytest.mark.parametrize(("source_rate", "rate"), [(8000, 16_000), (22_050, 44_100)])
def test_spans_of_an_audiounet_are_the_whole(exported, source_rate, rate):
    audio = recording(source_rate)[:, : 19 * source_rate + 1]
    far = compare(exported[4], source_rate, rate, audio, 8.0)
    assert far <= ROUNDING


@pytest.mark.parametrize("model", ["sinc", "spline"])
@pytest.mark.parametrize("source_rate", [8000, 44_100])
def test_spans_of_a_baseline_are_the_whole(model, source_rate):
    far = compare(model, source_rate, 48_000, recording(source_rate, 6.0), 2.0)
    assert far <= ROUNDING


def test_at_one_rate_not_a_bit_differs(any_rate):
    audio = recording(48_000, 12.0, channels=2)
    assert compare(any_rate, 48_000, 48_000, audio, detail=0.5) == 0.0


def test_where_the_bandwidth_changes_within_a_span(any_rate):
    audio = recording(48_000, 12.0)
    heard = analyse([audio], 48_000)
    ends = (4000.0, 9000.0, 20_500.0, 4000.0)  # at the third nothing is missing
    starts = (0, 150_000, 290_001, 430_000)
    segments = tuple(Segment(start, end_hz) for start, end_hz in zip(starts, ends, strict=True))
    changing = Analysis(**{**vars(heard), "segments": segments})
    assert compare(any_rate, 48_000, 48_000, audio, analysis=changing) == 0.0


def test_where_mirror_images_are_taken_out(any_rate):
    audio = recording(48_000, 12.0)
    heard = Analysis(**{**vars(analyse([audio], 48_000)), "mirror_hz": 8000.0})
    assert compare(any_rate, 48_000, 48_000, audio, analysis=heard) == 0.0


def test_a_length_that_ends_in_half_a_sample_is_rounded_as_the_whole_is():
    # 44,101 samples at half the rate are 22,050.5, and 22,050 is the even number. Counted from an
    # odd position, half a sample would go the other way.
    audio = noise(4.0, 44_100)[None, : 3 * 44_100 + 3]
    expected = round(Fraction(audio.shape[-1], 2))
    actual, count = joined("sinc", analyse([audio], 44_100), 22_050, audio, 0.3, 1.0)
    assert count > 5
    assert actual.shape[-1] == expected


def test_spans_follow_each_other_and_have_what_they_need(any_rate):
    audio = recording(8000)
    spans = spans_of(open_model(str(any_rate)), analyse([audio], 8000), 48_000, 4.0)
    assert [span.start for span in spans[1:]] == [span.stop for span in spans[:-1]]
    assert (spans[0].start, spans[-1].stop) == (0, audio.shape[-1])
    for span in spans:
        assert 0 <= span.first <= span.start < span.stop <= span.last <= audio.shape[-1]
        assert span.first == 0 or span.start - span.first > 8000


def test_rates_without_a_common_measure_are_not_split():
    audio = noise(4.0, 44_099)[None]
    (only,) = spans_of(open_model("sinc"), analyse([audio], 44_099), 48_000, 0.5)
    assert (only.first, only.last) == (0, audio.shape[-1])
