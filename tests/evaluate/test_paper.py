"""The paper's suite on tiny corpora: which tasks there are, who is scored, what is kept."""

from __future__ import annotations

import hashlib
import json
import shutil
from fractions import Fraction

import numpy as np
import onnx
import pytest
import soundfile
from click.testing import CliRunner

from fullband.cli import main
from fullband.engine import open_model
from fullband.errors import MissingFileError, ModelError, SettingsError
from fullband.evaluate import paper
from fullband.evaluate.paper import (
    Task,
    evaluate_paper,
    paper_table,
    paper_tasks,
    read_suite,
    sensitivity_table,
    write_paper_page,
)
from signals import pink_noise


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two recordings of a second and a half."""
    folder = tmp_path_factory.mktemp("single")
    (folder / "test").mkdir()
    for seed in (1, 2):
        soundfile.write(folder / "test" / f"{seed}.wav", pink_noise(1.5, 16_000, seed), 16_000)
    return folder


@pytest.fixture
def models(tmp_path, exported):
    """An AudioUNet for single 4x, and one that claims to be trained on aliased input."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("audiounet-single-4x", "audiounet-single-4x-aliased"):
        for suffix in (".onnx", ".json"):
            shutil.copy(exported[4].with_suffix(suffix), folder / f"{name}{suffix}")
    return folder


def test_the_tasks_are_the_papers():
    tasks = paper_tasks()
    # Four splits at four ratios, zero-phase and causal, and each aliased at 4x.
    assert len(tasks) == 4 * 4 * 2 + 4
    assert len({task.name for task in tasks}) == len(tasks)
    task = Task("piano", "test-real", 6, "chebyshev")
    assert task in tasks
    assert task.degradation.narrow_rate == Fraction(8000, 3)
    assert task.title == "Piano (test-real), 6x: 2.67 to 16 kHz, chebyshev"
    assert Task("single", "test", 4, "subsample").title.startswith("Single speaker, 4x: 4 to 16")


def test_a_corpus_that_is_none_of_the_papers_is_refused():
    with pytest.raises(SettingsError, match="no corpus 'opera' in the suite"):
        paper_tasks(("opera",))


def test_rows_of_every_system_are_kept_by_task(tmp_path, corpus, models):
    evaluate_paper({"single": corpus}, models, tmp_path / "rows")
    stored = {one.task.name: one for one in read_suite(tmp_path / "rows")}
    assert list(stored) == [task.name for task in paper_tasks(("single",))]
    four = stored["single-test-4x-chebyshev"]
    assert [row["system"] for row in four.rows[::2]] == [
        "ideal-lowpass",
        "sinc",
        "spline",
        "audiounet",
        "audiounet trained on subsample",
    ]
    assert {row["file"] for row in four.rows} == {"test/1.wav", "test/2.wav"}
    assert set(four.about["model_sha256"]) == {"audiounet", "audiounet trained on subsample"}
    assert four.about["commit"]
    # Both are the same network here, so on aliased input they change places.
    aliased = stored["single-test-4x-subsample"]
    assert aliased.values("audiounet", "snr_db") == pytest.approx(
        aliased.values("audiounet trained on chebyshev", "snr_db")
    )
    two = stored["single-test-2x-chebyshev"]
    assert {row["system"] for row in two.rows} == {"ideal-lowpass", "sinc", "spline"}
    # By physics: the ideal low-pass keeps more than the spline, and more at 2x than at 8x.
    eight = stored["single-test-8x-chebyshev"]
    ideal, spline = (np.mean(two.values(name, "snr_db")) for name in ("ideal-lowpass", "spline"))
    assert ideal > spline
    assert ideal > np.mean(eight.values("ideal-lowpass", "snr_db")) + 3


