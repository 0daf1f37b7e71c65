"""A batch: what is done once, what again, and what a crash at any step leaves."""

from __future__ import annotations

import collections
import multiprocessing
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from fullband import __version__
from fullband.audio.file import AudioWriter, read, write
from fullband.batch import plan_jobs
from fullband.batch_run import Plan, default_workers, foresee, run_batch
from fullband.card import RELEASED
from fullband.errors import ModelError, OutputError
from fullband.manifest import Entry, Manifest, read_entries, sha256_of
from inline import InlineWorkers
from signals import noise, tone

MANIFEST = Path("out/fullband.jsonl")


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, with three recordings in a tree."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a.wav", "b.flac", "deep/c.wav")):
        Path("in", name).parent.mkdir(parents=True, exist_ok=True)
        write(Path("in", name), tone(300 + 100 * number, 0.3, 8000), 8000)
    return tmp_path


@pytest.fixture
def inline(monkeypatch):
    """No processes: what is tested is what they do."""
    monkeypatch.setattr("fullband.batch_run.Workers", InlineWorkers)
    monkeypatch.setattr("fullband.batch_run.use_cores", lambda cores: None)


def batch(**changes) -> dict[str, str]:
    """Does the folder, and gives what became of each file."""
    jobs, problems = plan_jobs(["in"], "out")
    assert problems == []
    plan = Plan(**{"model": "sinc", **changes})
    with Manifest(MANIFEST) as manifest:
        settled = [o for o in run_batch(jobs, manifest, plan) if o.state != "doing"]
    assert len(settled) == len(jobs)
    assert not list(Path("out").rglob(".*"))
    return {Path(o.job.source).name: o.message or o.state for o in settled}


def results() -> dict[str, bytes]:
    found = (path for path in Path("out").rglob("*") if path.is_file() and path != MANIFEST)
    return {path.relative_to("out").as_posix(): path.read_bytes() for path in found}


def done_lines() -> dict[str, int]:
    done = (entry.target for entry in read_entries(MANIFEST) if entry.state == "done")
    return dict(collections.Counter(done))


ALL_DONE = dict.fromkeys(("a.wav", "b.flac", "c.wav"), "done")
ALL_BEFORE = dict.fromkeys(ALL_DONE, "done before")
ONE_LINE_EACH = dict.fromkeys(("a.wav", "b.flac", "deep/c.wav"), 1)


@pytest.mark.usefixtures("inline")
def test_what_is_written_down(folder):
    assert batch(model="spline", options={"rate": 24_000, "detail": 1.0}) == ALL_DONE
    assert read("out/deep/c.wav")[0].shape == (7200,)
    lines = [entry for entry in read_entries(MANIFEST) if entry.target == "a.wav"]
    assert [entry.state for entry in lines] == ["written", "done"]
    entry = lines[1]
    assert entry.source == str(folder / "in" / "a.wav")
    assert entry.source_sha256 == sha256_of("in/a.wav")
    assert entry.target_sha256 == sha256_of("out/a.wav")
    assert entry.source_bytes == Path("in/a.wav").stat().st_size
    assert entry.target_bytes == Path("out/a.wav").stat().st_size
    assert (entry.source_rate, entry.target_rate, entry.channels) == (8000, 24_000, 1)
    assert entry.duration_s == 0.3
    assert 0 < entry.bandwidth_hz <= 4000
    assert (entry.model, entry.model_sha256, entry.error) == ("spline", None, None)
    assert entry.settings == {"model": "spline", "rate": 24_000}  # what differs from the defaults
    assert entry.version == __version__
    assert entry.warnings == ()


@pytest.mark.usefixtures("inline")
def test_auto_writes_down_the_model_it_took_and_its_files_digest():
    batch(model="auto")
    done = [entry for entry in read_entries(MANIFEST) if entry.state == "done"]
    for entry in done:
        assert entry.settings == {"model": "auto"}
        assert entry.model in ("speech", "music")
        assert entry.model_sha256 == sha256_of(RELEASED / f"{entry.model}.onnx")
    assert batch(model="auto") == ALL_BEFORE


@pytest.mark.usefixtures("inline")
def test_what_is_done_is_left_alone():
    batch()
    first, times = results(), [path.stat().st_mtime_ns for path in sorted(Path("out").rglob("*"))]
    assert batch() == ALL_BEFORE
    assert results() == first
    assert [path.stat().st_mtime_ns for path in sorted(Path("out").rglob("*"))] == times
    assert done_lines() == ONE_LINE_EACH
    assert batch(resume=False) == ALL_DONE
    assert results() == first


