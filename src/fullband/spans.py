"""Parts of a recording enhanced apart from each other, and equal to what the whole would give.

The recording is heard as a whole first (`fullband.enhancement.analyse`). Then every span is run
with its surroundings, from a sample that lies alike in every grid of the signal path: whole samples
at all rates, whole strides of the model, and the same blocks and transforms as those of the whole.
So the spans joined together are the whole to the last bit, but for single samples in which the
resampler, which has a grid of its own, rounds the other way (the last bit of a float; what a model
and filters make of that is below 1e-6).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from fullband.audio.samples import Audio, output_length
from fullband.engine import Model
from fullband.enhancement import FULL_DETAIL, Analysis, EnhanceStage

__all__ = ["Span", "enhance_span", "spans_of"]

_EXACT = 1000
"""Between rates whose ratio, in lowest terms, is of two larger numbers, resampling interpolates its
filters, and what it gives depends a little (1e-5) on how long it has run."""


@dataclass(frozen=True)
class Span:
    """A part of a recording, in samples at its own rate.

    Attributes:
        start, stop: what is wanted, without the last.
        first, last: what is needed for that, likewise.
    """

    start: int
    stop: int
    first: int
    last: int


def spans_of(
    model: Model,
    analysis: Analysis,
    target_rate: int,
    span_s: float,
    detail: float = FULL_DETAIL,
) -> list[Span]:
    """A recording cut into spans; only one where parts of it could not be joined exactly.

    Args:
        span_s: about how long each is to be; at least twice their surroundings.
        detail: see `fullband.enhance`.
    """
    whole = Span(0, analysis.frames, 0, analysis.frames)
    rate = analysis.sample_rate
    model_rate = model.sample_rate or target_rate
    ratios = [Fraction(other, rate) for other in (target_rate, model_rate)]
    ratios += [Fraction(target_rate, model_rate)]
    if model.entry_rate is not None:
        ratios += [Fraction(model.entry_rate, rate), Fraction(model.entry_rate, model_rate)]
    if any(min(ratio.numerator, ratio.denominator) > _EXACT for ratio in ratios):
        return [whole]
    grid = _grid(ratios, Fraction(model_rate, rate), model.stride)
    reach = math.ceil(EnhanceStage(model, analysis, target_rate, detail).reach_s * rate)
    reach = -(-reach // grid) * grid
    length = max(round(span_s * rate), 2 * reach) // grid * grid
    if length == 0 or analysis.frames <= length:
        return [whole]
    starts = range(0, analysis.frames, length)
    return [
        Span(
            start,
            min(start + length, analysis.frames),
            max(0, start - reach),
            min(start + length + reach, analysis.frames),
        )
        for start in starts
    ]


def enhance_span(
    model: Model,
    analysis: Analysis,
    target_rate: int,
    span: Span,
    blocks: Iterable[Audio],
    detail: float = FULL_DETAIL,
) -> Iterator[Audio]:
    """What the whole recording's result is in one span, in blocks.

    Args:
        span: one of `spans_of`, with the same other arguments.
        blocks: the recording's samples from `span.first` to `span.last`, in `[C, T]` blocks.
        detail: see `fullband.enhance`.

    Shape:
        blocks `[C, T']` at the target rate, together from `span.start` to `span.stop`.
    """
    stage = EnhanceStage(model, analysis, target_rate, detail, span.first)
    ratio = Fraction(target_rate, analysis.sample_rate)
    skipped = int(ratio * (span.start - span.first))
    wanted = output_length(span.stop, analysis.sample_rate, target_rate) - int(ratio * span.start)
    for block in _results(stage, blocks):
        early = min(skipped, block.shape[-1])
        skipped -= early
        given = block[:, early : early + wanted]
        wanted -= given.shape[-1]
        if given.shape[-1]:
            yield given


def _results(stage: EnhanceStage, blocks: Iterable[Audio]) -> Iterator[Audio]:
    for block in blocks:
        yield stage.push(block)
    yield stage.flush()


def _grid(ratios: Iterable[Fraction], to_model: Fraction, stride: int) -> int:
    """Every how many samples of the recording all grids of the signal path meet.

    Twice that: a length that ends in half a sample is rounded to the even number, so a part has to
    begin at an even one to be rounded as the whole is.
    """
    grid = math.lcm(*(ratio.denominator for ratio in ratios))
    while (strides := grid * to_model / stride).denominator != 1:
        grid *= strides.denominator
    return 2 * grid
