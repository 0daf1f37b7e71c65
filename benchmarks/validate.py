"""Exported models of any bandwidth, validated as trainings validate them, side by side.

    python benchmarks/validate.py FOLDER MODEL... [--split valid] [--files 24] [--out FILE.json]

FOLDER is a prepared corpus at 48 kHz, MODEL a name or the path of an ONNX file. For every model and
cutoff the mean `lsd` over the recordings that are true far enough above it, and over all cutoffs
the similarity of neurograms, what the new band costs of the resampled input's SNR, and its level
against the original's. Needs fullband[train].
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fullband.corpora.dataset import decode
from fullband.corpora.manifest import read_corpus
from fullband.corpora.notes import notes_of
from fullband.corpora.table import read_rows
from fullband.engine import OnnxModel, open_model
from fullband.evaluate.suite import provenance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--split", default="valid")
    parser.add_argument("--files", type=int, default=24)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = [
        validated(options.folder, options.split, options.files, name) for name in options.models
    ]
    measured = {
        **provenance(),
        "corpus": options.folder.name,
        "split": options.split,
        "files": options.files,
        "rows": rows,
    }
    print(json.dumps(measured, indent=1))
    if options.out:
        options.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def validated(folder: Path, split: str, files: int, name: str) -> dict[str, object]:
    """The scores of one model, with its name and digest."""
    from fullband.train.config import DataConfig, TrainConfig
    from fullband.train.task import NarrowingTask

    model = open_model(name)
    if not isinstance(model, OnnxModel):
        raise SystemExit(f"{name}: has no weights to validate")
    data = DataConfig(corpus=str(folder), valid_split=split, valid_files=files)
    config = TrainConfig(model=dict(model.card.architecture), data=data)
    decoded = decode(read_corpus(folder), split, model.card.sample_rate)
    part = decoded, notes_of(decoded, {row["file"]: row for row in read_rows(folder)})
    scores = NarrowingTask(config, part, part).validate(model.run, model.card)
    kept = {score: round(value, 4) for score, value in scores.items()}
    return {"model": model.card.name, "sha256": model.card.sha256[:12], **kept}


if __name__ == "__main__":
    main()
