"""What telling apart around the narrow Nyquist frequency gains, and what it could.

    python benchmarks/fold_oracle.py weights/paper NAME=FOLDER... [--ratio 4] [--out FILE.json]

NAME is single, speakers or piano, as in `fullband evaluate --suite paper`; the same files of the
same splits are looked at, zero-phase, with what stands in front of the suite's AudioUNet. Gains are
mean SNR less the ideal low-pass's in dB, without the files' ends: of the fitted equaliser, of the
gains that the network says, and of the best ones, which know the true powers of every bin and
frame. `lost` and `won` are what the network's gains cost below the fold and win above it, in
percent of all that the ideal low-pass misses. Where the AudioUNet tells nothing apart, only the
equaliser and the best gains are measured, in frames of 2048 samples, as voices move faster than
pianos. Files shorter than ten such frames are left out. Needs fullband[train,evaluate].
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fullband.corpora.dataset import decode
from fullband.corpora.manifest import read_corpus
from fullband.degrade import Degradation, lower_rate
from fullband.evaluate.paper import CORPORA, SAMPLE_RATE
from fullband.evaluate.suite import provenance, spread_files
from fullband.models.audiounet import AudioUNet
from fullband.models.layers import Equaliser
from fullband.models.spline import interpolate
from fullband.models.unfolder import Unfolding
from fullband.train.restore import load_exported

LIMITS = {"single": 40, "speakers": 40, "piano": 14}
VOICE_FRAME = 2048
_LEAST_FRAMES = 28  # a quarter of a frame apart, without six at either end
KINDS = ("equaliser", "network", "oracle", "lost", "won")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path)
    parser.add_argument("corpora", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--ratio", type=int, action="append")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for name, folder in (pair.split("=", 1) for pair in options.corpora):
        for ratio in options.ratio or [4, 6]:
            network, _ = load_exported(str(options.models / f"audiounet-{name}-{ratio}x.onnx"))
            if not isinstance(network, AudioUNet) or network.equaliser is None:
                raise SystemExit(f"{name}, {ratio}x: the model there has no equaliser")
            degradation = Degradation("chebyshev", SAMPLE_RATE, lower_rate(SAMPLE_RATE, ratio))
            front = network.unfolding or untrained(ratio, degradation)
            for split in CORPORA[name].splits:
                judged = decode(read_corpus(folder), split, SAMPLE_RATE)
                judged = spread_files(judged, LIMITS[name])
                found = []
                for index in range(len(judged)):
                    wide = judged.recording(index)
                    narrow = narrowed(degradation, wide)
                    if measured := gains(front, network.equaliser, narrow, wide[: len(narrow)]):
                        found.append(measured)
                row = {"corpus": name, "split": split, "ratio": ratio, "files": len(found)}
                row["frame"] = front.frame
                means = dict(zip(KINDS, np.mean(found, axis=0).round(4).tolist(), strict=True))
                said = KINDS if network.unfolding else ("equaliser", "oracle")
                rows.append({**row, **{kind: means[kind] for kind in said}})
                print(rows[-1], flush=True)
    if options.out:
        measured_rows = {**provenance(), "rows": rows}
        options.out.write_text(json.dumps(measured_rows, indent=1) + "\n", encoding="utf-8")


def narrowed(degradation: Degradation, wide: np.ndarray) -> np.ndarray:
    """Degraded and interpolated. `[T]` or `[B, T]` to the same, or less at the end."""
    narrow = interpolate(degradation.apply(wide), degradation.narrow_rate, SAMPLE_RATE)
    return narrow[..., : wide.shape[-1]]


def untrained(ratio: int, degradation: Degradation) -> Unfolding:
    """Knows what decimation did, and nothing else."""
    front = Unfolding(ratio, VOICE_FRAME, 8, 0)
    with torch.no_grad():
        front.fit([], lambda wide: narrowed(degradation, wide))
    return front


@torch.inference_mode()
def gains(
    front: Unfolding, equaliser: Equaliser, narrow: np.ndarray, wide: np.ndarray
) -> list[float] | None:
    """`KINDS` of one recording `[T]`; None where it is too short to have a middle."""
    given, wanted = (torch.from_numpy(audio[None].astype(np.float32)) for audio in (narrow, wide))
    equalised = equaliser(given.unsqueeze(1)).squeeze(1)
    first, last = front.first, front.last

    truth, plain, seen = (
        torch.view_as_complex(front._analysed(audio).double())[0, 6:-6]
        for audio in (wanted, equalised, given)
    )
    if len(truth) < _LEAST_FRAMES:
        return None
    inverse = torch.view_as_complex(front.inverse.double().T.contiguous())
    undone = seen[:, :last] * inverse
    own = truth[:, first:last].abs().square()
    folded = (undone[:, first:] - truth[:, first:last]).abs().square()
    best = own / (own + folded).clamp(min=1e-30)
    said = front._gains(front._undone(given))[0, 6:-6].double()
    fold = front.nyquist - first

    def missed(told: Tensor) -> tuple[float, float]:
        """The error below and above the fold."""
        error = (told - truth[:, first:last]).abs().square().sum(dim=0)
        below = int(np.ceil(fold))
        return float(error[:below].sum()), float(error[below:].sum())

    ideal = missed(torch.where(torch.arange(last - first) < fold, truth[:, first:last], 0))
    rest = float(truth[:, last:].abs().square().sum())
    base = sum(ideal) + rest
    candidates = (plain[:, first:last], said * undone[:, first:], best * undone[:, first:])
    errors = [missed(each) for each in candidates]
    gained = [10 * float(np.log10(base / (sum(error) + rest))) for error in errors]
    lost, won = (100 * (errors[1][side] - ideal[side]) / base for side in (0, 1))
    return [*gained, lost, -won]


if __name__ == "__main__":
    main()
