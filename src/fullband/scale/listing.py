"""What is to be done, folder by folder: memory holds one folder's names, not the archive's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fullband.audio.formats import READ_ONLY, SUFFIXES, output_suffix
from fullband.scale.place import Found, Place
from fullband.scale.record import Done

__all__ = ["Item", "list_items"]


@dataclass(frozen=True)
class Item:
    """A file to enhance.

    Attributes:
        target: the result's name within the output.
        done: whether that is there already.
        problem: why nothing can be done with it, else empty.
    """

    source: Found
    target: str
    done: bool = False
    problem: str = ""


def list_items(source: Place, output: Place, done: Done | None) -> Iterator[Item]:
    """Every audio file of a folder and those in it, or the one file that the source is.

    Args:
        done: what need not be made again.
    """
    if source.is_file():
        parent, _, name = source.root.rpartition("/")
        source.root = parent
        only = [found for found in source.list_folder("")[0] if found.name == name]
        yield from _of_folder(only, output, "", done)
        return
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            files, inner = source.list_folder(folder)
        except OSError as error:  # of one folder: the rest goes on
            reason = (error.strerror or str(error)).lower()
            yield Item(Found(folder, 0, ""), folder, problem=f"cannot be listed ({reason})")
            continue
        yield from _of_folder(files, output, folder, done)
        inside = output.identity[1] if source.identity[0] == output.identity[0] else None
        folders += [
            name
            for name in reversed(inner)
            # Neither hidden folders, nor what an object store allows as a name and a disk does not.
            if not name.rpartition("/")[2].startswith(".") and source.path(name) != inside
        ]


def _of_folder(files: list[Found], output: Place, folder: str, done: Done | None) -> Iterator[Item]:
    there = {found.name: found.size for found in output.list_folder(folder)[0]} if done else {}
    taken: dict[str, str] = {}
    for found in files:
        path = Path(found.name)
        if path.suffix.lower() not in (*SUFFIXES, *READ_ONLY) or path.name.startswith("."):
            continue
        target = f"{found.name.removesuffix(path.suffix)}{output_suffix(path)}"
        if target in taken:
            problem = f"would become {target}, as {taken[target]} does"
            yield Item(found, target, problem=problem)
            continue
        taken[target] = found.name
        is_done = done is not None and done.has(found, target, there.get(target))
        yield Item(found, target, is_done)
