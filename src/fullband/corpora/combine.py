"""Several corpora as one: links to their folders and one `files.csv` over all."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

from fullband.corpora.overview import check_content, check_disjoint
from fullband.corpora.splits import with_short_splits
from fullband.corpora.table import TABLE, Row, read_rows, write_rows
from fullband.errors import OutputError, SettingsError

__all__ = ["combine"]


def combine(
    folder: Path,
    parts: Mapping[str, Path],
    hold_out: Iterable[str] = (),
    leave_out: Iterable[str] = (),
) -> list[Row]:
    """Link corpora into a folder under their names, and write the rows of all of them.

    Each split has the files of all parts that have it, in the order of the parts; a speaker is the
    part's own, whatever the others call theirs. Where a part has `valid-short` or `test-short`,
    these are made anew over the whole.

    Args:
        parts: name to folder of each corpus.
        hold_out: folders or files, by their names in the whole, that are not for training: their
            `train` becomes `valid`, and the `valid` of all others `valid-same`, so that models are
            selected on what is foreign to them alone.
        leave_out: folders or files, by their names in the whole, that are not taken.

    Raises:
        MissingFileError: a part is no corpus, or lacks a file.
        AudioFileError: a part is no corpus, or train, valid and test share a speaker, a piece or
            a recording, be it under two names.
        SettingsError: a name is no plain name, or what is held or left out is in no part.
        OutputError: the folder has something else in it, or cannot be written.
    """
    rows: list[Row] = []
    for name, part in parts.items():
        if not name or name != Path(name).name or name in (TABLE, ".", ".."):
            raise SettingsError(f"'{name}': not a name for a part; use NAME=CORPUS, without /")
        for row in read_rows(part):
            speaker = f"{name}/{row['speaker']}" if row.get("speaker") else ""
            corpus = f"{name}/{row['corpus']}" if row.get("corpus") else name
            changed = {"file": f"{name}/{row['file']}", "speaker": speaker, "corpus": corpus}
            rows.append({**row, **changed})
    short = any(row["split"].endswith("-short") for row in rows)
    rows = [row for row in rows if row["split"] not in ("valid-short", "test-short")]
    left = _inside(rows, leave_out, "--leave-out")
    rows = [row for row in rows if row["file"] not in left]
    held = _inside(rows, hold_out, "--hold-out")
    for row in rows:
        if row["split"] == "train" and row["file"] in held:
            row["split"] = "valid"

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.name != TABLE and not (path.is_symlink() and path.name in parts):
                raise OutputError(f"{path}: is in the way; combine into an empty folder")
        for name, part in parts.items():
            link = folder / name
            if not link.is_symlink():
                link.symlink_to(part.resolve(), target_is_directory=True)
            elif link.resolve() != part.resolve():
                raise OutputError(f"{link}: leads to {link.resolve()} already; remove it")
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        reason = (error.strerror or "failed").lower()
        raise OutputError(f"{folder}: cannot be written ({reason})") from None
    check_disjoint(folder, rows)
    check_content(folder, rows)
    for row in rows:
        if held and row["split"] == "valid" and row["file"] not in held:
            row["split"] = "valid-same"
    rows = with_short_splits(rows) if short else rows
    write_rows(folder, rows)
    return rows


def _inside(rows: list[Row], names: Iterable[str], option: str) -> set[str]:
    """The files that are named, or lie in a folder that is."""
    files = {row["file"] for row in rows}
    inside: set[str] = set()
    for name in names:
        found = {file for file in files if file == name or file.startswith(f"{name.rstrip('/')}/")}
        if not found:
            folders = {str(parent) for file in files for parent in Path(file).parents}
            near = difflib.get_close_matches(name, sorted(folders - {"."}), 1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise SettingsError(f"{option} {name}: nothing of that name is in the parts{hint}")
        inside |= found
    return inside
