"""Which files to enhance and where each result goes: files, folders and standard streams."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fullband.audio.formats import READ_ONLY, SUFFIXES, output_suffix
from fullband.errors import MissingFileError, OutputError

__all__ = ["Job", "plan_jobs"]

_ADDED = "-wide"


@dataclass(frozen=True)
class Job:
    """One file to enhance."""

    source: str
    target: str


def plan_jobs(sources: tuple[str, ...], output: str | None) -> tuple[list[Job], list[str]]:
    """Pair every input with its output.

    A folder's tree is kept under the output folder. Without an output a file's result stands beside
    it as `NAME-wide.EXT`, a folder's beside it as `NAME-wide/`.

    Args:
        sources: files, folders, or `-`.
        output: a file (for one input file), a folder, `-`, or None.

    Returns:
        The jobs, and a message for every input that is not there or holds no audio.

    Raises:
        OutputError: several inputs for one output file, or two inputs with the same output.
    """
    jobs: list[Job] = []
    problems: list[str] = []
    several = len(sources) > 1 or Path(sources[0]).is_dir()
    to_file = output is not None and (output == "-" or _names_a_file(output))
    if several and to_file:
        raise OutputError(f"{output}: is one file, but there are several inputs; give a folder")
    for source in sources:
        try:
            if source == "-":
                jobs.append(Job("-", _stream_target(output, to_file)))
            elif Path(source).is_dir():
                jobs.extend(_folder_jobs(Path(source), output))
            elif not Path(source).exists():
                raise MissingFileError(f"{source}: no such file")
            else:
                jobs.append(Job(source, _file_target(Path(source), output, to_file)))
        except MissingFileError as error:
            problems.append(str(error))
    _refuse_collisions(jobs)
    return jobs, problems


def _names_a_file(output: str) -> bool:
    return Path(output).suffix.lower() in SUFFIXES and not Path(output).is_dir()


def _stream_target(output: str | None, to_file: bool) -> str:
    if output is None or to_file:
        return output or "-"
    return str(Path(output) / "stdin.wav")


def _file_target(source: Path, output: str | None, to_file: bool) -> str:
    if output is None:
        return str(source.with_name(f"{source.stem}{_ADDED}{output_suffix(source)}"))
    if to_file:
        return output
    if not Path(output).is_dir() and Path(output).suffix:
        known = ", ".join(sorted(SUFFIXES))
        raise OutputError(
            f"{output}: cannot write files ending in '{Path(output).suffix}'; use one of {known}"
        )
    return str(Path(output) / f"{source.stem}{output_suffix(source)}")


def _folder_jobs(folder: Path, output: str | None) -> list[Job]:
    named = folder if folder.name not in ("", "..") else Path(os.path.abspath(folder))
    root = Path(output) if output else Path(f"{named}{_ADDED}")
    inside = root.resolve()
    jobs = []
    for parent, folders, names in os.walk(folder):
        # Neither hidden folders nor, on a second run, the results of the first.
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (Path(parent) / name).resolve() != inside
        )
        for name in sorted(names):
            path = Path(parent) / name
            if path.suffix.lower() in (*SUFFIXES, *READ_ONLY) and not name.startswith("."):
                target = (root / path.relative_to(folder)).with_suffix(output_suffix(path))
                jobs.append(Job(str(path), str(target)))
    if not jobs:
        raise MissingFileError(f"{folder}: no audio files in it")
    return jobs


def _refuse_collisions(jobs: list[Job]) -> None:
    seen: dict[str, str] = {}
    sources = {os.path.abspath(job.source) for job in jobs}
    for job in jobs:
        if job.target == "-":
            continue
        key = os.path.abspath(job.target)
        if key in seen:
            raise OutputError(
                f"{job.target}: both {seen[key]} and {job.source} would become this file; "
                "enhance them into different folders"
            )
        if key in sources and key != os.path.abspath(job.source):
            raise OutputError(f"{job.target}: is itself an input; choose another output")
        seen[key] = job.source
