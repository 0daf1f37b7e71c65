"""A static page on which systems are heard and seen side by side, offline and without a server.

A folder with `index.html`, its style and script, and per sample one script that carries the sound
(a page opened from a disk may run scripts beside it but not read files) and a picture per version.
The player keeps every version running at once and only changes which is heard. What is worth
hearing is found in `page_findings`; the fixed parts of the page lie in `page_files`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from fullband.audio.file import AudioWriter
from fullband.audio.level import busiest_start
from fullband.audio.picture import RANGE_DB, SpectrogramMeter, colours, feed
from fullband.audio.resample import resample
from fullband.audio.samples import Audio
from fullband.corpora.dataset import Decoded, decode
from fullband.corpora.manifest import read_corpus
from fullband.degrade import Degradation
from fullband.engine import OnnxModel, open_model
from fullband.enhancement import load
from fullband.errors import OutputError, SettingsError
from fullband.evaluate.metrics import score
from fullband.evaluate.page_findings import (
    AUDIBLE_DB,
    FRAME_S,
    INVENTED_DB,
    QUIETEST_DB,
    Finding,
    find_moments,
    splined,
    spread_indices,
)
from fullband.evaluate.run import System, fit_length, raw_system
from fullband.evaluate.suite import provenance
from fullband.models.registry import BASELINES

__all__ = ["PageTask", "write_model_page", "write_page"]

_FILES = Path(__file__).with_name("page_files")
_MARK = '<meta name="generator" content="fullband report">'
_LONGEST_S = 10.0
_REFERENCE, _LOW = "High resolution", "Low resolution"
_SHOWN = {"snr_db": ("SNR", " dB"), "lsd_2017": ("lsd_2017", ""), "lsd": ("lsd", "")}
"""The figures under every picture; the others are in the table below them."""


@dataclass(frozen=True)
class PageTask:
    """One degradation of one corpus, and the systems that undo it.

    Attributes:
        systems: name to system, in the order shown. Each is called with recordings in any order,
            and more than once with some. The cubic spline is shown whether it is among them or not.
    """

    title: str
    decoded: Decoded
    degradation: Degradation
    systems: Mapping[str, System]


def write_page(
    tasks: Sequence[PageTask],
    folder: Path,
    samples: int = 3,
    progress: Callable[[str, int, int], None] | None = None,
    *,
    search: int = 40,
    title: str = "Listening page",
    force: bool = False,
) -> Path:
    """Write the page of some tasks into a folder, which appears whole or not at all.

    Args:
        samples: recordings per task, evenly spread over its files; at most 10 s of each are shown.
        progress: called with what is being done, the steps done and the steps in all.
        search: recordings per task that are searched for moments where a system goes wrong.
        force: replace a page that is there. Nothing but a page is ever replaced.

    Returns:
        The path of its `index.html`.

    Raises:
        OutputError: the folder exists and is not empty, or cannot be written.
        SettingsError: there is no task, no sample or nothing to search, or rates do not fit.
    """
    if not tasks or samples < 1 or search < 1:
        raise SettingsError("a page needs at least one task, one sample and one file to search")
    for task in tasks:
        if task.decoded.sample_rate != task.degradation.sample_rate:
            raise SettingsError(
                f"{task.title}: decoded at {task.decoded.sample_rate} Hz, "
                f"degraded from {task.degradation.sample_rate} Hz"
            )
    with _appearing(folder, force) as part:
        (part / "samples").mkdir()
        for name in ("page.css", "page.js"):
            shutil.copyfile(_FILES / name, part / name)
        _save_picture(part / "scale.png", np.linspace(-RANGE_DB, 0, 91)[None], 0.0)
        sections = [
            _task(task, number, part, samples, search, progress)
            for number, task in enumerate(tasks, start=1)
        ]
        contents = [
            f'<li><a href="#task-{number}">{escape(task.title)}</a></li>'
            for number, task in enumerate(tasks, start=1)
        ]
        origin = provenance()
        made = [f"fullband {origin['version']}", origin["commit"], origin["date"]]
        page = _filled(
            "page",
            mark=_MARK,
            title=escape(title),
            contents="\n".join(contents) if len(tasks) > 1 else "",
            sections="\n".join(sections),
            range_db=f"{RANGE_DB:g}",
            made=escape(", ".join(filter(None, made))),
        )
        (part / "index.html").write_text(page, encoding="utf-8")
    return folder / "index.html"


def write_model_page(
    folder: Path,
    corpus: str,
    models: Sequence[str],
    sample_rate: int,
    narrow_rate: int | Fraction,
    method: str = "chebyshev",
    split: str = "test",
    samples: int = 3,
    search: int = 40,
    title: str | None = None,
    force: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    cache: Path | None = None,
) -> Path:
    """The page of one task: models beside the spline on a split of a corpus.

    Args:
        models: released models' names or paths of exported ones. A model whose rate is
            `sample_rate` is heard alone, as the 2017 paper scores it; any other, and `auto`, as
            `enhance` gives it.
        title: of the page. None makes one of the corpus and the rates.

    Raises:
        MissingFileError, AudioFileError, ModelError: see `fullband.evaluate.suite`.
        OutputError, SettingsError: see `write_page`.
    """
    _refuse(folder, force)
    degradation = Degradation(method, sample_rate, narrow_rate)
    degradation.apply(np.zeros(sample_rate, np.float32))  # an impossible one is refused here
    systems: dict[str, System] = {"spline": splined}
    for model in models:
        if model not in BASELINES:
            name, system = _model_system(model, sample_rate)
            systems[name] = system
    read = read_corpus(corpus)
    decoded = decode(read, split, sample_rate, cache)
    task = PageTask(f"{read.name}, {split} split", decoded, degradation, systems)
    title = title or f"{read.name}, {_khz(narrow_rate)} to {_khz(sample_rate)} kHz"
    return write_page([task], folder, samples, progress, search=search, title=title, force=force)


@dataclass(frozen=True)
class _Version:
    """One way the sample is heard: the whole recording, and its scores (none for the reference)."""

    name: str
    note: str
    audio: Audio
    scores: dict[str, float]


def _task(
    task: PageTask,
    number: int,
    part: Path,
    samples: int,
    search: int,
    progress: Callable[[str, int, int], None] | None,
) -> str:
    """The section of one task; its sounds and pictures are written on the way."""

    def tell(doing: str) -> Callable[[int, int], None]:
        return lambda done, total: (
            progress(f"{task.title}: {doing}", done, total) if progress else None
        )

    findings = find_moments(task.decoded, task.degradation, task.systems, search, tell("searching"))
    chosen = spread_indices(len(task.decoded), samples)
    troubled = list(dict.fromkeys(found.recording for found in findings))
    drawing = tell("drawing")
    articles = []
    for done, index in enumerate([*chosen, *troubled]):
        drawing(done, len(chosen) + len(troubled))
        own = [f for f in findings if f.recording == index] if done >= len(chosen) else []
        articles.append(_sample(task, index, own, f"t{number}-s{done + 1}", part))
    drawing(1, 1)
    degradation, count = task.degradation, len(task.decoded)
    return _filled(
        "section",
        number=number,
        title=escape(task.title),
        narrow=_khz(degradation.narrow_rate),
        wide=_khz(degradation.sample_rate),
        cutoff=_khz(degradation.cutoff_hz),
        method=escape(degradation.method),
        files=_counted(count, "recording"),
        samples="\n".join(articles[: len(chosen)]),
        searched=_counted(min(search, count), "recording")
        + (f" of {count}, evenly spread" if count > search else ""),
        measures=_filled(
            "measures",
            hop=f"{1000 * FRAME_S:g}",
            audible=_number(AUDIBLE_DB, 0),
            quietest=_number(QUIETEST_DB, 0),
            invented=f"{INVENTED_DB:g}",
            cutoff=_khz(degradation.cutoff_hz),
        ),
        absent=_absent(task, findings),
        findings="\n".join(articles[len(chosen) :]),
    )


def _sample(task: PageTask, index: int, findings: list[Finding], key: str, part: Path) -> str:
    """One sample as HTML; its sound and its pictures go into the folder."""
    wide = task.decoded.recording(index)
    rate = task.degradation.sample_rate
    versions = _versions(task, wide)
    start, stop = _excerpt(wide, rate, findings[0].at_s if findings else None)
    inside = [f for f in findings if start <= f.at_s * rate <= stop]
    length_s = (stop - start) / rate
    limited = _write_sound(part, key, [v.audio[start:stop] for v in versions], rate)
    panels = []
    for version in versions:
        meter = SpectrogramMeter(rate, stop - start, rate / 2)
        panels.append(feed(meter, [version.audio[None, start:stop]]).panel(version.name).level_db)
    loudest = max(-60.0, *(float(panel.max()) for panel in panels))
    figures = []
    for number, (version, panel) in enumerate(zip(versions, panels, strict=True), start=1):
        picture = f"samples/{key}-v{number}.png"
        _save_picture(part / picture, panel[::-1], loudest)
        marks = [(f.at_s - start / rate, version.name in (f.system, _REFERENCE)) for f in inside]
        figures.append(
            _filled(
                "figure",
                number=number,
                name=escape(version.name),
                note=escape(version.note),
                picture=picture,
                alt=escape(
                    f"Spectrogram, {version.name}: 0 to {_khz(rate / 2)} kHz, {length_s:.1f} s"
                ),
                marks=_marks(task.degradation, length_s, marks, version.name == _LOW),
                scores=_scores(version),
            )
        )
    facts = [f"{length_s:.1f} s"]
    if stop - start < len(wide):
        facts = [
            f"{start / rate:.1f} to {stop / rate:.1f} s of {len(wide) / rate:.1f} s",
            "scores of the whole recording",
        ]
    if limited:
        facts.append(f"{_counted(limited, 'sample value')} beyond full scale limited")
    return _filled(
        "sample",
        key=key,
        name=escape(task.decoded.names[index]),
        facts=escape("; ".join(facts)),
        duration=f"{length_s:.4f}",
        findings=_finding_list(findings, versions, start / rate, length_s, task.degradation),
        rows=" fours" if len(versions) in (1, 2, 4, 7, 8) else "",
        figures="\n".join(figures),
        table=_table(versions),
    )


def _versions(task: PageTask, wide: Audio) -> list[_Version]:
    degradation, length = task.degradation, len(wide)
    rate, cutoff_hz = degradation.sample_rate, degradation.cutoff_hz
    narrow = degradation.apply(wide)
    audible = fit_length(resample(narrow, degradation.narrow_rate, rate), length)

    def version(name: str, note: str, audio: Audio) -> _Version:
        return _Version(name, note, audio, score(audio, wide, rate, cutoff_hz))

    note = f"the {_khz(degradation.narrow_rate)} kHz input, resampled to be heard"
    versions = [
        _Version(_REFERENCE, "the recording itself", wide, {}),
        version(_LOW, note, audible),
    ]
    if "spline" not in task.systems:
        audio = splined(narrow, degradation, length)
        versions.append(version("spline", "cubic interpolation of the input", audio))
    for name, system in task.systems.items():
        note = "cubic interpolation of the input" if name == "spline" else ""
        versions.append(version(name, note, system(narrow, degradation, length)))
    return versions


def _excerpt(wide: Audio, sample_rate: int, around_s: float | None) -> tuple[int, int]:
    """First and last sample of what is shown: around a moment, or where there is most to hear."""
    longest = round(_LONGEST_S * sample_rate)
    if len(wide) <= longest:
        return 0, len(wide)
    if around_s is None:
        start = busiest_start(wide, sample_rate, longest)
    else:
        start = max(0, round(around_s * sample_rate) - longest // 2)
        start = min(start, len(wide) - longest)
    return start, start + longest


def _write_sound(part: Path, key: str, versions: list[Audio], sample_rate: int) -> int:
    """Keep the versions of a sample as one script; the count of values that had to be limited."""
    limited, encoded = 0, []
    flac = part / f"{key}.flac"
    for audio in versions:
        with AudioWriter(flac, sample_rate, 1, "PCM_16", force=True) as writer:
            writer.write(audio[None])
        limited += writer.limited
        # The alphabet for addresses has no slash, so nothing in it can look like one.
        encoded.append(base64.urlsafe_b64encode(flac.read_bytes()).decode("ascii"))
    flac.unlink()
    text = f"fullbandAudio({json.dumps(key)}, {json.dumps(encoded, indent=0)});\n"
    (part / "samples" / f"{key}.js").write_text(text, encoding="ascii")
    return limited


def _save_picture(path: Path, level_db: np.ndarray, loudest_db: float) -> None:
    """Levels `[rows, columns]`, top first, in the colours of all spectrograms, 1 dB a step."""
    from PIL import Image

    steps = np.clip(np.rint(level_db - loudest_db), -RANGE_DB, 0) + RANGE_DB
    image = Image.fromarray(steps.astype(np.uint8), mode="P")
    image.putpalette(colours(np.arange(-RANGE_DB, 1)).tobytes())
    image.save(path, format="PNG", optimize=True)


def _marks(
    degradation: Degradation, length_s: float, moments: list[tuple[float, bool]], named: bool
) -> str:
    """Axes, cutoff and moments, as lines over a picture that is as large as its box."""
    highest = degradation.sample_rate / 2
    lines = ['<text class="khz" x="0" y="0">kHz</text>']
    for hz in _ticks(highest, 4):
        y = 100 * (1 - hz / highest)
        lines.append(f'<text class="hz" x="-7" y="{y:.3f}%">{_khz(hz)}</text>')
    for second in _ticks(length_s, 5):
        x, unit = 100 * second / length_s, " s" if second == 0 else ""
        lines.append(f'<text class="second" x="{x:.3f}%" y="100%">{second:g}{unit}</text>')
    y = 100 * (1 - degradation.cutoff_hz / highest)
    lines.append(f'<line class="cutoff" x1="0" x2="100%" y1="{y:.3f}%" y2="{y:.3f}%"/>')
    if named:
        name = f"input ends: {_khz(degradation.cutoff_hz)} kHz"
        lines.append(f'<text class="ends" x="100%" y="{y:.3f}%">{name}</text>')
    for at_s, concerned in moments:
        x, kind = 100 * at_s / length_s, "moment concerned" if concerned else "moment"
        lines.append(f'<line class="{kind}" x1="{x:.3f}%" x2="{x:.3f}%" y1="0" y2="100%"/>')
    return "".join(lines)


def _scores(version: _Version) -> str:
    if not version.scores:
        return '<p class="scores none">reference of the scores</p>'
    cells = [
        f"<div><dt>{label}</dt><dd>{_number(version.scores[name])}{unit}</dd></div>"
        for name, (label, unit) in _SHOWN.items()
    ]
    return f'<dl class="scores">{"".join(cells)}</dl>'


def _table(versions: list[_Version]) -> str:
    names = list(versions[1].scores)
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    rows = [
        f'<tr><th scope="row">{escape(version.name)}</th>'
        + "".join(f"<td>{_number(version.scores[name])}</td>" for name in names)
        + "</tr>"
        for version in versions[1:]
    ]
    return f"<thead><tr><td></td>{heads}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _finding_list(
    findings: list[Finding],
    versions: list[_Version],
    start_s: float,
    length_s: float,
    degradation: Degradation,
) -> str:
    """What was found in a sample, each with a button that plays it."""
    if not findings:
        return ""
    names = [version.name for version in versions]
    items = []
    for found in findings:
        at_s = found.at_s - start_s
        button = ""
        if 0 <= at_s <= length_s:
            button = _filled(
                "moment",
                start=f"{max(0.0, at_s - 0.5):.3f}",
                stop=f"{min(length_s, at_s + 0.5):.3f}",
                version=names.index(found.system),
                label=escape(f"Play 1 s around {at_s:.2f} s, {found.system}"),
            )
        items.append(f"<li><p>{_sentence(found, at_s, degradation)}</p>{button}</li>")
    return f'<ul class="findings">{"".join(items)}</ul>'


def _sentence(found: Finding, at_s: float, degradation: Degradation) -> str:
    """A finding in words; `at_s` counts from the start of what is shown."""
    system, when = f"<b>{escape(found.system)}</b>", f"{at_s:.2f} s"
    amount = f"<strong>{_number(found.amount, 1 if found.kind != 'lsd' else 2)}"
    if found.kind == "invented":
        return (
            f"{system} puts {amount} dB</strong> more above {_khz(degradation.cutoff_hz)} kHz than "
            f"there was, at {when}: {_number(found.own, 1)} dBFS where the recording has "
            f"{_number(found.other, 1)} dBFS."
        )
    if found.kind == "snr":
        return (
            f"{system} has {amount} dB</strong> less SNR than the spline in the whole recording "
            f"({_number(found.own)} against {_number(found.other)} dB), most of it at {when}."
        )
    return (
        f"{system} is {amount}</strong> further away in lsd than the spline in the whole recording "
        f"({_number(found.own)} against {_number(found.other)}), most of it at {when}."
    )


def _absent(task: PageTask, findings: list[Finding]) -> str:
    """What was looked for and not found, in words."""
    systems = [name for name in task.systems if name != "spline"]
    found = {(f.system, f.kind) for f in findings}
    if not systems:
        return (
            '<p class="absent">There is no system but the spline, so there is nothing to find.</p>'
        )
    sentences = []
    for kind, nobody, somebody in (
        ("invented", "No system invented sound by this measure.", "Invented no sound"),
        ("snr", "No output was worse than the spline in SNR.", "Never worse than it in SNR"),
        ("lsd", "No output was worse than the spline in lsd.", "Never worse than it in lsd"),
    ):
        without = [name for name in systems if (name, kind) not in found]
        if len(without) == len(systems):
            sentences.append(nobody)
        elif without:
            sentences.append(f"{somebody}: {', '.join(map(escape, without))}.")
    return f'<p class="absent">{" ".join(sentences)}</p>' if sentences else ""


def _model_system(model: str, sample_rate: int) -> tuple[str, System]:
    """A model alone where its rate is the task's, else as `enhance` gives it."""
    opened = open_model(model) if model != "auto" else None
    if isinstance(opened, OnnxModel) and opened.sample_rate == sample_rate:
        return opened.name, raw_system(opened.run, opened.card)
    enhancer = load(model)

    def system(narrow: Audio, degradation: Degradation, length: int) -> Audio:
        if degradation.narrow_rate != int(degradation.narrow_rate):
            raise SettingsError(f"'{model}' cannot be given {_khz(degradation.narrow_rate)} kHz")
        wide, _ = enhancer(narrow, int(degradation.narrow_rate), degradation.sample_rate)
        return fit_length(wide, length)

    return f"{opened.name if opened is not None else model} (enhance)", system


