"""Several corpora as one: links to their folders and one `files.csv` over all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fullband.corpora.splits import with_short_splits
from fullband.corpora.table import TABLE, Row, read_rows, write_rows
from fullband.errors import OutputError, SettingsError

__all__ = ["combine"]


def combine(folder: Path, parts: Mapping[str, Path]) -> list[Row]:
    """Link corpora into a folder under their names, and write the rows of all of them.

    Each split has the files of all parts that have it, in the order of the parts; a speaker is the
    part's own, whatever the others call theirs. Where a part has `valid-short` or `test-short`,
    these are made anew over the whole.

    Args:
        parts: name to folder of each corpus.

    Raises:
        MissingFileError, AudioFileError: a part is no corpus.
        SettingsError: a name is no plain name.
        OutputError: the folder has something else in it, or cannot be written.
    """
    rows: list[Row] = []
    for name, part in parts.items():
        if not name or name != Path(name).name or name in (TABLE, ".", ".."):
            raise SettingsError(f"'{name}': not a name for a part; use NAME=CORPUS, without /")
        for row in read_rows(part):
            speaker = f"{name}/{row['speaker']}" if row.get("speaker") else ""
            changed = {"file": f"{name}/{row['file']}", "speaker": speaker, "corpus": name}
            rows.append({**row, **changed})
    short = any(row["split"].endswith("-short") for row in rows)
    rows = [row for row in rows if row["split"] not in ("valid-short", "test-short")]

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
    rows = with_short_splits(rows) if short else rows
    write_rows(folder, rows)
    return rows
