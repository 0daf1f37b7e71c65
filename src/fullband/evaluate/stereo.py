"""Where sounds are between two loudspeakers, band by band, in an original and what was made of it.

Two figures say it, both from short-time spectra (Faller and Baumgarte, "Binaural Cue Coding - Part
II", IEEE Transactions on Speech and Audio Processing 2003): the level difference of the channels,
which is where a sound is, and their correlation, which is how wide. Each is the mean over frames,
weighted by the original's power, of what it is in a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fullband.audio.samples import Audio
from fullband.evaluate.stored import Rows

__all__ = ["StereoImage", "stereo_image", "stereo_rows", "stereo_table"]

_FRAME, _HOP = 2048, 1024
_OCTAVE_PART = 2  # bands to an octave
_SILENT = 1e-10  # mean power of a sample: what is quieter in the original has no place
_MOST_DB = 30.0  # farther to a side cannot be told


@dataclass(frozen=True)
class StereoImage:
    """Of one band.

    Attributes:
        difference_db: level of the first channel above the second, at most 30 either way.
        correlation: from -1 to 1; 1 for a sound in both channels, whatever its level in each.
    """

    difference_db: float
    correlation: float


def stereo_image(
    audio: Audio, wide: Audio, sample_rate: int, low_hz: float, high_hz: float
) -> StereoImage | None:
    """The image of a band, its frames weighted by the power of the original in them.

    Args:
        audio: the original itself, or what was made of it.

    Returns:
        None where the original has nothing in that band.

    Shape:
        both `[2, T]`.
    """
    spectra, weights = (_frames(each, sample_rate, low_hz, high_hz) for each in (audio, wide))
    loud = (weights.real**2 + weights.imag**2).sum(axis=(0, 2))
    scale = _SILENT * _FRAME * 3 / 8 * weights.shape[2] * 2
    loud = np.where(loud > scale, loud, 0.0)
    if not loud.any():
        return None
    power = (spectra.real**2 + spectra.imag**2).sum(axis=2) + 1e-20
    cross = (spectra[0] * np.conj(spectra[1])).sum(axis=1).real
    difference_db = np.clip(10 * np.log10(power[0] / power[1]), -_MOST_DB, _MOST_DB)
    correlation = cross / np.sqrt(power[0] * power[1])
    weights_of = loud / loud.sum()
    return StereoImage(float(weights_of @ difference_db), float(weights_of @ correlation))


def stereo_rows(
    predicted: Audio, wide: Audio, sample_rate: int, cutoff_hz: float, limit_hz: float, file: str
) -> Rows:
    """A row for each half octave above the cutoff: the image of the original and of what was made.

    Args:
        limit_hz: how far the original is to be believed.

    Shape:
        both `[2, T]`.
    """
    top_hz = min(limit_hz, 0.98 * sample_rate / 2)
    rows: Rows = []
    low_hz = 1.05 * cutoff_hz
    while low_hz < 0.9 * top_hz:
        high_hz = min(low_hz * 2 ** (1 / _OCTAVE_PART), top_hz)
        original = stereo_image(wide, wide, sample_rate, low_hz, high_hz)
        made = stereo_image(predicted, wide, sample_rate, low_hz, high_hz)
        if original is not None and made is not None:
            rows.append(
                {
                    "file": file,
                    "low_hz": round(low_hz),
                    "high_hz": round(high_hz),
                    "difference_db": made.difference_db,
                    "original_difference_db": original.difference_db,
                    "correlation": made.correlation,
                    "original_correlation": original.correlation,
                }
            )
        low_hz = high_hz
    return rows


def stereo_table(rows: Rows, model: str) -> str:
    """A line per corpus and cutoff: how far the image is from the original's, and which way."""
    lines = [
        "| corpus | cutoff | files | level difference off by, dB | correlation: original | made | "
        "off by |",
        "|---|---|---|---|---|---|---|",
    ]
    cells: dict[tuple[str, float], Rows] = {}
    for row in rows:
        if row["system"] == model:
            cells.setdefault((row["corpus"], row["cutoff_hz"]), []).append(row)
    for (corpus, cutoff_hz), own in sorted(cells.items()):
        off_db = np.mean([abs(r["difference_db"] - r["original_difference_db"]) for r in own])
        made = np.array([row["correlation"] for row in own])
        original = np.array([row["original_correlation"] for row in own])
        files = len({row["file"] for row in own})
        lines.append(
            f"| {corpus} | {cutoff_hz / 1000:g} kHz | {files} | {off_db:.1f} | "
            f"{original.mean():.2f} | {made.mean():.2f} | {np.abs(made - original).mean():.2f} |"
        )
    return "\n".join(lines)


def _frames(audio: Audio, sample_rate: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Spectra of Hann-windowed frames, of one band. Shape: `[2, T]` to `[2, frames, bins]`."""
    length = max(_FRAME, audio.shape[1])
    padded = np.pad(audio, ((0, 0), (0, length - audio.shape[1])))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME, axis=1)[:, ::_HOP]
    spectra = np.fft.rfft(frames * np.hanning(_FRAME), axis=2)
    hz = np.arange(_FRAME // 2 + 1) * sample_rate / _FRAME
    return np.asarray(spectra[:, :, (hz >= low_hz) & (hz < high_hz)])
