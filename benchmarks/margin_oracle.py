"""What a margin over the spline would take: how much waveform above the cutoff, and what bars it.

    python benchmarks/margin_oracle.py NAME=FOLDER... [--out FILE.json]

NAME is single, speakers or piano, as in `fullband evaluate --suite paper`; the same files of the
same splits are looked at. For each ratio the paper gives a margin for:

- `spline`, `ideal`: SNR of the spline and of the ideal low-pass, zero-phase protocol.
- `aim`: the spline's SNR plus the paper's margin of AudioUNet over the spline.
- `needed_hz`: an oracle that has everything below this frequency to the sample, and nothing above,
  reaches the aim. None where the ideal low-pass is above it already.
- `needed_share`: so does one that has this share of the energy above the cutoff to the sample,
  evenly over frequency.
- `floor_share`: how much of the energy above the cutoff is a noise floor at most: what is there all
  the time, by each frequency's quietest tenth of frames. No system can predict its waveform.
- `below_floor_db`: SNR of an oracle that has everything but that floor.
- `predicted_hz`: SNR of oracles that have everything up to 1.125, 1.25, 1.5 and 2 times the cutoff.

All are means over files. Needs fullband[evaluate].
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from fullband.corpora.dataset import Decoded, decode
from fullband.corpora.manifest import read_corpus
from fullband.degrade import ideal_lowpass
from fullband.evaluate.metrics import snr_db
from fullband.evaluate.paper import CORPORA, SAMPLE_RATE, Task
from fullband.evaluate.run import fit_length
from fullband.evaluate.suite import provenance, spread_files
from fullband.models.spline import interpolate

MARGINS_DB = {
    "single": {2: 0.8, 4: 2.3, 6: 4.0},
    "speakers": {2: 1.0, 4: 3.1, 6: 0.9},
    "piano": {2: 0.7, 4: 1.3, 6: 0.7},
}
"""The paper's AudioUNet over its spline; docs/results.md has its table."""

LIMITS = {"single": 40, "speakers": 40, "piano": 14}
_FRAME, _HOP = 512, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for pair in options.corpora:
        name, _, folder = pair.partition("=")
        for split in CORPORA[name].splits:
            decoded = decode(read_corpus(folder), split, SAMPLE_RATE)
            decoded = spread_files(decoded, LIMITS[name])
            for ratio, margin_db in MARGINS_DB[name].items():
                task = Task(name, split, ratio, "chebyshev")
                rows.append({"corpus": name, "split": split, **row_of(task, decoded, margin_db)})
    measured = {**provenance(), "rows": rows}
    print(json.dumps(measured, indent=1))
    if options.out:
        options.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def row_of(task: Task, decoded: Decoded, margin_db: float) -> dict[str, object]:
    """Everything said above of one task."""
    degradation = task.degradation
    wides = [decoded.recording(index) for index in range(len(decoded))]
    splined = []
    for wide in wides:
        narrow = degradation.apply(wide)
        bare = interpolate(narrow, degradation.narrow_rate, SAMPLE_RATE)
        splined.append(snr_db(fit_length(bare, len(wide)), wide))
    spectra = [energy_above(wide, SAMPLE_RATE) for wide in wides]
    cutoff_hz = degradation.cutoff_hz
    spline, ideal = float(np.mean(splined)), oracle_db(spectra, cutoff_hz)
    aim = spline + margin_db
    floors = [floor_share(wide, SAMPLE_RATE, cutoff_hz) for wide in wides]
    above = [share_above(spectrum, cutoff_hz) for spectrum in spectra]
    bound = [-10 * np.log10(a * f + 1e-12) for a, f in zip(above, floors, strict=True)]
    multiples = {part: part * cutoff_hz for part in (1.125, 1.25, 1.5, 2.0)}
    return {
        "ratio": task.ratio,
        "files": len(decoded),
        "cutoff_hz": round(cutoff_hz),
        "spline": round(spline, 3),
        "ideal": round(ideal, 3),
        "margin_db": margin_db,
        "aim": round(aim, 3),
        "needed_hz": None if aim <= ideal else round(needed_hz(spectra, aim, cutoff_hz)),
        "needed_share": round(max(0.0, 1 - 10 ** (-(aim - ideal) / 10)), 3),
        "floor_share": round(float(np.mean(floors)), 3),
        "below_floor_db": round(float(np.mean(bound)), 2),
        "predicted_hz": {
            str(round(hz)): round(oracle_db(spectra, hz), 3) for hz in multiples.values()
        },
    }


def energy_above(wide: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies of the mirror-continued `[T]` audio, and the share of its energy from each up.

    By the cosine transform, as the ideal low-pass cuts, so that the two agree.
    """
    import scipy.fft

    power = scipy.fft.dct(wide.astype(np.float64), norm="ortho") ** 2
    frequencies_hz = np.arange(len(wide)) * sample_rate / (2 * len(wide))
    return frequencies_hz, np.cumsum(power[::-1])[::-1] / power.sum()


def share_above(spectrum: tuple[np.ndarray, np.ndarray], hz: float) -> float:
    """The share of the energy at that frequency and above."""
    frequencies_hz, above = spectrum
    index = int(np.searchsorted(frequencies_hz, hz))
    return float(above[index]) if index < len(above) else 0.0


def oracle_db(spectra: list[tuple[np.ndarray, np.ndarray]], hz: float) -> float:
    """Mean SNR of having everything below a frequency and nothing above it."""
    return float(np.mean([-10 * np.log10(share_above(one, hz) + 1e-12) for one in spectra]))


def needed_hz(
    spectra: list[tuple[np.ndarray, np.ndarray]], aim_db: float, cutoff_hz: float
) -> float:
    """The frequency up to which an oracle has to know everything to reach an SNR, to 1 Hz."""
    low, high = cutoff_hz, SAMPLE_RATE / 2
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (middle, high) if oracle_db(spectra, middle) < aim_db else (low, middle)
    return high


def floor_share(wide: np.ndarray, sample_rate: int, cutoff_hz: float) -> float:
    """The share of the energy above the cutoff that is there even where it is quietest."""
    rest = wide - ideal_lowpass(wide, sample_rate, cutoff_hz)
    count = max(1, (len(rest) - _FRAME) // _HOP + 1)
    rest = np.pad(rest, (0, max(0, _FRAME - len(rest))))
    frames = np.stack([rest[i * _HOP : i * _HOP + _FRAME] for i in range(count)])
    power = np.abs(np.fft.rfft(frames * np.hanning(_FRAME), axis=1)) ** 2
    quiet = np.percentile(power, 10, axis=0)
    # The power of noise in one bin is exponentially distributed: its lowest tenth ends at
    # -ln(0.9) = 0.105 of its mean. Where only some frames are noise alone, this says too much.
    return float(min(1.0, (quiet / -np.log(0.9)).sum() / power.mean(axis=0).sum()))


if __name__ == "__main__":
    main()
