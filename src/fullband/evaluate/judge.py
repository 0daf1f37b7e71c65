"""The judge of models that take any rate: `fullband evaluate --suite fullband` or `--suite music`.

The two ask the same of a model, the one on speech and the other on music: five questions, and of
music a sixth. Each has its own file of stored rows under one folder, and goes on where it was
stopped:

- `published.csv`: against other systems' published outputs on the same inputs
  (`fullband.evaluate.published`).
- `cutoffs/CORPUS-HZ.csv`, `joins.csv`: at every cutoff on corpora, beside resampling and the older
  models (`fullband.evaluate.cutoffs`).
- `stereo.csv`: what becomes of the places of sounds (`fullband.evaluate.stereo`).
- `damage.csv`: what is made of what real codecs leave (`fullband.evaluate.damage`).
- `paper.csv`: on the 2017 paper's tasks of that kind, beside the rows of `--suite paper`.
- `checks.csv`: what has to hold whatever the scores (`fullband.evaluate.checks`).

A model whose weights are not those of its rows is scored again; what does not depend on it is
measured once. `suite.json` says which model was judged last: the tables are about that one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from fullband.audio.level import active_level_db
from fullband.audio.resample import resample
from fullband.audio.samples import Audio, Rate
from fullband.corpora.dataset import Decoded
from fullband.degrade import Degradation
from fullband.engine import OnnxModel, open_model
from fullband.enhancement import Enhancer, load
from fullband.errors import MissingFileError, SettingsError
from fullband.evaluate.checks import check_all, example_voices
from fullband.evaluate.cutoffs import (
    CUTOFFS_HZ,
    SAMPLE_RATE,
    Recording,
    cell_systems,
    choose_recordings,
    cutoff_table,
    degradation_of,
    ideal_system,
    score_cell,
    source_table,
    verdict_table,
)
from fullband.evaluate.damage import CODED, CODINGS, REACH_HZ, damage_table, score_damage
from fullband.evaluate.paper import CORPORA, LEARNED, Stored, read_suite
from fullband.evaluate.perceptual import Kind
from fullband.evaluate.published import (
    Clip,
    find_clips,
    published_input,
    published_methods,
    published_table,
    read_mono,
    score_clip,
)
from fullband.evaluate.run import System, evaluate_recordings, fit_length
from fullband.evaluate.stereo import stereo_rows, stereo_table
from fullband.evaluate.stored import Rows, keep, mean_of, read_kept, replace
from fullband.evaluate.suite import bare_systems, provenance

__all__ = [
    "Judged",
    "check_table",
    "enhanced",
    "enhanced_system",
    "evaluate_checks",
    "evaluate_cutoffs",
    "evaluate_damage",
    "evaluate_fullband",
    "evaluate_paper_tasks",
    "evaluate_published",
    "evaluate_stereo",
    "judge_rows",
    "judge_table",
    "paper_comparison",
]

_INDEX = "suite.json"
_FILES = 30  # of a cell
_DAMAGED_FILES = 10  # of a coding

Progress = Callable[[str, int, int], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Judged:
    """The model that the suite is about.

    Attributes:
        name: how it is called in the rows.
        sha256: of its weights, empty for a baseline.
    """

    name: str
    sha256: str
    enhancer: Enhancer

    @classmethod
    def open(cls, model: str) -> Judged:
        """A released model's name, the path of an exported one, or a baseline."""
        opened = open_model(model)
        digest = opened.card.sha256 if isinstance(opened, OnnxModel) else ""
        return cls(opened.name, digest, load(model))

    def has(self, rows: Rows) -> bool:
        """Whether rows of it are among these, all made with these weights."""
        own = [row for row in rows if row["system"] == self.name]
        return bool(own) and all(row["model_sha256"] == self.sha256 for row in own)


def enhanced(enhancer: Enhancer, narrow: Audio, narrow_rate: Rate, wide_rate: int) -> Audio:
    """What `fullband.enhance` gives at a rate.

    It takes files, whose rates are whole numbers: audio at another rate is resampled to the wide
    rate first, which changes nothing about its content.
    """
    if not isinstance(narrow_rate, int):
        narrow, narrow_rate = resample(narrow, narrow_rate, wide_rate), wide_rate
    return enhancer(narrow, narrow_rate, wide_rate)[0]


def enhanced_system(enhancer: Enhancer) -> System:
    """The same as a system of `fullband.evaluate.run`."""

    def system(narrow: Audio, degradation: Degradation, length: int) -> Audio:
        wide = enhanced(enhancer, narrow, degradation.narrow_rate, degradation.sample_rate)
        return fit_length(wide, length)

    return system


