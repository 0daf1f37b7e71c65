"""`train`, `export`, `refit`, `evaluate` and `report`: models made and judged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import click

from fullband.cli.shared import leaving_cleanly, open_console, progress_bar, reporting, together


@click.command()
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
    "starts",
    multiple=True,
    metavar="RUN|MODEL.onnx",
    help="Begin with the weights of another run, or of an exported model; repeat where each holds "
    "a part of them.",
)
def train(
    recipe: str,
    run_folder: str | None,
    max_minutes: float | None,
    assignments: tuple[str, ...],
    starts: tuple[str, ...],
) -> None:
    """Train a model by a recipe, or go on with a training."""
    from fullband.train.config import read_recipe

    config = read_recipe(recipe, assignments)
    from fullband.train.loop import train as run_training

    run = Path(run_folder) if run_folder else Path("runs") / Path(recipe).stem
    console = open_console()
    # torchrun and Fabric tell the processes that they start which of them they are.
    is_first = os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"
    with progress_bar(console, hidden=not is_first) as bar:
        task = bar.add_task("training", total=config.schedule.steps)

        def report(step: int, steps: int, parts: dict[str, float]) -> None:
            bar.update(task, completed=step, description=f"loss {parts['loss']:8.3f}")

        progress = run_training(
            config,
            run,
            max_minutes,
            report=report,
            start_from=[Path(start) for start in starts],
        )
    if not is_first:
        return
    console.print(
        f"{progress.step} of {config.schedule.steps} steps in {progress.seconds / 60:.1f} minutes; "
        f"best validation score {progress.best_score:.3f} at step {progress.best_step}; {run}",
        markup=False,
    )


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--name", required=True, help="What the model shall be called.")
@click.option("--summary", default="", help="One line on what it does.")
@click.option("--data", multiple=True, help="A corpus it was trained on, with licence; repeat.")
@click.option("--licence", default="", help="Of the weights.")
@click.option("--command", "made_by", default="", help="The command that trained it.")
@click.option("-o", "--output", default=".", metavar="DIR", help="Folder for .onnx and .json.")
@click.option("--half", is_flag=True, help="Store weights in 16 bits: half the size.")
@click.option(
    "--average",
    "averaged",
    multiple=True,
    metavar="MODEL.onnx",
    help="Average the weights with those of this model, trained on from the same start; repeat.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Of an exported model: a setting of the model that has no weights; repeat.",
)
def export(
    run: str,
    name: str,
    summary: str,
    data: tuple[str, ...],
    licence: str,
    made_by: str,
    output: str,
    half: bool,
    averaged: tuple[str, ...],
    assignments: tuple[str, ...],
) -> None:
    """Turn a run's best weights into an ONNX graph with its card.

    Where RUN is an exported model (MODEL.onnx), it is exported again with other settings (--set).
    """
    from fullband.card import find_card
    from fullband.errors import SettingsError
    from fullband.train.export import export_run
    from fullband.train.restore import change_exported, load_exported

    if Path(run).suffix == ".onnx":
        if averaged:
            raise SettingsError(f"{run}: --average takes the folder of a run, not a model")
        said = {"summary": summary, "data": data, "licence": licence, "command": made_by}
        path = change_exported(run, assignments, name, Path(output), half, **said)
        click.echo(f"wrote {path} and its card")
        return
    if assignments:
        raise SettingsError(f"{run}: --set is for exported models; a run has its recipe's settings")
    cards = [find_card(model)[0] for model in averaged]
    others = {
        f"{card.name} {card.sha256[:12]}": load_exported(model)[0]
        for card, model in zip(cards, averaged, strict=True)
    }
    path = export_run(
        Path(run),
        name,
        Path(output),
        summary=summary,
        data=data,
        licence=licence,
        command=made_by,
        half=half,
        others=others,
    )
    click.echo(f"wrote {path} and its card")


@click.command()
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

    return together(
        click.option(
            "--suite",
            type=click.Choice(suites),
            help="Take " + "; ".join(f"{name}: {about[name]}" for name in suites) + ".",
        ),
        click.option(
            "--corpora",
            multiple=True,
            metavar="NAME=FOLDER",
            help="Of a suite: where the corpus of that name lies (of the suite paper: single, "
            "speakers, piano); repeat.",
        ),
        click.option(
            "--models",
            metavar="FOLDER",
            help="Of the suite paper: the exported models' folder.",
        ),
    )


@click.command()
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
        with leaving_cleanly(), progress_bar(open_console()) as bar:
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
                reporting(bar, "cells"),
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

    console = open_console()
    with progress_bar(console) as bar:
        advance = reporting(bar, "files")
        rows = evaluate_model(
            model, corpus, rate, lower_rate(rate, ratio), method, split, baselines, limit, advance
        )
    if rows_path is not None:
        write_rows(rows, Path(rows_path))
    if card_path is not None:
        score_card(rows, card_path)
    click.echo(markdown_table(rows))


@click.command()
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

    with leaving_cleanly(), progress_bar(open_console()) as bar:
        advance = reporting(bar, "recordings")
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
    with progress_bar(open_console()) as bar:
        advance = reporting(bar, "tasks")
        evaluate_paper(
            folders, Path(models), Path(rows_folder), limit, perceptual, advance, only=only
        )
    stored = read_suite(Path(rows_folder))
    for method in METHODS:
        for metric in ("snr_db", "lsd_2017"):
            click.echo(f"\n{method}, {metric}\n\n{paper_table(stored, method, metric)}")
