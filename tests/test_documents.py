"""The documents run: README's Python blocks, the examples, and the tables against stored rows."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    "script", sorted((PROJECT / "examples").glob("*.py")), ids=lambda p: p.stem
)
def test_example_prints_a_number_per_system(script: Path) -> None:
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
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
