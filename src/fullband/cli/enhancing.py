"""`enhance`, `inspect` and `models`: what people with a recording call."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fullband.cli.shared import (
    advance_by,
    decibels,
    leaving_cleanly,
    one_line,
    open_console,
    print_summary,
    progress_bar,
    quiet_libraries,
    shortened,
    shown,
    sound_options,
)
from fullband.errors import FullbandError

if TYPE_CHECKING:
    from fullband.batch import Job
    from fullband.enhancement import Analysis, Summary


_SANDBOX = click.option(
    "--sandbox",
    is_flag=True,
    help="Decode in a process of its own, with limits: for files from anybody.",
)


@click.command()
@click.argument("sources", nargs=-1, metavar="[IN]...")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="File, folder or - (WAV on standard output). Default: NAME-wide beside the input.",
)
@sound_options
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
@click.option("--force", is_flag=True, help="Replace files that exist and are no known results.")
@click.option(
    "--picture",
    type=click.Path(),
    metavar="PNG",
    help="Draw the spectrograms before and after (one input file).",
)
@_SANDBOX
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option(
    "--files-from", metavar="LIST", help="Also the files that LIST names, one per line; - is stdin."
)
@click.option("-0", "--null", is_flag=True, help="Names in LIST end with NUL, as after -print0.")
@click.option(
    "--jobs",
    "processes",
    type=click.IntRange(1),
    metavar="N",
    help="Processes side by side. Default: one per core.",
)
@click.option(
    "--resume/--no-resume",
    default=True,
    help="Skip what the manifest says is done (default), or do all anew.",
)
@click.option(
    "--manifest",
    "manifest_file",
    metavar="FILE",
    help="Where is written what was done. Default, of several inputs: OUT/fullband.jsonl.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
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
    sandbox: bool,
    quiet: bool,
    files_from: str | None,
    null: bool,
    processes: int | None,
    resume: bool,
    manifest_file: str | None,
    dry_run: bool,
) -> None:
    """Enhance files, folders (same tree out), quoted patterns or standard input (-).

    Of several inputs, a manifest keeps what was done to each: the same command given again skips
    what is done and goes on where it was stopped.
    """
    from fullband.audio.sandbox import Limits
    from fullband.batch import is_batch, plan_jobs, read_list

    quiet_libraries()
    if not sources and files_from is None:
        raise click.UsageError("Missing argument 'IN...'.")
    if files_from == "-" and "-" in sources:
        raise click.UsageError("standard input is either the list or the audio")
    if raw is not None and any(Path(source).is_dir() for source in sources):
        raise click.UsageError("--raw takes files or -, not folders")
    options = {
        "rate": rate,
        "bandwidth_hz": bandwidth_hz,
        "detail": detail,
        "raw": raw,
        "depth": depth,
        "bitrate_kbps": bitrate,
        "dither": not no_dither,
    }
    limits = Limits() if sandbox else None
    manner = {} if limits is None else {"sandbox": limits}
    listed = [] if files_from is None else read_list(files_from, null)
    batch = is_batch(sources, listed) or files_from is not None
    if picture is not None and (batch or dry_run or "-" in (*sources, output)):
        raise click.UsageError("--picture needs exactly one input file and an output file")
    if batch or manifest_file is not None or dry_run:
        from fullband.batch_run import Plan
        from fullband.cli.batches import enhance_batch

        plan = Plan(model, options, manner, resume=resume, force=force, workers=processes)
        enhance_batch(plan, sources, output, listed, manifest_file, dry_run, quiet)
        return
    jobs, problems = plan_jobs(sources, output)
    for problem in problems:
        open_console().print(f"failed  {shown(problem)}", style="red", markup=False)
        raise SystemExit(1)
    summary = _enhance_one(jobs[0], model, force, {**options, **manner}, quiet)
    if picture is not None:
        from fullband.inspection import compare_picture

        files = [summary.source, summary.target]
        compare_picture(picture, files, summary.analysis.bandwidth_hz, raw, limits)
        if not quiet:
            open_console().print(f"drew    {picture}", markup=False)


def _enhance_one(
    job: Job, model: str, force: bool, options: dict[str, Any], quiet: bool
) -> Summary:
    """One file, in this process."""
    from fullband.audio.temporary import clear_stale
    from fullband.enhancement import load

    enhancer = load(model)
    clear_stale(Path(job.target).parent)
    console = open_console()
    try:
        with leaving_cleanly(), progress_bar(console, hidden=quiet) as bar:
            task = bar.add_task(shortened(shown(job.source)), total=1.0)
            advance = functools.partial(advance_by, bar, task)
            summary = enhancer.file(
                job.source, job.target, force=force, progress=advance, **options
            )
    except (FullbandError, OSError) as error:
        console.print(f"failed  {one_line(error)}", style="red", markup=False)
        raise SystemExit(1) from None
    if not quiet:
        print_summary(console, summary)
    return summary


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
@_SANDBOX
def inspect(
    path: str, picture: str | None, no_picture: bool, raw: str | None, sandbox: bool
) -> None:
    """Show rate, channels, length, level and where the content ends."""
    from fullband.audio.sandbox import Limits
    from fullband.inspection import inspect_file

    quiet_libraries()
    stem = "stdin" if path == "-" else Path(path).stem
    target = None if no_picture else picture or f"{stem}-spectrogram.png"
    found = inspect_file(path, target, raw, Limits() if sandbox else None)
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
