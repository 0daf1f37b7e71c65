"""Which files to enhance and where each result goes: files, folders, patterns, lists of files and
standard streams."""

from __future__ import annotations

import fnmatch
import itertools
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fullband.audio.formats import READ_ONLY, SUFFIXES, output_suffix
from fullband.errors import MissingFileError, OutputError
from fullband.manifest import MANIFEST_NAME

__all__ = ["Job", "is_batch", "manifest_path", "plan_jobs", "read_list"]

_ADDED = "-wide"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Job:
    """One file to enhance."""

    source: str
    target: str


def plan_jobs(
    sources: Sequence[str],
    output: str | None,
    listed: Sequence[str] = (),
    is_result: Callable[[str], bool] = lambda path: False,
) -> tuple[list[Job], list[str]]:
    """Pair every input with its output.

    A folder's tree is kept under the output folder, a pattern's from its first folder with a
    wildcard on. A listed file keeps its path as seen from the working folder, or, where it lies
    elsewhere, its whole path. Without an output a file's result stands beside it as
    `NAME-wide.EXT`, a folder's beside it as `NAME-wide/`. Folders behind symbolic links are not
    entered.

    Args:
        sources: files, folders, patterns (`*`, `?`, `[...]`, `**` for folders of any depth) or `-`.
        output: a file (for one input file), a folder, `-`, or None.
        listed: files by name, see `read_list`. One that is not there is a job, and fails.
        is_result: whether a file is known to be the result of an earlier batch, and so no input.

    Returns:
        The jobs, and a message for every input that is not there or holds no audio, and for every
        folder that may not be read.

    Raises:
        OutputError: several inputs for one output file, two inputs with the same output, or an
            output that is an input.
    """
    jobs: list[Job] = []
    problems: list[str] = []
    to_file = output is not None and (output == "-" or _names_a_file(output))
    if to_file and is_batch(sources, listed):
        raise OutputError(f"{output}: is one file, but there are several inputs; give a folder")
    for source in sources:
        try:
            if source == "-":
                jobs.append(Job("-", _stream_target(output, to_file)))
            elif Path(source).is_dir():
                jobs.extend(_folder_jobs(Path(source), output, problems))
            elif _is_pattern(source):
                jobs.extend(_pattern_jobs(source, output, problems))
            elif not Path(source).exists():
                raise MissingFileError(f"{source}: no such file")
            else:
                jobs.append(Job(source, _file_target(Path(source), output, to_file)))
        except MissingFileError as error:
            problems.append(str(error))
    for name in listed:
        if Path(name).is_dir():
            problems.append(f"{name}: is a folder; a list names files")
        else:
            jobs.append(_listed_job(name, output))
    jobs = list(
        dict.fromkeys(job for job in jobs if job.source == "-" or not is_result(job.source))
    )
    return _without_collisions(_told_apart(jobs)), problems


def is_batch(sources: Sequence[str], listed: Sequence[str] = ()) -> bool:
    """Whether these are inputs in numbers, or could be: a folder, a pattern, a list."""
    if len(sources) != 1 or listed:
        return True
    return Path(sources[0]).is_dir() or _is_pattern(sources[0])


def manifest_path(sources: Sequence[str], output: str | None, listed: Sequence[str] = ()) -> Path:
    """Where a batch's manifest belongs: in the one folder that all results go to, else in the
    working folder."""
    if output is not None:
        return Path(output) / MANIFEST_NAME
    if len(sources) == 1 and not listed and Path(sources[0]).is_dir():
        return _beside(Path(sources[0])) / MANIFEST_NAME
    roots = {_fixed_part(s) if _is_pattern(s) else Path(s).parent for s in sources if s != "-"}
    one = len(roots) == 1 and not listed and not any(Path(source).is_dir() for source in sources)
    return (roots.pop() if one else Path()) / MANIFEST_NAME


def read_list(path: str, null: bool = False) -> list[str]:
    """The names in a list of files, one per line.

    Args:
        path: the list; `-` is standard input.
        null: names end with NUL instead, as `find -print0` has them, and may hold anything else.

    Raises:
        MissingFileError: there is no such list, or it cannot be read.
    """
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise MissingFileError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    if null:
        names = content.split(b"\0")
    else:
        names = [line.removesuffix(b"\r") for line in content.split(b"\n")]
        names[0] = names[0].removeprefix(_BYTE_ORDER_MARK)
    return [os.fsdecode(name) for name in names if name]


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
    _refuse_unknown_ending(output)
    return str(Path(output) / f"{source.stem}{output_suffix(source)}")


def _refuse_unknown_ending(output: str) -> None:
    if not Path(output).is_dir() and Path(output).suffix:
        known = ", ".join(sorted(SUFFIXES))
        raise OutputError(
            f"{output}: cannot write files ending in '{Path(output).suffix}'; use one of {known}"
        )


def _beside(folder: Path) -> Path:
    """Where a folder's results go if nothing is said."""
    named = folder if folder.name not in ("", "..") else Path(os.path.abspath(folder))
    return Path(f"{named}{_ADDED}")


