"""`benchmarks/batch_kill.py` in short: a batch that is killed at random comes to its end."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_batch_survives_kill_9(tmp_path, monkeypatch):
    benchmarks = Path(__file__).parents[1] / "benchmarks"
    monkeypatch.syspath_prepend(benchmarks)
    found = importlib.util.spec_from_file_location("batch_kill", benchmarks / "batch_kill.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    trial = module.Trial(tmp_path / "trial", files=24, model="sinc", jobs=2, seed=1)
    trial.batch(kills=4)
    assert trial.counts["kills"] == 4
    assert trial.counts["results"] == 24
