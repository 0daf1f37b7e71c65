"""Which systems are scored side by side: references, baselines, and a model raw and enhanced."""

from __future__ import annotations

import datetime
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fullband.audio.resample import resample
from fullband.audio.samples import Audio, Rate
from fullband.corpora.dataset import Decoded, decode
from fullband.corpora.manifest import read_corpus
from fullband.degrade import Degradation, ideal_lowpass
from fullband.engine import OnnxModel, open_model
from fullband.enhancement import load
from fullband.errors import SettingsError
from fullband.evaluate.run import System, evaluate_recordings, fit_length, raw_system
from fullband.models.spline import interpolate
from fullband.version import __version__

__all__ = [
    "bare_systems",
    "evaluate_model",
    "first_files",
    "ideal_lowpass_system",
    "provenance",
    "spread_files",
]


def evaluate_model(
    model: str,
    corpus: str,
    sample_rate: int,
    narrow_rate: Rate,
    method: str = "chebyshev",
    split: str = "test",
    baselines: bool = True,
    limit: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    cache: Path | None = None,
) -> list[dict[str, Any]]:
    """Score a model on a split of a corpus.

    Args:
        model: a released model's name, the path of an exported one, `sinc`, `spline` or `auto`.
        sample_rate, narrow_rate: of the wide and the narrow audio, Hz. What `enhance` makes is left
            out where the narrow rate is a fraction.
        method: how the narrow audio is made, see `fullband.degrade`.
        baselines: also score the ideal low-pass (the reference cut at the narrow Nyquist: what a
            perfect kept band alone scores), sinc and spline.
        limit: only the first so many files.
        progress: called with the system's name, the files done and the files in all.

    Returns:
        A row per system and file: `system`, `file`, `corpus`, `split`, the degradation, the model's
        sha256, version, commit, machine and date, and every metric.

    Raises:
        MissingFileError, AudioFileError: the corpus is not there or cannot be read.
        ModelError: there is no such model.
        SettingsError: the degradation is unknown or does not fit the rates; no file is left by the
            limit.
    """
    decoded = first_files(decode(read_corpus(corpus), split, sample_rate, cache), limit)
    degradation = Degradation(method, sample_rate, narrow_rate)
    systems, digest = _systems(model, decoded, baselines, isinstance(narrow_rate, int))
    origin = {
        "corpus": Path(corpus).resolve().name,
        "split": split,
        "method": method,
        "sample_rate": sample_rate,
        "narrow_rate": narrow_rate
        if isinstance(narrow_rate, int)
        else round(float(narrow_rate), 3),
        "model_sha256": digest,
        **provenance(),
    }
    rows = []
    for name, system in systems.items():
        scored = evaluate_recordings(system, decoded, degradation, _counted(name, progress))
        rows += [{"system": name, **origin, **row} for row in scored]
    return rows


def _systems(
    model: str, decoded: Decoded, baselines: bool, whole_rate: bool
) -> tuple[dict[str, System], str]:
    """What is scored, in the table's order, and the digest of the model's weights."""
    systems: dict[str, System] = {}
    if baselines:
        systems["ideal-lowpass"] = ideal_lowpass_system(decoded)
        systems |= bare_systems()
    opened = open_model(model) if model != "auto" else None
    digest = ""
    if isinstance(opened, OnnxModel):
        digest = opened.card.sha256
        if opened.sample_rate == decoded.sample_rate:
            systems[f"{opened.name} (raw)"] = raw_system(opened.run, opened.card)
    if model in bare_systems():
        systems[model] = bare_systems()[model]
    elif whole_rate:  # `enhance` takes files, and a file's rate is a whole number
        systems[opened.name if opened is not None else "auto"] = _enhanced(model)
    return systems, digest


def _enhanced(model: str) -> System:
    """What `fullband.enhance` gives."""
    enhancer = load(model)

    def system(narrow: Audio, degradation: Degradation, length: int) -> Audio:
        wide, _ = enhancer(narrow, int(degradation.narrow_rate), degradation.sample_rate)
        return fit_length(wide, length)

    return system


def _resampled(narrow: Audio, degradation: Degradation, length: int) -> Audio:
    wide = resample(narrow, degradation.narrow_rate, degradation.sample_rate)
    return fit_length(wide, length)


def _splined(narrow: Audio, degradation: Degradation, length: int) -> Audio:
    wide = interpolate(narrow, degradation.narrow_rate, degradation.sample_rate)
    return fit_length(wide, length)


def bare_systems() -> dict[str, System]:
    """Sinc and spline: the narrow audio brought to the wide rate and nothing added."""
    return {"sinc": _resampled, "spline": _splined}


def ideal_lowpass_system(decoded: Decoded) -> System:
    """The ideal low-pass sees the wide audio itself: one recording after the other."""
    recordings = iter(range(len(decoded)))

    def system(narrow: Audio, degradation: Degradation, length: int) -> Audio:
        wide = decoded.recording(next(recordings))
        return ideal_lowpass(wide, degradation.sample_rate, degradation.cutoff_hz)

    return system


def spread_files(decoded: Decoded, count: int | None) -> Decoded:
    """So many recordings, evenly spread over all of them; None is all.

    Raises:
        SettingsError: none would be left.
    """
    places = np.linspace(0, len(decoded) - 1, max(0, count or 0)).round()
    return _select(decoded, count, places.astype(int).tolist())


def first_files(decoded: Decoded, limit: int | None) -> Decoded:
    """The first so many recordings; None is all of them.

    Raises:
        SettingsError: none would be left.
    """
    return _select(decoded, limit, range(limit or 0))


def _select(decoded: Decoded, limit: int | None, chosen: Sequence[int]) -> Decoded:
    if limit is not None and limit < 1:
        raise SettingsError(f"the limit must be at least 1 file, got {limit}")
    if limit is None or limit >= len(decoded):
        return decoded
    pieces = [decoded.recording(index) for index in chosen]
    return Decoded(
        samples=np.concatenate(pieces),
        starts=tuple(np.cumsum([0, *map(len, pieces)]).tolist()),
        levels_db=tuple(decoded.levels_db[index] for index in chosen),
        names=tuple(decoded.names[index] for index in chosen),
        sample_rate=decoded.sample_rate,
    )


def _counted(
    name: str, progress: Callable[[str, int, int], None] | None
) -> Callable[[Iterable[int]], Iterable[int]]:
    def wrap(indices: Iterable[int]) -> Iterable[int]:
        indices = list(indices)
        for done, index in enumerate(indices):
            if progress is not None:
                progress(name, done, len(indices))
            yield index
        if progress is not None:
            progress(name, len(indices), len(indices))

    return wrap


def provenance() -> dict[str, str]:
    """What a figure must be stored with: version, commit, machine, day."""
    folder = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        commit = ""
    return {
        "version": __version__,
        "commit": commit,
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "date": datetime.date.today().isoformat(),
    }
