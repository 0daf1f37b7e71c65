"""Where in the spectrum a model's error lies, beside the spline's and the ideal low-pass's.

    python benchmarks/error_by_band.py MODEL CORPUS [--ratio 4] [--split test] [--out FILE.json]

For each band: the error's energy in dB relative to the whole recording's, its mean over files (of
energies, not of dB). The last line is the wide audio itself: a system whose error equals it there
has predicted nothing, or nothing right. Needs fullband[evaluate].
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from fullband.corpora.dataset import decode
from fullband.corpora.manifest import read_corpus
from fullband.degrade import Degradation, ideal_lowpass
from fullband.engine import OnnxModel, open_model
from fullband.evaluate.run import fit_length, raw_system
from fullband.evaluate.suite import provenance
from fullband.models.spline import interpolate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("corpus")
    parser.add_argument("--ratio", type=int, default=4)
    parser.add_argument("--split", default="test")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    model = open_model(options.model)
    if not isinstance(model, OnnxModel):
        parser.error(f"{options.model} is no trained model")
    rate = model.card.sample_rate
    degradation = Degradation("chebyshev", rate, rate // options.ratio)
    run = raw_system(model.run, model.card)
    edges_hz = band_edges(degradation.cutoff_hz, rate)
    decoded = decode(read_corpus(options.corpus), options.split, rate)
    energies: dict[str, list[np.ndarray]] = {}
    for index in range(len(decoded)):
        wide = decoded.recording(index)
        narrow = degradation.apply(wide)
        spline = fit_length(interpolate(narrow, degradation.narrow_rate, rate), len(wide))
        errors = {
            "spline": spline - wide,
            "ideal-lowpass": ideal_lowpass(wide, rate, degradation.cutoff_hz) - wide,
            f"{model.name} (raw)": run(narrow, degradation, len(wide)) - wide,
            "wide audio": wide,
        }
        for name, error in errors.items():
            share = band_energies(error, rate, edges_hz) / np.sum(wide.astype(np.float64) ** 2)
            energies.setdefault(name, []).append(share)
    bands = {
        name: [round(float(db), 2) for db in 10 * np.log10(np.mean(shares, axis=0) + 1e-12)]
        for name, shares in energies.items()
    }
    measured = {
        "corpus": Path(options.corpus).resolve().name,
        "split": options.split,
        "method": degradation.method,
        "narrow_rate": degradation.narrow_rate,
        "sample_rate": rate,
        **provenance(),
        "edges_hz": edges_hz,
        "bands_db": bands,
    }
    print(json.dumps(measured, indent=1))
    if options.out:
        options.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def band_edges(cutoff_hz: float, sample_rate: int) -> list[int]:
    """Quarters of the kept band, then ever wider steps from the cutoff to Nyquist."""
    kept = [0.0, 0.5, 0.75, 1.0]
    above = [1.25, 1.5, 2.0, 3.0]
    edges = [round(part * cutoff_hz) for part in (*kept, *above)]
    return [*(edge for edge in edges if edge < sample_rate / 2), sample_rate // 2]


def band_energies(audio: np.ndarray, sample_rate: int, edges_hz: list[int]) -> np.ndarray:
    """The energy of `[T]` audio between consecutive edges, by Parseval."""
    power = np.abs(np.fft.rfft(audio.astype(np.float64), norm="ortho")) ** 2
    power[1 : (len(audio) + 1) // 2] *= 2  # all but 0 Hz and Nyquist stand for two
    frequencies_hz = np.fft.rfftfreq(len(audio), 1 / sample_rate)
    which = np.searchsorted(edges_hz, frequencies_hz, side="right") - 1
    return np.bincount(np.minimum(which, len(edges_hz) - 2), power, len(edges_hz) - 1)


if __name__ == "__main__":
    main()
