"""Synthetic voices of 16 to 24 kHz to 48 kHz: what fullband makes of real synthesisers.

    python benchmarks/synthetic_voices.py --speech FOLDER [--pictures DIR] [--models speech live]

Text-to-speech is the third application that the 2017 paper names. The synthesisers are Debian's
(apt-get install espeak-ng flite festival festvox-kallpc16k festvox-us-slt-hts): eSpeak NG
(formants, 22.05 kHz), Flite (CLUSTERGEN and diphones, 16 kHz), Festival (diphones, 16 kHz; an HMM
voice of 32 kHz, brought to 24 kHz to stand for a voice of that rate). Each says the same sentences.

No original exists, so what is measured is where content ends, DNSMOS, which hears 16 kHz only and
so little of what is added to voices of 22.05 and 24 kHz, and whether the new band is as loud as
real speech's: the level of three bands against that from 0.5 to 4 kHz, beside the same of
recordings of real voices (`--speech`, the test split). Writes voices.json into
docs/measured/voices, and with `--pictures` a spectrogram of each voice before and after. Needs
fullband[evaluate,metrics].
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fullband
from fullband.audio.bandwidth import detect_bandwidth
from fullband.audio.resample import resample
from fullband.audio.samples import Audio
from fullband.evaluate.cutoffs import choose_recordings
from fullband.evaluate.perceptual import dnsmos
from fullband.evaluate.suite import provenance
from fullband.inspection import compare_picture

RATE = 48_000
SENTENCES = (  # Aesop and Carroll, in the public domain
    "The Hare was once boasting of his speed before the other animals.",
    "I have never yet been beaten, said he, when I put forth my full speed.",
    "Slow and steady wins the race.",
    "Alice was beginning to get very tired of sitting by her sister on the bank.",
    "She sells six fresh fish at the south side of the station.",
    "The wind and the sun were disputing which was the stronger.",
)
KEPT_HZ = (500.0, 4000.0)
BANDS_HZ = ((5500.0, 8000.0), (8000.0, 12_000.0), (12_000.0, 16_000.0))


def espeak(text: str, path: Path) -> None:
    subprocess.run(["espeak-ng", "-v", "en-us", "-w", path, text], check=True, timeout=60)


def flite(voice: str) -> Callable[[str, Path], None]:
    def say(text: str, path: Path) -> None:
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", path], check=True, timeout=60)

    return say


def festival(voice: str) -> Callable[[str, Path], None]:
    def say(text: str, path: Path) -> None:
        command = ["text2wave", "-o", path, "-eval", f"(voice_{voice})"]
        subprocess.run(command, input=text.encode(), check=True, timeout=60, capture_output=True)

    return say


VOICES: dict[str, tuple[str, Callable[[str, Path], None], int | None]] = {
    "eSpeak NG, formants": ("espeak-ng", espeak, None),
    "Flite slt": ("flite", flite("slt"), None),
    "Flite kal16, diphones": ("flite", flite("kal16"), None),
    "Festival kal, diphones": ("text2wave", festival("kal_diphone"), None),
    "Festival slt, HMM, at 24 kHz": ("text2wave", festival("cmu_us_slt_arctic_hts"), 24_000),
}
"""Name to the program, what makes it speak, and the rate it is brought to, its own where None."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path, required=True, help="corpus of real voices")
    parser.add_argument("--models", nargs="+", default=["speech", "live"])
    parser.add_argument("--limit", type=int, default=24, help="recordings of real voices")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/measured/voices/voices.json"))
    options = parser.parse_args()

    recordings = choose_recordings(options.speech, "test", BANDS_HZ[-1][1], options.limit)
    levels = np.array([band_levels_db(recording.wide()) for recording in recordings])
    real = {"recordings": len(levels), "mean": levels.mean(0), "spread": levels.std(0)}
    rows = []
    for name, (program, say, rate) in VOICES.items():
        if shutil.which(program) is None:
            print(f"{name}: no {program}, left out")
            continue
        rows.append(judge(name, say, rate, options.models, options.pictures))
        print(json.dumps(rows[-1]), flush=True)
    found = {**provenance(), "bands_hz": BANDS_HZ, "real": listed(real), "voices": rows}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def judge(
    name: str,
    say: Callable[[str, Path], None],
    rate: int | None,
    models: list[str],
    pictures: Path | None,
) -> dict[str, Any]:
    """What a voice is like before, and after each model."""
    spoken: list[Audio] = []
    with tempfile.TemporaryDirectory() as folder:
        for text in SENTENCES:
            path = Path(folder) / "said.wav"
            say(text, path)
            audio, own_rate = fullband.read(path)
            mono = np.atleast_2d(audio).mean(axis=0).astype(np.float32)
            spoken.append(mono if rate is None else resample(mono, own_rate, rate))
    rate = rate or own_rate
    row: dict[str, Any] = {
        "voice": name,
        "rate": rate,
        "seconds": round(sum(map(len, spoken)) / rate, 1),
        "bandwidth_hz": round(detect_bandwidth(np.concatenate(spoken), rate)),
        "before": scores([resample(each, rate, RATE) for each in spoken]),
    }
    for model in models:
        enhancer = fullband.load(model)
        begun = time.perf_counter()
        wide = [enhancer(each, rate, RATE)[0] for each in spoken]
        row[model] = scores(wide)
        row[model]["times_real_time"] = round(row["seconds"] / (time.perf_counter() - begun), 1)
        if pictures is not None:
            draw(pictures, f"{name}, {model}", spoken[4], rate, wide[4])
    return row


def scores(spoken: list[Audio]) -> dict[str, Any]:
    """Of what was said, at 48 kHz."""
    return listed(
        {
            "dnsmos": np.mean([dnsmos(each, RATE) for each in spoken]),
            "bandwidth_hz": detect_bandwidth(np.concatenate(spoken), RATE),
            "levels_db": band_levels_db(np.concatenate(spoken)),
        }
    )


def band_levels_db(audio: Audio) -> np.ndarray:
    """The power of each of `BANDS_HZ` against that from 0.5 to 4 kHz, per hertz. Shape: `[3]`."""
    power = np.abs(np.fft.rfft(audio.astype(np.float64))) ** 2
    hz = np.fft.rfftfreq(len(audio), 1 / RATE)
    density = [power[(hz >= low) & (hz < high)].mean() for low, high in (KEPT_HZ, *BANDS_HZ)]
    return 10 * np.log10(np.maximum(density[1:], 1e-20) / max(density[0], 1e-20))


def listed(found: dict[str, Any]) -> dict[str, Any]:
    """Arrays as lists, with one decimal, means of scores with two."""
    return {
        name: value if isinstance(value, int)
        else np.round(value, 1).tolist() if name != "dnsmos"
        else round(float(value), 2)
        for name, value in found.items()
    }  # fmt: skip


def draw(folder: Path, name: str, narrow: Audio, rate: int, wide: Audio) -> None:
    """A spectrogram of one sentence, before and after."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place) / "before.wav", Path(place) / "after.wav"]
        fullband.write(files[0], narrow, rate)
        fullband.write(files[1], wide, RATE)
        compare_picture(folder / f"{stem}.png", files)


if __name__ == "__main__":
    main()
