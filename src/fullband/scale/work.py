"""What a worker does: it has the model loaded, reads, enhances and writes.

Only words go through Ray.

A piece of work is one of three: `files`, some short recordings as they are, or a long one that is
heard and cut; `piece`, a span of a long one; `join`, all spans of one. Each can be done again at
any time with the same result, so a worker may die at any moment.

A long recording's samples are written to the output's hidden folder once, as raw float32, so that
each piece fetches its own and no more, whatever the file's format.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from fullband.audio.file import BLOCK_SAMPLES, AudioReader, AudioWriter
from fullband.audio.formats import subtype_like
from fullband.audio.samples import Audio, output_length
from fullband.card import cards, find_card
from fullband.engine import use_cores
from fullband.enhancement import (
    AUTO,
    FULL_DETAIL,
    Analysis,
    Enhancer,
    analyse,
    check_bandwidth,
)
from fullband.errors import FullbandError, WorkerError
from fullband.manifest import sha256_of
from fullband.models.registry import BASELINES
from fullband.scale.place import HIDDEN, Found, Place
from fullband.scale.record import Record
from fullband.settings import build, to_dict
from fullband.spans import Span, enhance_span, spans_of
from fullband.version import __version__

__all__ = ["LONG", "Asked", "ModelFile", "Outcome", "Work", "Worker", "digests_of", "packed"]

LONG = f"{HIDDEN}/long"
"""Where what is unfinished of long recordings is kept."""

_FETCHED_SAMPLES = 4 * BLOCK_SAMPLES  # of a raw file at a time, over all channels: 4 MiB

_FINAL = (FullbandError, FileNotFoundError, PermissionError, IsADirectoryError)
"""Errors that another try would not change."""


@dataclass(frozen=True)
class ModelFile:
    """A model that is not released, as its files' content: workers need not see the same disk."""

    name: str
    card: bytes
    weights: bytes


@dataclass(frozen=True)
class Asked:
    """What a run is asked for.

    Attributes:
        source, target: addresses, see `fullband.scale.place.Place`.
        piece_s: recordings of more than twice this are cut into pieces of about so much.
        retries: how often anything is tried again.
    """

    source: str
    target: str
    model: str
    rate: int | None = None
    bandwidth_hz: float | None = None
    detail: float = FULL_DETAIL
    endpoint_url: str | None = None
    piece_s: float = 300.0
    retries: int = 3

    def settings(self) -> dict[str, Any]:
        """What decides on the results, as far as it differs from the defaults."""
        values = {
            "model": (Path(self.model).stem, "auto"),
            "rate": (self.rate, None),
            "bandwidth_hz": (self.bandwidth_hz, None),
            "detail": (self.detail, FULL_DETAIL),
        }
        return {name: value for name, (value, default) in values.items() if value != default}


@dataclass(frozen=True)
class Work:
    """A piece of work; `sources` and `targets` by turns, one of each but for `files`."""

    kind: str
    sources: tuple[Found, ...]
    targets: tuple[str, ...]
    number: int = 0

    @property
    def key(self) -> str:
        """A name that no other has in a run."""
        return f"{self.kind} {self.number} {self.targets[0]}"

    def singly(self) -> tuple[Work, ...]:
        """The same, one file at a time."""
        pairs = zip(self.sources, self.targets, strict=True)
        return tuple(Work(self.kind, (source,), (target,), 1) for source, target in pairs)


@dataclass(frozen=True)
class Outcome:
    """What came of a piece of work.

    Attributes:
        more: what is to be done now.
        seconds: the time it took.
        cpu_s: what the worker's process took of its core since the outcome before.
    """

    key: str
    records: tuple[Record, ...] = ()
    more: tuple[Work, ...] = ()
    seconds: float = 0.0
    cpu_s: float = 0.0


@dataclass(frozen=True)
class _Plan:
    """What is known of a long recording once it has been heard."""

    analysis: Analysis
    model: str
    rate: int
    source_sha256: str
    spans: tuple[Span, ...]


