"""The training loop, top to bottom.

    fullband train recipes/audiounet-single-4x.toml --max-minutes 60

Run it again to go on from the last checkpoint; `--set section.key=value` changes a recipe. A run
folder holds `config.json` (the resolved recipe), `last/` and `best/` (checkpoints), `log.jsonl`
and `tensorboard/`.

Several processes (`--set run.devices=2`, or torchrun) give the weights that one would: each draws
the same batch and runs its share of it through the network, and the losses are those of the whole
batch, since some are no mean over its items. Only the first process validates and writes.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning_fabric
import numpy as np
import torch
from torch import Tensor

from fullband.audio.samples import Audio
from fullband.corpora.dataset import decode
from fullband.corpora.manifest import read_corpus
from fullband.corpora.notes import notes_of
from fullband.corpora.synthetic import synthetic_corpus
from fullband.corpora.table import read_rows
from fullband.errors import ModelError, SettingsError
from fullband.evaluate.suite import spread_files
from fullband.losses.adversarial import adversarial_loss, discriminator_loss, feature_distance
from fullband.losses.discriminators import LevelDiscriminator
from fullband.models.network import Network
from fullband.models.registry import build_model
from fullband.settings import to_dict
from fullband.train.checkpoint import Progress, load_average, load_checkpoint, save_checkpoint
from fullband.train.config import TrainConfig
from fullband.train.log import TrainLog
from fullband.train.restore import load_exported
from fullband.train.step import compute_loss, learning_rate, make_optimiser, update_average
from fullband.train.task import Drawn, NarrowingTask, PairTask, Part, Task

__all__ = ["train"]

_WHERE_IT_RUNS = ("run.accelerator", "run.devices", "run.strategy", "data.workers")
"""Settings that may change when a training goes on, since its course does not."""


def train(
    config: TrainConfig,
    run: Path,
    max_minutes: float | None = None,
    cache: Path | None = None,
    report: Callable[[int, int, dict[str, float]], None] | None = None,
    start_from: Path | Sequence[Path] = (),
) -> Progress:
    """Train until the recipe's last step, or for so many minutes; go on where the run stopped.

    Args:
        run: the run folder, made if it is not there.
        max_minutes: stop (with a checkpoint) once this much time has passed in this sitting.
        cache: where decoded corpora are kept, see `fullband.corpora.dataset.default_cache`.
        report: called after every step with the step, the steps in all and the loss parts.
        start_from: another run, whose best averaged weights this one begins with, or an exported
            model (`MODEL.onnx`); or several that hold a part of the weights each.

    Raises:
        SettingsError: the run folder belongs to another recipe.
        ModelError: `start_from` holds a model of another shape.
        MissingFileError, AudioFileError: the corpus is not there or cannot be read.
    """
    begun = time.monotonic()
    run.mkdir(parents=True, exist_ok=True)
    _remember(config, run)

    fabric = _launched(config)
    fabric.seed_everything(config.run.seed, verbose=False)

    bare = build_model(config.model)
    share = _share(config, bare, fabric)
    starts = [start_from] if isinstance(start_from, Path) else list(start_from)
    if starts:
        _begin_from(starts, bare)
    sample_rate = bare.config.sample_rate
    training, validation = _corpus(config, sample_rate, cache)
    task = _task(config, bare, training, validation)

    resumed = (run / "last").exists() or (run / "last.old").exists()
    if not resumed:
        bare.fit(task.fitting(config.run.fit_batches), task.narrowed)
    average = {name: value.detach().clone() for name, value in bare.state_dict().items()}
    optimiser = make_optimiser(config.optimiser, bare)
    adversary = _adversary(config, sample_rate) if bare.takes_bandwidth else None
    progress = Progress()
    if resumed:
        progress = load_checkpoint(run / "last", bare, average, optimiser, adversary)
    model, optimiser = fabric.setup(bare, optimiser)
    if adversary is not None:
        adversary = fabric.setup(*adversary)
    average = {name: value.to(fabric.device) for name, value in average.items()}

    drawn = _ahead(task.draw, range(progress.step, config.schedule.steps), config.data.workers)
    clip_norm = config.optimiser.clip_norm
    with TrainLog(run, silent=not fabric.is_global_zero) as log:
        earlier = progress.seconds
        while progress.step < config.schedule.steps:
            step = progress.step
            torch.manual_seed(config.run.seed * 1_000_003 + step)  # dropout, the same on resuming
            rate = learning_rate(config.optimiser.learning_rate, config.schedule, step)
            for group in optimiser.param_groups:
                group["lr"] = rate

            inputs, wide, band = task.batch(next(drawn), fabric)
            model.train()
            predicted = _gathered(model(*(part[share] for part in inputs)), fabric)
            loss, parts = compute_loss(config.loss, predicted, wide, band)
            if adversary is not None and band is not None:
                # First the discriminator learns to tell the two apart, then the network to be
                # taken for the other.
                judge, judge_optimiser = adversary
                for group in judge_optimiser.param_groups:
                    group["lr"] = rate
                place = (band.bandwidth_hz, band.true_hz)
                told_apart = discriminator_loss(
                    judge(wide, *place), judge(predicted.detach(), *place)
                )
                judge_optimiser.zero_grad()
                fabric.backward(told_apart)
                judge_optimiser.step()
                judge.requires_grad_(False)
                with fabric.no_backward_sync(judge, enabled=fabric.world_size > 1):
                    real, taken = judge(wide, *place), judge(predicted, *place)
                judge.requires_grad_(True)
                more = {
                    "adversarial": adversarial_loss(taken),
                    "feature_distance": feature_distance(real, taken),
                }
                for name, value in more.items():
                    loss = loss + getattr(config.loss, name) * value
                    parts[name] = float(value.detach())
                parts["discriminator"] = float(told_apart.detach())
            if loss.requires_grad:  # else there was only something to fit
                optimiser.zero_grad()
                fabric.backward(loss)
                if clip_norm:
                    norm = fabric.clip_gradients(model, optimiser, max_norm=clip_norm)
                    parts["gradient_norm"] = float(norm) if norm is not None else 0.0
                optimiser.step()
            update_average(average, bare, config.run.ema_decay, step)

            progress.step = step + 1
            progress.seconds = earlier + time.monotonic() - begun
            finished = progress.step == config.schedule.steps
            out_of_time = max_minutes is not None and time.monotonic() - begun > 60 * max_minutes
            if max_minutes is not None:  # by one clock, or some would wait for others for ever
                out_of_time = fabric.broadcast(out_of_time)
            if report is not None and fabric.is_global_zero:
                report(progress.step, config.schedule.steps, parts)
            if progress.step % 50 == 0 or finished:
                log.write("train", progress.step, {**parts, "learning_rate": rate})
            if progress.step % config.run.validate_every == 0 or finished:
                scores = _validate(bare, average, task) if fabric.is_global_zero else {}
                scores = fabric.broadcast(scores)
                log.write("valid", progress.step, {**scores, "seconds": progress.seconds})
                score = _weighted(scores, config.run.select)
                if score > progress.best_score:
                    progress = replace(progress, best_score=score, best_step=progress.step)
                    if fabric.is_global_zero:
                        save_checkpoint(
                            run / "best",
                            config.model,
                            bare,
                            average,
                            optimiser,
                            progress,
                            adversary,
                        )
            checkpoint_due = progress.step % config.run.checkpoint_every == 0
            if fabric.is_global_zero and (checkpoint_due or finished or out_of_time):
                save_checkpoint(
                    run / "last", config.model, bare, average, optimiser, progress, adversary
                )
            if out_of_time:
                break
    return progress


def _launched(config: TrainConfig) -> lightning_fabric.Fabric:
    """This process among all that train, started by torchrun or to be started now."""
    devices, nodes = config.run.devices, 1
    # 32 bits are what they say on a GPU too, whose convolutions would be rounded to 19 of them.
    torch.backends.cudnn.allow_tf32 = _precision(config) != "32-true"
    if "TORCHELASTIC_RUN_ID" in os.environ:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    fabric = lightning_fabric.Fabric(
        accelerator=config.run.accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy=config.run.strategy,
        precision=_precision(config),  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def _share(config: TrainConfig, model: Network, fabric: lightning_fabric.Fabric) -> slice:
    """Which items of a batch this process runs through the network."""
    count = fabric.world_size
    if count > 1 and not any(each.requires_grad for each in model.parameters()):
        raise SettingsError("this model is solved for, not trained: one process does that")
    if config.data.batch_size % count:
        raise SettingsError(
            f"data.batch_size {config.data.batch_size} cannot be shared out to {count} processes"
        )
    size = config.data.batch_size // count
    return slice(fabric.global_rank * size, (fabric.global_rank + 1) * size)


def _gathered(predicted: Tensor, fabric: lightning_fabric.Fabric) -> Tensor:
    """What all processes have predicted, in the batch's order.

    Every process has the loss of all of it then, and of its gradient what is due to its own share.
    Weights' gradients are averaged over processes afterwards, where their sum is meant: so each
    share is taken so many times.
    """
    count = fabric.world_size
    if count == 1:
        return predicted
    if predicted.requires_grad:
        predicted.register_hook(lambda gradient: gradient * count)  # type: ignore[no-untyped-call]
    shares = [torch.empty_like(predicted) for _ in range(count)]
    torch.distributed.all_gather(shares, predicted.detach().contiguous())
    shares[fabric.global_rank] = predicted
    return torch.cat(shares)


def _task(config: TrainConfig, model: Network, training: Part, validation: Part) -> Task[Any]:
    if model.takes_bandwidth:
        return NarrowingTask(config, training, validation)
    return PairTask(config, model.config, training[0], validation[0])


def _ahead(draw: Callable[[int], Drawn], draws: Sequence[int], workers: int) -> Iterator[Drawn]:
    """What is drawn for each of these numbers, made ahead in other processes if there are any."""

    class Draws(torch.utils.data.Dataset[Drawn]):
        def __getitem__(self, index: int) -> Drawn:
            return draw(index)

    loader = torch.utils.data.DataLoader(
        Draws(),
        batch_size=None,
        sampler=draws,
        num_workers=workers,
        collate_fn=lambda drawn: drawn,
        multiprocessing_context="fork" if workers else None,  # the samples are mapped, not copied
    )
    return iter(loader)


def _adversary(
    config: TrainConfig, sample_rate: int
) -> tuple[torch.nn.Module, torch.optim.Optimizer] | None:
    """The discriminator and its optimiser, where the recipe has a use for them."""
    if not (config.loss.adversarial or config.loss.feature_distance):
        return None
    judge = LevelDiscriminator(sample_rate)
    return judge, torch.optim.AdamW(judge.parameters(), betas=(0.8, 0.99))


def _begin_from(starts: Sequence[Path], model: Network) -> None:
    """Copy the best averaged weights of other runs, or those of exported models.

    What is solved for rather than trained may have another size: it is solved for anew.

    Raises:
        MissingFileError: such a run has no checkpoint.
        ModelError: together they have other weights or shapes, or an exported model is damaged.
    """
    weights: dict[str, Tensor] = {}
    for start in starts:
        exported = start.suffix == ".onnx"
        other = load_exported(str(start))[0] if exported else load_average(start)[0]
        weights |= other.state_dict()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad and name in weights:
            weights[name] = parameter
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        named = " and ".join(str(start) for start in starts)
        does = "does" if len(starts) == 1 else "do"
        raise ModelError(f"{named}: {does} not fit this recipe's model ({reason})") from None


def _validate(model: Network, average: dict[str, Tensor], task: Task[Any]) -> dict[str, float]:
    """Mean scores of the averaged weights on the validation split."""
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average)
    model.eval()
    device = next(model.parameters()).device

    @torch.inference_mode()
    def run_model(*inputs: np.ndarray) -> Audio:
        tensors = (torch.from_numpy(part).to(device) for part in inputs)
        predicted: np.ndarray = model(*tensors).float().cpu().numpy()
        return predicted

    scores = task.validate(run_model, model.config)
    model.load_state_dict(weights)
    return scores


def _weighted(scores: dict[str, float], weights: dict[str, float]) -> float:
    unknown = set(weights) - set(scores)
    if unknown:
        raise SettingsError(f"run.select: no metric '{sorted(unknown)[0]}'")
    return sum(weight * scores[name] for name, weight in weights.items())


def _corpus(config: TrainConfig, sample_rate: int, cache: Path | None) -> tuple[Part, Part]:
    """Training and validation split, each with what is known of its recordings."""
    if config.data.corpus == "synthetic":
        parts = synthetic_corpus(sample_rate, 1), synthetic_corpus(sample_rate, 2, count=2)
        return tuple((part, notes_of(part, {})) for part in parts)  # type: ignore[return-value]
    corpus = read_corpus(config.data.corpus)
    rows = {row["file"]: row for row in read_rows(corpus.folder)}
    splits = (config.data.train_split, config.data.valid_split)
    training, validation = (decode(corpus, split, sample_rate, cache) for split in splits)
    parts = spread_files(training, config.data.train_files or None), validation
    return tuple((part, notes_of(part, rows)) for part in parts)  # type: ignore[return-value]


def _remember(config: TrainConfig, run: Path) -> None:
    """Keep the resolved recipe in the run folder, and refuse to go on with a different one."""
    path = run / "config.json"
    resolved = to_dict(config)
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        if before == resolved:
            return
        changed = [
            f"{section}.{key}"
            for section, values in resolved.items()
            for key, value in values.items()
            if before.get(section, {}).get(key) != value
            and f"{section}.{key}" not in _WHERE_IT_RUNS
        ]
        if changed:
            raise SettingsError(
                f"{run}: was begun with another {', '.join(changed)}; "
                "give the old recipe or another --run folder"
            )
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")  # others may be reading
    part.write_text(json.dumps(resolved, indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def _precision(config: TrainConfig) -> str:
    if config.run.precision != "auto":
        return config.run.precision
    if torch.cuda.is_available() and config.run.accelerator in ("auto", "gpu", "cuda"):
        return "bf16-mixed"
    # On a CPU without bf16 units the same thing is emulated, a hundred times slower.
    return "bf16-mixed" if torch.cpu._is_avx512_bf16_supported() else "32-true"
