"""The documents run: README's Python blocks, the examples, and the tables against stored rows."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_readme_block_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(PROJECT / "demo", tmp_path / "demo", ignore=shutil.ignore_patterns("out"))
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    assert any(tmp_path.glob("wide.*"))


def printed_by(example: str, *arguments: str) -> str:
    command = [sys.executable, PROJECT / "examples" / example, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_example_is_run_here() -> None:
    assert {path.name for path in (PROJECT / "examples").glob("*.py")} == {
        "another_time_series.py",
        "before_and_after.py",
        "telephone_call.py",  # in tests/live
        "websocket_client.py",
        "wrap_a_synthesiser.py",
    }


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs apt-get install espeak-ng")
def test_a_synthesiser_is_wide_from_its_first_block_on(tmp_path: Path) -> None:
    import fullband

    target = tmp_path / "said.wav"
    printed = printed_by(
        "wrap_a_synthesiser.py", "The wind and the sun were disputing.", str(target)
    )
    found = fullband.inspect_file(target)
    assert found.file.sample_rate == 48_000
    assert found.analysis.bandwidth_hz > 15_000
    said_s, waited_ms, behind_ms = map(float, re.findall(r"([\d.]+) (?:s;|ms)", printed))
    assert said_s > 1.5
    assert behind_ms == 14.0
    assert waited_ms < 1000  # some ms on a machine that does nothing else


def test_a_client_speaks_to_a_server(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the server needs: pip install 'fullband[web]'")
    import numpy as np

    import fullband

    audio, rate = fullband.read(PROJECT / "demo" / "telephone-8khz.wav")
    call, target = tmp_path / "call.wav", tmp_path / "wide.wav"
    fullband.write(call, np.atleast_2d(audio)[0, : 2 * rate], rate)
    command = [sys.executable, "-m", "fullband.cli", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            port = server.stderr.readline().split(";")[0].rsplit(":", 1)[1]
            place = f"ws://127.0.0.1:{port}"
            for _ in range(100):
                try:
                    printed = printed_by("websocket_client.py", str(call), str(target), place)
                    break
                except subprocess.CalledProcessError:  # it does not listen yet
                    time.sleep(0.1)
        finally:
            server.terminate()
    assert "2.00 s came back" in printed
    assert fullband.inspect_file(target).file.sample_rate == 48_000


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


def the_filler() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fill_tables", PROJECT / "docs/fill_tables.py")
    assert spec is not None
    assert spec.loader is not None
    fill_tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill_tables)
    return fill_tables


def test_the_speech_models_tables_are_filled_once_there_are_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_tables = the_filler()
    monkeypatch.setattr(fill_tables, "PROJECT", tmp_path)
    text = "".join(
        f"<!-- speech: rows {words} -->\nold\n<!-- end -->\n"
        for words in ("checks", "published 8000 48000", "speed", "detail")
    )
    text += "<!-- content: rows/content.json -->\nold\n<!-- end -->\n"
    empty = fill_tables.filled(text)
    assert empty.count("Not measured yet.") == 5
    assert "old" not in empty
    rows = tmp_path / "rows"
    rows.mkdir()
    about = {"commit": "abc", "machine": "M", "date": "2026-11-24"}
    (rows / "suite.json").write_text(json.dumps({"model": "m", "sha256": "0123456789ab", **about}))
    (rows / "checks.csv").write_text(
        "system,check,asked,value,passed,commit,machine,date\n"
        "m,length,exact,0.0,1,abc,M,2026-11-24\n"
        "other,length,exact,0.0,1,def,M,2026-11-25\n"
    )
    row = {"model": "m", "length_s": 60, "channels": 2, "times_real_time": 99.5}
    row |= {"times_slower_than_sinc": 3.25, "peak_mib": 200, "graph_times_real_time": 150.5}
    speed = {"source_rate": 16_000, "target_rate": 48_000, "cold_start_s": 0.8, "load_before": 0.1}
    (rows / "speed.json").write_text(json.dumps({**speed, **about, "rows": [row]}))
    curve = [{"detail": 0.5, "snr_db": -0.25, "lsd": 1.5, "visqol": 2.25}]
    detail = {"model": "m", "sha256": "0123456789abcdef", "clips": 7, "curve": curve}
    (rows / "detail.json").write_text(json.dumps({**detail, **about}))
    judged = [{"what": "speech/a/test", "excerpts": 20, "wrong": 1}]
    (rows / "content.json").write_text(json.dumps({"judged": judged, **about}))
    full = fill_tables.filled(text)
    assert "| 0.5 | -0.25 | 1.50 | 2.25 |" in full
    assert "model `m` (0123456789ab), 7 clips; commit abc, M, 2026-11-24" in full
    assert "| speech/a/test | 20 | 1 |" in full
    assert "| length | exact | 0 | passed |" in full
    assert "model `m` (0123456789ab); commit abc, M, 2026-11-24. Rows: `rows`." in full
    assert "| m | 60 s, 2 ch | 99.5 | 3.25 | 150.5 | 200 MiB |" in full
    assert "to the first sample, 0.8 s" in full
    assert "| all | 0 |" in full  # no published clips here
    assert fill_tables.filled(full) == full


def test_the_tables_on_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_tables = the_filler()
    monkeypatch.setattr(fill_tables, "PROJECT", tmp_path)
    kinds = ("kill: kill.json", "batches: speed.json", "parts: speed.json")
    text = "".join(f"<!-- {kind} -->\nold\n<!-- end -->\n" for kind in kinds)
    assert fill_tables.filled(text).count("Not measured yet.") == 3
    about = {"commit": "abc", "machine": "M", "date": "2026-11-25", "load_before": 0.5}
    kill = {"group": 1, "leader": 2, "worker": 3, "while_working": 4, "kills": 6, "batches": 2}
    kill |= {"results": 80, "recovered": 5, "last_gone_s": 0.25, "files": 40}
    kill |= {"model": "sinc", "jobs": 2, "seed": 0}
    (tmp_path / "kill.json").write_text(json.dumps({**kill, **about}))
    size = {"what": "short", "files": 100, "audio_s": 300.0}
    row = {**size, "jobs": 2, "seconds": 10.0, "cpu_s": 15.0, "again_s": 1.5}
    parts = {**size, "seconds": {"write": 1.0, "network": 3.0}}
    speed = {"cores": 4, "model": "auto", "speed": [row], "parts": [parts]}
    (tmp_path / "speed.json").write_text(json.dumps({**speed, **about}))
    full = fill_tables.filled(text)
    assert "| of these while results were coming | 4 of 6 |" in full
    assert "| 100 short, 5 min | 2 x 2 | 10.0 | 30.0 | 20.0 | 1.5 s |" in full
    assert full.index("| network | 75.0% |") < full.index("| write | 25.0% |")
    assert full.count("M, load 0.5 before; commit abc, 2026-11-25.") == 3
    assert fill_tables.filled(full) == full


def test_the_table_on_the_servers_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_tables = the_filler()
    monkeypatch.setattr(fill_tables, "PROJECT", tmp_path)
    text = "<!-- load: load.json -->\nold\n<!-- end -->\n"
    assert "Not measured yet." in fill_tables.filled(text)
    about = {"commit": "abc", "machine": "M", "date": "2026-11-27", "cores": 2}
    load = {"uploads": 50, "audio_s": 60.0, "lost": 1, "different": 2, "asked_again": 9}
    load |= {"p50_s": 31.25, "p95_s": 68.0, "seconds": 70.0, "times_real_time": 40.0}
    load |= {"before_mib": 105.4, "peak_mib": 319.2}
    (tmp_path / "load.json").write_text(json.dumps({**about, **load}))
    full = fill_tables.filled(text)
    assert "| 50 files of 60 s at once | |" in full
    assert "| lost, or not what the others are | 3 |" in full
    assert "| the server's memory before, and at most | 105 MiB, 319 MiB |" in full
    assert "2 cores; commit abc, M, 2026-11-27. Figures: `load.json`." in full


def test_a_learning_curve_of_several_stages_counts_on(tmp_path: Path) -> None:
    fill_tables = the_filler()
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


def test_what_ten_million_hours_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_tables = the_filler()
    monkeypatch.setattr(fill_tables, "PROJECT", tmp_path)
    row = {"files": 9, "length_s": 60, "workers": 2, "hours_per_worker_hour": 10.0}
    rows = [
        {**row, "kind": "messages", "hours_per_cpu_hour": 50.0},
        {**row, "kind": "prompts", "hours_per_cpu_hour": 40.0},
    ]
    about = {
        "model": "m",
        "machine": "M",
        "load_before": 0.5,
        "commit": "abc",
        "date": "2026-11-25",
    }
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({**about, "rows": rows}))
    table = fill_tables.scale_table(path)
    assert "| 9 of 60 s | 2 | 50 | 10 |" in table
    # 10,000,000 / 50 = 200,000; by 1,000 cores for 24 hours a day, 8.3 days.
    assert "at 50 hours per core-hour: 200,000 core-hours, which are 8 days of 1,000 cores" in table
