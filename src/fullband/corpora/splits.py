"""Splits that are made, not found: by a hash, so that everyone makes the same ones.

The order in which groups (speakers, pieces, files) are given away is that of the SHA-256 of their
names. It has nothing to do with their content, needs no seed, and is the same on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from fullband.corpora.table import Row
from fullband.errors import SettingsError

__all__ = ["JUDGED", "by_turns", "carve_valid", "share_out", "with_short_splits"]

JUDGED = ("train", "valid", "test")
"""The splits that must not share a speaker or a piece."""

_SHORT = 8  # a short split has every so-manieth file


def by_turns(speakers: Sequence[str]) -> list[int]:
    """Which comes when: the first of each speaker, then the second of each, and so on."""
    turns: dict[str, int] = {}
    order = []
    for index, speaker in enumerate(speakers):
        turns[speaker] = turns.get(speaker, 0) + 1
        order.append((turns[speaker], index))
    return [index for _, index in sorted(order)]


def share_out(sizes: Mapping[str, float], shares: Mapping[str, float]) -> dict[str, str]:
    """Which split each group goes to, nearest to the shares; the rest is `train`.

    Each split gets at least one group, however small its share.

    Args:
        sizes: group to how much it counts, for example its files or seconds.
        shares: split to its part of the whole, in the order in which they are filled.

    Raises:
        SettingsError: there are fewer groups than splits.

    >>> share_out({"a": 1, "b": 1, "c": 1, "d": 1}, {"test": 0.25, "valid": 0.25})
    {'d': 'test', 'c': 'valid', 'b': 'train', 'a': 'train'}
    """
    wanted = {split: share for split, share in shares.items() if share > 0}
    if len(sizes) <= len(wanted):
        splits = ", ".join(["train", *wanted])
        raise SettingsError(f"{len(sizes)} groups are too few to share out to {splits}")
    order = sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    total = sum(sizes.values())
    given = dict.fromkeys(order, "train")
    place = 0
    for number, (split, share) in enumerate(wanted.items(), start=1):
        left, taken = share * total, 0
        last = len(order) - (len(wanted) - number) - 1  # leave one for each split to come
        while place < last and (not taken or sizes[order[place]] <= 2 * left):
            # Half a group too much is as good as half a group too little, hence the 2.
            left -= sizes[order[place]]
            given[order[place]] = split
            place, taken = place + 1, taken + 1
    return given


def carve_valid(rows: list[Row], share: float) -> list[Row]:
    """Take a `valid` split out of `train`: train and valid together are what train was.

    Whole speakers where train has several, else files.

    Raises:
        SettingsError: the corpus has a valid split of its own, or too little to share out.
    """
    if any(row["split"] == "valid" for row in rows):
        raise SettingsError("the corpus has a valid split of its own: leave --valid out")
    train = [row for row in rows if row["split"] == "train"]
    column = "speaker" if len({row.get("speaker", "") for row in train}) > 1 else "file"
    sizes: dict[str, float] = {}
    for row in train:
        sizes[row[column]] = sizes.get(row[column], 0) + 1
    given = share_out(sizes, {"valid": share})
    return [
        {**row, "split": given[row[column]]} if row["split"] == "train" else row for row in rows
    ]


def with_short_splits(rows: list[Row]) -> list[Row]:
    """The rows and, after them, `valid-short` and `test-short`: every eighth of valid and test."""
    short = [
        {**row, "split": f"{split}-short"}
        for split in ("valid", "test")
        for row in [row for row in rows if row["split"] == split][::_SHORT]
    ]
    return [*rows, *short]
