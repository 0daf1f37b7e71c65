"""`fullband serve`: files over HTTP, and calls over WebSockets."""

from __future__ import annotations

from typing import Any

import click

from fullband.cli.shared import open_console, serving_options, shown

__all__ = ["serve"]


@click.command()
@serving_options("What clients have to know")
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="A page that may call, as in https://example.org; the server's own always may.",
)
@click.option("--model", default="live", show_default=True, help="What calls are widened with.")
@click.option(
    "--max-calls", "calls", type=click.IntRange(1), help="At a time. Default: 10 for each core."
)
@click.option(
    "--max-duration",
    "duration_s",
    type=click.FloatRange(1),
    default=4 * 3600.0,
    show_default=True,
    metavar="S",
    help="Of a call's audio.",
)
@click.option(
    "--max-idle",
    "idle_s",
    type=click.FloatRange(0.1),
    default=60.0,
    show_default=True,
    metavar="S",
    help="Without a message, or a part of a file.",
)
@click.option(
    "--max-lag",
    "max_lag_ms",
    type=click.FloatRange(5, 10_000),
    default=200.0,
    show_default=True,
    metavar="MS",
    help="How late a call may be before it is bypassed.",
)
@click.option(
    "--max-jobs",
    "jobs",
    type=click.IntRange(1),
    help="Files enhanced at a time. Default: one for each core.",
)
@click.option(
    "--max-waiting",
    "waiting_jobs",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Files that may wait besides.",
)
@click.option(
    "--max-stored",
    "stored_jobs",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Results that may wait to be fetched.",
)
@click.option(
    "--keep",
    "keep_s",
    type=click.FloatRange(1),
    default=600.0,
    show_default=True,
    metavar="S",
    help="How long results may be fetched.",
)
@click.option(
    "--max-upload",
    "upload_mib",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    metavar="MIB",
    help="Of a file that comes.",
)
@click.option(
    "--max-result",
    "result_mib",
    type=click.IntRange(1),
    default=2048,
    show_default=True,
    metavar="MIB",
    help="Of a wide file.",
)
@click.option(
    "--max-disk",
    "disk_mib",
    type=click.IntRange(1),
    default=8192,
    show_default=True,
    metavar="MIB",
    help="Of all files together, in the folder for temporary files (TMPDIR).",
)
@click.option(
    "--max-audio",
    "audio_s",
    type=click.FloatRange(1),
    default=3600.0,
    show_default=True,
    metavar="S",
    help="Of a file's audio.",
)
@click.option(
    "--max-work",
    "work_s",
    type=click.FloatRange(1),
    default=600.0,
    show_default=True,
    metavar="S",
    help="How long a file may take.",
)
def serve(
    host: str,
    port: int,
    token: str | None,
    origins: tuple[str, ...],
    model: str,
    max_lag_ms: float,
    upload_mib: int,
    result_mib: int,
    disk_mib: int,
    **limits: Any,
) -> None:
    """Show a page that widens recordings in the browser, and widen files that come over HTTP, at
    /v1/enhance, and calls that come over WebSockets, at /v1/live, until asked to end."""
    from fullband.web.limits import Limits
    from fullband.web.serving import serve as serve_until_asked

    console = open_console()
    held = Limits(
        max_lag_s=max_lag_ms / 1000,
        upload_bytes=upload_mib << 20,
        result_bytes=result_mib << 20,
        disk_bytes=disk_mib << 20,
        **limits,
    )

    def say(where: str) -> None:
        text = (
            f"listening at {shown(where)}; {held.most_calls} calls and {held.most_jobs} files at a "
            "time; Ctrl-C ends"
        )
        console.print(text, markup=False, highlight=False)

    serve_until_asked(host, port, token, origins, held, model, say)