@pytest.mark.usefixtures("inline")
def test_a_source_with_other_content_is_done_again_also_with_the_same_size_and_time():
    batch()
    before = Path("in/a.wav").stat()
    write("in/a.wav", tone(950, 0.3, 8000), 8000, force=True)
    os.utime("in/a.wav", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert Path("in/a.wav").stat().st_size == before.st_size
    assert batch() == {**ALL_BEFORE, "a.wav": "done"}
    # And a name says nothing: the same content is done, whatever happened to the file.
    shutil.copy("in/b.flac", "kept.flac")
    Path("in/b.flac").unlink()
    shutil.move("kept.flac", "in/b.flac")
    assert batch() == ALL_BEFORE


@pytest.mark.usefixtures("inline")
@pytest.mark.parametrize(
    "other", [{"model": "spline"}, {"options": {"rate": 44_100}}, {"options": {"detail": 0.5}}]
)
def test_other_settings_do_it_again(other):
    batch()
    assert batch(options={"rate": None, "detail": 1.0, "bandwidth_hz": None}) == ALL_BEFORE
    assert batch(**other) == ALL_DONE
    assert batch(**other) == ALL_BEFORE


@pytest.mark.usefixtures("inline")
def test_another_model_of_the_same_name_does_it_again(monkeypatch):
    batch()
    monkeypatch.setattr("fullband.batch_run._digest_of_model", lambda name, asked: "new")
    assert batch() == ALL_DONE
    assert batch() == ALL_BEFORE


@pytest.mark.usefixtures("inline")
def test_a_result_that_is_gone_or_altered_is_made_again():
    batch()
    first = results()
    Path("out/a.wav").unlink()
    content = bytearray(first["b.flac"])
    content[-1] ^= 1
    Path("out/b.flac").write_bytes(content)
    assert batch() == {**ALL_DONE, "c.wav": "done before"}
    assert results() == first
    warned = [entry.target for entry in read_entries(MANIFEST) if entry.warnings]
    assert set(warned) == {"b.flac"}


@pytest.mark.usefixtures("inline")
def test_what_is_not_ours_is_refused_unless_forced():
    Path("out").mkdir()
    Path("out/a.wav").write_text("precious")
    refused = {**ALL_DONE, "a.wav": "out/a.wav: exists already; use --force to replace it"}
    assert batch() == refused
    assert batch(resume=False) == refused
    assert Path("out/a.wav").read_text() == "precious"
    errors = [entry.error for entry in read_entries(MANIFEST) if entry.state == "failed"]
    assert errors == [refused["a.wav"]] * 2
    assert batch(force=True) == {**ALL_BEFORE, "a.wav": "done"}
    assert batch(force=True) == ALL_BEFORE  # so the same command goes on, and does not begin anew


@pytest.mark.usefixtures("inline")
def test_what_appears_while_the_result_is_made_is_not_replaced(monkeypatch):
    import fullband.batch_run as module

    real = module._may_replace

    def appear(task, plan):
        replacing = real(task, plan)
        if task.job.target.endswith("a.wav"):
            Path("out").mkdir(exist_ok=True)
            Path("out/a.wav").write_text("precious")
        return replacing

    with monkeypatch.context() as patch:
        patch.setattr(module, "_may_replace", appear)
        assert "exists already" in batch()["a.wav"]
    assert "exists already" in batch()["a.wav"]  # having said `written` makes it no result of ours
    assert Path("out/a.wav").read_text() == "precious"


@pytest.mark.usefixtures("inline")
def test_what_appears_after_a_crash_in_place_of_the_result_is_not_replaced(monkeypatch):
    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr("fullband.batch_run._give_name", crash)
        with pytest.raises(Crash):
            batch()
    assert [entry.state for entry in read_entries(MANIFEST)] == ["written"]
    Path("out/a.wav").write_text("precious")
    assert "exists already" in batch()["a.wav"]
    assert Path("out/a.wav").read_text() == "precious"


@pytest.mark.usefixtures("inline")
def test_a_crash_before_a_result_replaces_an_older_one_alters_neither(monkeypatch):
    def crash(*_: object) -> None:
        raise Crash

    batch()
    first = results()
    with monkeypatch.context() as patch:
        patch.setattr("fullband.batch_run._give_name", crash)
        with pytest.raises(Crash):
            batch(model="spline")
    assert results() == first
    jobs, _ = plan_jobs(["in"], "out")
    with Manifest(MANIFEST, read_only=True) as manifest:
        foreseen = [o.message for o in foresee(jobs, manifest, Plan("spline"))]
    assert foreseen == ["not finished", *["the settings have changed"] * 2]
    assert batch(model="spline") == ALL_DONE
    assert not any(entry.warnings for entry in read_entries(MANIFEST))


def crash_after_the_first_name(monkeypatch) -> None:
    """A batch whose first result has its name, and no `done` line."""
    import fullband.batch_run as module

    real = module._give_name

    def crash(*arguments) -> None:
        real(*arguments)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(module, "_give_name", crash)
        with pytest.raises(Crash):
            batch()


@pytest.mark.usefixtures("inline")
def test_what_got_its_name_right_before_a_crash_is_ours(monkeypatch):
    crash_after_the_first_name(monkeypatch)
    with Manifest(MANIFEST) as manifest:
        # In the next run its worker is killed before it has even looked.
        manifest.append([Entry("failed", "a.wav", "in/a.wav", error="its worker was killed")])
    assert batch() == {**ALL_DONE, "a.wav": "done before"}


@pytest.mark.usefixtures("inline")
def test_what_got_its_name_right_before_a_crash_may_be_made_again(monkeypatch):
    crash_after_the_first_name(monkeypatch)
    with Manifest(MANIFEST, read_only=True) as manifest:
        assert [manifest.made(f"out/{name}") for name in ("a.wav", "b.flac")] == [True, False]
    assert batch(options={"rate": 44_100}) == ALL_DONE


@pytest.mark.usefixtures("inline")
def test_without_links_results_get_their_names_too(monkeypatch):
    def fail(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", fail)
    assert batch() == ALL_DONE
    assert batch() == ALL_BEFORE


@pytest.mark.usefixtures("inline")
def test_one_bad_file_costs_itself_and_is_tried_again():
    good = Path("in/a.wav").read_bytes()
    Path("in/a.wav").write_bytes(good[:200])
    first = batch()
    assert first["a.wav"].startswith("in/a.wav: damaged after")
    assert {**first, "a.wav": "done"} == ALL_DONE
    (failed,) = (entry for entry in read_entries(MANIFEST) if entry.state == "failed")
    assert (failed.target, failed.error) == ("a.wav", first["a.wav"])
    assert failed.source_sha256 == sha256_of("in/a.wav")
    Path("in/a.wav").write_bytes(good)
    assert batch() == {**ALL_BEFORE, "a.wav": "done"}


@pytest.mark.usefixtures("inline")
def test_an_error_of_ours_is_a_line_too(monkeypatch):
    def fail(*_: object) -> None:
        raise ZeroDivisionError("by zero\nand more")

    monkeypatch.setattr("fullband.enhancement.analyse", fail)
    assert batch()["a.wav"] == "in/a.wav: ZeroDivisionError: by zero"


@pytest.mark.usefixtures("inline")
def test_an_unwritable_place_is_told_by_the_results_name():
    Path("out").mkdir()
    Path("out/deep").write_text("a file")
    assert batch()["c.wav"].startswith("out/deep/c.wav: cannot be written (")


STEPS = [
    ("fullband.manifest.Manifest.append", before, nth)
    for before in (True, False)
    for nth in (1, 2, 3, 4)
] + [("fullband.batch_run._give_name", before, 2) for before in (True, False)]


@pytest.mark.usefixtures("inline")
@pytest.mark.parametrize(("name", "before", "nth"), STEPS)
def test_a_crash_at_any_step_loses_nothing_that_was_done(monkeypatch, name, before, nth):
    batch()
    expected = results()
    shutil.rmtree("out")
    where, _, attribute = name.rpartition(".")
    where = Manifest if where.endswith("Manifest") else sys.modules[where]
    real, calls = getattr(where, attribute), iter(range(1, 100))

    def crash(*arguments, **options):
        if next(calls) != nth:
            return real(*arguments, **options)
        if not before:
            real(*arguments, **options)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(where, attribute, crash)
        with pytest.raises(Crash):
            batch()
    there = results()
    assert there.items() <= expected.items()
    assert set(done_lines()) <= set(there)
    outcome = batch()
    assert {name for name, what in outcome.items() if what == "done before"} == {
        Path(name).name for name in there
    }
    assert results() == expected
    assert done_lines() == ONE_LINE_EACH


@pytest.mark.usefixtures("inline")
def test_litter_of_a_batch_that_was_killed_is_cleared_and_no_others():
    batch()
    (staging,) = {path for path in made_folders() if path.parent == Path("out")}
    staging.mkdir()
    (staging / "0.wav").write_text("half")
    others = [Path("out/.fullband-0123456789abcdef"), Path("out/.fullband-0123.part")]
    others[0].mkdir()
    others[1].write_text("somebody's")
    jobs, _ = plan_jobs(["in"], "out")
    with Manifest(MANIFEST) as manifest:
        assert all(o.state == "skipped" for o in run_batch(jobs, manifest, Plan("sinc")))
    assert not staging.exists()
    assert all(path.exists() for path in others)


def made_folders() -> list[Path]:
    """Where this batch's results are made."""
    from fullband.batch_run import _Staging

    staging = _Staging(MANIFEST, plan_jobs(["in"], "out")[0])
    return [Path(staging.place(0, f"out/{name}")).parent for name in ("a.wav", "deep/c.wav")]


@pytest.mark.usefixtures("inline")
def test_what_would_be_done_is_foreseen_and_nothing_is_written():
    batch()
    Path("out/a.wav").unlink()
    write("in/b.flac", tone(950, 0.2, 8000), 8000, force=True)
    write("in/d.wav", tone(950, 0.2, 8000), 8000)
    write("in/e.wav", tone(950, 0.2, 8000), 8000)
    Path("out/e.wav").write_text("precious")
    os.mkfifo("in/f.wav")
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")}
    jobs, _ = plan_jobs(["in"], "out")
    with Manifest(MANIFEST, read_only=True) as manifest:
        seen = {Path(o.job.source).name: o for o in foresee(jobs, manifest, Plan("sinc"))}
    assert {name: o.message for name, o in seen.items()} == {
        "a.wav": "the result is missing",
        "b.flac": "the source has changed",
        "c.wav": "done before",
        "d.wav": "new",
        "e.wav": "out/e.wav: exists already; use --force to replace it",
        "f.wav": "in/f.wav: is not a regular file",
    }
    assert [seen[name].state for name in sorted(seen)] == [
        "doing",
        "doing",
        "skipped",
        "doing",
        "failed",
        "failed",
    ]
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")} == before
    outcome = batch()  # and so it is
    assert outcome == {
        "a.wav": "done",
        "b.flac": "done",
        "c.wav": "done before",
        "d.wav": "done",
        "e.wav": seen["e.wav"].message,
        "f.wav": seen["f.wav"].message,
    }


def test_an_unknown_model_is_said_before_anything_is_written():
    jobs, _ = plan_jobs(["in"], "out")
    with Manifest("elsewhere.jsonl") as manifest, pytest.raises(ModelError, match="unknown model"):
        next(run_batch(jobs, manifest, Plan("splines")))
    assert not Path("out").exists()


def test_processes_make_what_one_makes():
    assert batch(workers=2) == ALL_DONE
    first = results()
    for name, content in first.items():
        from fullband.enhancement import enhance_file

        enhance_file(Path("in", name), Path("alone", name), model="sinc")
        assert Path("alone", name).read_bytes() == content


def test_a_worker_that_is_killed_costs_its_file_and_the_rest_goes_on():
    with AudioWriter("in/long.wav", 8000, 1) as writer:
        for seed in range(20):
            writer.write(noise(30, 8000, seed)[None])
    jobs = [job for job in plan_jobs(["in"], "out")[0] if "long" in job.source]
    jobs += [job for job in plan_jobs(["in"], "out")[0] if "long" not in job.source]
    outcomes = {}
    with Manifest(MANIFEST) as manifest:
        for outcome in run_batch(jobs, manifest, Plan("sinc", {"rate": 48_000}, workers=1)):
            if outcome.state == "doing" and not outcomes:
                (process,) = multiprocessing.active_children()
                os.kill(process.pid, signal.SIGKILL)
            if outcome.state != "doing":
                outcomes[Path(outcome.job.source).name] = outcome.message or outcome.state
    assert outcomes.pop("long.wav") == (
        "in/long.wav: its worker process was killed, which the system does when memory runs out"
    )
    assert outcomes == ALL_DONE
    assert not list(Path("out").rglob(".*"))
    failed = [entry for entry in read_entries(MANIFEST) if entry.state == "failed"]
    assert [entry.target for entry in failed] == ["long.wav"]


def test_two_batches_at_once_are_one_too_many():
    with Manifest(MANIFEST), pytest.raises(OutputError, match="another batch is at work here"):
        batch()


def test_standard_input_among_others(monkeypatch):
    jobs, _ = plan_jobs(["-", "in"], "out")
    with Path("in/a.wav").open() as stdin, Manifest(MANIFEST) as manifest:
        monkeypatch.setattr(sys, "stdin", stdin)
        settled = [o for o in run_batch(jobs, manifest, Plan("sinc")) if o.state != "doing"]
    assert [o.state for o in settled] == ["done"] * 4
    (made,) = (o.summary for o in settled if o.job.source == "-")
    assert made.source == "standard input"
    np.testing.assert_array_equal(read("out/stdin.wav")[0], read("out/a.wav")[0])


def test_no_more_processes_than_cores_and_files():
    from fullband.engine import available_cores

    assert default_workers(1) == 1
    assert 1 <= default_workers(10**7) <= available_cores()
