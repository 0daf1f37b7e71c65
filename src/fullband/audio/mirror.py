"""Mirror images: what software leaves above the old Nyquist frequency when it raises a sample rate.

Putting samples between samples repeats the spectrum, turned about half the old rate, and a filter
is to take the repetition away. Linear and cubic interpolation hardly do, short filters do in part.
What stands there then is no content, however much of it there is: every bin rises and falls with
the one that lies as far below the old Nyquist frequency. Natural sound never does that.
"""

from __future__ import annotations

import numpy as np

__all__ = ["BELOW_MIRROR", "ENDS_BELOW_MIRROR", "USUAL_RATES", "find_mirror"]

USUAL_RATES = (
    4000,
    5512.5,
    6000,
    8000,
    11_025,
    12_000,
    16_000,
    22_050,
    24_000,
    32_000,
    44_100,
    48_000,
    96_000,
)
"""The sample rates in Hz that recordings are raised from."""

BELOW_MIRROR = 0.97
"""Of a mirror's frequency: so far up nothing is taken away; what raised the rate passed no more."""

ENDS_BELOW_MIRROR = 0.92
"""Of a mirror's frequency: here content ends at the latest. The short filters that leave images,
down and up again, have fallen by 4 dB between 0.88 and 0.95 (`fullband.degrade.response`)."""

_ALIKE = 0.75  # natural recordings reach 0.7, mirror images begin at 0.8;
_DOUBT = 0.5  # over the number of windows, so much more of few: chance reaches further there
_LEAST_WINDOWS = 4
_STRETCH = 24  # windows, in which
_ALWAYS = 0.6  # images must still be so much alike: a recording may be wide for a while
_QUIET_DB = 35.0  # windows so far below the loudest say nothing
_SELF = 4  # bins next to the mirror share a window's main lobe with their images
_NEAR, _FAR = 0.08, 0.6  # of the mirror's frequency: so far above it
_FAINTLY = 0.5
_GONE_DB = 30.0  # images so far below what they mirror may be covered by noise
_NOISE_PART, _NOISE_DB = 0.1, 6.0  # a tenth of what lies far off is noise, the rest may stand out,
_COVERED_DB = 20.0  # if noise is so far below the images next to the mirror
_LEAST_BINS = 6
_LEAST_SPREAD_DB = 0.7  # what is steady does not tell; noise has 2 dB and more


def find_mirror(windows_db: np.ndarray, sample_rate: float) -> float | None:
    """The frequency in Hz about which the spectrum is its own mirror image; None if there is none.

    Of several the lowest: the others are images of images.

    Args:
        windows_db: power spectra of successive stretches of a recording, in dB.

    Shape:
        windows_db `[W, F]`, from 0 Hz to half the sample rate.
    """
    bin_hz = sample_rate / 2 / (windows_db.shape[1] - 1)
    loudness = windows_db.max(axis=1, initial=-np.inf)
    levels = windows_db[loudness > loudness.max(initial=-np.inf) - _QUIET_DB]
    if len(levels) < _LEAST_WINDOWS:
        return None
    needed = _ALIKE + _DOUBT / len(levels)
    stretches = np.array_split(levels, max(1, len(levels) // _STRETCH))
    for rate in USUAL_RATES:
        turn = rate / bin_hz
        if (
            rate < 0.95 * sample_rate
            and _likeness(levels, turn) > needed
            and min(_likeness(stretch, turn) for stretch in stretches) > _ALWAYS
        ):
            return rate / 2
    return None


def _likeness(levels: np.ndarray, turn: float) -> float:
    """The correlation of bins k and `turn - k` in how they change from window to window.

    That of those next to the mirror, if those farther off are either alike too or hardly there.
    """
    near = np.arange(int(np.ceil(turn / 2)) + _SELF, int((1 + _NEAR) * turn / 2) + _LEAST_BINS)
    far = np.arange(int((1 + _NEAR) * turn / 2) + _LEAST_BINS, int((1 + _FAR) * turn / 2))
    if near[-1] >= levels.shape[1]:
        return 0.0
    alike = _correlation(levels, near, turn)
    far = far[far < levels.shape[1]]
    if alike < _FAINTLY or len(far) < _LEAST_BINS:
        return alike
    # Where the noise of the samples' last bit covers images, they say nothing.
    far_db = levels[:, far].astype(np.float32).mean(axis=0)
    noise_db = np.quantile(far_db, _NOISE_PART)
    if _mean_db(levels[:, near]) - noise_db > _COVERED_DB:
        far = far[far_db > noise_db + _NOISE_DB]
    if len(far) < _LEAST_BINS:
        return alike
    origin = levels[:, np.round(turn - near).astype(int)]
    down_db = _mean_db(origin) - _mean_db(levels[:, far])
    return alike if down_db > _GONE_DB or _correlation(levels, far, turn) > _FAINTLY else 0.0


def _correlation(levels: np.ndarray, above: np.ndarray, turn: float) -> float:
    below = np.round(turn - above).astype(int)
    sides = levels[:, above].astype(np.float32), levels[:, below].astype(np.float32)
    changes = [np.diff(side, axis=0) for side in sides]
    image, origin = (_evened(change - change.mean(axis=1, keepdims=True)) for change in changes)
    spread_db = float(np.sqrt(image.std() * origin.std()))
    return float(np.mean(image * origin)) / spread_db**2 if spread_db > _LEAST_SPREAD_DB else 0.0


def _evened(changes: np.ndarray) -> np.ndarray:
    """No window counts more than thrice as much as is usual: one that is quite unlike the one
    before would decide alone."""
    power = np.mean(changes**2, axis=1, keepdims=True)
    evened: np.ndarray = changes * np.sqrt(np.minimum(1.0, 3 * np.median(power) / (power + 1e-9)))
    return evened


def _mean_db(levels: np.ndarray) -> float:
    return 10 * float(np.log10(np.mean(10 ** (levels.astype(np.float32) / 10)) + 1e-30))
