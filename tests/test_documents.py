"""The documents run: README's Python blocks, the examples, and the tables against stored rows."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_readme_block_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(PROJECT / "demo", tmp_path / "demo", ignore=shutil.ignore_patterns("out"))
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    assert any(tmp_path.glob("wide.*"))


def printed_by(example: str) -> str:
    command = [sys.executable, PROJECT / "examples" / example]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_example_is_run_here() -> None:
    assert {path.name for path in (PROJECT / "examples").glob("*.py")} == {
        "another_time_series.py",
        "before_and_after.py",
    }


def test_the_building_blocks_learn_another_time_series() -> None:
    spline, network = re.findall(r"[\d.]+", printed_by("another_time_series.py"))
    assert float(network) < 0.7 * float(spline)


def test_example_prints_a_number_per_system() -> None:
    lines = printed_by("before_and_after.py").splitlines()
    assert [line.split()[0] for line in lines] == ["sinc", "spline", "auto"]
    distances = [float(line.split()[-1]) for line in lines]
    assert distances[2] < distances[0]  # the default comes closer to the original than resampling


def test_tables_are_those_of_the_stored_rows() -> None:
    command = [sys.executable, PROJECT / "docs" / "fill_tables.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_demo_recording_is_what_its_licence_says() -> None:
    import fullband

    audio, sample_rate = fullband.read(PROJECT / "demo" / "telephone-8khz.wav")
    assert sample_rate == 8000
    assert audio.shape == (62699,)  # 7.8 s, mono


def test_a_learning_curve_of_several_stages_counts_on(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("fill_tables", PROJECT / "docs/fill_tables.py")
    assert spec is not None
    assert spec.loader is not None
    fill_tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill_tables)
    scores = {"snr_db": 14.0, "lsd_2017": 3.0, "lsd": 1.5}
    steps = [(100, 60), (200, 120), (50, 30), (150, 90)]  # two stages
    lines = [{"kind": "valid", "step": n, "seconds": s, **scores} for n, s in steps]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = fill_tables.training_table(path).splitlines()[2:]
    assert [row.split(" | ")[:2] for row in rows] == [
        ["| 100", "1"],
        ["| 200", "2"],
        ["| 250", "2"],
        ["| 350", "4"],
    ]
