"""Every task of the 2017 paper, every system on it: `fullband evaluate --suite paper`.

A task is a corpus, a ratio and the way its narrow audio is made. A system is a reference, a
baseline or a trained model; models are found by name in a folder of exported ones:
`ARCHITECTURE-CORPUS-RATIOx`, with `-causal` or `-aliased` after it where it was trained on that
kind of input rather than the paper's. Every task's rows go to a file of their own beside
`tasks.json`, which says what they are, so that a suite that was stopped goes on where it was.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fullband.audio.samples import Audio
from fullband.card import read_card
from fullband.corpora.dataset import Decoded, decode
from fullband.corpora.manifest import read_corpus
from fullband.degrade import Degradation, lower_rate
from fullband.engine import OnnxModel, open_model
from fullband.errors import MissingFileError, ModelError, SettingsError
from fullband.evaluate.page import PageTask, write_page
from fullband.evaluate.perceptual import Kind, score_perceptual
from fullband.evaluate.report import mean_cell, read_rows, write_rows
from fullband.evaluate.run import System, evaluate_recordings, raw_system
from fullband.evaluate.suite import bare_systems, ideal_lowpass_system, provenance, spread_files

__all__ = [
    "CORPORA",
    "METHODS",
    "RATIOS",
    "Stored",
    "Task",
    "evaluate_paper",
    "paper_table",
    "paper_tasks",
    "read_suite",
    "sensitivity_table",
    "task_systems",
    "write_paper_page",
]

SAMPLE_RATE = 16_000
RATIOS = (2, 4, 6, 8)

METHODS = {"chebyshev": "", "chebyshev-causal": "-causal", "subsample": "-aliased"}
"""How narrow audio is made, and what the names of models trained on it end in."""

_HEARD_S = 8
_INDEX = "tasks.json"

LEARNED = ("wiener", "dnn", "audiounet", "tfilm")
SYSTEMS = ("ideal-lowpass", "sinc", "spline", *LEARNED)


@dataclass(frozen=True)
class Material:
    """One of the paper's three kinds of corpora.

    Attributes:
        splits: what is judged; a task each.
        kind: decides the mode of ViSQOL, and whether a rating of speech makes sense.
    """

    title: str
    splits: tuple[str, ...]
    kind: Kind


CORPORA = {
    "single": Material("Single speaker", ("test",), "speech"),
    "speakers": Material("Many speakers", ("test-short",), "speech"),
    "piano": Material("Piano", ("test", "test-real"), "music"),
}
"""The name that models and tasks call each by; where it lies is for the caller to say."""


@dataclass(frozen=True)
class Task:
    """What is asked of a system."""

    corpus: str
    split: str
    ratio: int
    method: str

    @property
    def name(self) -> str:
        """Also the name of the file of its rows."""
        return f"{self.corpus}-{self.split}-{self.ratio}x-{self.method}"

    @property
    def title(self) -> str:
        """As a heading: `Piano (test-real), 4x: 4 to 16 kHz, chebyshev`."""
        material = CORPORA[self.corpus]
        split = f" ({self.split})" if len(material.splits) > 1 else ""
        narrow = float(lower_rate(SAMPLE_RATE, self.ratio)) / 1000
        return (
            f"{material.title}{split}, {self.ratio}x: "
            f"{narrow:.3g} to {SAMPLE_RATE / 1000:g} kHz, {self.method}"
        )

    @property
    def degradation(self) -> Degradation:
        """How its narrow audio is made."""
        return Degradation(self.method, SAMPLE_RATE, lower_rate(SAMPLE_RATE, self.ratio))


def paper_tasks(corpora: Sequence[str] = tuple(CORPORA)) -> list[Task]:
    """All tasks: every ratio zero-phase and causal, and 4x aliased as well.

    Raises:
        SettingsError: a corpus is none of the paper's.
    """
    unknown = [name for name in corpora if name not in CORPORA]
    if unknown:
        raise SettingsError(f"no corpus '{unknown[0]}' in the suite; one of {', '.join(CORPORA)}")
    return [
        Task(corpus, split, ratio, method)
        for method in METHODS
        for corpus in corpora
        for split in CORPORA[corpus].splits
        for ratio in RATIOS
        if method != "subsample" or ratio == 4
    ]


def task_systems(task: Task, decoded: Decoded, models: Path) -> dict[str, tuple[System, str]]:
    """The systems of a task by name, each with the digest of its weights.

    Baselines first, then the models trained for the task; at 4x also AudioUNet trained on the
    other kinds of input, named for what it was trained on. A model that is not there is left out.
    """
    systems = {"ideal-lowpass": (ideal_lowpass_system(decoded), "")}
    systems |= {name: (system, "") for name, system in bare_systems().items()}
    for name, path in _model_files(task, models).items():
        model = open_model(str(path))
        if not isinstance(model, OnnxModel):
            raise ModelError(f"{path}: not an exported model")
        systems[name] = raw_system(model.run, model.card), model.card.sha256
    return systems


def _model_files(task: Task, models: Path) -> dict[str, Path]:
    """The models there are for a task, by the name of their system."""
    found = {}
    for architecture in LEARNED:
        for method, suffix in METHODS.items():
            matching = method == task.method
            if not matching and (architecture != "audiounet" or task.ratio != 4):
                continue
            path = models / f"{architecture}-{task.corpus}-{task.ratio}x{suffix}.onnx"
            if path.is_file():
                found[architecture if matching else f"{architecture} trained on {method}"] = path
    return found


def _outdated(task: Task, models: Path, scored: Mapping[str, str]) -> list[str]:
    """The systems whose model there is and is not the one with that digest."""
    return [
        name
        for name, path in _model_files(task, models).items()
        if read_card(path.with_suffix(".json")).sha256 != scored.get(name)
    ]


def evaluate_paper(
    corpora: Mapping[str, Path],
    models: Path,
    rows_folder: Path,
    limit: int | None = None,
    perceptual: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
    cache: Path | None = None,
    only: str = "",
) -> None:
    """Score every system on every task of the given corpora.

    A task that has rows is scored again only for models that are new or not the ones it was scored
    with, so that what is there stays; a model that is gone keeps its rows.

    Args:
        corpora: where each lies, by its name in `CORPORA`.
        models: folder of exported models.
        rows_folder: gets a CSV per task and `tasks.json`.
        limit: at most so many files of a task, evenly spread over the split.
        perceptual: how many files of a zero-phase or aliased task ViSQOL and DNSMOS hear, evenly
            spread over it, and of each at most the middle eight seconds: they are slow.
        progress: called with the task's name, the tasks done and the tasks in all.
        only: tasks whose name contains this, such as `single` or `4x-chebyshev`.

    Raises:
        MissingFileError, AudioFileError: a corpus is not there or cannot be read.
        SettingsError: a corpus is none of the paper's, no task's name contains `only`, or
            `tasks.json` is damaged.
        DependencyError: the perceptual measures are asked for and not installed.
    """
    index = rows_folder / _INDEX
    known = _read_index(index) if index.is_file() else {}
    tasks = [task for task in paper_tasks(tuple(corpora)) if only in task.name]
    if not tasks:
        raise SettingsError(f"no task of the suite has '{only}' in its name")
    for done, task in enumerate(tasks):
        if progress is not None:
            progress(task.name, done, len(tasks))
        path = rows_folder / f"{task.name}.csv"
        scored = known.get(task.name, {}) if path.is_file() else {}
        outdated = _outdated(task, models, scored.get("model_sha256", {}))
        if scored and not outdated:
            continue
        decoded = decode(read_corpus(corpora[task.corpus]), task.split, SAMPLE_RATE, cache)
        decoded = spread_files(decoded, limit)
        kept = read_rows(path) if scored else []
        if kept and {row["file"] for row in kept} != set(decoded.names):
            raise SettingsError(
                f"{path}: has rows of other files; give the same --limit or delete it"
            )
        systems = task_systems(task, decoded, models)
        if scored:
            systems = {name: systems[name] for name in outdated}
        deaf = task.method == "chebyshev-causal" or (kept and "visqol" not in kept[0])
        heard = 0 if deaf else min(perceptual, len(decoded))
        extra = _listen(CORPORA[task.corpus].kind, len(decoded), heard)
        rows = [row for row in kept if row["system"] not in systems]
        for name, (system, _) in systems.items():
            made = evaluate_recordings(system, decoded, task.degradation, extra=extra)
            rows += [{"system": name, **row} for row in made]
        order = [*SYSTEMS, *sorted({str(row["system"]) for row in rows} - set(SYSTEMS))]
        rows.sort(key=lambda row: order.index(str(row["system"])))
        write_rows(rows, path)
        weights = {name: digest for name, (_, digest) in systems.items() if digest}
        if scored:
            later = {**scored.get("later", {}), **dict.fromkeys(systems, provenance())}
            weights = {**scored["model_sha256"], **weights}
            known[task.name] = {**scored, "model_sha256": weights, "later": later}
        else:
            known[task.name] = {**asdict(task), **provenance(), "model_sha256": weights}
        part = index.with_suffix(".part")
        part.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        part.replace(index)
    if progress is not None:
        progress("", len(tasks), len(tasks))


@dataclass(frozen=True)
class Stored:
    """A task's scores as they were kept.

    Attributes:
        about: what `tasks.json` says: commit, machine, date, digests of the weights, and under
            `later` the origin of the systems that were scored in a later call.
        rows: one per system and file, numbers being numbers.
    """

    task: Task
    about: dict[str, Any]
    rows: list[dict[str, Any]]

    def values(self, system: str, metric: str) -> list[float]:
        """A metric of every file that has it; empty where the system was not scored."""
        own = (row.get(metric, float("nan")) for row in self.rows if row["system"] == system)
        return [value for value in own if not np.isnan(value)]


def write_paper_page(
    corpora: Mapping[str, Path],
    models: Path,
    folder: Path,
    samples: int = 3,
    search: int = 40,
    force: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    cache: Path | None = None,
) -> Path:
    """The page where the suite's zero-phase tasks are heard; see `fullband.evaluate.page`.

    Args:
        corpora, models: as for `evaluate_paper`; tasks without a model are left out.
        samples, search, force: as for `write_page`.

    Raises:
        ModelError: there is no model for any of the tasks.
        MissingFileError, AudioFileError: a corpus is not there or cannot be read.
        OutputError, SettingsError: see `write_page`.
    """
    shown = []
    for task in paper_tasks(tuple(corpora)):
        if task.method != "chebyshev":
            continue
        decoded = decode(read_corpus(corpora[task.corpus]), task.split, SAMPLE_RATE, cache)
        systems = {
            name: system for name, (system, _) in task_systems(task, decoded, models).items()
        }
        heard = {name: systems[name] for name in ("spline", *LEARNED) if name in systems}
        if len(heard) > 1:
            shown.append(PageTask(task.title, decoded, task.degradation, heard))
    if not shown:
        raise ModelError(f"{models}: holds no model of the suite for these corpora")
    return write_page(
        shown, folder, samples, progress, search=search, title="The 2017 paper's tasks", force=force
    )


def read_suite(rows_folder: Path) -> list[Stored]:
    """Every stored task, in the suite's order.

    Raises:
        MissingFileError: there is no `tasks.json` in the folder.
        SettingsError: it is damaged.
    """
    index = rows_folder / _INDEX
    if not index.is_file():
        raise MissingFileError(f"{index}: not there; run fullband evaluate --suite paper first")
    stored = []
    known = _read_index(index)
    for task in paper_tasks():
        if task.name not in known:
            continue
        about = known[task.name]
        with (rows_folder / f"{task.name}.csv").open(newline="", encoding="utf-8") as lines:
            rows = [
                {k: v if k in ("system", "file") else _number(v) for k, v in row.items()}
                for row in csv.DictReader(lines)
            ]
        stored.append(Stored(task, about, rows))
    return stored


def paper_table(stored: Sequence[Stored], method: str, metric: str, decimals: int = 2) -> str:
    """A line per task of a method, a column per system: the mean with its 95 % interval."""
    own = [one for one in stored if one.task.method == method]
    columns = [name for name in SYSTEMS if any(one.values(name, metric) for one in own)]
    lines = ["| task | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for one in own:
        material = CORPORA[one.task.corpus]
        split = f", {one.task.split}" if len(material.splits) > 1 else ""
        if not any(one.values(name, metric) for name in columns):
            continue
        cells = [mean_cell(one.values(name, metric), decimals) for name in columns]
        lines.append(f"| {material.title}{split}, {one.task.ratio}x | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def sensitivity_table(stored: Sequence[Stored], metric: str, decimals: int = 2) -> str:
    """AudioUNet at 4x: a line per corpus and kind of training input, a column per test input."""
    methods = list(METHODS)
    lines = [
        "| corpus | trained on | " + " | ".join(f"tested on {name}" for name in methods) + " |",
        "|---|---|" + "---|" * len(methods),
    ]
    at_four = {(s.task.corpus, s.task.split, s.task.method): s for s in stored if s.task.ratio == 4}
    for corpus, split in dict.fromkeys(key[:2] for key in at_four):
        for trained_on in methods:
            cells = []
            for method in methods:
                name = "audiounet" if method == trained_on else f"audiounet trained on {trained_on}"
                one = at_four.get((corpus, split, method))
                cells.append(mean_cell(one.values(name, metric) if one else [], decimals))
            title = CORPORA[corpus].title + (f", {split}" if corpus == "piano" else "")
            lines.append(f"| {title} | {trained_on} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _read_index(index: Path) -> dict[str, dict[str, Any]]:
    try:
        known = json.loads(index.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SettingsError(f"{index}: damaged ({error}); delete it to score anew") from None
    if not isinstance(known, dict):
        raise SettingsError(f"{index}: damaged (not a table of tasks); delete it to score anew")
    return known


def _number(text: str | None) -> float:
    return float(text) if text else float("nan")


def _listen(
    kind: Kind, files: int, heard: int
) -> Callable[[int, Audio, Audio], dict[str, float]] | None:
    """Perceptual scores of `heard` of the files, NaN for the others; None for none at all."""
    if not heard:
        return None
    chosen = set(np.linspace(0, files - 1, heard).round().astype(int).tolist())

    def listen(index: int, predicted: Audio, wide: Audio) -> dict[str, float]:
        if index in chosen:
            spare = max(0, len(wide) - _HEARD_S * SAMPLE_RATE) // 2
            middle = slice(spare, len(wide) - spare)
            return score_perceptual(predicted[middle], wide[middle], SAMPLE_RATE, kind)
        return {"visqol": float("nan"), "dnsmos": float("nan")}

    return listen
