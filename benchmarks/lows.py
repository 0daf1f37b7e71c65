"""What a telephone cut away below 300 Hz, and what `live` puts there when it is asked to.

    python benchmarks/lows.py FOLDER [--limit 12] [--out docs/measured/live/lows.json]

Recordings of the test split lose what is below 300 Hz (48 dB an octave) and above 3.4 kHz, and go
through G.711 and a stream of 8 to 48 kHz. Compared between 70 and 280 Hz with the original: `lsd`,
and the level in frames of 100 ms, which should neither be missing nor too loud; and how much is
added where the original has nothing there to begin with. Needs fullband[evaluate].
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from fullband.audio.resample import resample
from fullband.audio.samples import Audio
from fullband.degrade.codec import Coding
from fullband.evaluate.cutoffs import choose_recordings
from fullband.evaluate.metrics import lsd, snr_db
from fullband.evaluate.run import fit_length
from fullband.evaluate.suite import provenance
from fullband.streaming import stream

RATE = 48_000
BAND_HZ = (70.0, 280.0)
FRAME = 4800
HEARD_DB = -55.0  # a frame whose lows are louder has some


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--limit", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("docs/measured/live/lows.json"))
    options = parser.parse_args()

    rows: dict[float, list[dict[str, float]]] = {0.0: [], 1.0: []}
    recordings = choose_recordings(options.corpus, "test", 8000.0, options.limit)
    for recording in recordings:
        wide = recording.wide()
        sent = Coding("mulaw").apply(over_the_telephone(wide), RATE)[0]
        for lows, own in rows.items():
            opened = stream(source_rate=8000, bandwidth_hz=3500.0, lows=lows)
            found = fit_length(np.concatenate([opened(sent), opened.flush()]), len(wide))
            own.append(scores(found, wide))
    found_all: dict[str, Any] = {**provenance(), "recordings": len(recordings)}
    for lows, own in rows.items():
        name = "with" if lows else "without"
        found_all[name] = {
            key: round(float(np.nanmean([r[key] for r in own])), 2) for key in own[0]
        }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found_all, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found_all))


def over_the_telephone(wide: Audio) -> Audio:
    """What passes between 300 and 3,400 Hz."""
    spectrum = np.fft.rfft(wide)
    hz = np.fft.rfftfreq(len(wide), 1 / RATE)
    spectrum /= 1 + (300.0 / np.maximum(hz, 1.0)) ** 8
    spectrum /= np.sqrt(1 + (hz / 3400.0) ** 40)
    return np.asarray(np.fft.irfft(spectrum, len(wide)), np.float32)


def scores(found: Audio, wide: Audio) -> dict[str, float]:
    """Of what lies between 70 and 280 Hz."""
    levels = [levels_db(each) for each in (found, wide)]
    heard = levels[1] > HEARD_DB
    there = levels[0][heard] - levels[1][heard]
    pair = [in_band(each) for each in (found, wide)]
    return {
        "lsd": lsd(found, wide, RATE, *BAND_HZ),
        "level_db": float(np.mean(there)) if heard.any() else float("nan"),
        "level_error_db": float(np.mean(np.abs(there))) if heard.any() else float("nan"),
        "snr_db": snr_db(*pair),
        "quiet_db": float(np.mean(levels[0][~heard])) if (~heard).any() else float("nan"),
        "quiet_original_db": float(np.mean(levels[1][~heard])) if (~heard).any() else float("nan"),
    }


def in_band(audio: Audio) -> Audio:
    """At 2.4 kHz, where little else is."""
    spectrum = np.fft.rfft(audio)
    hz = np.fft.rfftfreq(len(audio), 1 / RATE)
    spectrum[(hz < BAND_HZ[0]) | (hz >= BAND_HZ[1])] = 0
    return resample(np.fft.irfft(spectrum, len(audio)).astype(np.float32), RATE, 2400)


def levels_db(audio: Audio) -> np.ndarray:
    """Of frames of 100 ms. Shape: `[N]`."""
    low = in_band(audio)
    frame = FRAME * 2400 // RATE
    frames = low[: len(low) // frame * frame].reshape(-1, frame)
    return 10 * np.log10(np.mean(frames.astype(np.float64) ** 2, axis=1) + 1e-12)


if __name__ == "__main__":
    main()