def _folder_jobs(folder: Path, output: str | None, problems: list[str]) -> list[Job]:
    root = Path(output) if output else _beside(folder)
    jobs = [
        Job(str(path), _target_below(root, path.relative_to(folder)))
        for path in _files_below(folder, root, problems)
        if _is_audio(path)
    ]
    if not jobs:
        raise MissingFileError(f"{folder}: no audio files in it")
    return jobs


def _pattern_jobs(pattern: str, output: str | None, problems: list[str]) -> list[Job]:
    root = _fixed_part(pattern)
    parts = Path(pattern).parts[len(root.parts) :]
    deepest = None if "**" in parts else len(parts)
    ending = Path(pattern).suffix
    is_named = bool(ending) and not _has_wildcard(ending)  # then it is taken, whichever it is
    results = None if output is None else Path(output)
    jobs = []
    for path in _files_below(root, results, problems, deepest):
        inside = path.relative_to(root)
        if (is_named or _is_audio(path)) and _fits(inside.parts, parts):
            jobs.append(Job(str(path), _kept_target(path, inside, output)))
    if not jobs:
        raise MissingFileError(f"{pattern}: no such file, and no audio file that fits it")
    return jobs


def _listed_job(name: str, output: str | None) -> Job:
    whole = Path(os.path.abspath(name))
    here = Path.cwd()
    inside = whole.relative_to(here if whole.is_relative_to(here) else whole.anchor)
    return Job(name, _kept_target(Path(name), inside, output))


def _files_below(
    folder: Path, results: Path | None, problems: list[str], deepest: int | None = None
) -> Iterator[Path]:
    """The files in a folder, in order; neither hidden ones nor, on a second run, the results of the
    first.

    Args:
        problems: is given a message for every folder that cannot be read.
        deepest: how many names a path below the folder may have.
    """

    def tell(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # a pattern's own folder, which is said anyway
            problems.append(f"{error.filename}: {(error.strerror or 'cannot be read').lower()}")

    left_out = None if results is None else results.resolve()
    for parent, folders, names in os.walk(folder, onerror=tell):
        depth = 1 + len(Path(parent).relative_to(folder).parts)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and (Path(parent) / name).resolve() != left_out
            and (deepest is None or depth < deepest)
        )
        yield from (Path(parent) / name for name in sorted(names) if not name.startswith("."))


def _is_pattern(source: str) -> bool:
    """Whether it has wildcards and is not the name of a file, which may have brackets."""
    return _has_wildcard(source) and not os.path.lexists(source)


def _has_wildcard(text: str) -> bool:
    return any(letter in text for letter in "*?[")


def _fixed_part(pattern: str) -> Path:
    """The folder in which all that fits a pattern lies."""
    parts = Path(pattern).parts
    return Path(*itertools.takewhile(lambda part: not _has_wildcard(part), parts[:-1]))


def _fits(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether a path fits a pattern, both name by name."""
    if not parts:
        return not names
    if parts[0] == "**":
        return any(_fits(names[skipped:], parts[1:]) for skipped in range(len(names) + 1))
    return bool(names) and fnmatch.fnmatch(names[0], parts[0]) and _fits(names[1:], parts[1:])


def _kept_target(source: Path, inside: Path, output: str | None) -> str:
    """Where the result of a file goes whose path is kept below the output, if there is one."""
    return _file_target(source, None, False) if output is None else _target_below(output, inside)


def _target_below(root: str | Path, inside: Path) -> str:
    """The same path below another folder, with an ending that can be written."""
    return str(root / inside.with_suffix(output_suffix(inside)))


def _is_audio(path: Path) -> bool:
    """Whether a file is taken where nobody names it."""
    return path.suffix.lower() in (*SUFFIXES, *READ_ONLY)


def _told_apart(jobs: list[Job]) -> list[Job]:
    """Results that would have one name because an ending cannot be written keep both endings:
    `a.amr` beside `a.wav` becomes `a.amr.wav`."""
    distinct = {(os.path.abspath(job.source), os.path.abspath(job.target)) for job in jobs}
    wanted = Counter(target for _, target in distinct)
    return [
        _with_both_endings(job) if wanted[os.path.abspath(job.target)] > 1 else job for job in jobs
    ]


def _with_both_endings(job: Job) -> Job:
    source, target = Path(job.source), Path(job.target)
    if source.suffix.lower() == target.suffix.lower() or not target.stem.startswith(source.stem):
        return job
    added = target.stem[len(source.stem) :]
    return replace(job, target=str(target.with_name(f"{source.name}{added}{target.suffix}")))


def _without_collisions(jobs: list[Job]) -> list[Job]:
    """Every file once, and refused what would put two into one place."""
    kept: list[Job] = []
    seen: dict[str, Job] = {}
    sources = {os.path.abspath(job.source) for job in jobs}
    for job in jobs:
        if job.target == "-":
            kept.append(job)
            continue
        source, target = os.path.abspath(job.source), os.path.abspath(job.target)
        other = seen.setdefault(target, job)
        if other is job:
            kept.append(job)
        elif os.path.abspath(other.source) != source:  # else one file that is named twice
            raise OutputError(
                f"{job.target}: both {other.source} and {job.source} would become this file; "
                "enhance them into different folders"
            )
        if target in sources:
            what = "the input itself" if target == source else "itself an input"
            raise OutputError(f"{job.target}: is {what}; choose another output")
    return kept
