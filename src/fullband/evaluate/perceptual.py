"""Measures that stand in for listeners: ViSQOL against the reference, DNSMOS without one.

Both come from PyPI with their models inside and run offline; `pip install 'fullband[metrics]'`.

ViSQOL v3 (Chinen et al., "ViSQOL v3: An Open Source Production Ready Objective Speech and Audio
Metric", QoMEX 2020) gives a MOS-LQO from 1 to 5: in speech mode at 16 kHz with the lattice model,
else in audio mode at 48 kHz. DNSMOS P.835 (Reddy et al., ICASSP 2022) predicts from 16 kHz speech
alone how listeners would rate it overall, 1 to 5; it was made for noise suppression, so it hears
distortion and noise more than missing treble.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fullband.audio.resample import resample
from fullband.audio.samples import Audio
from fullband.errors import DependencyError

__all__ = ["PERCEPTUAL", "Kind", "dnsmos", "score_perceptual", "visqol"]

Kind = Literal["speech", "music"]

PERCEPTUAL = ("visqol", "dnsmos")
"""The names that `score_perceptual` gives its scores."""

_DNSMOS_RATE = 16_000
_DNSMOS_WINDOW = 144_160  # 9.01 s, what the network was trained on
_DNSMOS_OVERALL = (-0.06766283, 1.11546468, 0.04602535)  # raw to MOS, from the authors


def score_perceptual(
    predicted: Audio, wide: Audio, sample_rate: int, kind: Kind
) -> dict[str, float]:
    """Both measures by name; `dnsmos` is NaN for music, which it knows nothing about.

    Shape:
        both `[T]`.

    Raises:
        DependencyError: the packages are not installed.
    """
    quality = dnsmos(predicted, sample_rate) if kind == "speech" else float("nan")
    return {"visqol": visqol(predicted, wide, sample_rate, kind), "dnsmos": quality}


def visqol(predicted: Audio, wide: Audio, sample_rate: int, kind: Kind) -> float:
    """MOS-LQO of predicted audio against the wide original; NaN where it has no active patch.

    Shape:
        both `[T]`.

    Raises:
        DependencyError: visqol-python or its lattice runtime is not installed.
    """
    rate = 16_000 if kind == "speech" else 48_000
    pair = [resample(audio, sample_rate, rate).astype(np.float64) for audio in (wide, predicted)]
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            result = _visqol(kind).measure_from_arrays(*pair, sample_rate=rate)
        except (ValueError, IndexError):  # shorter than a patch, or silent
            return float("nan")
    return float(result.moslqo)


def dnsmos(audio: Audio, sample_rate: int) -> float:
    """Predicted overall rating of speech, the mean over windows of 9.01 s that start every second.

    Shorter audio is repeated until it fills a window, as the authors do.

    Shape:
        audio `[T]`, T at least 1.

    Raises:
        DependencyError: speechmos, which holds the network, is not installed.
    """
    session = _dnsmos()
    speech = np.clip(resample(audio, sample_rate, _DNSMOS_RATE), -1, 1)
    if len(speech) < _DNSMOS_WINDOW:
        speech = np.tile(speech, -(-_DNSMOS_WINDOW // len(speech)))[:_DNSMOS_WINDOW]
    ratings = []
    for start in range(0, len(speech) - _DNSMOS_WINDOW + 1, _DNSMOS_RATE):
        window = speech[None, start : start + _DNSMOS_WINDOW]
        ((_, _, overall),) = session.run(None, {"input_1": window})[0]
        ratings.append(np.polyval(_DNSMOS_OVERALL, float(overall)))
    return float(np.mean(ratings))


@lru_cache(maxsize=2)
def _visqol(kind: Kind) -> Any:
    if importlib.util.find_spec("ai_edge_litert") is None and kind == "speech":
        # Without it the package falls back to another mapping, one to two points higher.
        raise DependencyError("ViSQOL needs its lattice runtime: pip install 'fullband[metrics]'")
    try:
        from visqol import VisqolApi
    except ModuleNotFoundError:
        raise DependencyError("ViSQOL is missing: pip install 'fullband[metrics]'") from None
    api = VisqolApi()
    api.create(mode="speech" if kind == "speech" else "audio")
    return api


@lru_cache(maxsize=1)
def _dnsmos() -> Any:
    """The network, straight from the package's files: importing it would need more packages."""
    import onnxruntime

    found = importlib.util.find_spec("speechmos")
    if found is None or not found.submodule_search_locations:
        raise DependencyError("DNSMOS is missing: pip install 'fullband[metrics]'")
    path = Path(found.submodule_search_locations[0]) / "dnsmos_models" / "sig_bak_ovr.onnx"
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
