"""MAESTRO: 200 hours of piano competitions, for the 2017 paper's piano task.

The paper took Beethoven's sonatas and split them 88 / 6 / 6 %; the recordings are not public. The
same shares are taken here, by seconds and by whole pieces: no composition, played by whomever, lies
in two splits. MAESTRO's own split (by piece as well, about 80 / 10 / 10 %) stays readable in its
table and in the column `maestro_split`.
"""

from __future__ import annotations

import csv
from pathlib import Path

from fullband.corpora.public import Archive, PublicCorpus, folder_with
from fullband.corpora.splits import share_out
from fullband.corpora.table import Row
from fullband.errors import AudioFileError, MissingFileError

__all__ = ["MAESTRO"]

_TABLE = "maestro-v3.0.0.csv"
_SHARES = {"test": 0.06, "valid": 0.06}
_LICENCE = "CC BY-NC-SA 4.0"


def _rows(folder: Path) -> list[Row]:
    base = folder_with(folder, _TABLE)
    if base is None:
        raise MissingFileError(f"{folder}: is not MAESTRO, it has no {_TABLE}")
    with (base / _TABLE).open(newline="", encoding="utf-8") as lines:
        listed = list(csv.DictReader(lines))
    try:
        pieces = [f"{row['canonical_composer']}: {row['canonical_title']}" for row in listed]
        seconds: dict[str, float] = {}
        for row, piece in zip(listed, pieces, strict=True):
            seconds[piece] = seconds.get(piece, 0.0) + float(row["duration"])
        given = share_out(seconds, _SHARES)
        prefix = base.relative_to(folder)
        return [
            {
                "file": (prefix / row["audio_filename"]).as_posix(),
                "split": given[piece],
                "piece": piece,
                "maestro_split": row["split"],
                "licence": _LICENCE,
            }
            for row, piece in zip(listed, pieces, strict=True)
        ]
    except (KeyError, ValueError) as error:
        raise AudioFileError(f"{base / _TABLE}: not the table of MAESTRO ({error})") from None


MAESTRO = PublicCorpus(
    name="maestro",
    summary="MAESTRO 3.0.0, piano competitions, 44.1 and 48 kHz",
    kind="piano",
    licence=_LICENCE,
    # The SHA-256 is the one that its makers publish.
    source=Archive(
        file_name="maestro-v3.0.0.zip",
        url="https://storage.googleapis.com/magentadata/datasets/maestro/v3.0.0/maestro-v3.0.0.zip",
        size_bytes=108_445_099_632,
        algorithm="sha256",
        digest="6680fea5be2339ea15091a249fbd70e49551246ddbd5ca50f1b2352c08c95291",
    ),
    splits="88 / 6 / 6 % of the time, by piece",
    rows=_rows,
    wanted=lambda member: member.endswith((".wav", ".csv", "LICENSE", "README")),
    note="not for commercial use: weights trained on it cannot be released freely",
)
