"""`fullband live`: a stream on standard input, or a microphone's, widened as it comes."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fullband.cli.shared import open_console, shown

if TYPE_CHECKING:
    from fullband.live.loop import LiveReport

__all__ = ["live"]

_FORMATS = ("s16le", "f32le", "mulaw", "alaw")
_USUAL_RATES = {"mulaw": 8_000, "alaw": 8_000}
_MICROPHONE_RATE = 16_000


@click.command()
@click.option(
    "--format",
    "source_format",
    type=click.Choice(_FORMATS),
    default="s16le",
    show_default=True,
    help="How samples are stored on standard input.",
)
@click.option(
    "--out-format",
    type=click.Choice(_FORMATS),
    help="And on standard output. Default: s16le, or f32le where the input is.",
)
@click.option(
    "--source-rate",
    type=int,
    metavar="HZ",
    help="Of what comes in. Default: 8000 for mulaw and alaw, 16000 for a microphone.",
)
@click.option("--target-rate", type=int, metavar="HZ", help="Of what goes out. Default: 48000.")
@click.option("--channels", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option(
    "--block",
    "block_ms",
    type=click.FloatRange(1, 1000),
    default=20.0,
    show_default=True,
    metavar="MS",
    help="The most that is taken at a time.",
)
@click.option("--model", default="live", show_default=True, help="See `fullband models`.")
@click.option(
    "--bandwidth",
    "bandwidth_hz",
    type=float,
    metavar="HZ",
    help="Where the input's content ends. Default: what its rate allows, later what is heard.",
)
@click.option(
    "--detail",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="How much of the new band is added.",
)
@click.option(
    "--lows",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="How much is added below 300 Hz, where a telephone leaves nothing.",
)
@click.option(
    "--bypass",
    is_flag=True,
    help="Begin without adding anything; the signal USR1 switches it off and on.",
)
@click.option(
    "--realtime",
    is_flag=True,
    help="The source keeps real time: bypass where the machine cannot. On for a microphone.",
)
@click.option(
    "--max-lag",
    "max_lag_ms",
    type=click.FloatRange(5, 10_000),
    default=100.0,
    show_default=True,
    metavar="MS",
    help="How late that may be before it is bypassed.",
)
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what was measured as JSON.",
)
@click.option("--microphone", is_flag=True, help="From a microphone to a speaker, until Ctrl-C.")
@click.option("--input-device", metavar="NAME", help="Its number or part of its name.")
@click.option("--output-device", metavar="NAME", help="The speaker's.")
@click.option("--list-devices", is_flag=True, help="Show microphones and speakers, and leave.")
def live(
    source_format: str,
    out_format: str | None,
    source_rate: int | None,
    target_rate: int | None,
    channels: int,
    block_ms: float,
    model: str,
    bandwidth_hz: float | None,
    detail: float,
    lows: float,
    bypass: bool,
    realtime: bool,
    max_lag_ms: float,
    report_path: Path | None,
    microphone: bool,
    input_device: str | None,
    output_device: str | None,
    list_devices: bool,
) -> None:
    """Widen a stream as it comes: samples on standard input, wide ones on standard output.

    \b
    ffmpeg -i call.wav -f mulaw -ar 8000 - |
        fullband live --format mulaw | ffplay -f s16le -ar 48000 -
    arecord -f S16_LE -r 16000 |
        fullband live --source-rate 16000 --realtime | aplay -f S16_LE -r 48000
    """
    if list_devices:
        from fullband.live.devices import describe_devices

        click.echo(shown(describe_devices()))
        return
    if source_rate is None:
        usual = _MICROPHONE_RATE if microphone else _USUAL_RATES.get(source_format)
        if usual is None:
            raise click.UsageError(f"{source_format} has no usual rate: give --source-rate")
        source_rate = usual

    from fullband.streaming import stream as open_stream

    stream = open_stream(
        model,
        source_rate=source_rate,
        target_rate=target_rate,
        channels=channels,
        bandwidth_hz=bandwidth_hz,
        detail=detail,
        lows=lows,
        bypass=bypass,
    )
    console = open_console()

    def say(what: str) -> None:
        console.print(shown(what), markup=False, highlight=False)

    switch = _bypass_switch(bypass, say)
    max_lag_s = max_lag_ms / 1000
    if microphone:
        from fullband.live.devices import run_devices

        say(
            f"{source_rate} -> {stream.target_rate} Hz, {1000 * stream.delay_s:.1f} ms; Ctrl-C ends"
        )
        report = run_devices(
            stream, input_device, output_device, block_ms / 1000, max_lag_s, say, switch
        )
    else:
        if sys.stdin.isatty():
            raise click.UsageError("standard input is a terminal: pipe samples in, or --microphone")
        from fullband.live.loop import run_pipe

        report = run_pipe(
            stream,
            source_format,
            out_format or ("f32le" if source_format == "f32le" else "s16le"),
            block_ms / 1000,
            max_lag_s if realtime else None,
            say,
            switch,
        )
    for line in _in_words(report, realtime or microphone):
        say(line)
    if report_path is not None:
        report_path.write_text(json.dumps(report.to_dict(), indent=1) + "\n", encoding="utf-8")


def _bypass_switch(on: bool, say: Callable[[str], None]) -> threading.Event:
    """Set while the stream is to be bypassed; the signal USR1, where there is one, turns it."""
    switch = threading.Event()
    if on:
        switch.set()

    def turn(*_: object) -> None:
        (switch.clear if switch.is_set() else switch.set)()
        say("bypass on" if switch.is_set() else "bypass off")

    usual = getattr(signal, "SIGUSR1", None)
    if usual is not None and threading.current_thread() is threading.main_thread():
        signal.signal(usual, turn)
    return switch


def _in_words(report: LiveReport, keeps_time: bool) -> list[str]:
    def figures(found: dict[str, float]) -> str:
        names = ("p50", "p95", "p99", "longest")
        return " / ".join(f"{found[name]:.1f}" for name in names)

    lines = [
        f"{report.audio_s:.2f} s of {report.source_rate} -> {report.target_rate} Hz at "
        f"{report.times_real_time:.1f}x real time, {report.delay_ms:.1f} ms behind",
    ]
    if report.blocks:
        lines.append(f"a block took {figures(report.work_ms)} ms (median / 95 % / 99 % / longest)")
    if report.blocks and keeps_time:
        lines.append(f"and was late by {figures(report.latency_ms)} ms")
    if keeps_time:
        lines.append(
            f"{report.xruns} xruns, bypassed for {report.bypassed_s:.1f} s in {report.overloads} "
            f"overloads, {report.lost} samples lost"
        )
    return lines