def evaluate_published(
    judged: Judged,
    folder: Path,
    rows_folder: Path,
    limit: int | None = None,
    progress: Progress | None = None,
    only: str = "",
    listen: bool = True,
    again: bool = False,
    kind: Kind = "speech",
) -> None:
    """Score every published output, the resampled input and the model on every clip.

    A baseline has no weights and is not scored here: sinc stands there anyway.

    Args:
        folder: the clips, see `fullband.evaluate.published`.
        limit: at most so many clips of a task.
        only: clips whose name, `published/PAGE/TASK/SAMPLE`, contains this.
        listen: also ViSQOL and, of speech, DNSMOS.
        again: score the model though it has rows (after a change to the signal path).

    Raises:
        MissingFileError: there are no clips.
    """
    path = rows_folder / "published.csv"
    seen: dict[tuple[str, str], int] = {}
    clips = []
    for clip in find_clips(folder, kind):
        number = seen[clip.page, clip.task] = seen.get((clip.page, clip.task), 0) + 1
        if only in f"published/{clip.name}" and (limit is None or number <= limit):
            clips.append(clip)
    for done, clip in enumerate(clips):
        if progress is not None:
            progress(f"published/{clip.name}", done, len(clips))
        where = {"page": clip.page, "task": clip.task, "sample": clip.sample}
        stored = [row for row in read_kept(path) if where.items() <= row.items()]
        have = {row["system"] for row in stored}
        systems = {k: v for k, v in published_methods(clip).items() if k not in have}
        digests = dict.fromkeys(systems, "")
        if judged.sha256 and (again or not judged.has(stored)):
            systems[judged.name] = _ours(judged, clip)
            digests[judged.name] = judged.sha256
        rows = [
            {
                **where,
                "system": name,
                "narrow_rate": round(float(clip.narrow_rate), 3),
                "sample_rate": clip.sample_rate,
                **score_clip(clip, system(), listen, kind),
                "model_sha256": digests[name],
                **provenance(),
            }
            for name, system in systems.items()
        ]
        keep(rows, path, ("page", "task", "sample", "system"))


def _ours(judged: Judged, clip: Clip) -> Callable[[], Audio]:
    def make() -> Audio:
        return enhanced(judged.enhancer, *published_input(clip), clip.sample_rate)

    return make


def evaluate_cutoffs(
    judged: Judged,
    corpora: Mapping[str, Path],
    rows_folder: Path,
    split: str = "test",
    limit: int | None = None,
    perceptual: int = 0,
    progress: Progress | None = None,
    only: str = "",
    again: bool = False,
    kind: Kind = "speech",
) -> None:
    """Score the baselines, the older models and the model at every cutoff on every corpus.

    Args:
        corpora: folders by the name that the tables call them.
        limit: files of a cell, by default 30, spread over sources and speakers.
        perceptual: on how many of them, the longest, ViSQOL and DNSMOS hear sinc, the older models
            and the model: some seconds each.
        only: cells whose name, `cutoffs/CORPUS-HZ`, contains this.
        again: score the model though it has rows.

    Raises:
        MissingFileError: a corpus, its split or fitting recordings are not there.
    """
    for corpus, folder, cutoff_hz in _cells("cutoffs", corpora, CUTOFFS_HZ[kind], only, progress):
        path = rows_folder / "cutoffs" / f"{corpus}-{cutoff_hz}.csv"
        recordings = choose_recordings(folder, split, cutoff_hz, limit or _FILES, kind)
        files = {recording.file for recording in recordings}
        stored = read_kept(path)
        systems: dict[str, System] = {"ideal-lowpass": ideal_system, **bare_systems()}
        digests = dict.fromkeys(systems, "")
        for name, digest in cell_systems(cutoff_hz).items():
            systems[name], digests[name] = enhanced_system(load(name)), digest
        if judged.name not in systems:
            systems[judged.name] = enhanced_system(judged.enhancer)
            digests[judged.name] = judged.sha256
        heard = {name: perceptual for name in systems if name not in ("ideal-lowpass", "spline")}
        all_systems = set(systems)
        for name in list(systems):
            if again and name == judged.name:
                continue
            own = [row for row in stored if row["system"] == name]
            same = {row["file"] for row in own} == files
            listened = sum(not np.isnan(row["visqol"]) for row in own)
            enough = listened > 0 or not heard.get(name, 0)
            if same and enough and all(row["model_sha256"] == digests[name] for row in own):
                del systems[name]
        if not systems:
            continue
        rows, joins = score_cell(recordings, cutoff_hz, systems, heard, kind=kind)
        origin = provenance()
        where = {"corpus": corpus}
        rows = [{**where, **row, "model_sha256": digests[row["system"]], **origin} for row in rows]
        left = [row for row in stored if row["system"] in all_systems - set(systems)]
        replace([*left, *rows], path)
        joins = [
            {**where, **row, "model_sha256": digests[row["system"]], **origin} for row in joins
        ]
        others = [
            row
            for row in read_kept(rows_folder / "joins.csv")
            if (row["corpus"], row["cutoff_hz"]) != (corpus, cutoff_hz)
            or row["system"] in all_systems - set(systems)
        ]
        replace([*others, *joins], rows_folder / "joins.csv")


