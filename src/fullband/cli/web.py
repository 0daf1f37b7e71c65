"""`fullband web`: the page without a server."""

from __future__ import annotations

from pathlib import Path

import click

from fullband.cli.shared import open_console, shown

__all__ = ["web"]


@click.group()
def web() -> None:
    """The page that `fullband serve` shows, for hosts of your own."""


@web.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace a page that was exported before.")
def export(folder: Path, force: bool) -> None:
    """Write the page as FOLDER, which any static host can serve.

    Models run in the visitors' browsers. The host should send what `_headers` says: without it they
    use one core only.
    """
    from fullband.web.site import export_site

    files = export_site(folder, force)
    size = sum(file.stat().st_size for file in files) / 1e6
    text = f"{shown(str(folder))}: {len(files)} files, {size:.0f} MB"
    open_console().print(text, markup=False, highlight=False)
