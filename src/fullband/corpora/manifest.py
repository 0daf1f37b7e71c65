"""Which recordings a corpus has and in which split each lies.

A corpus is a folder, in one of three shapes: with a `files.csv` whose columns `file` and `split`
say it all; with a sub-folder per split (`train`, `valid`, `test`, `test-real`, ...); or just audio,
which is then all `test`. A split is never made up by fullband.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from fullband.audio.file import SUFFIXES
from fullband.errors import AudioFileError, MissingFileError

__all__ = ["Corpus", "read_corpus"]

_SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Corpus:
    """The recordings of a folder by split.

    Attributes:
        files: split name to file names relative to `folder`, sorted.
    """

    name: str
    folder: Path
    files: dict[str, tuple[str, ...]]

    def split(self, name: str) -> tuple[str, ...]:
        """The files of one split.

        Raises:
            MissingFileError: the corpus has no such split, with the ones it has.
        """
        if name not in self.files:
            has = ", ".join(self.files)
            raise MissingFileError(f"{self.folder}: has no split '{name}', only {has}")
        return self.files[name]


def read_corpus(folder: str | Path) -> Corpus:
    """Find out what a folder holds.

    Raises:
        MissingFileError: there is no such folder, or no audio in it.
        AudioFileError: its files.csv lacks a column or a field, names a file twice or one outside
            the folder; or a file lies beside the split folders.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: no such folder")
    table = folder / "files.csv"
    files = _from_table(table) if table.is_file() else _from_folders(folder)
    if not files:
        raise MissingFileError(f"{folder}: no audio files in it")
    return Corpus(folder.resolve().name, folder, files)


def _from_table(table: Path) -> dict[str, tuple[str, ...]]:
    files: dict[str, dict[str, None]] = {}  # names in order, each found at once
    try:
        text = table.read_text(encoding="utf-8-sig")  # spreadsheets like to begin with a mark
    except UnicodeDecodeError:
        raise AudioFileError(f"{table}: not a text file in UTF-8") from None
    rows = csv.DictReader(text.splitlines())
    try:
        if not {"file", "split"} <= set(rows.fieldnames or ()):
            raise AudioFileError(f"{table}: needs the columns 'file' and 'split'")
        found = [(rows.line_num, row) for row in rows]
    except csv.Error as error:
        raise AudioFileError(f"{table}: not a table ({error})") from None
    for number, row in found:
        name, split = row["file"], row["split"]
        if not name or not split:
            raise AudioFileError(f"{table}: line {number} lacks its file or its split")
        if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            raise AudioFileError(f"{table}: '{name}' lies outside the corpus")
        if name in files.setdefault(split, {}):
            raise AudioFileError(f"{table}: '{name}' stands twice in split '{split}'")
        files[split][name] = None
    return {split: tuple(sorted(names)) for split, names in sorted(files.items())}


def _from_folders(folder: Path) -> dict[str, tuple[str, ...]]:
    found = sorted(
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    by_split = any(path.parts[0].startswith(_SPLITS) for path in found if len(path.parts) > 1)
    files: dict[str, list[str]] = {}
    for path in found:
        if by_split and len(path.parts) == 1:
            raise AudioFileError(f"{folder / path}: lies beside the split folders, in none of them")
        split = path.parts[0] if by_split else "test"
        files.setdefault(split, []).append(path.as_posix())
    return {split: tuple(names) for split, names in files.items()}