def evaluate_stereo(
    judged: Judged,
    corpora: Mapping[str, Path],
    rows_folder: Path,
    split: str = "test",
    limit: int | None = None,
    progress: Progress | None = None,
    only: str = "",
    again: bool = False,
) -> None:
    """Measure the stereo image above every cutoff, of the originals and of what is made of them.

    Args: see `evaluate_cutoffs`; a cell is called `stereo/CORPUS-HZ`.

    Raises:
        MissingFileError: a corpus, its split or fitting recordings are not there.
    """
    path = rows_folder / "stereo.csv"
    for corpus, folder, cutoff_hz in _cells("stereo", corpora, CUTOFFS_HZ["music"], only, progress):
        where = {"corpus": corpus, "cutoff_hz": float(cutoff_hz), "system": judged.name}
        stored = [row for row in read_kept(path) if where.items() <= row.items()]
        known = {row["file"] for row in stored} if judged.has(stored) and not again else set()
        rows: Rows = []
        for one in choose_recordings(folder, split, cutoff_hz, limit or _FILES, "music"):
            if one.file in known:
                continue
            wide = one.channels()
            if len(wide) != 2:
                continue
            narrow = np.stack([degradation_of(one, each, cutoff_hz)[0] for each in wide])
            made = enhanced(judged.enhancer, narrow, 2 * cutoff_hz, SAMPLE_RATE)
            made = np.stack([fit_length(each, wide.shape[1]) for each in made])
            rows += stereo_rows(made, wide, SAMPLE_RATE, cutoff_hz, one.limit_hz, one.file)
        if rows:
            origin = {"model_sha256": judged.sha256, **provenance()}
            rows = [{**where, **row, **origin} for row in rows]
            keep(rows, path, ("corpus", "cutoff_hz", "system", "file", "low_hz"))


def evaluate_damage(
    judged: Judged,
    corpora: Mapping[str, Path],
    rows_folder: Path,
    split: str = "test",
    limit: int | None = None,
    perceptual: int = 0,
    progress: Progress | None = None,
    only: str = "",
    again: bool = False,
    kind: Kind = "speech",
) -> None:
    """Score the model on what codecs at low rates leave, beside that itself, which is scored once.

    Args: see `evaluate_cutoffs`; a cell is called `damage/CORPUS-CODING`.

    Raises:
        DependencyError: PyAV is not installed.
        MissingFileError: a corpus, its split or fitting recordings are not there.
    """

    def enhance(coded: Audio, rate: int) -> Audio:
        return judged.enhancer(coded, rate, SAMPLE_RATE)[0]

    path = rows_folder / "damage.csv"
    for corpus, folder, coding in _cells("damage", corpora, CODINGS[kind], only, progress):
        cell = {"corpus": corpus, "coding": str(coding)}
        kept = [row for row in read_kept(path) if cell.items() <= row.items()]
        stored = [row for row in kept if row["system"] == judged.name]
        recordings = choose_recordings(folder, split, REACH_HZ, limit or _DAMAGED_FILES, kind)
        files = {recording.file for recording in recordings}
        listened = sum(not np.isnan(row["visqol"]) for row in stored)
        enough = listened >= min(perceptual, len(recordings))
        same = judged.has(stored) and files <= {row["file"] for row in stored}
        if same and enough and not again:
            continue
        heard = {recording.file for recording in recordings[:perceptual]}
        known = {
            row["file"]
            for row in kept
            if row["system"] == CODED
            and not (row["file"] in heard and np.isnan(row["visqol"]))
            and not again
        }
        rows = score_damage(recordings, coding, judged.name, enhance, kind, perceptual, known)
        origin = {"model_sha256": judged.sha256, **provenance()}
        rows = [{"corpus": corpus, **row, **origin} for row in rows]
        keep(rows, path, ("corpus", "coding", "system", "file"))