def test_a_suite_goes_on_where_it_was_stopped(tmp_path, corpus, models, monkeypatch):
    rows = tmp_path / "rows"
    evaluate = paper.evaluate_recordings
    calls = []

    def stopping(*arguments, **options):
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)

    monkeypatch.setattr(paper, "evaluate_recordings", stopping)
    with pytest.raises(KeyboardInterrupt):
        evaluate_paper({"single": corpus}, models, rows)
    assert [one.task.ratio for one in read_suite(rows)] == [2]  # three systems; four is half done
    first = (rows / "single-test-2x-chebyshev.csv").stat().st_mtime_ns
    monkeypatch.undo()
    evaluate_paper({"single": corpus}, models, rows, only="8x-chebyshev-causal")  # out of turn
    evaluate_paper({"single": corpus}, models, rows)
    assert [one.task for one in read_suite(rows)] == paper_tasks(("single",))
    assert (rows / "single-test-2x-chebyshev.csv").stat().st_mtime_ns == first


def test_only_the_tasks_that_are_asked_for(tmp_path, corpus, models):
    evaluate_paper({"single": corpus}, models, tmp_path, only="4x-chebyshev")
    assert {one.task.method for one in read_suite(tmp_path)} == {"chebyshev", "chebyshev-causal"}
    assert {one.task.ratio for one in read_suite(tmp_path)} == {4}
    with pytest.raises(SettingsError, match="no task of the suite has 'opera'"):
        evaluate_paper({"single": corpus}, models, tmp_path, only="opera")


