"""How well speech and music are told apart, and the line between them.

    python benchmarks/speech_or_music.py --speech FOLDER --music FOLDER [--music FOLDER ...] \
        [--out docs/measured/content.json]

Excerpts of 3 to 20 s are drawn from the corpora: recordings of a speaker one after the other, any
part of a piece. Half of them are given white noise 8 to 35 dB below, three fifths are narrowed to
1.7, 3.4 (from 300 Hz on) or 5.5 kHz. The line is fitted to the training split (logistic
regression, both kinds as likely beforehand) and printed; what `fullband.audio.content` has is
judged on the other splits.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fullband.audio.content import ContentMeter, log_odds_of_music
from fullband.audio.file import AudioReader
from fullband.corpora.manifest import read_corpus
from fullband.corpora.table import read_rows
from fullband.evaluate.suite import provenance

SPLITS = ("train", "valid", "test", "test-real")
ENDS_HZ = (0.0, 0.0, 1700.0, 3400.0, 5500.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path, action="append", required=True)
    parser.add_argument("--music", type=Path, action="append", required=True)
    parser.add_argument("--each", type=int, default=400, help="excerpts of a corpus and split")
    parser.add_argument("--out", type=Path, default=Path("docs/measured/content.json"))
    options = parser.parse_args()

    generator = np.random.default_rng(0)
    rows = []
    for kind, folders in (("speech", options.speech), ("music", options.music)):
        for folder in folders:
            for split in SPLITS:
                rows += [
                    {"kind": kind, "corpus": folder.name, "split": split, "file": name, **heard}
                    for name, heard in excerpts(folder, split, options.each, generator)
                ]
                print(kind, folder, split, len(rows), flush=True)
    training = [row for row in rows if row["split"] == "train"]
    fitted = fit(training)
    print("log-odds of music = {:.2f} {:+.2f} quiet {:+.3f} spread".format(*fitted))
    judged = {}
    for row in rows:
        if row["split"] == "train":
            continue
        cell = judged.setdefault(f"{row['kind']}/{row['corpus']}/{row['split']}", [0, 0])
        music = log_odds_of_music(row["quiet"], row["spread_db"]) > 0
        cell[0] += 1
        cell[1] += music != (row["kind"] == "music")
    result = {
        **provenance(),
        "fitted": [round(float(value), 3) for value in fitted],
        "training": len(training),
        "judged": [
            {"what": name, "excerpts": count, "wrong": wrong}
            for name, (count, wrong) in judged.items()
        ],
    }
    print(json.dumps(result["judged"], indent=1))
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {options.out}")


def excerpts(
    folder: Path, split: str, count: int, generator: np.random.Generator
) -> Iterator[tuple[str, dict[str, float]]]:
    """Draw recordings of a split, and listen to an excerpt that begins in each."""
    corpus = read_corpus(folder)
    if split not in corpus.files:
        return
    speakers = {row["file"]: row.get("speaker") for row in read_rows(folder)}
    names = sorted(corpus.split(split))
    for index in generator.permutation(len(names))[:count]:
        length_s = float(generator.choice([3.0, 8.0, 20.0]))
        parts: list[np.ndarray] = []
        rate, needed = 0, 1
        for name in names[index : index + 20]:
            if speakers.get(name) != speakers.get(names[index]):
                break
            with AudioReader(folder / name) as reader:
                if rate and reader.info.sample_rate != rate:
                    break
                rate = reader.info.sample_rate
                needed = round(length_s * rate)
                whole = np.concatenate(list(reader.blocks()), axis=-1).mean(axis=0)
            begin = int(generator.integers(max(1, len(whole) - needed))) if not parts else 0
            parts.append(whole[begin : begin + needed])
            if sum(map(len, parts)) >= needed:
                break
        audio = varied(np.concatenate(parts)[:needed], rate, generator)
        if len(audio) < rate or not audio.any():
            continue
        meter = ContentMeter(rate)
        meter.push(audio[None].astype(np.float32))
        quiet, spread_db = meter.figures()
        yield names[index], {"quiet": quiet, "spread_db": spread_db}


def varied(audio: np.ndarray, rate: int, generator: np.random.Generator) -> np.ndarray:
    """Noisy half of the time, narrow most of the time."""
    end_hz = float(generator.choice(ENDS_HZ))
    if 0 < end_hz < rate / 2:
        spectrum = np.fft.rfft(audio)
        hz = np.fft.rfftfreq(len(audio), 1 / rate)
        spectrum[hz > end_hz] = 0
        if end_hz == 3400:
            spectrum[hz < 300] = 0
        audio = np.fft.irfft(spectrum, len(audio))
    if generator.random() < 0.5:
        level = np.sqrt(np.mean(np.square(audio))) * 10 ** (-generator.uniform(8, 35) / 20)
        audio = audio + level * generator.standard_normal(len(audio))
    return audio


def fit(rows: list[dict[str, float]]) -> np.ndarray:
    """Constant and two weights by Newton's method, the two kinds weighing the same."""
    x = np.array([[1.0, row["quiet"], row["spread_db"]] for row in rows])
    y = np.array([row["kind"] == "music" for row in rows], float)
    weight = np.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    found = np.zeros(3)
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        gradient = x.T @ (weight * (p - y)) + 0.01 * found
        curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + 0.01 * np.eye(3)
        found -= np.linalg.solve(curvature, gradient)
    return found


if __name__ == "__main__":
    main()