def _cells(
    question: str,
    corpora: Mapping[str, Path],
    each: Sequence[T],
    only: str,
    progress: Progress | None,
) -> Iterator[tuple[str, Path, T]]:
    """Corpus, folder and cutoff, or coding, of every cell that is asked for, told of as its turn
    comes."""
    named = [
        (f"{question}/{corpus}-{one}", (corpus, folder, one))
        for corpus, folder in corpora.items()
        for one in each
    ]
    asked = [(name, cell) for name, cell in named if only in name]
    for done, (name, cell) in enumerate(asked):
        if progress is not None:
            progress(name, done, len(asked))
        yield cell


def evaluate_paper_tasks(
    judged: Judged,
    corpora: Mapping[str, Path],
    paper_rows: Path,
    rows_folder: Path,
    limit: int | None = None,
    progress: Progress | None = None,
    only: str = "",
    again: bool = False,
) -> None:
    """Score the model on the 2017 paper's tasks, on the very files that have rows.

    Args:
        corpora: where the paper's `single`, `speakers` or `piano` lie.
        paper_rows: what `--suite paper` has stored.
        limit: only the first so many of the files.
        only: tasks whose name, `paper/TASK`, contains this.
        again: score the model though it has rows.

    Raises:
        MissingFileError: there are no stored rows, or a file of theirs is gone.
    """
    path = rows_folder / "paper.csv"
    tasks = [
        stored
        for stored in read_suite(paper_rows)
        if stored.task.corpus in corpora
        and stored.task.method == "chebyshev"
        and only in f"paper/{stored.task.name}"
    ]
    for done, stored in enumerate(tasks):
        task = stored.task
        if progress is not None:
            progress(f"paper/{task.name}", done, len(tasks))
        files = list(dict.fromkeys(row["file"] for row in stored.rows))[:limit]
        kept = [row for row in read_kept(path) if row["task"] == task.name]
        scored_files = {row["file"] for row in kept if row["system"] == judged.name}
        if not again and judged.has(kept) and scored_files >= set(files):
            continue
        paths = [corpora[task.corpus] / file for file in files]
        decoded = _decoded(paths, files, task.degradation.sample_rate)
        scored = evaluate_recordings(enhanced_system(judged.enhancer), decoded, task.degradation)
        about = {"task": task.name, "system": judged.name}
        origin = {"model_sha256": judged.sha256, **provenance()}
        keep([{**about, **row, **origin} for row in scored], path, ("task", "system", "file"))


def evaluate_checks(
    judged: Judged,
    rows_folder: Path,
    recordings: Sequence[Recording] = (),
    again: bool = False,
) -> None:
    """Put the model through the checks, which take it half a minute.

    Args:
        recordings: the voices of two of them, else synthetic ones, are put into stereo.
        again: check it though it has rows.
    """
    path = rows_folder / "checks.csv"
    if not again and judged.has(read_kept(path)):
        return
    voices = example_voices()
    if len(recordings) > 1:
        voices = recordings[0].wide(), recordings[1].wide()
    rows = [
        {
            "system": judged.name,
            **check.row(),
            "model_sha256": judged.sha256,
            **provenance(),
        }
        for check in check_all(lambda *given: judged.enhancer(*given)[0], voices)
    ]
    keep(rows, path, ("system", "check"))


def evaluate_fullband(
    model: str,
    rows_folder: Path,
    published: Path | None = None,
    corpora: Mapping[str, Path] | None = None,
    paper: Mapping[str, Path] | None = None,
    paper_rows: Path = Path("docs/measured/paper"),
    split: str = "test",
    limit: int | None = None,
    perceptual: int = 0,
    progress: Progress | None = None,
    only: str = "",
    again: bool = False,
    kind: Kind = "speech",
) -> None:
    """All that was asked for, and the checks; see the functions above for the arguments.

    Raises:
        ModelError: there is no such model.
        SettingsError: nothing was asked for that has `only` in its name.
    """
    judged = Judged.open(model)
    rows_folder.mkdir(parents=True, exist_ok=True)
    about = {"model": judged.name, "sha256": judged.sha256, "kind": kind, **provenance()}
    (rows_folder / _INDEX).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    if only in "checks":
        chosen: list[Recording] = []
        if corpora:
            chosen = choose_recordings(next(iter(corpora.values())), split, 8000, 2, kind)
        evaluate_checks(judged, rows_folder, chosen, again)
    if paper:
        evaluate_paper_tasks(judged, paper, paper_rows, rows_folder, limit, progress, only, again)
    if corpora:
        evaluate_cutoffs(
            judged, corpora, rows_folder, split, limit, perceptual, progress, only, again, kind
        )
        if kind == "music":
            evaluate_stereo(judged, corpora, rows_folder, split, limit, progress, only, again)
        evaluate_damage(
            judged, corpora, rows_folder, split, limit, perceptual, progress, only, again, kind
        )
    if published is not None:
        evaluate_published(judged, published, rows_folder, limit, progress, only, True, again, kind)


