"""Where to say that content ends in audio whose rate was raised by a short filter.

    python benchmarks/mirror_ends.py FOLDER [--model speech] [--split valid] [--out FILE]

Recordings of a corpus at 48 kHz are narrowed to twice each Nyquist frequency and raised again, by
filters as other software has them; their mirror images are heard and taken out, and the model is
told that content ends at each of these fractions of the mirror's frequency. `lsd`, ViSQOL (audio
mode) and what is added of SNR, the mean over recordings, beside where the filters together have
fallen by 4 dB. Needs fullband[evaluate,metrics].
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import scipy.fft

from fullband.audio.bandwidth import Segment
from fullband.audio.mirror import ENDS_BELOW_MIRROR
from fullband.corpora.dataset import decode
from fullband.corpora.manifest import read_corpus
from fullband.degrade.response import NarrowDraw, bandlimit_spectrum, family_response
from fullband.engine import Model, open_model
from fullband.enhancement import EnhanceStage, analyse
from fullband.evaluate.metrics import lsd, snr_db
from fullband.evaluate.perceptual import visqol
from fullband.evaluate.suite import provenance

RATE = 48_000
LONGEST_S = 6
NYQUISTS_HZ = (4000, 8000, 12_000)
WAYS = (("sinc-hann", "sinc-hann"), ("kaiser", "kaiser"))  # down and up
ENDS = (0.97, 0.94, ENDS_BELOW_MIRROR, 0.9, 0.88)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="speech")
    parser.add_argument("--split", default="valid")
    parser.add_argument("--files", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    model = open_model(options.model)
    decoded = decode(read_corpus(options.folder), options.split, RATE)
    chosen = np.linspace(0, len(decoded.names) - 1, options.files).round().astype(int)
    recordings = [decoded.recording(int(index))[: LONGEST_S * RATE] for index in chosen]
    rows = []
    for nyquist_hz in NYQUISTS_HZ:
        for down, up in WAYS:
            response = family_response(down, order=8, edge=0.9, ripple_db=0.1)
            way = NarrowDraw(down, nyquist_hz, response, aliased=True, raised_by=up)
            pairs = [(narrowed(wide, way), wide) for wide in recordings]
            fallen = round(way.bandwidth_hz / nyquist_hz, 3)
            about = {"nyquist_hz": nyquist_hz, "down": down, "up": up, "fallen_by_4_db": fallen}
            for end in ENDS:
                scores = [scored(model, *pair, nyquist_hz, end) for pair in pairs]
                means = {
                    name: round(float(np.mean([score[name] for score in scores])), 3)
                    for name in scores[0]
                }
                rows.append({**about, "end": end, **means})
                print(rows[-1], flush=True)
    measured = {
        **provenance(),
        "corpus": options.folder.name,
        "split": options.split,
        "files": [decoded.names[int(index)] for index in chosen],
        "rows": rows,
    }
    if options.out:
        options.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def narrowed(wide: np.ndarray, way: NarrowDraw) -> np.ndarray:
    """Shape: `[T]` to the same."""
    spectrum = bandlimit_spectrum(scipy.fft.rfft(wide), RATE / len(wide), way)
    narrow: np.ndarray = scipy.fft.irfft(spectrum, len(wide)).astype(np.float32)
    return narrow


def scored(
    model: Model, narrow: np.ndarray, wide: np.ndarray, mirror_hz: float, end: float
) -> dict[str, float]:
    """One recording's scores, with content said to end at a fraction of the mirror's frequency."""
    analysis = dataclasses.replace(
        analyse([narrow[None]], RATE),
        bandwidth_hz=end * mirror_hz,
        segments=(Segment(0, end * mirror_hz),),
        mirror_hz=mirror_hz,
    )
    stage = EnhanceStage(model, analysis, RATE)
    predicted = np.concatenate([stage.push(narrow[None]), stage.flush()], axis=-1)[0]
    return {
        "lsd": float(lsd(predicted, wide)),
        "visqol": visqol(predicted, wide, RATE, "audio"),
        "snr_gained_db": float(snr_db(predicted, wide) - snr_db(narrow, wide)),
    }


if __name__ == "__main__":
    main()
