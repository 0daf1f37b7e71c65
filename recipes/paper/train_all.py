"""Train every model of the paper's suite, from nothing to exported files.

    python recipes/paper/train_all.py --corpora single=FOLDER --corpora piano=FOLDER \
        --runs runs/paper --models weights/paper [--only TEXT] [--jobs 2] [--list]

Stages begin from one another: 4x first, the other ratios from it, and for the causal filter the
same networks with their equalisers solved for anew (`fullband refit`). On piano at 4x and 6x
AudioUNet then gets what an unfolder has learnt beside it, in a step in which nothing is learnt.
A stage whose model lies in --models is left alone, and those after it begin from that model where
its run is gone, so that the set goes on where it was stopped; --only takes those whose name
contains the text and what they begin from, and --list prints their commands and does nothing. Every
stage runs on one core; two cores do best with --jobs 2.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

RECIPES = Path(__file__).resolve().parent
RATIOS = (4, 6, 2, 8)
VALID = {"speakers": "valid-short"}
SUFFIX = {"chebyshev": "", "chebyshev-causal": "-causal", "subsample": "-aliased"}
FIDELITY = {"relative_error_db": 0.5, "spectral_error_db": 1.0}
UNFOLDED = {"piano": (4, 6)}


@dataclass(frozen=True)
class Stage:
    """One training, or one refit. `after` names the stage whose weights it begins with, `beside`
    another that holds a part of them."""

    name: str
    recipe: str
    corpus: str
    ratio: int
    method: str = "chebyshev"
    after: str = ""
    steps: int = 0
    validate_every: int = 0
    learning_rate: float = 0.0
    loss: tuple[tuple[str, float], ...] = ()
    released: bool = True
    refit: bool = False
    beside: str = ""
    settings: tuple[tuple[str, object], ...] = ()

    def commands(self, runs: Path, models: Path, folder: str) -> list[list[str]]:
        """What `fullband` is called with, one call after the other."""
        made_by = f"python recipes/paper/train_all.py --only {self.name}"
        if self.refit:
            command = ["refit", str(models / f"{self.after}.onnx"), folder, "--name", self.name]
            command += ["--method", self.method, "-o", str(models), "--command", made_by]
            return [command]
        commands = [self.training(runs, models, folder)]
        if self.released:
            command = ["export", str(runs / self.name), "--name", self.name, "-o", str(models)]
            commands.append([*command, "--half", "--command", made_by])
        return commands

    def training(self, runs: Path, models: Path, folder: str) -> list[str]:
        """The call that trains."""
        settings: dict[str, object] = {"data.corpus": folder, "model.ratio": self.ratio}
        if self.corpus in VALID:
            settings["data.valid_split"] = VALID[self.corpus]
        if self.method != "chebyshev":
            settings["degrade.methods"] = f'["{self.method}"]'
        if self.steps:
            settings["schedule.steps"] = self.steps
            settings["run.validate_every"] = self.validate_every or self.steps
        if self.learning_rate:
            settings["optimiser.learning_rate"] = self.learning_rate
        settings |= {f"loss.{name}": value for name, value in self.loss}
        settings |= dict(self.settings)
        command = ["train", str(RECIPES / f"{self.recipe}.toml"), "--run", str(runs / self.name)]
        for before in filter(None, (self.after, self.beside)):
            run, model = runs / before, models / f"{before}.onnx"
            start = model if model.is_file() and not run.is_dir() else run
            command += ["--start-from", str(start)]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        return command


def stages(corpus: str) -> list[Stage]:
    """All trainings for a corpus, each after the one it begins from."""
    found = []
    for recipe in ("wiener", "dnn"):
        for method, suffix in SUFFIX.items():
            for ratio in (4,) if method == "subsample" else RATIOS:
                name = f"{recipe}-{corpus}-{ratio}x{suffix}"
                plain = f"{recipe}-{corpus}-{ratio}x"
                if recipe == "wiener" and suffix:
                    found.append(Stage(name, recipe, corpus, ratio, method, plain, refit=True))
                else:
                    found.append(Stage(name, recipe, corpus, ratio, method))

    # AudioUNet: texture first, then fidelity, and a short last stage at every ratio.
    first = f"audiounet-{corpus}-4x-first"
    if corpus == "speakers":
        loss = (("lsd_2017", 0.02),)
        found.append(
            Stage(first, "audiounet", corpus, 4, "chebyshev", "", 700, 350, 0, loss, False)
        )
        second = first
    else:
        second = f"audiounet-{corpus}-4x-second"
        loss = (*FIDELITY.items(), ("lsd_2017", 0.01))
        found += [
            Stage(first, "audiounet", corpus, 4, "chebyshev", "", 1000, 250, 0, (), False),
            Stage(second, "audiounet", corpus, 4, "chebyshev", first, 500, 250, 1e-3, loss, False),
        ]
    found += finishing("audiounet", corpus, second, {}, 150, (*FIDELITY.items(),), 0.003)
    for ratio in UNFOLDED.get(corpus, ()):
        found += unfolding(corpus, ratio)

    first = f"tfilm-{corpus}-4x"
    found.append(Stage(first, "tfilm", corpus, 4, "chebyshev", "", 600, 300))
    found += finishing("tfilm", corpus, first, {4: 0}, 100, (), 0.04)
    return found


def finishing(
    recipe: str,
    corpus: str,
    base: str,
    steps_at: dict[int, int],
    steps: int,
    loss: tuple[tuple[str, float], ...],
    lsd_weight: float,
) -> list[Stage]:
    """Every ratio from the base at 4x, then the causal and the aliased input from each."""
    found = []
    for method, suffix in SUFFIX.items():
        for ratio in (4,) if method == "subsample" else RATIOS:
            count, rate, after = steps, 1e-3, f"{recipe}-{corpus}-{ratio}x"
            if method == "chebyshev":
                count, after = steps_at.get(ratio, steps), base
            elif method == "subsample":
                count = 100
            if not count:
                continue  # the base is the model
            name = f"{recipe}-{corpus}-{ratio}x{suffix}"
            if recipe == "audiounet" and ratio in UNFOLDED.get(corpus, ()):
                after = f"{after}-plain" if after != base else base
                name = name if suffix else f"{name}-plain"
            if method == "chebyshev-causal":
                found.append(Stage(name, recipe, corpus, ratio, method, after, refit=True))
                continue
            band = ("spectral_error_band", 1.25 / ratio)
            weights = (*loss, band, ("lsd_2017", lsd_weight))
            found.append(Stage(name, recipe, corpus, ratio, method, after, count, 0, rate, weights))
    return found


def unfolding(corpus: str, ratio: int) -> list[Stage]:
    """The unfolder of a ratio, then AudioUNet with it."""
    name, model = f"unfolder-{corpus}-{ratio}x", f"audiounet-{corpus}-{ratio}x"
    alone = (("loss.fold", 1 / ratio),)
    together = (
        ("model.equaliser_taps", 1025),
        ("model.unfold_frame", 8192),
        ("model.unfold_width", 128),
        ("data.patch_samples", 16_384),
        ("run.fit_batches", 256),
        ("optimiser.learning_rate", 0.0),
    )
    plain = f"{model}-plain"
    return [
        Stage(name, "unfolder", corpus, ratio, released=False, settings=alone),
        Stage(
            model, "audiounet", corpus, ratio, after=plain, steps=1, beside=name, settings=together
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpora", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--runs", type=Path, default=Path("runs/paper"))
    parser.add_argument("--models", type=Path, default=Path("weights/paper"))
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    folders = dict(pair.split("=", 1) for pair in options.corpora)
    every = {stage.name: stage for corpus in folders for stage in stages(corpus)}
    wanted = {name for name in every if options.only in name}
    made = {name for name in every if (options.models / f"{name}.json").is_file()}
    while (
        missing := {
            before for name in wanted - made for before in (every[name].after, every[name].beside)
        }
        - wanted
        - {""}
    ):
        wanted |= missing
    planned = [stage for name, stage in every.items() if name in wanted]
    if options.list:
        for stage in planned:
            for command in stage.commands(options.runs, options.models, folders[stage.corpus]):
                print("fullband", shlex.join(command))
        return
    Queue(planned, folders, options.runs, options.models).work(options.jobs)


class Queue:
    """Stages that wait for those they begin from."""

    def __init__(
        self, planned: list[Stage], folders: dict[str, str], runs: Path, models: Path
    ) -> None:
        self.waiting, self.folders, self.runs, self.models = planned, folders, runs, models
        self.unfinished = {stage.name for stage in planned}
        self.changed = threading.Condition()
        self.failed = False

    def work(self, jobs: int) -> None:
        """Run everything, so many at a time; stop at the first that fails."""
        threads = [threading.Thread(target=self._worker) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failed:
            sys.exit("a stage failed; what was exported is kept, run again to go on")

    def _worker(self) -> None:
        while (stage := self._take()) is not None:
            done = self._run(stage)
            with self.changed:
                self.failed |= not done
                self.unfinished.discard(stage.name)
                self.changed.notify_all()

    def _take(self) -> Stage | None:
        with self.changed:
            while self.waiting and not self.failed:
                for stage in self.waiting:
                    if not {stage.after, stage.beside} & self.unfinished:
                        self.waiting.remove(stage)
                        return stage
                self.changed.wait()
            return None

    def _run(self, stage: Stage) -> bool:
        if (self.models / f"{stage.name}.json").is_file():
            return True
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        for command in stage.commands(self.runs, self.models, self.folders[stage.corpus]):
            done = subprocess.run([sys.executable, "-m", "fullband.cli", *command], env=environment)
            if done.returncode:
                print(f"{stage.name}: failed", file=sys.stderr)
                return False
        return True


if __name__ == "__main__":
    main()