def judge_table(rows_folder: Path, what: str, *words: str) -> str:
    """A table of the stored rows about the model that was judged last.

    Args:
        what: `published` (words: narrow and wide rate), `cutoffs` (a metric), `sources` (a metric),
            `verdicts`, `stereo`, `damage`, `paper` (a metric; `--suite paper` must have its rows
            in `paper` beside the folder) or `checks`.

    Raises:
        MissingFileError: nothing is stored there.
    """
    index = rows_folder / _INDEX
    if not index.is_file():
        raise MissingFileError(f"{index}: not there; run fullband evaluate --suite fullband first")
    about = json.loads(index.read_text(encoding="utf-8"))
    model, kind = about["model"], about.get("kind", "speech")
    rows = judge_rows(rows_folder, what)
    if what == "published":
        narrow_rate, wide_rate = map(int, words)
        return published_table(rows, model, narrow_rate, wide_rate, kind)
    if what == "checks":
        return check_table(rows, model)
    if what == "stereo":
        return stereo_table(rows, model)
    if what == "damage":
        return damage_table(rows, model)
    if what == "paper":
        tasks = [
            stored
            for stored in read_suite(rows_folder.parent / "paper")
            if CORPORA[stored.task.corpus].kind == kind and stored.task.method == "chebyshev"
        ]
        return paper_comparison(tasks, rows, model, *words)
    if what == "verdicts":
        return verdict_table(rows, read_kept(rows_folder / "joins.csv"), model)
    return (cutoff_table if what == "cutoffs" else source_table)(rows, model, *words)


def judge_rows(rows_folder: Path, what: str) -> Rows:
    """The rows that a table of `judge_table` is made of, of every system; none where none are kept.

    Raises:
        SettingsError: there is no such table.
    """
    if what in ("cutoffs", "sources", "verdicts"):
        paths = sorted(rows_folder.glob("cutoffs/*.csv"))
    elif what in ("published", "checks", "stereo", "damage", "paper"):
        paths = [rows_folder / f"{what}.csv"]
    else:
        raise SettingsError(f"no table '{what}' of the suite")
    return [row for path in paths for row in read_kept(path)]


def paper_comparison(stored: Sequence[Stored], rows: Rows, model: str, metric: str) -> str:
    """A line per task of the 2017 paper: its systems' stored means and the model's."""
    columns = ("ideal-lowpass", "sinc", "spline", *LEARNED)
    lines = [
        "| task | " + " | ".join(columns) + f" | {model}, enhanced |",
        "|---|" + "---|" * (len(columns) + 1),
    ]
    for one in stored:
        material = CORPORA[one.task.corpus]
        split = f" ({one.task.split})" if len(material.splits) > 1 else ""
        cells = [
            mean_of((row for row in one.rows if row["system"] == name), metric) for name in columns
        ]
        own = [row for row in rows if (row["task"], row["system"]) == (one.task.name, model)]
        cells.append(mean_of(own, metric))
        shown = ("-" if np.isnan(cell) else f"{cell:.2f}" for cell in cells)
        title = f"{material.title}{split}, {one.task.ratio}x"
        lines.append(f"| {title} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def check_table(rows: Rows, model: str) -> str:
    """What was asked of the model, what was measured, and whether it holds."""
    lines = ["| check | what must hold | measured | |", "|---|---|---|---|"]
    for row in (row for row in rows if row["system"] == model):
        holds = "passed" if row["passed"] else "**failed**"
        lines.append(f"| {row['check']} | {row['asked']} | {row['value']:.3g} | {holds} |")
    return "\n".join(lines)


def _decoded(paths: Sequence[Path], names: Sequence[str], sample_rate: int) -> Decoded:
    """Whole recordings in mono at a rate, as `decode` would give them."""
    audio = [resample(*read_mono(path), sample_rate) for path in paths]
    return Decoded(
        samples=np.concatenate(audio),
        starts=tuple(np.cumsum([0, *map(len, audio)]).tolist()),
        levels_db=tuple(active_level_db(one, sample_rate) for one in audio),
        names=tuple(names),
        sample_rate=sample_rate,
    )
