"""`enhance`, `inspect` and `models`: what people with a recording call."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fullband.cli.shared import (
    advance_by,
    decibels,
    leaving_cleanly,
    one_line,
    open_console,
    progress_bar,
    shortened,
    shown,
)
from fullband.errors import FullbandError

if TYPE_CHECKING:
    from rich.console import Console

    from fullband.enhancement import Analysis, Summary


@click.command()
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
@click.option(
    "--raw",
    metavar="CODING:RATE",
    help="The input has no header: mulaw:8000, alaw:8000, s16le:16000[:CHANNELS], "
    "s24le, f32le, gsm, g722.",
)
@click.option(
    "--depth",
    type=click.Choice(["16", "24", "32f"]),
    help="Bits of each sample of the result. Default: the input's.",
)
@click.option(
    "--bitrate",
    type=float,
    metavar="KBPS",
    help="Of MP3, Ogg, Opus and AAC results. Default: 128 for each channel.",
)
@click.option("--no-dither", is_flag=True, help="Round to 16 bits without noise of one step.")
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
    raw: str | None,
    depth: str | None,
    bitrate: float | None,
    no_dither: bool,
    force: bool,
    picture: str | None,
    quiet: bool,
) -> None:
    """Enhance files, folders (same tree out) or standard input (-)."""
    from fullband.batch import plan_jobs
    from fullband.enhancement import load

    if raw is not None and any(Path(source).is_dir() for source in sources):
        raise click.UsageError("--raw takes files or -, not folders")
    jobs, problems = plan_jobs(sources, output)
    streamed = any("-" in (job.source, job.target) for job in jobs)
    if picture is not None and (len(jobs) + len(problems) != 1 or streamed):
        raise click.UsageError("--picture needs exactly one input file and an output file")
    enhancer = load(model)
    console = open_console()
    several = len(jobs) + len(problems) > 1
    for problem in problems:
        console.print(f"failed  {shown(problem)}", style="red", markup=False)
    with leaving_cleanly(), progress_bar(console, hidden=quiet) as bar:
        for number, job in enumerate(jobs, start=1):
            label = job.source if len(jobs) == 1 else f"{number}/{len(jobs)} {job.source}"
            task = bar.add_task(shortened(shown(label)), total=1.0)
            try:
                summary = enhancer.file(
                    job.source,
                    job.target,
                    rate,
                    force=force,
                    progress=functools.partial(advance_by, bar, task),
                    bandwidth_hz=bandwidth_hz,
                    detail=detail,
                    raw=raw,
                    depth=depth,
                    bitrate_kbps=bitrate,
                    dither=not no_dither,
                )
            except (FullbandError, OSError) as error:
                problems.append(one_line(error))
                console.print(f"failed  {one_line(error)}", style="red", markup=False)
            else:
                if not quiet:
                    _print_summary(console, summary)
            finally:
                bar.remove_task(task)
    if picture is not None and not problems:
        from fullband.inspection import compare_picture

        compare_picture(
            picture, [summary.source, summary.target], summary.analysis.bandwidth_hz, raw
        )
        if not quiet:
            console.print(f"drew    {picture}", markup=False)
    if problems:
        if several:
            console.print(f"{len(problems)} failed:", style="red")
            for problem in problems:
                console.print(f"  {shown(problem)}", style="red", markup=False)
        raise SystemExit(1)


@click.command()
@click.argument("path", metavar="FILE")
@click.option(
    "--picture",
    type=click.Path(),
    metavar="PNG",
    help="Where to draw the spectrogram. Default: NAME-spectrogram.png here.",
)
@click.option("--no-picture", is_flag=True, help="Draw none.")
@click.option(
    "--raw",
    metavar="CODING:RATE",
    help="The input has no header: mulaw:8000, alaw:8000, s16le:16000[:CHANNELS], "
    "s24le, f32le, gsm, g722.",
)
def inspect(path: str, picture: str | None, no_picture: bool, raw: str | None) -> None:
    """Show rate, channels, length, level and where the content ends."""
    from fullband.inspection import inspect_file

    stem = "stdin" if path == "-" else Path(path).stem
    target = None if no_picture else picture or f"{stem}-spectrogram.png"
    found = inspect_file(path, target, raw)
    info, heard = found.file, found.analysis
    rows = {
        "file": info.name,
        "format": f"{info.container} {info.subtype}",
        "sample rate": f"{info.sample_rate} Hz",
        "channels": str(info.channels),
        "length": f"{heard.frames / info.sample_rate:.3f} s ({heard.frames} samples)",
        "level": f"{heard.level_db:.1f} dBFS where it is active, peak {decibels(heard.peak)} dBFS",
        "content": f"{heard.kind}, by how its level moves",
        "bandwidth": f"{heard.bandwidth_hz:.0f} Hz of {info.sample_rate / 2:.0f} Hz",
        **_parts(heard),
    }
    if target is not None:
        rows["spectrogram"] = target
    for name, value in rows.items():
        click.echo(f"{name:12} {shown(value)}")


@click.command()
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
    console.print(shown(line), markup=False, highlight=False, soft_wrap=True)
    for note in summary.notes:
        told = f"note    {shown(summary.source)}: {shown(note)}"
        console.print(told, markup=False, highlight=False, soft_wrap=True)
    if summary.limited:
        console.print(
            f"warning {shown(summary.target)}: {summary.limited} samples beyond full scale were "
            f"limited (peak {decibels(summary.peak)} dBFS); lower the input's level to avoid it",
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
