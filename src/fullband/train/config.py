"""What a training recipe may say, and every default."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fullband.errors import SettingsError
from fullband.settings import build, override, read_toml

__all__ = [
    "DataConfig",
    "DegradeConfig",
    "LossConfig",
    "OptimiserConfig",
    "RunConfig",
    "ScheduleConfig",
    "TrainConfig",
    "read_recipe",
]


@dataclass(frozen=True)
class DataConfig:
    """Where the audio comes from and how it is cut.

    Attributes:
        corpus: folder of the corpus; a relative path is meant from the working folder. `synthetic`
            makes tones and noise instead, for tests.
        train_files: train on so many files of the split, evenly spread over it; 0 is all of them.
        patch_samples: length of a training patch at the model's rate.
        batch_size: patches of a step, of all processes together.
        gain_db: recordings are brought to the reference level, give or take this much.
        speed: playback speed is varied by up to this fraction, which moves pitch and formants.
        transpose: for models made for one bandwidth: so many semitones up or down are played faster
            or slower too, whole ones, so that a piano stays a piano in tune.
        colour_db: for those models: how far a random equalisation bends.
        equaliser_db, room, noise, noise_db: for models that take any bandwidth: how far a random
            equalisation bends, how often a patch stands in a room and how often in stationary
            noise, and between which levels of the latter (at 4 kHz, relative to full scale).
        lowest_hz, highest_hz: for those models, the range of cutoffs.
        balance: for those models, 0 draws every second of audio alike, 1 every speaker.
        telephone: for those models, the share of filtered patches whose lows a telephone cut away.
        coded: for those models, the share of patches that a codec damages instead of a filter.
        codings: the codecs drawn from, each with its lowest and highest kb/s for one channel (0 and
            0 where there is nothing to choose).
        valid_files: for those models, recordings judged at each cutoff.
        workers: processes that make batches beside the training; 0 makes them within it.
    """

    corpus: str
    train_split: str = "train"
    valid_split: str = "valid"
    train_files: int = 0
    patch_samples: int = 8192
    batch_size: int = 16
    gain_db: float = 3.0
    speed: float = 0.0
    transpose: int = 0
    colour_db: float = 0.0
    equaliser_db: float = 8.0
    room: float = 0.3
    noise: float = 0.7
    noise_db: tuple[float, float] = (-105.0, -50.0)
    lowest_hz: float = 1800.0
    highest_hz: float = 20_000.0
    balance: float = 0.3
    telephone: float = 0.1
    coded: float = 0.0
    codings: tuple[tuple[str, float, float], ...] = ()
    valid_files: int = 24
    workers: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.lowest_hz < self.highest_hz or self.equaliser_db < 0:
            raise SettingsError("data needs 0 < lowest_hz < highest_hz and equaliser_db >= 0")
        if not (0 <= self.room <= 1 and 0 <= self.noise <= 1 and 0 <= self.balance <= 1):
            raise SettingsError("data needs room, noise and balance in [0, 1]")
        if not 0 <= self.telephone <= 1:
            raise SettingsError("data needs telephone in [0, 1]")
        if not 0 <= self.coded <= 1 or (self.coded and not self.codings):
            raise SettingsError("data.coded must be in [0, 1], and data.codings say by what")
        if self.codings:
            from fullband.degrade.codec import Coding  # which needs scipy

            for codec, low, high in self.codings:
                if Coding(codec, low).kbps > Coding(codec, high).kbps:
                    raise SettingsError(f"data.codings: {codec} from {low:g} to {high:g} kb/s")
        if not 0 <= self.transpose <= 6 or not 0 <= self.colour_db <= 24:
            raise SettingsError("data needs transpose in 0 ... 6 and colour_db in [0, 24]")
        if self.valid_files < 1 or self.workers < 0:
            raise SettingsError("data needs valid_files >= 1 and workers >= 0")
        if self.patch_samples < 1 or self.batch_size < 1 or not 0 <= self.speed < 0.5:
            raise SettingsError("data needs patch_samples, batch_size >= 1 and speed in [0, 0.5)")


@dataclass(frozen=True)
class DegradeConfig:
    """How wide audio becomes narrow; one method and one ratio are drawn per batch.

    Attributes:
        ratios: empty means the model's own.
    """

    methods: tuple[str, ...] = ("chebyshev",)
    ratios: tuple[int, ...] = ()


@dataclass(frozen=True)
class LossConfig:
    """The weight of each loss; see `fullband.losses.spectral` and, for models that take any
    bandwidth, `fullband.losses.new_band` and `fullband.losses.neurogram`.

    Attributes:
        level_quantile: what `band_level` and `band_level_long` aim at.
        adversarial, feature_distance: with either, a discriminator of band levels is trained too
            (`fullband.losses.discriminators`).
        spectral_error_band: the fraction of the spectrum, from 0 Hz, in which `spectral_error_db`
            counts errors.
        fold: the narrow Nyquist frequency as a fraction of the wide one, for `fold_error_db`.
    """

    rmse: float = 1.0
    relative_error_db: float = 0.0
    spectral_error_db: float = 0.0
    spectral_error_band: float = 1.0
    fold_error_db: float = 0.0
    fold: float = 0.25
    lsd_2017: float = 0.0
    multi_resolution_lsd: float = 0.0
    new_band_lsd: float = 0.0
    band_level: float = 0.0
    band_level_long: float = 0.0
    join_level: float = 0.0
    low_level: float = 0.0
    neurogram: float = 0.0
    unevenness: float = 0.0
    snr_cost_db: float = 0.0
    level_quantile: float = 0.5
    join_error: float = 0.0
    adversarial: float = 0.0
    feature_distance: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.level_quantile < 1:
            raise SettingsError("loss needs level_quantile between 0 and 1")
        if not 0 < self.spectral_error_band <= 1:
            raise SettingsError("loss needs spectral_error_band in (0, 1]")
        if not 0 < self.fold < 0.8:
            raise SettingsError("loss needs fold in (0, 0.8)")


@dataclass(frozen=True)
class OptimiserConfig:
    """Adam or AdamW.

    Attributes:
        clip_norm: gradients longer than this are shortened to it; 0 leaves them alone.
    """

    name: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 3e-4
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0
    clip_norm: float = 1.0


@dataclass(frozen=True)
class ScheduleConfig:
    """Linear warm-up, then a half cosine from the full learning rate to a fraction of it."""

    steps: int = 10_000
    warmup_steps: int = 100
    final_fraction: float = 0.05

    def __post_init__(self) -> None:
        if self.steps < 1 or self.warmup_steps < 0:
            raise SettingsError("schedule needs steps >= 1 and warmup_steps >= 0")


@dataclass(frozen=True)
class RunConfig:
    """How the training is run.

    Attributes:
        ema_decay: of the moving average of the weights, which is what is validated and released.
        fit_batches: how many of the first batches what is solved for in closed form is fitted to.
        validate_every, checkpoint_every: in steps.
        select: validation metrics and their weights; the checkpoint with the highest weighted sum
            is kept as the best.
        precision: `auto` is bf16 where the hardware has it, else float32.
        accelerator, devices, strategy: as Lightning Fabric takes them; under torchrun, which says
            itself how many processes there are, `devices` does not count.
    """

    seed: int = 0
    fit_batches: int = 64
    ema_decay: float = 0.999
    validate_every: int = 500
    checkpoint_every: int = 500
    select: dict[str, float] = field(default_factory=lambda: {"snr_db": 1.0})
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"


@dataclass(frozen=True)
class TrainConfig:
    """A whole recipe. `model` holds an architecture's `name` and its options."""

    model: dict[str, Any]
    data: DataConfig
    degrade: DegradeConfig = DegradeConfig()
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    run: RunConfig = field(default_factory=RunConfig)


def read_recipe(path: str | Path, assignments: tuple[str, ...] = ()) -> TrainConfig:
    """Read a recipe and apply `section.key=value` assignments to it.

    Raises:
        MissingFileError: there is no such file.
        SettingsError: it says something that a recipe may not say.
    """
    return build(TrainConfig, override(read_toml(Path(path)), assignments), str(path))
