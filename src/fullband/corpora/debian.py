"""Recordings out of Debian packages: downloaded and unpacked, not installed; no root needed.

Which recordings are taken, and their splits, is in lists (`fullband.corpora.listing`). A name in a
list is the package and the path in it; where recordings lie in an archive inside the package, that
archive counts as a folder of its name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath

from fullband.corpora.download import Report, check_room
from fullband.corpora.listing import read_list
from fullband.corpora.public import Packages
from fullband.corpora.unpack import unpack
from fullband.errors import DownloadError, MissingFileError, OutputError

__all__ = ["fetch_packages"]


def fetch_packages(packages: Packages, folder: Path, report: Report | None = None) -> list[str]:
    """Bring the listed recordings of packages into a folder, one sub-folder for each package.

    A package whose folder is there is left as it is, so what was interrupted goes on.

    Returns:
        names of listed recordings that these versions of the packages do not have.

    Raises:
        DownloadError: apt-get or dpkg-deb is missing or fails.
        OutputError: the folder cannot be written, or the disk is too small.
    """
    tell = report or (lambda *_: None)
    names = [row["file"] for row in read_list(packages.listing)]
    missing = [name for name in packages.names if not (folder / name).is_dir()]
    if missing:
        for program, package in (("apt-get", "apt"), ("dpkg-deb", "dpkg")):
            if shutil.which(program) is None:
                raise DownloadError(
                    f"{program}: not found; this corpus comes as Debian packages, fetch it on "
                    f"Debian or Ubuntu or install '{package}'"
                )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or "failed").lower()
            raise OutputError(f"{folder}: cannot be made ({reason})") from None
        check_room(folder, packages.room_bytes, "unpacking the packages")
    for number, name in enumerate(packages.names):
        tell(name, number, len(packages.names))
        if name in missing:
            inside = [file.partition("/")[2] for file in names if file.startswith(f"{name}/")]
            _fetch_package(name, inside, folder, packages.release)
    tell("packages", len(packages.names), len(packages.names))
    return [name for name in names if not (folder / name).is_file()]


def _fetch_package(name: str, inside: list[str], folder: Path, release: str) -> None:
    """Download a package, and make a folder of its name that has the wanted files in it."""
    work = folder / f".{name}.part"
    shutil.rmtree(work, ignore_errors=True)
    everything, kept = work / "everything", work / "kept"
    try:
        everything.mkdir(parents=True)
        kept.mkdir()
        _run(["apt-get", "download", name], work, f"{name}: {{}}; the list is of {release}")
        archives = sorted(work.glob(f"{name}_*.deb"))
        if not archives:
            raise DownloadError(f"{name}: apt-get has downloaded nothing")
        _run(["dpkg-deb", "-x", archives[0].name, everything.name], work, f"{name}: {{}}")
        archives[0].unlink()
        _take(everything, kept, [*inside, f"usr/share/doc/{name}/copyright"])
        os.replace(kept, folder / name)
    except OSError as error:
        if isinstance(error, (DownloadError, OutputError, MissingFileError)):
            raise
        reason = (error.strerror or "failed").lower()
        raise OutputError(f"{folder / name}: cannot be written ({reason})") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _take(everything: Path, kept: Path, inside: list[str]) -> None:
    """Move the files that are wanted, and unpack those that lie in an archive."""
    packed: dict[str, set[str]] = {}
    for file in inside:
        source, target = everything / file, kept / file
        if source.is_file() and source.resolve().is_relative_to(everything.resolve()):
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copyfile if source.is_symlink() else os.replace)(source, target)
            continue
        for parent in PurePosixPath(file).parents:
            if (everything / parent).is_file() and not (everything / parent).is_symlink():
                member = PurePosixPath(file).relative_to(parent).as_posix()
                packed.setdefault(str(parent), set()).add(member)
    for archive, members in packed.items():
        target = kept / archive
        target.mkdir(parents=True, exist_ok=True)
        unpack(everything / archive, target, members.__contains__)


def _run(command: list[str], folder: Path, message: str) -> None:
    """Run a program; where it fails, the message has the last thing it said in place of {}."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.startswith(("E:", "dpkg-deb: error"))]
        last = (errors or said or [f"exit code {done.returncode}"])[-1]
        if "Unable to locate package" in last or "No packages found" in last:
            last += ", try 'apt-get update' as root"
        raise DownloadError(message.format(f"{command[0]} failed ({last})"))
