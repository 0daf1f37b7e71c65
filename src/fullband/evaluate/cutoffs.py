"""Every cutoff on corpora: what a system makes of speech that ends at 2 to 16 kHz, at 48 kHz.

A cell is a corpus and a cutoff. Its recordings are spread over the corpus's sources and speakers;
each is degraded in a way drawn for it, the same for all systems and in every run. Scores are
limited to what a recording truly has: where it ends below 24 kHz (a lower rate once, a codec),
output and original are both cut there first, and recordings that end within 1 kHz of the cutoff are
left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullband.audio.file import AudioReader, read
from fullband.audio.resample import resample
from fullband.audio.samples import Audio
from fullband.card import cards
from fullband.corpora.manifest import read_corpus
from fullband.corpora.table import read_rows
from fullband.degrade import Degradation, draw, ideal_lowpass
from fullband.errors import MissingFileError
from fullband.evaluate.join import JoinMeter
from fullband.evaluate.metrics import score
from fullband.evaluate.perceptual import Kind, dnsmos, visqol
from fullband.evaluate.run import System
from fullband.evaluate.stored import METRICS, Rows, mean_of

__all__ = [
    "CUTOFFS_HZ",
    "Recording",
    "cell_systems",
    "choose_recordings",
    "cutoff_table",
    "degradation_of",
    "ideal_system",
    "largest_deviation_db",
    "score_cell",
    "source_table",
    "verdict",
    "verdict_table",
]

SAMPLE_RATE = 48_000
CUTOFFS_HZ: dict[Kind, tuple[int, ...]] = {
    "speech": (2000, 3400, 4000, 5500, 8000, 11_000, 12_000, 16_000),
    "music": (4000, 5500, 8000, 11_000, 12_000, 16_000),
}

_METHODS = ("chebyshev", "fir", "kaiser", "sinc-hann", "soxr", "spectral-cut")
_ANY_RATIO = ("kaiser", "sinc-hann", "soxr")
_SEED = 2026

_LONGEST_S, _SHORTEST_S = 10.0, 1.0
_WALL_MARGIN_HZ = 400.0  # a codec's low-pass begins to fall so far below its end
_RATE_PART = 0.98  # of a file's own Nyquist frequency: what resamplers pass
_ROOM_HZ = 1000.0  # a recording must reach so far beyond the cutoff
_SNR_LOSS_DB = 0.3  # what a model may lose in SNR and not be worse
_ROUNDING = 0.005
_LOWER_IS_BETTER = ("lsd", "lsd_low", "lsd_high", "lsd_2017")


@dataclass(frozen=True)
class Recording:
    """A file of a corpus and how far up it truly goes.

    Attributes:
        source: the corpus it came from where several were combined, else empty.
        limit_hz: above it there is nothing, or nothing to be trusted; infinite for a recording
            that is as wide as what it is judged at.
        start_s: where what is judged begins.
    """

    file: str
    path: Path
    source: str
    speaker: str
    limit_hz: float
    start_s: float = 0.0

    def wide(self) -> Audio:
        """Ten seconds of it, or what there is, in mono at 48 kHz. Shape: `[T]`."""
        mono: Audio = self.channels().mean(axis=0)
        return mono

    def channels(self) -> Audio:
        """The same, each channel by itself. Shape: `[C, T]`."""
        audio, rate = read(self.path)
        first = round(self.start_s * rate)
        part = np.atleast_2d(audio)[:, first : first + round(_LONGEST_S * rate)]
        return resample(part, rate, SAMPLE_RATE)

    def cut(self, audio: Audio) -> Audio:
        """Audio without what lies above the limit."""
        if not np.isfinite(self.limit_hz):
            return audio
        return ideal_lowpass(audio, SAMPLE_RATE, self.limit_hz)


def choose_recordings(
    folder: Path, split: str, cutoff_hz: float, count: int, kind: Kind = "speech"
) -> list[Recording]:
    """So many recordings of a split that reach beyond a cutoff and last a second, as many of each
    source and, within it, of each speaker as there are, and evenly spread over a speaker's.

    Of speech the beginning is judged, of music, which may fade in, the middle.

    Columns of `files.csv` that are used where they are there: `speaker`, `corpus` (the source),
    `seconds`, `wall_hz` (a codec's low-pass, 0 for none) and `bandwidth_hz`.

    Raises:
        MissingFileError: the split is not there, or none of its recordings will do.
    """
    names = set(read_corpus(folder).split(split))
    rows = [row for row in read_rows(folder) if row["split"] == split and row["file"] in names]
    groups: dict[str, dict[str, list[Recording]]] = {}
    for row in sorted(rows, key=lambda row: row["file"]):
        path = folder / row["file"]
        rate = float(row.get("sample_rate") or 0)
        seconds = float(row.get("seconds") or 0)
        if not rate or not seconds:
            with AudioReader(path) as reader:
                rate = rate or reader.info.sample_rate
                seconds = seconds or reader.info.frames / reader.info.sample_rate
        limit_hz = _limit_hz(rate, row)
        if seconds < _SHORTEST_S or limit_hz < cutoff_hz + _ROOM_HZ:
            continue
        source, speaker = row.get("corpus") or "", row.get("speaker") or ""
        start_s = max(0.0, (seconds - _LONGEST_S) / 2) if kind == "music" else 0.0
        one = Recording(row["file"], path, source, speaker, limit_hz, start_s)
        groups.setdefault(source, {}).setdefault(speaker, []).append(one)
    if not groups:
        raise MissingFileError(
            f"{folder}: no recording of split '{split}' lasts {_SHORTEST_S:g} s and reaches "
            f"{cutoff_hz + _ROOM_HZ:g} Hz"
        )
    sources = [_in_turn([_spread(own) for own in group.values()]) for group in groups.values()]
    return _in_turn(sources)[:count]


def degradation_of(
    recording: Recording, wide: Audio, cutoff_hz: float
) -> tuple[Audio, Degradation]:
    """The recording's narrow audio at a cutoff, by a method drawn from its name."""
    text = f"{_SEED} {cutoff_hz:g} {recording.file}".encode()
    generator = np.random.default_rng(list(hashlib.sha256(text).digest()))
    narrow_rate = round(2 * cutoff_hz)
    methods = _ANY_RATIO if SAMPLE_RATE % narrow_rate else _METHODS
    return draw(wide, SAMPLE_RATE, generator, methods, (narrow_rate,))


def cell_systems(cutoff_hz: float) -> dict[str, str]:
    """The released 16 kHz models that were made for about this cutoff, with their digests."""
    return {
        card.name: card.sha256
        for card in cards()
        if card.sample_rate < SAMPLE_RATE
        and card.entry_rate
        and 0.8 <= 2 * cutoff_hz / card.entry_rate <= 1.25
    }


def score_cell(
    recordings: Sequence[Recording],
    cutoff_hz: float,
    systems: Mapping[str, System],
    heard: Mapping[str, int],
    progress: Callable[[int], None] | None = None,
    kind: Kind = "speech",
) -> tuple[Rows, Rows]:
    """Score systems on the recordings of a cell.

    Args:
        systems: by name. The one called `ideal-lowpass` is given the wide audio itself.
        heard: on how many of the recordings, the longest, ViSQOL and, of speech, DNSMOS listen to
            a system.
        progress: called with the recordings done.

    Returns:
        A row per recording and system, and the rows of the join: one per system and band.
    """
    rows: Rows = []
    meters = {name: JoinMeter(SAMPLE_RATE, cutoff_hz) for name in systems}
    lengths = [len(one.wide()) for one in recordings] if any(heard.values()) else []
    by_length = np.argsort(lengths)[::-1].tolist()
    for index, recording in enumerate(recordings):
        if progress is not None:
            progress(index)
        wide = recording.wide()
        narrow, degradation = degradation_of(recording, wide, cutoff_hz)
        target = recording.cut(wide)
        for name, system in systems.items():
            given = wide if name == "ideal-lowpass" else narrow
            predicted = system(given, degradation, len(wide))
            meters[name].add(predicted, wide, recording.limit_hz)
            predicted = recording.cut(predicted)
            scores = score(predicted, target, SAMPLE_RATE, cutoff_hz, recording.limit_hz)
            scores |= {"visqol": float("nan"), "dnsmos": float("nan")}
            if index in by_length[: heard.get(name, 0)]:
                scores["visqol"] = visqol(predicted, target, SAMPLE_RATE, "music")
                if kind == "speech":
                    scores["dnsmos"] = dnsmos(predicted, SAMPLE_RATE)
            limit_hz = recording.limit_hz if np.isfinite(recording.limit_hz) else 0.0
            about = {
                "system": name,
                "cutoff_hz": float(cutoff_hz),
                "source": recording.source,
                "speaker": recording.speaker,
                "file": recording.file,
                "seconds": round(len(wide) / SAMPLE_RATE, 3),
                "method": degradation.method,
                "limit_hz": limit_hz,
            }
            rows.append(about | scores)
    joins = [
        {"system": name, "cutoff_hz": float(cutoff_hz), **row}
        for name, meter in meters.items()
        for row in meter.rows()
    ]
    return rows, joins


def ideal_system(wide: Audio, degradation: Degradation, length: int) -> Audio:
    """The wide audio itself cut at the cutoff: what a perfect kept band alone scores."""
    return ideal_lowpass(wide, degradation.sample_rate, degradation.cutoff_hz)


def verdict(rows: Rows, model: str) -> list[str]:
    """The metrics of a cell in which a model is worse than sinc, by the means over recordings.

    In SNR it may lose 0.3 dB; elsewhere the second decimal decides.
    """
    worse = []
    for metric in METRICS:
        ours, sinc = (
            mean_of((row for row in rows if row["system"] == system), metric)
            for system in (model, "sinc")
        )
        loss = ours - sinc if metric in _LOWER_IS_BETTER else sinc - ours
        if loss > (_SNR_LOSS_DB if metric == "snr_db" else _ROUNDING):
            worse.append(metric)
    return worse


def largest_deviation_db(joins: Rows, system: str) -> float:
    """Of a cell's join: the deviation of the band where it is largest; NaN where none is known."""
    own = [float(row["deviation_db"]) for row in joins if row["system"] == system]
    return max(own, key=abs, default=float("nan"))


def cutoff_table(rows: Rows, model: str, metric: str) -> str:
    """A line per cell, a column per system: the mean of a metric over the recordings."""
    columns = ["ideal-lowpass", "sinc", "spline", "AudioUNet", model]
    columns = list(dict.fromkeys(columns))
    lines = [
        "| corpus | cutoff | files | " + " | ".join(columns) + " |",
        "|---|---|---|" + "---|" * len(columns),
    ]
    for (corpus, cutoff_hz), own in _cells(rows).items():
        cells = []
        for column in columns:
            named = [row for row in own if _column(row["system"], model) == column]
            cells.append(_figure(mean_of(named, metric)))
        files = len({row["file"] for row in own})
        lines.append(
            f"| {corpus} | {cutoff_hz / 1000:g} kHz | {files} | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines)


def verdict_table(rows: Rows, joins: Rows, model: str) -> str:
    """A line per cell: sinc and the model in every metric, the join and the verdict."""
    names = ("SNR", "lsd", "lsd below", "lsd above", "lsd_2017", "ViSQOL", "DNSMOS", "join, dB")
    lines = [
        "| corpus | cutoff | " + " | ".join(names) + " | worse than sinc in |",
        "|---|---|" + "---|" * (len(names) + 1),
    ]
    for (corpus, cutoff_hz), own in _cells(rows).items():
        cells = []
        for metric in METRICS:
            pair = [
                mean_of((row for row in own if row["system"] == system), metric)
                for system in ("sinc", model)
            ]
            cells.append(" / ".join(map(_figure, pair)))
        around = _cells(joins).get((corpus, cutoff_hz), [])
        deviations = [largest_deviation_db(around, system) for system in ("sinc", model)]
        cells.append(" / ".join("-" if np.isnan(v) else f"{v:+.1f}" for v in deviations))
        scored = any(row["system"] == model for row in own)
        worse = ", ".join(verdict(own, model)) or "nothing"
        lines.append(
            f"| {corpus} | {cutoff_hz / 1000:g} kHz | "
            + " | ".join([*cells, worse if scored else "-"])
            + " |"
        )
    return "\n".join(lines)


def source_table(rows: Rows, model: str, metric: str) -> str:
    """A line per corpus and source, a column per cutoff: the mean for sinc and the model."""
    cutoffs = sorted({row["cutoff_hz"] for row in rows})
    lines = [
        "| corpus | source | " + " | ".join(f"{c / 1000:g} kHz" for c in cutoffs) + " |",
        "|---|---|" + "---|" * len(cutoffs),
    ]
    for corpus, source in dict.fromkeys((row["corpus"], row["source"]) for row in rows):
        cells = []
        for cutoff_hz in cutoffs:
            own = [
                row
                for row in rows
                if (row["corpus"], row["source"], row["cutoff_hz"]) == (corpus, source, cutoff_hz)
            ]
            pair = [
                mean_of((row for row in own if row["system"] == system), metric)
                for system in ("sinc", model)
            ]
            cells.append(" / ".join(map(_figure, pair)))
        lines.append(f"| {corpus} | {source or corpus} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cells(rows: Rows) -> dict[tuple[str, float], Rows]:
    cells: dict[tuple[str, float], Rows] = {}
    for row in rows:
        cells.setdefault((row["corpus"], row["cutoff_hz"]), []).append(row)
    return dict(sorted(cells.items()))


def _column(system: str, model: str) -> str:
    return "AudioUNet" if system.startswith("audiounet") and system != model else system


def _limit_hz(rate: float, row: Mapping[str, str]) -> float:
    wall_hz = float(row.get("wall_hz") or 0)
    bandwidth_hz = float(row.get("bandwidth_hz") or np.inf)
    ends = [rate / 2 * _RATE_PART if rate < SAMPLE_RATE else np.inf]
    ends.append(wall_hz - _WALL_MARGIN_HZ if wall_hz > 0 else np.inf)
    ends.append(bandwidth_hz if bandwidth_hz < SAMPLE_RATE / 2 * _RATE_PART else np.inf)
    return float(min(ends))


def _spread(recordings: list[Recording]) -> list[Recording]:
    """In an order whose every beginning is spread over the whole: by bisection."""
    places = sorted(range(len(recordings)), key=lambda place: _reversed_bits(place))
    return [recordings[place] for place in places]


def _reversed_bits(place: int) -> float:
    return float(sum(0.5 ** (bit + 1) for bit in range(place.bit_length()) if place >> bit & 1))


def _in_turn(queues: list[list[Recording]]) -> list[Recording]:
    """The first of each, then the second of each, and so on."""
    longest = max(map(len, queues))
    return [queue[i] for i in range(longest) for queue in queues if i < len(queue)]


def _figure(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"
