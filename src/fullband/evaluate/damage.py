"""What a real codec at a low rate leaves, and what is made of it.

Music goes through music codecs in as many channels as it has, speech through those and, at 8 kHz,
through telephone codecs. The original is cut at what it is to be believed to, both sides are
compared in mono, and a row has every measure before (`coded`) and after (the model's name).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from fullband.audio.resample import resample
from fullband.audio.samples import Audio
from fullband.degrade.codec import Coding
from fullband.evaluate.cutoffs import SAMPLE_RATE, Recording
from fullband.evaluate.metrics import score
from fullband.evaluate.perceptual import Kind, dnsmos, visqol
from fullband.evaluate.run import fit_length
from fullband.evaluate.stored import Rows

__all__ = ["CODED", "CODINGS", "REACH_HZ", "damage_table", "score_damage"]

CODED = "coded"
"""How the decoded audio itself is called in the rows."""

REACH_HZ = 16_000.0
"""So far at least a recording has to be true."""

_MUSIC = (
    *("mp3:32", "mp3:64", "mp3:96", "mp3:128"),
    *("aac:32", "aac:64", "aac:96", "opus:24", "opus:32", "opus:64", "vorbis:64"),
)
_VOICE = ("mp3:16", "mp3:32", "aac:24", "opus:12", "opus:24", "vorbis:48")
_TELEPHONE = ("mulaw", "alaw", "g726:16", "g726:32", "gsm", "amr:4.75", "amr:12.2", "opus-nb:8")

CODINGS: dict[Kind, tuple[Coding, ...]] = {
    "music": tuple(map(Coding.parse, _MUSIC)),
    "speech": tuple(map(Coding.parse, (*_VOICE, *_TELEPHONE))),
}
"""What is measured; of stereo music the rate is that of both channels together."""

_CUTOFF_HZ = 4000.0  # what `lsd_low` and `lsd_high` of the rows lie below and above


def score_damage(
    recordings: Sequence[Recording],
    coding: Coding,
    name: str,
    enhance: Callable[[Audio, int], Audio],
    kind: Kind,
    listen: int,
    known: Collection[str] = (),
) -> Rows:
    """Two rows for each recording: the decoded audio, and what a system makes of it.

    Args:
        name: of the system.
        enhance: decoded audio `[C, T]` and its rate to `[C, T']` at 48 kHz.
        listen: on so many of the recordings, the first, ViSQOL and DNSMOS too.
        known: files whose decoded audio was scored before and gets no row.

    Raises:
        DependencyError: PyAV is not installed.
    """
    rows: Rows = []
    for number, recording in enumerate(recordings):
        channels = recording.channels()[:2]
        wide = np.stack([recording.cut(each) for each in channels])
        if kind == "speech" or coding.telephone:
            wide = wide.mean(axis=0, keepdims=True)
        coded, rate = coding.apply(wide, SAMPLE_RATE)
        outputs = {name: enhance(coded, rate)}
        if recording.file not in known:
            outputs = {CODED: resample(coded, rate, SAMPLE_RATE), **outputs}
        for system, output in outputs.items():
            # Above what the original is to be believed to, nothing is compared.
            made = fit_length(recording.cut(output.mean(axis=0)), wide.shape[1])
            original = wide.mean(axis=0)
            heard = {"visqol": float("nan"), "dnsmos": float("nan")}
            if number < listen:
                heard["visqol"] = visqol(made, original, SAMPLE_RATE, "music")
                if kind == "speech":
                    heard["dnsmos"] = dnsmos(made, SAMPLE_RATE)
            rows.append(
                {
                    "coding": str(coding),
                    "system": system,
                    "file": recording.file,
                    **score(made, original, SAMPLE_RATE, _CUTOFF_HZ),
                    **heard,
                }
            )
    return rows


def damage_table(rows: Rows, model: str) -> str:
    """A line for each corpus and coding: every measure before and after, and how often ViSQOL fell.

    Means are over recordings that were measured both before and after. A recording has fallen where
    its ViSQOL is lower after by more than the second decimal shows.
    """
    heading = ("SNR", "lsd", "ViSQOL", "DNSMOS")
    lines = [
        "| corpus | coding | files | " + " | ".join(heading) + " | ViSQOL fell |",
        "|---|---|---|" + "---|" * (len(heading) + 1),
    ]
    cells: dict[tuple[str, str], Rows] = {}
    for row in rows:
        cells.setdefault((row["corpus"], row["coding"]), []).append(row)
    for (corpus, coding), own in cells.items():
        before, after = (
            {row["file"]: row for row in own if row["system"] == system}
            for system in (CODED, model)
        )
        shown = []
        for metric in ("snr_db", "lsd", "visqol", "dnsmos"):
            pairs = [
                (before[file][metric], after[file][metric]) for file in before if file in after
            ]
            pairs = [pair for pair in pairs if not np.isnan(pair).any()]
            if metric == "visqol":
                fell = f"{sum(last < first - 0.005 for first, last in pairs)} of {len(pairs)}"
            means = np.mean(pairs, axis=0) if pairs else ()
            shown.append(" / ".join(f"{mean:.2f}" for mean in means) or "- / -")
        lines.append(
            f"| {corpus} | {coding} | {len(before)} | " + " | ".join(shown) + f" | {fell} |"
        )
    return "\n".join(lines)
