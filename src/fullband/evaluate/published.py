"""Other systems' published outputs, and ours, on the same published inputs.

The clips come from demo pages and lie in a folder of their own, `PAGE/TASK/SAMPLE/` with
`reference.flac`, `input.flac` and a file per method. How each page made its inputs differs, so what
is done here to compare like with like is said here and kept in the rows:

- Files of another rate than the reference's are brought to it; several channels are averaged.
- A constant delay in whole samples is taken out (`lag`), as a causal filter on the way down makes.
- On the pages that normalised every file by itself the best gain is applied first (`gain_db`).
- Some files are not what their header says (`_as_input`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from fullband.audio.file import read
from fullband.audio.resample import resample
from fullband.audio.samples import Audio, Rate
from fullband.errors import MissingFileError
from fullband.evaluate.metrics import score
from fullband.evaluate.perceptual import Kind, dnsmos, visqol
from fullband.evaluate.stored import Rows, mean_of

__all__ = [
    "FLOORS",
    "NO_SYSTEM",
    "Clip",
    "Floor",
    "aligned",
    "find_clips",
    "published_input",
    "published_methods",
    "published_table",
    "read_mono",
    "score_clip",
]

_HEARD_S = 10
_FARTHEST_S = 0.02  # how late an output may be

_TASKS: dict[tuple[str, str], tuple[Rate, int]] = {
    ("FlashSR", "speech"): (8000, 48_000),
    ("audio-super-res", "msp_x2"): (8000, 16_000),
    ("audio-super-res", "msp_x4"): (4000, 16_000),
    ("audio-super-res", "sp1_x4"): (4000, 16_000),
    ("audio-super-res", "sp1_x6"): (Fraction(8000, 3), 16_000),
    ("audio-super-res", "sp1_x8"): (2000, 16_000),
}
"""Narrow and wide rate of the speech tasks whose name does not say them."""

_MUSIC_TASKS: dict[tuple[str, str], tuple[Rate, int]] = {
    ("AEROMamba", "musdb_11k025to44k1"): (11_025, 48_000),  # stored at 48 kHz
    ("AEROMamba", "piano_11k025to44k1"): (11_025, 48_000),
    ("FlashSR", "music"): (8000, 48_000),
    ("audio-super-res", "piano_x4"): (4000, 16_000),
    ("audio-super-res", "piano_x6"): (Fraction(8000, 3), 16_000),
    ("audio-super-res", "piano_x8"): (2000, 16_000),
}

_PAGES = ("AP-BWE", "BBWEXNet", "FLowHigh", "FlashSR", "NU-Wave2", "TUNet", "audio-super-res")
_NORMALISED = ("audio-super-res",)
NO_SYSTEM = ("gt_vocoded",)
"""The reference through a vocoder: it has heard what it should guess."""


@dataclass(frozen=True)
class Floor:
    """The least that the speech model has to reach at a rate.

    Attributes:
        lsd: at most.
        visqol: at least.
        snr_loss_db: by so much it may lie under the resampled input.
    """

    lsd: float
    visqol: float
    snr_loss_db: float = 0.3


FLOORS = {
    8000: Floor(1.10, 3.0),
    12_000: Floor(1.00, 3.2),
    16_000: Floor(1.00, 3.4),
    24_000: Floor(0.85, 3.9),
}
"""For speech, by narrow rate, at 48 kHz."""


@dataclass(frozen=True)
class Clip:
    """One published recording with all that was made of it."""

    page: str
    task: str
    sample: str
    narrow_rate: Rate
    sample_rate: int
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.page}/{self.task}/{self.sample}"


def find_clips(folder: Path, kind: Kind = "speech") -> list[Clip]:
    """The clips of a kind in a folder, by page, task and sample.

    Raises:
        MissingFileError: it has none.
    """
    known = _TASKS if kind == "speech" else _MUSIC_TASKS
    clips = []
    for reference in sorted(folder.glob("*/*/*/reference.flac")):
        page, task, sample = reference.relative_to(folder).parts[:3]
        said = re.search(r"(\d+)kto(\d+)k", task)
        rates = known.get((page, task))
        if kind == "speech" and rates is None and said is not None and page in _PAGES:
            rates = int(said[1]) * 1000, int(said[2]) * 1000
        if rates is not None:
            clips.append(Clip(page, task, sample, *rates, reference.parent))
    if not clips:
        raise MissingFileError(f"{folder}: no PAGE/TASK/SAMPLE/reference.flac of a {kind} task")
    return clips


def read_mono(path: Path) -> tuple[Audio, int]:
    """A file with its channels averaged, and its rate."""
    audio, rate = read(path)
    return (audio if audio.ndim == 1 else audio.mean(axis=0)), rate


def published_input(clip: Clip) -> tuple[Audio, Rate]:
    """What the systems were given, and its true rate.

    That of most pages is at 48 kHz already, with content up to half the narrow rate: it is left so,
    since that is what is published.
    """
    audio, rate = read_mono(clip.folder / "input.flac")
    if clip.task == "msp_x2":  # a spline through every other sample, written at 32 kHz
        return audio[::4], clip.narrow_rate
    if clip.task == "sp1_x8":  # a spline through every eighth
        return audio[::8], clip.narrow_rate
    if clip.task == "sp1_x6":  # 16000 / 6 is no whole number, and headers hold no other
        return audio, clip.narrow_rate
    return audio, rate


def published_methods(clip: Clip) -> dict[str, Callable[[], Audio]]:
    """What makes each published output at the reference's rate, and `sinc`, the resampled input."""

    def output(path: Path) -> Callable[[], Audio]:
        return lambda: resample(*read_mono(path), clip.sample_rate)

    names = sorted(path.stem for path in clip.folder.glob("*.flac"))
    methods = {"sinc": lambda: resample(*published_input(clip), clip.sample_rate)}
    for name in names:
        if name not in ("reference", "input"):
            methods[name] = output(clip.folder / f"{name}.flac")
    return methods


