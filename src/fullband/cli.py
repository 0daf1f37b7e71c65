"""The command line: parse, make one library call, print. Nothing is computed here.

Heavy imports stand inside the commands, so that `fullband --help` is instant.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from fullband.errors import FullbandError
from fullband.version import __version__

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from fullband.enhancement import Analysis, Summary


class _Commands(click.Group):
    """Shows fullband's own errors and the system's as one line, and leaves 1 as the exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            module = (error.name or "").split(".")[0]
            extra = _extra_for(module)
            if extra is None:
                raise
            message = f"this needs {module}: pip install 'fullband[{extra}]'"
            raise click.ClickException(message) from None
        except BrokenPipeError:  # the reader of our output went away
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(1)
        except (FullbandError, OSError) as error:
            raise click.ClickException(_message(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fullband")
def main() -> None:
    """Give audio the treble it lacks."""


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar="IN...")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="File, folder or - (WAV on standard output). Default: NAME-wide beside the input.",
)
@click.option(
    "--rate",
    type=int,
    metavar="HZ",
    help="Sample rate of the result. Default: the model's, or the input's where that is higher.",
)
@click.option("--model", default="auto", show_default=True, help="See `fullband models`.")
@click.option(
    "--bandwidth",
    "bandwidth_hz",
    type=float,
    metavar="HZ",
    help="Where the input's content ends. Default: measured.",
)
@click.option(
    "--detail",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="How much of the new band: 0 stays nearest to the input, 1 sounds most complete.",
)
@click.option("--force", is_flag=True, help="Replace results that exist.")
@click.option(
    "--picture",
    type=click.Path(),
    metavar="PNG",
    help="Draw the spectrograms before and after (one input file).",
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def enhance(
    sources: tuple[str, ...],
    output: str | None,
    rate: int | None,
    model: str,
    bandwidth_hz: float | None,
    detail: float,
    force: bool,
    picture: str | None,
    quiet: bool,
) -> None:
    """Enhance files, folders (same tree out) or standard input (-)."""
    from fullband.batch import plan_jobs
    from fullband.enhancement import load

    jobs, problems = plan_jobs(sources, output)
    streamed = any("-" in (job.source, job.target) for job in jobs)
    if picture is not None and (len(jobs) + len(problems) != 1 or streamed):
        raise click.UsageError("--picture needs exactly one input file and an output file")
    enhancer = load(model)
    console = _console()
    several = len(jobs) + len(problems) > 1
    for problem in problems:
        console.print(f"failed  {_shown(problem)}", style="red", markup=False)
    with _leaving_cleanly(), _bar(console, hidden=quiet) as bar:
        for number, job in enumerate(jobs, start=1):
            label = job.source if len(jobs) == 1 else f"{number}/{len(jobs)} {job.source}"
            task = bar.add_task(_shortened(_shown(label)), total=1.0)
            try:
                summary = enhancer.file(
                    job.source,
                    job.target,
                    rate,
                    force=force,
                    progress=functools.partial(_advance, bar, task),
                    bandwidth_hz=bandwidth_hz,
                    detail=detail,
                )
            except (FullbandError, OSError) as error:
                problems.append(_message(error))
                console.print(f"failed  {_message(error)}", style="red", markup=False)
            else:
                if not quiet:
                    _print_summary(console, summary)
            finally:
                bar.remove_task(task)
    if picture is not None and not problems:
        from fullband.inspection import compare_picture

        compare_picture(picture, [summary.source, summary.target], summary.analysis.bandwidth_hz)
        if not quiet:
            console.print(f"drew    {picture}", markup=False)
    if problems:
        if several:
            console.print(f"{len(problems)} failed:", style="red")
            for problem in problems:
                console.print(f"  {_shown(problem)}", style="red", markup=False)
        raise SystemExit(1)


@main.command()
@click.argument("path", metavar="FILE")
@click.option(
    "--picture",
    type=click.Path(),
    metavar="PNG",
    help="Where to draw the spectrogram. Default: NAME-spectrogram.png here.",
)
@click.option("--no-picture", is_flag=True, help="Draw none.")
def inspect(path: str, picture: str | None, no_picture: bool) -> None:
    """Show rate, channels, length, level and where the content ends."""
    from fullband.inspection import inspect_file

    stem = "stdin" if path == "-" else Path(path).stem
    target = None if no_picture else picture or f"{stem}-spectrogram.png"
    found = inspect_file(path, target)
    info, heard = found.file, found.analysis
    rows = {
        "file": info.name,
        "format": f"{info.container} {info.subtype}",
        "sample rate": f"{info.sample_rate} Hz",
        "channels": str(info.channels),
        "length": f"{heard.frames / info.sample_rate:.3f} s ({heard.frames} samples)",
        "level": f"{heard.level_db:.1f} dBFS where it is active, peak {_db(heard.peak)} dBFS",
        "content": f"{heard.kind}, by how its level moves",
        "bandwidth": f"{heard.bandwidth_hz:.0f} Hz of {info.sample_rate / 2:.0f} Hz",
        **_parts(heard),
    }
    if target is not None:
        rows["spectrogram"] = target
    for name, value in rows.items():
        click.echo(f"{name:12} {_shown(value)}")


@main.command()
def models() -> None:
    """List what can be given to --model."""
    from fullband.card import cards
    from fullband.models.registry import BASELINES

    click.echo(f"{'auto':24} `music` for music and `speech` for all else, told apart by listening")
    for card in cards():
        click.echo(f"{card.name:24} {card.summary}")
        taken = "any rate" if card.entry_rate is None else f"{card.entry_rate / 1000:g}"
        details = (
            f"{taken} to {card.sample_rate / 1000:g} kHz, "
            f"{card.parameters / 1e6:.2f} M parameters, licence {card.licence}"
        )
        click.echo(f"{'':24} {details}")
    for name, summary in BASELINES.items():
        click.echo(f"{name:24} {summary}")


@main.command()
@click.argument("recipe", metavar="RECIPE.toml")
@click.option("--run", "run_folder", metavar="DIR", help="Run folder. Default: runs/RECIPE.")
@click.option("--max-minutes", type=float, help="Stop after so long; run again to go on.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change one setting of the recipe; may be repeated.",
)
@click.option(
    "--start-from",
    metavar="RUN|MODEL.onnx",
    help="Begin with the weights of another run, or of an exported model.",
)
def train(
    recipe: str,
    run_folder: str | None,
    max_minutes: float | None,
    assignments: tuple[str, ...],
    start_from: str | None,
) -> None:
    """Train a model by a recipe, or go on with a training."""
    from fullband.train.config import read_recipe

    config = read_recipe(recipe, assignments)
    from fullband.train.loop import train as run_training

    run = Path(run_folder) if run_folder else Path("runs") / Path(recipe).stem
    console = _console()
    with _bar(console) as bar:
        task = bar.add_task("training", total=config.schedule.steps)

        def report(step: int, steps: int, parts: dict[str, float]) -> None:
            bar.update(task, completed=step, description=f"loss {parts['loss']:8.3f}")

        progress = run_training(
            config,
            run,
            max_minutes,
            report=report,
            start_from=Path(start_from) if start_from else None,
        )
    console.print(
        f"{progress.step} of {config.schedule.steps} steps in {progress.seconds / 60:.1f} minutes; "
        f"best validation score {progress.best_score:.3f} at step {progress.best_step}; {run}",
        markup=False,
    )


@main.group()
def corpora() -> None:
    """Fetch, prepare, combine and show audio to train and judge on."""


@corpora.command("list")
def list_corpora() -> None:
    """List the public corpora that `fetch` knows."""
    from fullband.corpora.public import Archive, Packages, Repositories
    from fullband.corpora.registry import CORPORA

    rows = [["name", "download", "comes as", "licence", "language or kind", "what it is"]]
    ways = {Archive: "archive", Packages: "Debian packages", Repositories: "git repositories"}
    for name, corpus in CORPORA.items():
        source = corpus.source
        way = ways[type(source)]
        size = f"{source.size_bytes / 1e9:.1f} GB"
        rows.append([name, size, way, corpus.licence, corpus.kind, corpus.summary])
    _print_table(rows)
    click.echo()
    for name, corpus in CORPORA.items():
        note = f"; {corpus.note}" if corpus.note else ""
        click.echo(f"{name:14} splits: {corpus.splits}{note}")


@corpora.command()
@click.argument("name", metavar="NAME")
@click.option("--to", "folder", metavar="FOLDER", help="Default: corpora/NAME.")
@click.option(
    "--valid",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Take so much of train for a split `valid`, where there is none. Default: none.",
)
def fetch(name: str, folder: str | None, valid: float | None) -> None:
    """Download a public corpus and split it; goes on where it was interrupted."""
    from fullband.corpora.fetch import fetch as fetch_corpus

    target = Path(folder) if folder else Path("corpora") / name
    console = _console()
    with _leaving_cleanly(), _bar(console) as bar:
        fetched = fetch_corpus(name, target, valid, _reporting(bar, name))
    for missing in fetched.missing:
        click.echo(f"listed, but not there in this version: {missing}", err=True)
    if fetched.was_there:
        click.echo(f"{target} has its files.csv already, {fetched.files} files; nothing was done")
        return
    click.echo(f"{fetched.files} files in {target}; next: fullband corpora prepare {target}")
    if fetched.archive is not None:
        click.echo(f"{fetched.archive} is not needed any more, unless for another corpus in it")


@corpora.command()
@click.argument("folder", metavar="FOLDER")
@click.option(
    "--rate",
    type=click.IntRange(1000, 768_000),
    default=16_000,
    show_default=True,
    help="To decode to, Hz.",
)
@click.option("--split", "splits", multiple=True, help="To decode; repeat. Default: all.")
@click.option("--name", help="The public corpus that lies there, to split it by its rule.")
@click.option(
    "--valid",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="SHARE",
    help="Share for `valid` of a folder without splits (0.06 if only others are given); with "
    "--name, of train.",
)
@click.option(
    "--test",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="SHARE",
    help="Share for `test` of a folder without splits (0.06 if only others are given).",
)
@click.option(
    "--by",
    type=click.Choice(["speaker", "file"]),
    help="What is shared out: first sub-folders (default) or single files.",
)
def prepare(
    folder: str,
    rate: int,
    splits: tuple[str, ...],
    name: str | None,
    valid: float | None,
    test: float | None,
    by: str | None,
) -> None:
    """Split (if need be), measure and decode a folder, so that training starts at once.

    Splits are made up only if --valid, --test or --by asks for it.
    """
    if name is not None and (test is not None or by is not None):
        raise click.UsageError("--name brings its own test split: leave --test and --by out")
    from fullband.corpora.overview import check_disjoint
    from fullband.corpora.prepare import Shares
    from fullband.corpora.prepare import prepare as prepare_corpus

    shares = None
    if name is None and (valid, test, by) != (None, None, None):
        given = {"valid": valid, "test": test, "by": by}
        shares = Shares(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    with _leaving_cleanly(), _bar(_console()) as bar:
        rows = prepare_corpus(
            Path(folder), rate, splits, name, valid, shares, _reporting(bar, folder)
        )
    _print_splits(rows)
    check_disjoint(Path(folder), rows)


@corpora.command()
@click.argument("folder", metavar="FOLDER")
def show(folder: str) -> None:
    """Show what each split has; an error if train, valid and test share a speaker.

    Of a combined corpus, also what each part has: minutes where they are measured, else files.
    """
    from fullband.corpora.overview import check_disjoint
    from fullband.corpora.table import read_rows

    rows = read_rows(Path(folder))
    _print_splits(rows)
    _print_parts(rows)
    check_disjoint(Path(folder), rows)


@corpora.command()
@click.argument("folder", metavar="FOLDER")
@click.argument("parts", nargs=-1, required=True, metavar="NAME=CORPUS...")
@click.option(
    "--hold-out",
    multiple=True,
    metavar="NAME/FOLDER",
    help="Not to train on but to select by: its train becomes valid, the valid of all others "
    "valid-same; repeat.",
)
@click.option(
    "--leave-out", multiple=True, metavar="NAME/FOLDER", help="Not to take at all; repeat."
)
def combine(
    folder: str, parts: tuple[str, ...], hold_out: tuple[str, ...], leave_out: tuple[str, ...]
) -> None:
    """Link several corpora into one folder with one files.csv.

    Refused where train, valid and test would share a speaker, a piece or a recording.
    """
    from fullband.corpora.combine import combine as combine_corpora

    named = dict(part.partition("=")[::2] for part in parts)
    if len(named) < len(parts) or not all("=" in part for part in parts):
        raise click.UsageError("each part is NAME=CORPUS, with a name of its own")
    folders = {name: Path(part) for name, part in named.items()}
    rows = combine_corpora(Path(folder), folders, hold_out, leave_out)
    _print_splits(rows)


@main.command()
@click.argument("run", metavar="RUN")
@click.option("--name", required=True, help="What the model shall be called.")
@click.option("--summary", default="", help="One line on what it does.")
@click.option("--data", multiple=True, help="A corpus it was trained on, with licence; repeat.")
@click.option("--licence", default="", help="Of the weights.")
@click.option("--command", "made_by", default="", help="The command that trained it.")
@click.option("-o", "--output", default=".", metavar="DIR", help="Folder for .onnx and .json.")
@click.option("--half", is_flag=True, help="Store weights in 16 bits: half the size.")
def export(
    run: str,
    name: str,
    summary: str,
    data: tuple[str, ...],
    licence: str,
    made_by: str,
    output: str,
    half: bool,
) -> None:
    """Turn a run's best weights into an ONNX graph with its card."""
    from fullband.train.export import export_run

    path = export_run(
        Path(run),
        name,
        Path(output),
        summary=summary,
        data=data,
        licence=licence,
        command=made_by,
        half=half,
    )
    click.echo(f"wrote {path} and its card")


@main.command()
@click.argument("model", metavar="MODEL.onnx")
@click.argument("corpus", metavar="CORPUS")
@click.option("--method", default="chebyshev", show_default=True, help="How narrow audio is made.")
@click.option("--name", required=True, help="What the new model shall be called.")
@click.option("--command", "made_by", default="", help="The command that made it, for its card.")
@click.option("-o", "--output", default=".", metavar="DIR", help="Folder for .onnx and .json.")
def refit(model: str, corpus: str, method: str, name: str, made_by: str, output: str) -> None:
    """Solve anew for an exported model's equaliser: another low-pass, the same network."""
    from fullband.train.refit import refit_exported

    path = refit_exported(model, corpus, method, name, Path(output), made_by)
    click.echo(f"wrote {path} and its card")


def _suite_options(*suites: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What every command that takes a suite is told about it."""
    about = {
        "paper": "every task of the 2017 paper with all its systems",
        "fullband": "all that the speech model has to show",
        "music": "the same of a model for music",
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in (
            click.option(
                "--models",
                metavar="FOLDER",
                help="Of the suite paper: the exported models' folder.",
            ),
            click.option(
                "--corpora",
                multiple=True,
                metavar="NAME=FOLDER",
                help="Of a suite: where the corpus of that name lies (of the suite paper: single, "
                "speakers, piano); repeat.",
            ),
            click.option(
                "--suite",
                type=click.Choice(suites),
                help="Take " + "; ".join(f"{name}: {about[name]}" for name in suites) + ".",
            ),
        ):
            command = option(command)
        return command

    return decorate


@main.command()
@click.argument("model", metavar="MODEL", required=False)
@click.argument("corpus", metavar="CORPUS", required=False)
@_suite_options("paper", "fullband", "music")
@click.option(
    "--published",
    metavar="FOLDER",
    help="Of the suites fullband and music: clips with other systems' outputs, PAGE/TASK/SAMPLE.",
)
@click.option(
    "--paper",
    multiple=True,
    metavar="NAME=FOLDER",
    help="Of those suites: where the 2017 paper's single, speakers or piano lies; repeat.",
)
@click.option(
    "--paper-rows",
    default="docs/measured/paper",
    show_default=True,
    metavar="FOLDER",
    help="Of those suites: the rows that the suite paper stored.",
)
@click.option("--again", is_flag=True, help="Of those suites: score the model anew.")
@click.option(
    "--perceptual",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Of a suite: ViSQOL and DNSMOS on so many files of every task (slow).",
)
@click.option("--only", default="", metavar="TEXT", help="Of a suite: tasks with it in the name.")
@click.option(
    "--ratio",
    type=click.IntRange(2),
    default=4,
    show_default=True,
    help="Wide rate over narrow rate.",
)
@click.option(
    "--rate",
    type=click.IntRange(1000, 768_000),
    default=16_000,
    show_default=True,
    help="The wide rate, Hz.",
)
@click.option(
    "--method",
    default="chebyshev",
    show_default=True,
    help="How the narrow audio is made; see fullband.degrade.",
)
@click.option("--split", default="test", show_default=True)
@click.option(
    "--rows",
    "rows_path",
    metavar="FILE",
    help="Keep the rows per file, .csv or .json; of a suite, a folder, where it goes on.",
)
@click.option(
    "--baselines/--no-baselines",
    default=True,
    show_default=True,
    help="Also score ideal low-pass, sinc and spline.",
)
@click.option("--update-card", is_flag=True, help="Put the means on the model's card.")
@click.option(
    "--limit", type=click.IntRange(1), help="Only the first so many files; of a suite, spread."
)
def evaluate(
    model: str | None,
    corpus: str | None,
    suite: str | None,
    corpora: tuple[str, ...],
    models: str | None,
    published: str | None,
    paper: tuple[str, ...],
    paper_rows: str,
    again: bool,
    perceptual: int,
    only: str,
    ratio: int,
    rate: int,
    method: str,
    split: str,
    rows_path: str | None,
    baselines: bool,
    update_card: bool,
    limit: int | None,
) -> None:
    """Score a model on a corpus, beside the baselines, raw and as `enhance` gives it.

    Or, with --suite paper, all systems on all tasks of the 2017 paper; with --suite fullband, MODEL
    (default: speech) against published outputs, at every cutoff, and put through checks; with
    --suite music the same on music.
    """
    if suite in ("fullband", "music"):
        if corpus is not None or models is not None:
            raise click.UsageError(f"the suite {suite} takes MODEL, not CORPUS or --models")
        if rows_path is None:
            raise click.UsageError(f"the suite {suite} needs --rows FOLDER")
        from fullband.engine import DEFAULT_MODEL
        from fullband.evaluate.judge import evaluate_fullband, judge_table
        from fullband.evaluate.paper import CORPORA

        kind: Literal["speech", "music"] = "music" if suite == "music" else "speech"
        fitting = tuple(name for name in CORPORA if CORPORA[name].kind == kind)
        folders, tasks = (
            _named_folders("--corpora", corpora),
            _named_folders("--paper", paper, fitting),
        )
        rows_folder = Path(rows_path)
        with _leaving_cleanly(), _bar(_console()) as bar:
            evaluate_fullband(
                model or DEFAULT_MODEL,
                rows_folder,
                Path(published) if published else None,
                folders,
                tasks,
                Path(paper_rows),
                split,
                limit,
                perceptual,
                _reporting(bar, "cells"),
                only,
                again,
                kind,
            )
        if only in "checks":
            click.echo(judge_table(rows_folder, "checks"))
        if folders:
            click.echo("\n" + judge_table(rows_folder, "verdicts"))
            if kind == "music":
                click.echo("\n" + judge_table(rows_folder, "stereo"))
            click.echo("\n" + judge_table(rows_folder, "damage"))
        if published:
            rates = (8000, 11_025) if kind == "music" else (8000, 12_000, 16_000, 24_000)
            for rate in rates:
                click.echo(f"\n{rate} to 48000 Hz\n")
                click.echo(judge_table(rows_folder, "published", str(rate), "48000"))
        return
    if suite is not None:
        if model is not None or corpus is not None:
            raise click.UsageError("a suite takes --corpora and --models, not MODEL and CORPUS")
        _evaluate_paper(corpora, models, rows_path, limit, perceptual, only)
        return
    if model is None or corpus is None:
        raise click.UsageError("give MODEL and CORPUS, or --suite paper, fullband or music")
    from fullband.card import find_card
    from fullband.degrade import lower_rate
    from fullband.evaluate.report import check_rows_path, markdown_table, score_card, write_rows
    from fullband.evaluate.suite import evaluate_model

    if rows_path is not None:
        check_rows_path(Path(rows_path))
    card_path = find_card(model)[1].with_suffix(".json") if update_card else None

    console = _console()
    with _bar(console) as bar:
        advance = _reporting(bar, "files")
        rows = evaluate_model(
            model, corpus, rate, lower_rate(rate, ratio), method, split, baselines, limit, advance
        )
    if rows_path is not None:
        write_rows(rows, Path(rows_path))
    if card_path is not None:
        score_card(rows, card_path)
    click.echo(markdown_table(rows))


@main.command()
@click.argument("folder", metavar="FOLDER")
@click.option("--corpus", metavar="CORPUS", help="The recordings: a folder.")
@click.option(
    "--model",
    "chosen",
    multiple=True,
    metavar="NAME",
    help="A released model or the path of an exported one; repeat for several.",
)
@_suite_options("paper")
@click.option("--ratio", type=click.IntRange(2), default=4, show_default=True)
@click.option(
    "--rate",
    type=click.IntRange(1000, 768_000),
    default=16_000,
    show_default=True,
    help="The wide rate, Hz.",
)
@click.option("--method", default="chebyshev", show_default=True, help="See fullband.degrade.")
@click.option("--split", default="test", show_default=True)
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="How many recordings are shown, evenly spread.",
)
@click.option(
    "--search",
    type=click.IntRange(1),
    default=40,
    show_default=True,
    help="How many are searched for moments where a model goes wrong.",
)
@click.option("--title", metavar="TEXT", help="Of the page. Default: the corpus and the rates.")
@click.option("--force", is_flag=True, help="Replace a page that is there.")
def report(
    folder: str,
    corpus: str | None,
    chosen: tuple[str, ...],
    suite: str | None,
    corpora: tuple[str, ...],
    models: str | None,
    ratio: int,
    rate: int,
    method: str,
    split: str,
    samples: int,
    search: int,
    title: str | None,
    force: bool,
) -> None:
    """Write a page where models are heard and seen beside the original and the spline.

    Give --corpus and --model, or --suite paper.
    """
    if suite is not None and (corpus is not None or chosen):
        raise click.UsageError("a suite takes --corpora and --models, not --corpus and --model")
    if suite is not None and (models is None or not corpora):
        raise click.UsageError("a suite needs --corpora NAME=FOLDER and --models")
    if suite is None and (corpus is None or not chosen):
        raise click.UsageError("give --corpus and --model, or --suite paper")
    from fullband.degrade import lower_rate
    from fullband.evaluate.page import write_model_page

    with _leaving_cleanly(), _bar(_console()) as bar:
        advance = _reporting(bar, "recordings")
        if suite is not None:
            from fullband.evaluate.paper import write_paper_page

            folders, exported = _suite_folders(corpora), Path(models or "")
            page = write_paper_page(
                folders, exported, Path(folder), samples, search, force, advance
            )
        else:
            page = write_model_page(
                Path(folder),
                corpus or "",
                chosen,
                rate,
                lower_rate(rate, ratio),
                method,
                split,
                samples,
                search,
                title,
                force,
                advance,
            )
    click.echo(f"wrote {page}")


def _suite_folders(corpora: tuple[str, ...]) -> dict[str, Path]:
    from fullband.evaluate.paper import CORPORA

    return _named_folders("--corpora", corpora, tuple(CORPORA))


def _named_folders(
    option: str, pairs: tuple[str, ...], names: tuple[str, ...] = ()
) -> dict[str, Path]:
    """What an option NAME=FOLDER was given, by name; without `names`, any will do."""
    folders = {}
    for pair in pairs:
        name, equals, folder = pair.partition("=")
        if not equals or not name or (names and name not in names):
            of = f", NAME one of {', '.join(names)}" if names else ""
            raise click.UsageError(f"{option} takes NAME=FOLDER{of}")
        folders[name] = Path(folder)
    return folders


def _evaluate_paper(
    corpora: tuple[str, ...],
    models: str | None,
    rows_folder: str | None,
    limit: int | None,
    perceptual: int,
    only: str,
) -> None:
    from fullband.evaluate.paper import METHODS, evaluate_paper, paper_table, read_suite

    if models is None or rows_folder is None or not corpora:
        raise click.UsageError("a suite needs --corpora NAME=FOLDER, --models and --rows FOLDER")
    folders = _suite_folders(corpora)
    with _bar(_console()) as bar:
        advance = _reporting(bar, "tasks")
        evaluate_paper(
            folders, Path(models), Path(rows_folder), limit, perceptual, advance, only=only
        )
    stored = read_suite(Path(rows_folder))
    for method in METHODS:
        for metric in ("snr_db", "lsd_2017"):
            click.echo(f"\n{method}, {metric}\n\n{paper_table(stored, method, metric)}")


def _print_summary(console: Console, summary: Summary) -> None:
    heard = summary.analysis
    what = summary.model if summary.added else f"{summary.model} (nothing to add)"
    if summary.filled:
        what += ", holes filled"
    line = (
        f"{summary.source} -> {summary.target}  {heard.sample_rate} -> {summary.target_rate} Hz  "
        f"content to {_content(heard)}  {what}  "
        f"{heard.frames / heard.sample_rate:.2f} s at {summary.times_real_time:.1f}x real time"
    )
    console.print(_shown(line), markup=False, highlight=False, soft_wrap=True)
    if summary.limited:
        console.print(
            f"warning {_shown(summary.target)}: {summary.limited} samples beyond full scale were "
            f"limited (peak {_db(summary.peak)} dBFS); lower the input's level to avoid it",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


def _content(heard: Analysis) -> str:
    """Where content ends, or between what, in a recording where that changes."""
    ends = sorted(segment.bandwidth_hz for segment in heard.segments)
    if len(ends) == 1:
        return f"{ends[0]:.0f} Hz"
    return f"{ends[0]:.0f} to {ends[-1]:.0f} Hz in {len(ends)} parts"


def _parts(heard: Analysis) -> dict[str, str]:
    """Of a recording whose bandwidth changes, where and to what; and what is above it."""
    found = {}
    if heard.mirror_hz is not None:
        found["mirror images"] = f"above {heard.mirror_hz:.0f} Hz, left by a cheap resampler"
    if heard.riddled:
        found["holes"] = f"{heard.holes:.0%} of the spectrum, left by a codec at a low rate"
    if len(heard.segments) == 1:
        return found
    parts = (
        f"{part.bandwidth_hz:.0f} Hz from {part.start / heard.sample_rate:.2f} s"
        for part in heard.segments
    )
    return {**found, "in parts": ", ".join(parts)}


def _print_splits(rows: list[dict[str, str]]) -> None:
    from fullband.corpora.overview import summarise

    table = [["split", "files", "hours", "speakers", "median bandwidth"]]
    for found in summarise(rows):
        hours = "-" if found.hours is None else f"{found.hours:.2f}"
        bandwidth = "-" if found.bandwidth_hz is None else f"{found.bandwidth_hz:.0f} Hz"
        speakers = str(found.speakers or "-")
        table.append([found.split, str(found.files), hours, speakers, bandwidth])
    _print_table(table)


def _print_parts(rows: list[dict[str, str]]) -> None:
    from fullband.corpora.overview import summarise

    parts = sorted({row.get("corpus", "") for row in rows})
    if len(parts) < 2:
        return
    splits = [found.split for found in summarise(rows)]
    table = [["corpus", *splits]]
    for part in parts:
        own = {
            one.split: one for one in summarise([r for r in rows if r.get("corpus", "") == part])
        }
        cells = {
            split: f"{one.files} files" if one.hours is None else f"{60 * one.hours:.1f} min"
            for split, one in own.items()
        }
        table.append([part, *(cells.get(split, "-") for split in splits)])
    click.echo()
    _print_table(table)


def _print_table(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{_shown(cell):{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _reporting(bar: Progress, label: str) -> Callable[[str, int, int], None]:
    """A callback that shows what is being done, and how much of it is."""
    task = bar.add_task(_shortened(_shown(label)), total=None)

    def report(what: str, done: int, total: int) -> None:
        bar.update(task, description=_shortened(what), completed=done, total=total or None)

    return report


def _console() -> Console:
    """Everything for people goes to standard error: standard output may carry audio."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True)


@contextlib.contextmanager
def _leaving_cleanly() -> Iterator[None]:
    """Asked to terminate, leave as after Ctrl-C: without a half-written file."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's business
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _bar(console: Console, hidden: bool = False) -> Iterator[Progress]:
    """A progress bar with time left, shown on a terminal only."""
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    off = hidden or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=off) as bar:
        yield bar


def _advance(bar: Progress, task: TaskID, fraction: float) -> None:
    bar.update(task, completed=fraction)


def _message(error: Exception) -> str:
    """What went wrong, on one line; the system's own errors are given the form of ours."""
    if isinstance(error, OSError) and not isinstance(error, FullbandError) and error.filename:
        return _shown(f"{error.filename}: {(error.strerror or 'failed').lower()}")
    return _shown(str(error))


def _shown(text: str) -> str:
    """The text with everything escaped that would break the line or command the terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def _shortened(text: str, width: int = 40) -> str:
    return text if len(text) <= width else f"...{text[-width + 3 :]}"


def _db(amplitude: float) -> str:
    import math

    return f"{20 * math.log10(amplitude):+.1f}" if amplitude > 0 else "-inf"


def _extra_for(module: str) -> str | None:
    """The extra that brings a package which is not installed."""
    needs = {
        "train": ("torch", "lightning_fabric", "safetensors", "tensorboard", "onnx", "onnxscript"),
        "evaluate": ("scipy",),
    }
    return next((extra for extra, modules in needs.items() if module in modules), None)


if __name__ == "__main__":
    main()