def test_new_and_changed_models_are_scored_and_the_rest_is_kept(tmp_path, corpus, models):
    rows = tmp_path / "rows"

    def scored(**options):
        evaluate_paper({"single": corpus}, models, rows, only="4x-chebyshev", **options)
        return next(s for s in read_suite(rows) if s.task.name == "single-test-4x-chebyshev")

    first = scored()
    for suffix in (".onnx", ".json"):
        (models / f"audiounet-single-4x{suffix}").rename(models / f"tfilm-single-4x{suffix}")
        (models / f"audiounet-single-4x-aliased{suffix}").unlink()
    # It is another system by its name now, and AudioUNet is gone: nothing is lost for it.
    second = scored()
    assert second.values("tfilm", "snr_db") == first.values("audiounet", "snr_db")
    assert [row for row in second.rows if row["system"] != "tfilm"] == first.rows
    assert set(second.about["later"]) == {"tfilm"}
    assert set(second.about["model_sha256"]) == {*first.about["model_sha256"], "tfilm"}
    # Another network under the same name: its rows alone are other ones.
    card = json.loads((models / "tfilm-single-4x.json").read_text())
    weights = models / "tfilm-single-4x.onnx"
    graph = onnx.load(weights)
    largest = max(graph.graph.initializer, key=lambda one: len(one.raw_data))
    largest.raw_data = bytes(len(largest.raw_data))
    onnx.save(graph, weights)
    card["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    (models / "tfilm-single-4x.json").write_text(json.dumps(card))
    open_model.cache_clear()  # within one process a file is opened once
    third = scored()
    assert third.values("tfilm", "snr_db") != second.values("tfilm", "snr_db")
    assert [row["system"] for row in third.rows] == [row["system"] for row in second.rows]
    before = (rows / "single-test-4x-chebyshev.csv").stat().st_mtime_ns
    assert scored().rows == third.rows
    assert (rows / "single-test-4x-chebyshev.csv").stat().st_mtime_ns == before


def test_new_models_are_scored_on_the_same_files_or_not_at_all(tmp_path, corpus, models):
    evaluate_paper({"single": corpus}, models, tmp_path / "rows", limit=1, only="4x-chebyshev")
    for suffix in (".onnx", ".json"):
        (models / f"audiounet-single-4x{suffix}").rename(models / f"tfilm-single-4x{suffix}")
    with pytest.raises(SettingsError, match="has rows of other files; give the same --limit"):
        evaluate_paper({"single": corpus}, models, tmp_path / "rows", only="4x-chebyshev")


def test_perceptual_scores_are_taken_of_some_files(tmp_path, corpus, models, monkeypatch):
    heard = []

    def listen(predicted, wide, sample_rate, kind):
        heard.append((len(predicted), kind))
        return {"visqol": 3.0, "dnsmos": 2.0}

    monkeypatch.setattr(paper, "score_perceptual", listen)
    evaluate_paper({"single": corpus}, models, tmp_path / "rows", perceptual=1)
    stored = {one.task.name: one for one in read_suite(tmp_path / "rows")}
    assert stored["single-test-4x-chebyshev"].values("spline", "visqol") == [3.0]
    assert stored["single-test-4x-chebyshev-causal"].values("spline", "visqol") == []
    assert set(heard) == {(24_000, "speech")}


def made(method: str, ratio: int, scores: dict[str, list[float]]) -> paper.Stored:
    rows = [
        {"system": system, "file": str(i), "snr_db": value}
        for system, values in scores.items()
        for i, value in enumerate(values)
    ]
    return paper.Stored(Task("single", "test", ratio, method), {}, rows)


def test_the_tables_by_hand():
    stored = [
        made("chebyshev", 4, {"spline": [10.0, 10.0], "audiounet": [12.5, 12.5]}),
        made(
            "subsample",
            4,
            {"audiounet": [9.0], "audiounet trained on chebyshev": [3.25], "spline": [8.0]},
        ),
    ]
    assert paper_table(stored, "chebyshev", "snr_db") == (
        "| task | spline | audiounet |\n"
        "|---|---|---|\n"
        "| Single speaker, 4x | 10.00 ± 0.00 | 12.50 ± 0.00 |"
    )
    lines = sensitivity_table(stored, "snr_db").splitlines()
    assert lines[2] == "| Single speaker | chebyshev | 12.50 ± 0.00 | - | 3.25 |"
    assert lines[4] == "| Single speaker | subsample | - | - | 9.00 |"


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_damaged_index_is_one_line(tmp_path, corpus, models, text):
    (tmp_path / "tasks.json").write_text(text, encoding="latin-1")
    for call in (
        lambda: read_suite(tmp_path),
        lambda: evaluate_paper({"single": corpus}, models, tmp_path),
    ):
        with pytest.raises(SettingsError, match=r"tasks.json: damaged \(.*delete it"):
            call()


def test_a_folder_without_a_suite_is_an_error(tmp_path):
    with pytest.raises(MissingFileError, match="run fullband evaluate --suite paper first"):
        read_suite(tmp_path)


def test_the_command(tmp_path, corpus, models):
    command = ["evaluate", "--suite", "paper", "--limit", "1", "--models", str(models)]
    command += ["--corpora", f"single={corpus}", "--rows", str(tmp_path / "rows")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "chebyshev-causal, lsd_2017" in result.output
    assert result.output.count("| Single speaker, 4x |") == 6
    known = json.loads((tmp_path / "rows" / "tasks.json").read_text(encoding="utf-8"))
    assert known["single-test-6x-chebyshev"]["ratio"] == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "paper"], "a suite needs --corpora"),
        (["--suite", "paper", "sinc"], "not MODEL and CORPUS"),
        (["sinc"], "give MODEL and CORPUS"),
        (
            ["--suite", "paper", "--models", "m", "--rows", "r", "--corpora", "opera=x"],
            "NAME one of single, speakers, piano",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments, message):
    result = CliRunner().invoke(main, ["evaluate", *arguments])
    assert result.exit_code == 2
    assert message in result.output


def test_the_page_shows_the_tasks_that_have_a_model(tmp_path, corpus, models):
    command = ["report", str(tmp_path / "page"), "--suite", "paper", "--samples", "1"]
    command += ["--corpora", f"single={corpus}", "--models", str(models)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "Single speaker, 4x: 4 to 16 kHz, chebyshev" in page
    assert "Single speaker, 2x" not in page
    assert "audiounet" in page


def test_a_page_without_any_model_is_refused(tmp_path, corpus):
    with pytest.raises(ModelError, match="no model of the suite"):
        write_paper_page({"single": corpus}, tmp_path, tmp_path / "page")
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --corpus and --model, or --suite paper"),
        (["--suite", "paper"], "a suite needs --corpora"),
        (["--suite", "paper", "--corpus", "x"], "not --corpus and --model"),
    ],
)
def test_a_page_of_what_does_not_fit_together_is_refused(tmp_path, arguments, message):
    result = CliRunner().invoke(main, ["report", str(tmp_path / "page"), *arguments])
    assert result.exit_code == 2
    assert message in result.output
