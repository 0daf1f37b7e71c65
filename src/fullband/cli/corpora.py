"""`corpora`: audio to train and judge on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fullband.cli.shared import leaving_cleanly, open_console, print_table, progress_bar, reporting

if TYPE_CHECKING:
    from fullband.corpora.pack import Codec


@click.group()
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
    print_table(rows)
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
    console = open_console()
    with leaving_cleanly(), progress_bar(console) as bar:
        fetched = fetch_corpus(name, target, valid, reporting(bar, name))
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
    with leaving_cleanly(), progress_bar(open_console()) as bar:
        rows = prepare_corpus(
            Path(folder), rate, splits, name, valid, shares, reporting(bar, folder)
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


@corpora.command()
@click.argument("folder", metavar="FOLDER")
@click.argument("target", metavar="TO")
@click.option(
    "--split",
    "splits",
    multiple=True,
    default=("train=50", "valid=5"),
    show_default=True,
    metavar="NAME=MIB",
    help="A split to take, and how large its files may be together; repeat.",
)
@click.option(
    "--longest",
    type=click.FloatRange(0, min_open=True),
    default=45.0,
    show_default=True,
    metavar="SECONDS",
    help="Of each recording at most so much, out of its middle.",
)
@click.option(
    "--kbps",
    type=click.FloatRange(16, 256),
    default=96.0,
    show_default=True,
    help="Of the Opus files, in mono.",
)
@click.option(
    "--codec",
    type=click.Choice(["auto", "flac", "opus"]),
    default="auto",
    show_default=True,
    help="FLAC where a recording is true above 19.6 kHz, else Opus; or one for all.",
)
def pack(
    folder: str, target: str, splits: tuple[str, ...], longest: float, kbps: float, codec: Codec
) -> None:
    """Copy an excerpt of a corpus that is small enough to travel.

    For trainings on a machine that is lent for minutes: one recording of each speaker, then another
    of each.
    """
    from fullband.corpora.pack import pack as pack_corpus

    sizes: dict[str, float] = {}
    for split in splits:
        name, _, size = split.partition("=")
        try:
            sizes[name] = float(size)
        except ValueError:
            raise click.UsageError(f"--split {split}: not NAME=MIB") from None
    with leaving_cleanly(), progress_bar(open_console()) as bar:
        rows = pack_corpus(
            Path(folder), Path(target), sizes, longest, kbps, codec, reporting(bar, folder)
        )
    _print_splits(rows)
    size_mib = sum(int(row["bytes"]) for row in rows) / 2**20
    click.echo(f"{len(rows)} files, {size_mib:.1f} MiB in {target}")


def _print_splits(rows: list[dict[str, str]]) -> None:
    from fullband.corpora.overview import summarise

    table = [["split", "files", "hours", "speakers", "median bandwidth"]]
    for found in summarise(rows):
        hours = "-" if found.hours is None else f"{found.hours:.2f}"
        bandwidth = "-" if found.bandwidth_hz is None else f"{found.bandwidth_hz:.0f} Hz"
        speakers = str(found.speakers or "-")
        table.append([found.split, str(found.files), hours, speakers, bandwidth])
    print_table(table)


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
    print_table(table)