class Worker:
    """Does what it is given, one piece of work at a time or several; never raises.

    Args:
        model: for a model that is not released.
        tries: given the key of a piece of work that is begun, how often it has been begun; who is
            told of every beginning knows whose worker died.
        scratch: the folder for temporary files; None for the system's.
    """

    def __init__(
        self,
        asked: Asked,
        model: ModelFile | None,
        tries: Callable[[str], int],
        scratch: str | None = None,
    ) -> None:
        use_cores(1)
        self._asked = asked
        self._tries = tries
        self._scratch = scratch
        self._source = Place(asked.source, asked.endpoint_url)
        self._target = Place(asked.target, asked.endpoint_url)
        if self._source.is_file():
            self._source.root = self._source.root.rpartition("/")[0]
        with self._folder() as folder:  # what is loaded need not stay on the disk
            name = asked.model if model is None else _unpacked(model, folder)
            self._enhancer = Enhancer(name)
            self._digests = digests_of(name)
        self._cpu_s = 0.0
        self._counting = threading.Lock()
        self._plan_of = functools.lru_cache(maxsize=8)(self._read_plan)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """`work` as JSON to `outcome` as JSON."""
        works = [build(Work, json.loads(str(text))) for text in batch["work"]]
        return {"outcome": [json.dumps(to_dict(self.do(work))) for work in works]}

    def do(self, work: Work) -> Outcome:
        begun = time.monotonic()
        times = self._tries(work.key)
        if times > 1 and len(work.sources) > 1:  # which of them was it that the worker died of?
            return Outcome(work.key, more=work.singly())
        records: list[Record] = []
        more: list[Work] = []
        for source, target in zip(work.sources, work.targets, strict=True):
            try:
                if times > 1 + self._asked.retries:
                    raise WorkerError(
                        f"{self._source.named(source.name)}: workers died of it, {times - 1} times"
                    )
                result = self._persistently(work, source, target)
            except Exception as error:  # whatever it is, the rest goes on
                records.append(self._failed(source, target, error))
            else:
                records += [result] if isinstance(result, Record) else []
                more += result if isinstance(result, list) else []
        seconds = time.monotonic() - begun
        return Outcome(work.key, tuple(records), tuple(more), seconds, self._taken_s())

    def _taken_s(self) -> float:
        with self._counting:  # several calls may run at once
            before, self._cpu_s = self._cpu_s, time.process_time()
            return self._cpu_s - before

    def _persistently(self, work: Work, source: Found, target: str) -> Record | list[Work]:
        """Networks and stores fail now and then; what will not change is not tried again."""
        steps = {"files": self._file, "piece": self._piece, "join": self._join}
        step = functools.partial(steps[work.kind], source, target, work.number)
        for attempt in range(self._asked.retries):
            try:
                return step()
            except _FINAL:
                raise
            except Exception:
                time.sleep(0.5 * 2**attempt)
        return step()

    def _file(self, source: Found, target: str, _: int) -> Record | list[Work]:
        """Enhance a short recording, or hear and cut a long one."""
        with self._folder() as folder, self._source.fetched(source.name, folder) as local:
            with AudioReader(local) as reader:
                is_long = reader.info.duration_s > 2 * self._asked.piece_s
            pieces = self._cut(source, local, folder) if is_long else 1
            if pieces == 1:
                return self._whole(source, target, local, folder)
        return [Work("piece", (source,), (target,), number) for number in range(pieces)]

    def _whole(self, source: Found, target: str, local: str, folder: str) -> Record:
        asked = self._asked
        with self._target.making(target, folder) as result:
            summary = self._enhancer.file(
                local, result, asked.rate, bandwidth_hz=asked.bandwidth_hz, detail=asked.detail
            )
            made = _described(result)
        return self._record(
            source,
            target,
            source_sha256=sha256_of(local),
            **made,
            **_heard(summary.analysis, summary.model, summary.target_rate),
            seconds=round(summary.seconds, 3),
            warnings=(*summary.notes, *_warnings(summary.limited, summary.peak)),
        )

    def _cut(self, source: Found, local: str, folder: str) -> int:
        """Hear a long recording, keep its samples and how it is cut; into how many pieces."""
        place = self._place_of(source)
        if self._target.exists(f"{place}/plan.json"):
            return len(self._plan_of(place).spans)
        asked = self._asked
        with (
            AudioReader(local) as reader,
            self._target.making(f"{place}/source.f32", folder) as samples,
            Path(samples).open("wb") as file,
        ):
            rate = reader.info.sample_rate
            known_hz = check_bandwidth(asked.bandwidth_hz, rate)
            analysis = analyse(_kept(reader.blocks(), file), rate, known_hz)
        model, target_rate = self._enhancer.plan(analysis, asked.rate)
        spans = spans_of(model, analysis, target_rate, asked.piece_s, asked.detail)
        if len(spans) == 1:  # at rates without a common measure
            self._target.remove(place)
            return 1
        plan = _Plan(
            analysis=analysis,
            model=model.name,
            rate=target_rate,
            source_sha256=sha256_of(local),
            spans=tuple(spans),
        )
        self._target.write(f"{place}/plan.json", json.dumps(to_dict(plan)).encode())
        return len(spans)

    def _piece(self, source: Found, target: str, number: int) -> list[Work]:
        """Enhance one span of a long recording, unless that was done before."""
        place = self._place_of(source)
        part = f"{place}/{number}.f32"
        if self._target.exists(part):
            return []
        plan = self._plan_of(place)
        span, channels = plan.spans[number], plan.analysis.channels
        fetched = self._samples(f"{place}/source.f32", span.first, span.last, channels)
        # Blocks that are still of bounded size once they are at the higher rate.
        growth = max(1, plan.rate // plan.analysis.sample_rate)
        blocks = _in_parts(fetched, max(1, BLOCK_SAMPLES // (growth * channels)))
        model, _ = self._enhancer.plan(plan.analysis, plan.rate)
        with (
            self._folder() as folder,
            self._target.making(part, folder) as result,
            Path(result).open("wb") as file,
        ):
            for block in enhance_span(
                model, plan.analysis, plan.rate, span, blocks, self._asked.detail
            ):
                _keep(block, file)
        return []

    def _join(self, source: Found, target: str, _: int) -> Record:
        """Write the spans of a long recording one after the other, as its result."""
        place = self._place_of(source)
        plan = self._plan_of(place)
        heard = plan.analysis
        frames = output_length(heard.frames, heard.sample_rate, plan.rate)
        with (
            self._folder() as folder,
            self._source.fetched(source.name, folder) as local,
            self._target.making(target, folder) as result,
        ):
            # The recording again, for its tags, its cover and its picture.
            with (
                AudioReader(local) as reader,
                AudioWriter(
                    result,
                    plan.rate,
                    heard.channels,
                    subtype_like(reader.info, result),
                    frames=frames,
                    like=reader,
                    dither=True,
                ) as writer,
            ):
                for number, span in enumerate(plan.spans):
                    first, last = (
                        output_length(edge, heard.sample_rate, plan.rate)
                        for edge in (span.start, span.stop)
                    )
                    part = f"{place}/{number}.f32"
                    for block in self._samples(part, 0, last - first, heard.channels):
                        writer.write(block)
            made = _described(result)
        self._target.remove(place)
        return self._record(
            source,
            target,
            source_sha256=plan.source_sha256,
            **made,
            **_heard(heard, plan.model, plan.rate),
            pieces=len(plan.spans),
            warnings=(*writer.notes, *_warnings(writer.limited, writer.peak)),
        )

    def _samples(self, name: str, first: int, last: int, channels: int) -> Iterator[Audio]:
        """Samples of a raw file in the output's hidden folder, in `[C, T]` blocks."""
        frame, step = 4 * channels, max(1, _FETCHED_SAMPLES // channels)
        for start in range(first, last, step):
            stop = min(start + step, last)
            raw = self._target.read(name, start * frame, stop * frame)
            if len(raw) != (stop - start) * frame:
                raise OSError(f"{self._target.named(name)}: came short")
            samples = np.frombuffer(raw, "<f4").reshape(-1, channels).T
            yield np.ascontiguousarray(samples, np.float32)

    def _place_of(self, source: Found) -> str:
        """The hidden folder for a long recording: another one if it or the settings change."""
        asked = [dataclasses.astuple(source), self._asked.settings(), self._digests]
        digest = hashlib.sha256(json.dumps([*asked, self._asked.piece_s]).encode())
        return f"{LONG}/{digest.hexdigest()[:32]}"

    def _read_plan(self, place: str) -> _Plan:
        return build(_Plan, self._target.read_json(f"{place}/plan.json"))

    def _folder(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="fullband-", dir=self._scratch)

    def _record(self, source: Found, target: str, **values: Any) -> Record:
        model = values.get("model")
        return Record(
            **{"state": "done", **values},
            target=target,
            source=self._source.named(source.name),
            source_version=source.version,
            source_bytes=source.size,
            model_sha256=None if model is None else self._digests[model],
            settings=self._asked.settings(),
            finished=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            version=__version__,
        )

    def _failed(self, source: Found, target: str, error: Exception) -> Record:
        """The message names the file by its address, not a copy of it."""
        named = self._source.named(source.name)
        text = str(error).strip() or type(error).__name__
        if isinstance(error, OSError) and not isinstance(error, FullbandError) and error.strerror:
            text = error.strerror.lower()
        if named not in text:
            head, _, reason = text.partition(": ")
            is_copy = "fullband-" in head or HIDDEN in head
            text = f"{named}: {reason if is_copy else text}"
        return self._record(source, target, state="failed", error=text)


def digests_of(model: str) -> dict[str, str | None]:
    """The digest of the file of each model that may be used, by name; None for a baseline.

    Raises:
        ModelError: there is no such model.
    """
    if model == AUTO:
        return {card.name: card.sha256 for card in cards()}
    if model in BASELINES:
        return {model: None}
    card, _ = find_card(model)
    return {card.name: card.sha256}


def packed(model: str) -> ModelFile | None:
    """A model's files to send to workers; None for what comes with fullband.

    Raises:
        ModelError: there is no such model.
    """
    if model == AUTO or model in BASELINES:
        return None
    _, weights = find_card(model)
    if not model.endswith((".onnx", ".json")):
        return None
    return ModelFile(weights.stem, weights.with_suffix(".json").read_bytes(), weights.read_bytes())


def _unpacked(model: ModelFile, folder: str) -> str:
    weights = Path(folder) / f"{model.name}.onnx"
    weights.write_bytes(model.weights)
    weights.with_suffix(".json").write_bytes(model.card)
    return str(weights)


def _in_parts(blocks: Iterator[Audio], most: int) -> Iterator[Audio]:
    for block in blocks:
        for start in range(0, block.shape[-1], most):
            yield block[:, start : start + most]


def _kept(blocks: Iterator[Audio], file: IO[bytes]) -> Iterator[Audio]:
    """The same blocks, and their samples in a file."""
    for block in blocks:
        _keep(block, file)
        yield block


def _keep(block: Audio, file: IO[bytes]) -> None:
    """Append `[C, T]` samples, channel by channel of each moment."""
    file.write(np.ascontiguousarray(block.T, "<f4").data)


def _heard(analysis: Analysis, model: str, rate: int) -> dict[str, Any]:
    return {
        "source_rate": analysis.sample_rate,
        "target_rate": rate,
        "channels": analysis.channels,
        "duration_s": round(analysis.frames / analysis.sample_rate, 3),
        "bandwidth_hz": round(analysis.bandwidth_hz, 1),
        "model": model,
    }


def _described(result: str) -> dict[str, Any]:
    return {"target_sha256": sha256_of(result), "target_bytes": Path(result).stat().st_size}


def _warnings(limited: int, peak: float) -> tuple[str, ...]:
    if not limited:
        return ()
    return (
        f"{limited} samples beyond full scale were limited (peak {20 * np.log10(peak):+.1f} dBFS)",
    )
