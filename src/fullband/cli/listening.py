"""`fullband listen`: listening tests, made, served and evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from fullband.cli.shared import (
    leaving_cleanly,
    open_console,
    print_table,
    progress_bar,
    reporting,
    serving_options,
    shown,
)

if TYPE_CHECKING:
    from fullband.listening.results import AbxResults, MushraResults, Told
    from fullband.listening.statistics import Mean

__all__ = ["listen"]


@click.group()
def listen() -> None:
    """Have people judge systems by ear: MUSHRA and ABX."""


@listen.command()
@click.argument("folder", metavar="DIR")
@click.option(
    "--kind",
    type=click.Choice(["mushra", "abx"]),
    required=True,
    help="mushra: all versions rated side by side, 0 to 100. abx: is X A or B.",
)
@click.option("--reference", required=True, metavar="FOLDER", help="The originals.")
@click.option(
    "--system",
    "systems",
    multiple=True,
    required=True,
    metavar="NAME=FOLDER",
    help="What a system made of each, under the original's name; repeat.",
)
@click.option(
    "--pair",
    "pairs",
    multiple=True,
    metavar="NAME,NAME",
    help="Of abx: what is compared, `reference` being the originals; repeat. Default: every "
    "system with the reference.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Of abx: how often a listener gets each pair of a recording.",
)
@click.option(
    "--max-length",
    "longest_s",
    type=click.FloatRange(1),
    default=12.0,
    show_default=True,
    metavar="S",
    help="Longer recordings are cut to where there is most to hear.",
)
@click.option("--seed", type=click.IntRange(0), help="Of all orders. Default: drawn.")
@click.option(
    "--welcome",
    metavar="FILE",
    help="Text that listeners read and agree to, in place of the usual one.",
)
def make(
    folder: str,
    kind: Literal["mushra", "abx"],
    reference: str,
    systems: tuple[str, ...],
    pairs: tuple[str, ...],
    repeats: int,
    longest_s: float,
    seed: int | None,
    welcome: str | None,
) -> None:
    """Make a test out of folders of audio."""
    from fullband.listening.making import make_session
    from fullband.listening.welcome import read_welcome

    console = open_console()
    with leaving_cleanly(), progress_bar(console) as bar:
        made = make_session(
            Path(folder),
            kind,
            Path(reference),
            _by_name(systems),
            pairs=[_pair(text) for text in pairs],
            repeats=repeats,
            longest_s=longest_s,
            seed=seed,
            welcome=read_welcome(Path(welcome)) if welcome else (),
            progress=reporting(bar, "recordings"),
        )
    for note in made.notes:
        console.print(f"note    {shown(note)}", markup=False, highlight=False, soft_wrap=True)
    session = made.session
    click.echo(
        f"wrote {shown(folder)}: {kind}, {_counted(len(session.items), 'recording')}, "
        f"{_counted(session.trials, 'trial')} for each listener; "
        f"next: fullband listen serve {shown(folder)}"
    )


@listen.command()
@click.argument("folder", metavar="DIR")
@serving_options("What listeners' links carry")
def serve(folder: str, host: str, port: int, token: str | None) -> None:
    """Serve a test to browsers, until asked to end."""
    from fullband.listening.server import serve as serve_test

    console = open_console()

    def say(link: str) -> None:
        text = f"listeners go to {shown(link)}; Ctrl-C ends"
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    serve_test(Path(folder), host, port, token, say)


@listen.command()
@click.argument("folder", metavar="DIR")
@click.option("--csv", "csv_path", metavar="FILE", help="Also write every answer as a row.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def results(folder: str, csv_path: str | None, as_json: bool) -> None:
    """Say what a test has found so far.

    MUSHRA: means with 95 % intervals after the post-screening of ITU-R BS.1534-3, and differences
    between systems. ABX: how many were right, and the chance of guessing so many.
    """
    from fullband.listening.results import MushraResults, results_of, write_answers

    found = results_of(Path(folder))
    if csv_path is not None:
        write_answers(Path(folder), Path(csv_path))
    if as_json:
        import dataclasses

        click.echo(json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=False))
    elif isinstance(found, MushraResults):
        _print_mushra(found)
    else:
        _print_abx(found)


def _print_mushra(found: MushraResults) -> None:
    _print_listeners(found)
    for listener, why in found.excluded.items():
        click.echo(f"excluded    {shown(listener)}: {why}")
    for item in found.spared:
        click.echo(f"note        {shown(item)}: mid anchor not judged, too many rated it high")
    if not found.listeners:
        return
    names = list(found.overall)
    click.echo("\nmean score and 95 % interval over listeners\n")
    print_table(
        [
            ["recording", *names],
            *(
                [item, *(_interval(means[name]) for name in names)]
                for item, means in found.per_item.items()
            ),
            ["all", *(_interval(found.overall[name]) for name in names)],
        ]
    )
    if not found.differences:
        return
    click.echo("\ndifferences, with p of the signed-rank test, alone and corrected (Holm)\n")
    print_table(
        [
            ["system", "minus", "difference", "p", "p Holm"],
            *(
                [d.system, d.other, _interval(d.mean, "+.1f"), _chance(d.p), _chance(d.p_holm)]
                for d in found.differences
            ),
        ]
    )


def _print_abx(found: AbxResults) -> None:
    _print_listeners(found)
    if not found.listeners:
        return
    click.echo("\nright answers, and the chance of guessing so many, alone and corrected (Holm)\n")
    print_table(
        [
            ["pair", "right", "of", "", "p", "p Holm", "confidence"],
            *([_pair_name(each), *_told(each)] for each in found.pairs),
        ]
    )
    click.echo("\nby listener\n")
    print_table(
        [
            ["listener", "pair", "right", "of", "", "p", "confidence"],
            *([each.listener or "", _pair_name(each), *_told(each)] for each in found.per_listener),
        ]
    )


def _print_listeners(found: MushraResults | AbxResults) -> None:
    click.echo(_counted(len(found.listeners), "listener"))
    for listener, done in found.unfinished.items():
        click.echo(f"unfinished  {shown(listener)}: {_counted(done, 'trial')} done, not counted")


def _told(told: Told) -> list[str]:
    share = f"{100 * told.correct / told.trials:.0f} %"
    figures = [str(told.correct), str(told.trials), share, _chance(told.p)]
    if told.p_holm is not None:
        figures.append(_chance(told.p_holm))
    return [*figures, f"{told.confidence:.1f}"]


def _pair_name(told: Told) -> str:
    return " and ".join(told.pair)


def _interval(mean: Mean, form: str = ".1f") -> str:
    if mean.low is None:
        return f"{mean.value:{form}}"
    return f"{mean.value:{form}} ± {mean.value - mean.low:.1f}"


def _chance(p: float | None) -> str:
    if p is None:
        return ""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _pair(text: str) -> tuple[str, str]:
    one, comma, other = text.partition(",")
    if not comma:
        raise click.UsageError("--pair takes NAME,NAME")
    return one.strip(), other.strip()


def _by_name(systems: tuple[str, ...]) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for text in systems:
        name, equals, folder = text.partition("=")
        if not equals or not name or not folder:
            raise click.UsageError("--system takes NAME=FOLDER")
        if name in folders:
            raise click.UsageError(f"--system {name} is given twice")
        folders[name] = Path(folder)
    return folders