def score_clip(
    clip: Clip, predicted: Audio, listen: bool = True, kind: Kind = "speech"
) -> dict[str, Any]:
    """Every metric of an output at the reference's rate, and what was done before comparing.

    Args:
        listen: also ViSQOL (music, and anything at 48 kHz: audio mode; speech at 16 kHz: speech
            mode) and for speech DNSMOS, on the first ten seconds.
    """
    wide, _ = read_mono(clip.folder / "reference.flac")
    rate = clip.sample_rate
    wide, predicted, lag = aligned(wide, predicted, round(_FARTHEST_S * rate))
    gain = 1.0
    if clip.page in _NORMALISED:
        x, y = predicted.astype(np.float64), wide.astype(np.float64)
        gain = float(x @ y) / max(float(x @ x), 1e-20)
        predicted = predicted * np.float32(gain)
    scores: dict[str, Any] = {"lag": lag, "gain_db": 20 * np.log10(max(abs(gain), 1e-6))}
    scores |= score(predicted, wide, rate, float(clip.narrow_rate) / 2)
    if listen:
        heard = slice(0, _HEARD_S * rate)
        mode: Kind = "music" if rate == 48_000 else kind
        scores["visqol"] = visqol(predicted[heard], wide[heard], rate, mode)
        scores["dnsmos"] = dnsmos(predicted[heard], rate) if kind == "speech" else float("nan")
    return scores


