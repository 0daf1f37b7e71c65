"""What the true envelope would be worth: a model's fine structure and noise compared under it.

    python benchmarks/envelope_oracle.py MODEL CORPUS [--only TEXT] [--files 6] [--out FILE]

For each cutoff: the model as it is; its new band with the level of every band of some 500 Hz and
10 ms set to the original's; and white noise above the cutoff with the same levels. `lsd` and ViSQOL
(audio mode), the mean over recordings of at least two seconds. Where the last two are alike, the
fine structure does not matter and the envelope is what a network has to get right. Needs
fullband[evaluate,metrics].
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import scipy.ndimage
import scipy.signal

from fullband.audio.resample import resample
from fullband.corpora.dataset import decode
from fullband.corpora.manifest import read_corpus
from fullband.degrade import degrade, ideal_lowpass
from fullband.enhancement import load
from fullband.evaluate.metrics import lsd
from fullband.evaluate.perceptual import visqol
from fullband.evaluate.run import fit_length
from fullband.evaluate.suite import provenance

RATE = 48_000
CUTOFFS_HZ = (4000, 8000, 12_000)
FRAME, HOP = 512, 128
BAND = (6, 4)  # frequencies and frames: 560 Hz and 11 ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("corpus")
    parser.add_argument("--split", default="valid-same")
    parser.add_argument("--files", type=int, default=6)
    parser.add_argument("--only", default="", help="files whose name contains this")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    enhancer = load(options.model)
    decoded = decode(read_corpus(options.corpus), options.split, RATE)
    long = [
        index
        for index, name in enumerate(decoded.names)
        if len(decoded.recording(index)) >= 2 * RATE and options.only in name
    ]
    chosen = [long[i] for i in np.linspace(0, len(long) - 1, options.files).round().astype(int)]
    generator = np.random.default_rng(0)
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for cutoff_hz in CUTOFFS_HZ:
        scores = found.setdefault(str(cutoff_hz), {})
        for index in chosen:
            wide = decoded.recording(index)
            narrow = degrade(wide, RATE, 2 * cutoff_hz, "sinc-hann")
            base = fit_length(resample(narrow, 2 * cutoff_hz, RATE), len(wide))
            predicted = fit_length(enhancer(narrow, 2 * cutoff_hz, RATE)[0], len(wide))
            noise = generator.standard_normal(len(wide)).astype(np.float32)
            noise -= ideal_lowpass(noise, RATE, 0.95 * cutoff_hz)
            outputs = {
                "model": predicted,
                "model, true levels": base + with_levels(predicted - base, wide - base),
                "noise, true levels": base + with_levels(0.01 * noise, wide - base),
            }
            for name, output in outputs.items():
                pair = (lsd(output, wide), visqol(output, wide, RATE, "music"))
                scores.setdefault(name, []).append(pair)
    measured = {
        "model": options.model,
        "corpus": Path(options.corpus).resolve().name,
        "split": options.split,
        "files": [decoded.names[index] for index in chosen],
        **provenance(),
        "scores": {
            cutoff: {
                name: dict(
                    zip(
                        ("lsd", "visqol"), np.round(np.mean(pairs, axis=0), 2).tolist(), strict=True
                    )
                )
                for name, pairs in scores.items()
            }
            for cutoff, scores in found.items()
        },
    }
    print(json.dumps(measured, indent=1))
    if options.out:
        options.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def with_levels(source: np.ndarray, levels_of: np.ndarray) -> np.ndarray:
    """`[T]` audio with the levels of another in each band and moment."""
    kept = {"nperseg": FRAME, "noverlap": FRAME - HOP}
    spectra = [scipy.signal.stft(audio, **kept)[2] for audio in (source, levels_of)]
    powers = [scipy.ndimage.uniform_filter(np.abs(each) ** 2, BAND) for each in spectra]
    gain = np.sqrt(powers[1] / np.maximum(powers[0], 1e-16))
    _, result = scipy.signal.istft(spectra[0] * np.minimum(gain, 1e3), **kept)
    return fit_length(result.astype(np.float32), len(source))


if __name__ == "__main__":
    main()
