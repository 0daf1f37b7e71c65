"""The command line: parse, make one library call, print. Nothing is computed here.

Heavy imports stand inside the commands, so that `fullband --help` is instant.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from fullband.cli.corpora import corpora
from fullband.cli.enhancing import enhance, inspect, models
from fullband.cli.listening import listen
from fullband.cli.live import live
from fullband.cli.research import evaluate, export, refit, report, train
from fullband.cli.scale import scale
from fullband.cli.serve import serve
from fullband.cli.shared import one_line
from fullband.cli.web import web
from fullband.errors import FullbandError
from fullband.version import __version__

__all__ = ["main"]


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
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(130)
        except BrokenPipeError:  # the reader of our output went away
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(1)
        except (FullbandError, OSError) as error:
            raise click.ClickException(one_line(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fullband")
def main() -> None:
    """Give audio the treble it lacks."""


def _extra_for(module: str) -> str | None:
    """The extra that brings a package which is not installed."""
    needs = {
        "train": ("torch", "lightning_fabric", "safetensors", "tensorboard", "onnx", "onnxscript"),
        "evaluate": ("scipy",),
        "scale": ("ray", "fsspec", "s3fs"),
        "web": (
            *("fastapi", "pydantic", "starlette", "uvicorn", "websockets"),
            *("prometheus_client", "python_multipart"),
        ),
    }
    return next((extra for extra, modules in needs.items() if module in modules), None)


for command in (
    *(enhance, live, serve, web, scale, inspect, models),
    *(corpora, train, export, refit, evaluate, report, listen),
):
    main.add_command(command)
