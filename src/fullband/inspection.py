"""What there is to know about a recording before anything is done to it, and pictures of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fullband.audio.file import AudioFile, AudioReader
from fullband.audio.picture import Panel, SpectrogramMeter, draw_spectrograms, feed
from fullband.audio.raw import RawFormat
from fullband.audio.sandbox import Limits, SandboxedReader, open_reader
from fullband.enhancement import Analysis, analyse
from fullband.errors import OutputError

__all__ = ["Inspection", "compare_picture", "inspect_file"]


@dataclass(frozen=True)
class Inspection:
    """A file's header and what listening to it found."""

    file: AudioFile
    analysis: Analysis


def inspect_file(
    path: str | os.PathLike[str],
    picture: str | os.PathLike[str] | None = None,
    raw: str | RawFormat | None = None,
    sandbox: Limits | None = None,
) -> Inspection:
    """Find out rate, channels, length, level and bandwidth of a file of any length.

    Args:
        picture: where to draw its spectrogram as PNG, with the bandwidth marked.
        raw: how the samples of a file without a header are stored, as in `mulaw:8000`.
        sandbox: have it decoded in a process of its own, with these limits.

    Raises:
        MissingFileError, AudioFileError, DependencyError: the file cannot be read.
        OutputError: the picture cannot be written.
    """
    with open_reader(path, sandbox, raw) as reader:
        analysis = analyse(reader.blocks(), reader.info.sample_rate)
        if picture is not None:
            nyquist = reader.info.sample_rate / 2
            _draw(picture, [_panel(reader, nyquist, analysis.bandwidth_hz)])
    return Inspection(reader.info, analysis)


def compare_picture(
    picture: str | os.PathLike[str],
    files: Sequence[str | os.PathLike[str]],
    mark_hz: float | None = None,
    raw: str | RawFormat | None = None,
    sandbox: Limits | None = None,
) -> None:
    """Draw the spectrograms of several files above each other on one frequency axis, as PNG.

    Args:
        mark_hz: a frequency to mark on each, for example where the first one's content ends.
        raw: how the samples of the first are stored, if it has no header.
        sandbox: have them decoded in processes of their own, with these limits.

    Raises:
        MissingFileError, AudioFileError: a file cannot be read.
        OutputError: the picture cannot be written.
    """
    readers = [open_reader(path, sandbox, None if at else raw) for at, path in enumerate(files)]
    try:
        highest_hz = max(reader.info.sample_rate for reader in readers) / 2
        _draw(picture, [_panel(reader, highest_hz, mark_hz) for reader in readers])
    finally:
        for reader in readers:
            reader.close()


def _panel(
    reader: AudioReader | SandboxedReader, highest_hz: float, mark_hz: float | None
) -> Panel:
    info = reader.info
    meter = SpectrogramMeter(info.sample_rate, info.frames, highest_hz)
    title = f"{Path(info.name).name}   {info.sample_rate} Hz"
    return feed(meter, reader.blocks()).panel(title, mark_hz)


def _draw(picture: str | os.PathLike[str], panels: list[Panel]) -> None:
    path = Path(picture)
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_spectrograms(part, panels)
        part.replace(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{path}: the picture cannot be written ({reason})") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
