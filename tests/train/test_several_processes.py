"""Two processes give the weights that one would, however they are started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fullband.errors import SettingsError
from fullband.train import loop
from fullband.train.config import read_recipe
from fullband.train.loop import train

TINY = Path(__file__).parents[2] / "recipes" / "tiny.toml"

# Its loss, `relative_error_db`, is no mean over the batch: averaged over processes it would be
# another one. Steps enough for any difference to grow.
OPTIONS = (
    "schedule.steps=50",
    "data.patch_samples=256",
    "run.validate_every=25",
    "run.checkpoint_every=100",
)


def command(run: Path, *more: str) -> list[str]:
    options = [word for option in OPTIONS for word in ("--set", option)]
    return ["fullband.cli", "train", str(TINY), "--run", str(run), *options, *more]


def run_module(*words: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-m", *words],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stderr


def curve(run: Path) -> list[tuple]:
    """What was logged: the kind, the step, and the numbers that training makes."""
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(e["kind"], e["step"], e.get("loss"), e.get("snr_db")) for e in entries]


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    train(read_recipe(TINY, OPTIONS), one)

    # Begun by torchrun, stopped after a step, and gone on with by Fabric's own launching.
    run_module(
        "torch.distributed.run",
        "--nproc-per-node=2",
        "-m",
        "--",
        *command(two, "--max-minutes", "0"),
    )
    assert json.loads((two / "last" / "state.json").read_text())["step"] == 1
    told = run_module(*command(two, "--set", "run.devices=2"))
    assert told.count("50 of 50 steps") == 1

    assert len(curve(one)) == len(curve(two)) == 3
    for ours, theirs in zip(curve(one), curve(two), strict=True):
        assert theirs[:2] == ours[:2]
        assert theirs[2:] == pytest.approx(ours[2:], abs=1e-3)  # dB
    ours, theirs = (load_file(run / "last" / "weights.safetensors") for run in (one, two))
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-3, atol=1e-5)
    assert not list(two.glob("*.part"))


class Several:
    """What the loop asks of Fabric about its processes."""

    world_size = 3
    global_rank = 1


def test_a_batch_is_shared_out_in_order():
    model = torch.nn.Linear(1, 1)
    config = read_recipe(TINY, ("data.batch_size=12",))
    assert loop._share(config, model, Several()) == slice(4, 8)


def test_a_batch_that_cannot_be_shared_out_is_refused():
    with pytest.raises(SettingsError, match="batch_size 4 cannot be shared out to 3 processes"):
        loop._share(read_recipe(TINY), torch.nn.Linear(1, 1), Several())


def test_a_model_that_is_solved_for_is_not_for_several():
    model = torch.nn.Linear(1, 1).requires_grad_(False)
    with pytest.raises(SettingsError, match="one process"):
        loop._share(read_recipe(TINY, ("data.batch_size=3",)), model, Several())


def test_where_a_training_runs_may_change(tmp_path):
    train(read_recipe(TINY, (*OPTIONS, "schedule.steps=1")), tmp_path)
    config = read_recipe(TINY, (*OPTIONS, "schedule.steps=1", "run.accelerator=auto"))
    assert train(config, tmp_path).step == 1
    assert json.loads((tmp_path / "config.json").read_text())["run"]["accelerator"] == "auto"