def aligned(wide: Audio, predicted: Audio, farthest: int) -> tuple[Audio, Audio, int]:
    """Both without the constant delay between them, cut to what both have; and the delay.

    The delay is where their cross-correlation is highest, at most `farthest` samples either way;
    positive where the prediction is late.

    Shape:
        two arrays `[T]`, `[T']`; results `[T'']`.
    """
    length = 1 << (len(wide) + len(predicted)).bit_length()
    product = np.fft.rfft(predicted, length) * np.conj(np.fft.rfft(wide, length))
    correlation = np.fft.irfft(product, length)
    lags = np.arange(-farthest, farthest + 1)
    lag = int(lags[np.argmax(correlation[lags])])
    wide, predicted = wide[max(0, -lag) :], predicted[max(0, lag) :]
    length = min(len(wide), len(predicted))
    return wide[:length], predicted[:length], lag


def published_table(
    rows: Rows, model: str, narrow_rate: int, sample_rate: int = 48_000, kind: Kind = "speech"
) -> str:
    """A line per page and one over all: sinc, the best published method and ours.

    The best published one is, for each page and metric, the method with the best mean over its
    clips; over all clips every clip counts with its page's best method. `yes` and `no` say whether
    ours reaches the floor, where there is one.
    """
    floor = FLOORS.get(narrow_rate) if (sample_rate, kind) == (48_000, "speech") else None
    of_rate = [
        row
        for row in rows
        if row["sample_rate"] == sample_rate and abs(row["narrow_rate"] - narrow_rate) < 1
    ]
    heading = ["clips of", "n", "SNR: sinc", "best published", "ours"]
    for metric in ("lsd", "ViSQOL"):
        heading += [f"{metric}: sinc", "best published", "ours"]
    heading += ["lsd above: sinc", "best published", "ours"]
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    for page in (*dict.fromkeys(row["page"] for row in of_rate), "all"):
        own = [row for row in of_rate if page in (row["page"], "all")]
        cells = [page, str(len({(r["page"], r["task"], r["sample"]) for r in own}))]
        for metric in ("snr_db", "lsd", "visqol", "lsd_high"):
            sinc, ours = (
                mean_of((r for r in own if r["system"] == system), metric)
                for system in ("sinc", model)
            )
            reached = _reached(floor, metric, ours, sinc) if model != "sinc" else None
            cells += [
                _figure(sinc),
                _best(own, metric, model),
                (_figure(ours) if model != "sinc" else "-")
                + ("" if reached is None else f" ({'yes' if reached else 'no'})"),
            ]
        lines.append("| " + " | ".join(cells) + " |")
    if floor is not None:
        lines += [
            "",
            f"Floors: lsd at most {floor.lsd:.2f}, ViSQOL at least {floor.visqol:.1f}, SNR at most "
            f"{floor.snr_loss_db} dB under the resampled input.",
        ]
    return "\n".join(lines)


def _best(rows: Rows, metric: str, model: str) -> str:
    """The figure of the best published method, named where it is one."""
    sign = -1 if metric in ("snr_db", "visqol") else 1  # the best has the lowest
    total, count, names = 0.0, 0, []
    for page in dict.fromkeys(row["page"] for row in rows):
        own = [row for row in rows if row["page"] == page]
        clips = len({(row["task"], row["sample"]) for row in own})
        systems = {row["system"] for row in own if not row["model_sha256"]}
        systems -= {"sinc", model, *NO_SYSTEM}
        means = [
            (sign * mean_of((row for row in own if row["system"] == name), metric), name)
            for name in systems
        ]
        means = [(mean, name) for mean, name in means if not np.isnan(mean)]
        if means:
            mean, name = min(means)
            total, count = total + sign * mean * clips, count + clips
            names.append(name)
    if not count:
        return "-"
    return f"{total / count:.2f}" + (f" ({names[0]})" if len(names) == 1 else "")


def _reached(floor: Floor | None, metric: str, ours: float, sinc: float) -> bool | None:
    if floor is None or np.isnan(ours):
        return None
    if metric == "snr_db":
        return ours >= sinc - floor.snr_loss_db
    if metric == "lsd":
        return ours <= floor.lsd
    return ours >= floor.visqol if metric == "visqol" else None


def _figure(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"
