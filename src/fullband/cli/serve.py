"""`fullband serve`: calls over WebSockets."""

from __future__ import annotations

import click

from fullband.cli.shared import open_console, shown

__all__ = ["serve"]


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8080,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--token",
    envvar="FULLBAND_TOKEN",
    help="What clients have to know; needed where other machines reach the host. Also from "
    "FULLBAND_TOKEN, where others do not see it.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="A page that may call, as in https://example.org; the server's own always may.",
)
@click.option("--model", default="live", show_default=True, help="What calls are widened with.")
@click.option("--max-calls", type=click.IntRange(1), help="At a time. Default: 10 for each core.")
@click.option(
    "--max-duration",
    type=click.FloatRange(1),
    default=4 * 3600.0,
    show_default=True,
    metavar="S",
    help="Of a call's audio.",
)
@click.option(
    "--max-idle",
    type=click.FloatRange(0.1),
    default=60.0,
    show_default=True,
    metavar="S",
    help="Without a message.",
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
def serve(
    host: str,
    port: int,
    token: str | None,
    origins: tuple[str, ...],
    model: str,
    max_calls: int | None,
    max_duration: float,
    max_idle: float,
    max_lag_ms: float,
) -> None:
    """Widen calls that come over WebSockets, at /v1/live, until asked to end."""
    from fullband.web.limits import Limits
    from fullband.web.serving import serve as serve_calls

    console = open_console()
    limits = Limits(
        calls=max_calls, duration_s=max_duration, idle_s=max_idle, max_lag_s=max_lag_ms / 1000
    )

    def say(where: str) -> None:
        text = f"listening at {shown(where)}; {limits.most_calls} calls at a time; Ctrl-C ends"
        console.print(text, markup=False, highlight=False)

    serve_calls(host, port, token, origins, limits, model, say)