@contextlib.contextmanager
def _appearing(folder: Path, force: bool) -> Iterator[Path]:
    """A new folder beside the target, which takes its name when the block ends without an error."""
    _refuse(folder, force)
    mark = secrets.token_hex(4)
    parent = folder.absolute().parent
    part, old = (parent / f".{folder.name}-{mark}.{ending}" for ending in ("part", "old"))
    try:
        try:
            part.mkdir(parents=True)
            yield part
            _refuse(folder, force)
            if folder.exists():
                folder.rename(old)
            part.rename(folder)
        except OSError as error:
            if old.exists() and not folder.exists():
                old.rename(folder)
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"{folder}: cannot be written ({error.strerror})") from None
    finally:
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)


def _refuse(folder: Path, force: bool) -> None:
    """Refuse a folder with anything in it, unless it is a page that may be replaced."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder}: is a file, not a folder")
    if not any(folder.iterdir()):
        return
    index = folder / "index.html"
    if not index.is_file() or _MARK not in index.read_text(encoding="utf-8", errors="replace"):
        raise OutputError(f"{folder}: holds something that is no page of fullband; choose another")
    if not force:
        raise OutputError(f"{folder}: holds a page already; use --force to replace it")


def _filled(fixed: str, **parts: object) -> str:
    """A fixed part of the page with its `$names` replaced."""
    return Template((_FILES / f"{fixed}.html").read_text(encoding="utf-8")).substitute(parts)


def _ticks(highest: float, about: int) -> list[float]:
    """Round numbers from 0 to `highest`, about so many steps."""
    raw = highest / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((m * power for m in (1, 2, 3, 5, 10)), key=lambda s: abs(math.log(s / raw)))
    return [round(i * step, 10) for i in range(int(highest / step + 1e-9) + 1)]


def _number(value: float, decimals: int = 2) -> str:
    return f"{value:.{decimals}f}".replace("-", "−") if math.isfinite(value) else "–"


def _khz(hz: float | Fraction) -> str:
    return f"{float(hz) / 1000:.4g}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
