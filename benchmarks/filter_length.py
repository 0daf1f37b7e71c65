"""What keeps the best linear filter from the ideal low-pass: its length, its data, the ends.

    python benchmarks/filter_length.py NAME=FOLDER... [--ratio 4] [--out FILE.json]

NAME is single, speakers or piano, as in `fullband evaluate --suite paper`; the same files of the
same splits are looked at. A filter of each length is solved for on the train split, from 64 batches
of 16 patches and from four times as many. `whole` is its mean SNR less the ideal low-pass's in dB,
`middle` the same without the first and last 1024 samples of each file. Needs
fullband[train,evaluate].
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from fullband.audio.samples import Audio
from fullband.corpora.dataset import Decoded, PairDataset, decode
from fullband.corpora.manifest import read_corpus
from fullband.degrade import Degradation, lower_rate
from fullband.evaluate.metrics import snr_db
from fullband.evaluate.paper import CORPORA, SAMPLE_RATE
from fullband.evaluate.run import System, raw_system
from fullband.evaluate.suite import ideal_lowpass_system, provenance, spread_files
from fullband.models.registry import build_model
from fullband.train.config import DataConfig

LIMITS = {"single": 40, "speakers": 40, "piano": 14}
FILTERS = ((513, 64), (1025, 64), (1025, 256))
"""Taps, and batches it is solved from; the first is the suite's."""
END = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--ratio", type=int, action="append")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for name, folder in (pair.split("=", 1) for pair in options.corpora):
        corpus = read_corpus(folder)
        training = decode(corpus, "train", SAMPLE_RATE)
        for ratio in options.ratio or [4]:
            degradation = Degradation("chebyshev", SAMPLE_RATE, lower_rate(SAMPLE_RATE, ratio))
            filters = {}
            for taps, batches in FILTERS:
                data = DataConfig(corpus=name, batch_size=16)
                pairs = PairDataset(training, data, ("chebyshev",), (ratio,), 0)
                filters[taps, batches] = solved(pairs, ratio, taps, batches)
            for split in CORPORA[name].splits:
                judged = spread_files(decode(corpus, split, SAMPLE_RATE), LIMITS[name])
                differences = compared(
                    judged, degradation, list(filters.values()), ideal_lowpass_system(judged)
                )
                for (taps, batches), (whole, middle) in zip(filters, differences, strict=True):
                    row = {"corpus": name, "split": split, "ratio": ratio, "taps": taps}
                    rows.append({**row, "batches": batches, "whole": whole, "middle": middle})
    measured = {**provenance(), "rows": rows}
    print(json.dumps(measured, indent=1))
    if options.out:
        options.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def solved(pairs: PairDataset, ratio: int, taps: int, batches: int) -> System:
    """A filter solved for, as a system."""
    model = build_model({"name": "wiener", "ratio": ratio, "taps": taps})
    with torch.no_grad():
        model.fit((pairs.batch(step) for step in range(batches)), pairs.narrowed)

    @torch.inference_mode()
    def run(audio: Audio) -> Audio:
        predicted: Audio = model(torch.from_numpy(audio)).numpy()
        return predicted

    return raw_system(run, model.config)


def compared(
    judged: Decoded, degradation: Degradation, systems: list[System], ideal: System
) -> list[tuple[float, float]]:
    """Of each system the mean SNR less the ideal's: of whole files, and without their ends."""
    differences: list[list[tuple[float, float]]] = [[] for _ in systems]
    for index in range(len(judged)):
        wide = judged.recording(index)
        narrow = degradation.apply(wide)
        parts = slice(None), slice(END, -END)
        kept = ideal(narrow, degradation, len(wide))
        best = [snr_db(kept[part], wide[part]) for part in parts]
        for own, system in zip(differences, systems, strict=True):
            predicted = system(narrow, degradation, len(wide))
            scores = [snr_db(predicted[part], wide[part]) for part in parts]
            own.append((scores[0] - best[0], scores[1] - best[1]))
    means = [np.mean(own, axis=0) for own in differences]
    return [(round(float(whole), 4), round(float(middle), 4)) for whole, middle in means]


if __name__ == "__main__":
    main()
