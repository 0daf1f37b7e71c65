"""Recordings out of public git repositories: the newest commit's files, without its history.

Nothing of a repository is run or interpreted. It is cloned without a working tree, so that no hook,
filter, submodule or link of it comes into play, and the listed recordings are written from git's
own store as plain files. A name in a list is the repository's folder and the path in it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath

from fullband.corpora.download import Report, check_room
from fullband.corpora.listing import read_list
from fullband.corpora.public import Repositories
from fullband.errors import DownloadError, OutputError

__all__ = ["COMMIT", "fetch_repositories"]

COMMIT = "COMMIT"
"""The file in each repository's folder that says which commit the recordings are of."""

_PAPERS = re.compile(r"(licen[sc]es?|copying|copyright|authors|readme)\b", re.IGNORECASE)
_POINTER = b"version https://git-lfs"  # to a file that is kept elsewhere, in its place
_STALLED_S = 60


def fetch_repositories(
    repositories: Repositories, folder: Path, report: Report | None = None
) -> list[str]:
    """Bring the listed recordings into a folder, one sub-folder for each repository.

    Files that state a licence or credit authors come with them. A repository whose folder is there
    is left as it is, so what was interrupted goes on.

    Returns:
        names of listed recordings that the newest commits do not have.

    Raises:
        DownloadError: git is missing or fails.
        OutputError: the folder cannot be written, or the disk is too small.
    """
    tell = report or (lambda *_: None)
    names = [row["file"] for row in read_list(repositories.listing)]
    missing = [name for name in repositories.addresses if not (folder / name).is_dir()]
    if missing:
        if shutil.which("git") is None:
            raise DownloadError("git: not found; this corpus comes as git repositories, install it")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or "failed").lower()
            raise OutputError(f"{folder}: cannot be made ({reason})") from None
        check_room(folder, repositories.room_bytes, "fetching the repositories")
    for number, (name, address) in enumerate(repositories.addresses.items()):
        tell(name, number, len(repositories.addresses))
        if name in missing:
            inside = {file.partition("/")[2] for file in names if file.startswith(f"{name}/")}
            _fetch_repository(name, address, inside, folder)
    tell("repositories", len(repositories.addresses), len(repositories.addresses))
    return [name for name in names if not (folder / name).is_file()]


def _fetch_repository(name: str, address: str, inside: set[str], folder: Path) -> None:
    """Clone a repository, and make a folder of its name that has the wanted files in it."""
    work = folder / f".{name}.part"
    shutil.rmtree(work, ignore_errors=True)
    store, kept = work / "store", work / "kept"
    try:
        kept.mkdir(parents=True)
        options = ["--depth=1", "--no-tags", "--no-checkout", "--no-recurse-submodules"]
        _git(["clone", "--quiet", *options, "--template=", "--", address, str(store)], address)
        commit = _git(["-C", str(store), "rev-parse", "HEAD"], address)
        (kept / COMMIT).write_text(f"{address} {commit}", encoding="utf-8")
        files = _files(store, address)
        _write(store, {file: files[file] for file in files if _is_wanted(file, inside)}, kept)
        os.replace(kept, folder / name)
    except OSError as error:
        if isinstance(error, (DownloadError, OutputError)):
            raise
        reason = (error.strerror or "failed").lower()
        raise OutputError(f"{folder / name}: cannot be written ({reason})") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _files(store: Path, address: str) -> dict[str, str]:
    """The plain files of the newest commit, with git's name for the content of each."""
    files = {}
    listed = _git(["-C", str(store), "ls-tree", "-r", "-z", "--full-tree", "HEAD"], address)
    for entry in filter(None, listed.split("\0")):
        about, _, path = entry.partition("\t")
        mode, _, content = about.split(" ")
        if mode.startswith("100"):  # neither a link nor a submodule
            files[path] = content
    return files


def _is_wanted(file: str, inside: set[str]) -> bool:
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or file == COMMIT:
        return False
    return file in inside or bool(_PAPERS.match(path.name)) or path.parts[0] == "LICENSES"


def _write(store: Path, files: dict[str, str], folder: Path) -> None:
    """Write files as git has them stored: no filter or conversion is applied."""
    command = _command(["-C", str(store), "cat-file", "--batch"])
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment()
    ) as git:
        assert git.stdin is not None
        assert git.stdout is not None
        for file, content in files.items():
            git.stdin.write(f"{content}\n".encode())
            git.stdin.flush()
            about = git.stdout.readline().split()  # name, kind, length
            if len(about) != 3 or about[1] != b"blob":
                raise DownloadError(f"{file}: git has it listed, but not stored")
            size = int(about[2])
            stored = git.stdout.read(size + 1)[:size]  # a line's end follows
            if not stored.startswith(_POINTER):
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(stored)


def _command(arguments: list[str]) -> list[str]:
    stalled = ["-c", "http.lowSpeedLimit=1", "-c", f"http.lowSpeedTime={_STALLED_S}"]
    return ["git", "-c", f"core.hooksPath={os.devnull}", *stalled, *arguments]


def _environment() -> dict[str, str]:
    """The user's own, without a repository that git may be working on, and without questions."""
    local = ("DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "COMMON_DIR", "NAMESPACE")
    kept = {key: os.environ[key] for key in os.environ if key not in {f"GIT_{x}" for x in local}}
    silent = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "GIT_LFS_SKIP_SMUDGE": "1"}
    return {**kept, **silent, "LC_ALL": "C"}


def _git(arguments: list[str], address: str) -> str:
    """What git prints; where it fails, the error has the last thing it said."""
    done = subprocess.run(
        _command(arguments),
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.startswith(("fatal:", "error:"))]
        last = (errors or said or [f"exit code {done.returncode}"])[-1]
        raise DownloadError(f"{address}: git failed ({last})")
    return done.stdout
