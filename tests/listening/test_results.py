"""Results: by hand, of a panel whose truth is known, and as the command tells them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("scipy", reason="needs: pip install 'fullband[evaluate]'")

from fullband.cli import main
from fullband.errors import MissingFileError
from fullband.listening.results import results_of
from fullband.listening.session import Item, Session, write_session
from fullband.listening.store import Answers, Choice, Rating


def a_test(folder, kind: str, items: int, systems: tuple[str, ...], pairs=(), repeats=1) -> Session:
    """A session without sounds, which results do not need."""
    names = ("reference", "mid-anchor", "low-anchor", *systems)
    files = dict.fromkeys(names, "x.wav")
    listed = tuple(Item(f"item {n}", 0.0, 48_000, 0.0, files) for n in range(items))
    session = Session(kind, "t", 1, 48_000, systems, pairs, repeats, ("Hi.",), listed, "0")
    write_session(session, folder)
    return session


def rate(answers: Answers, listener: str, trial: int, **scores: int) -> None:
    answers.begin(listener)
    rows = [
        Rating(listener, trial, f"item {trial}", name.replace("_", "-"), score, place, 3.0, 60.0)
        for place, (name, score) in enumerate(scores.items(), start=1)
    ]
    assert answers.rate(rows)


def test_mushra_by_hand(tmp_path):
    """System a: the listeners' means are 60, 70, 80, system b: 50, 50, 80. Differences of 10, 20
    and 0: mean 10, s = 10, so ± 24.841 as in the interval by hand; p of two ranks, both positive:
    2 / 4."""
    a_test(tmp_path, "mushra", 2, ("a", "b"))
    answers = Answers(tmp_path)
    anchors = {"reference": 100, "mid_anchor": 40, "low_anchor": 20}
    for listener, first, second in (
        ("anna", {"a": 50, "b": 40}, {"a": 70, "b": 60}),
        ("ben", {"a": 70, "b": 30}, {"a": 70, "b": 70}),
        ("cleo", {"a": 90, "b": 80}, {"a": 70, "b": 80}),
    ):
        rate(answers, listener, 0, **anchors, **first)
        rate(answers, listener, 1, **anchors, **second)
    rate(answers, "dan", 0, **anchors, a=0, b=0)  # who has not finished
    found = results_of(tmp_path)
    assert found.listeners == ("anna", "ben", "cleo")
    assert found.unfinished == {"dan": 1}
    assert found.excluded == {}
    overall = found.overall["a"]
    assert (overall.value, overall.n) == (70, 3)
    assert overall.high - overall.value == pytest.approx(24.841, abs=1e-3)
    assert found.overall["b"].value == 60
    assert found.overall["reference"].value == 100
    assert found.overall["reference"].low == 100
    assert found.per_item["item 0"]["a"].value == 70
    assert found.per_item["item 0"]["b"].value == 50
    assert found.per_item["item 1"]["b"].value == 70
    (difference,) = found.differences
    assert (difference.system, difference.other) == ("a", "b")
    assert difference.mean.value == 10
    assert difference.mean.high == pytest.approx(34.841, abs=1e-3)
    assert difference.p == 0.5
    assert difference.p_holm == 0.5


TRUTH = {"reference": 97, "mid-anchor": 45, "low-anchor": 20, "good": 78, "fair": 62, "other": 62}


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    """Fourteen listeners of eight items, with habits and doubts. Two do not listen: one rates
    at random, one cannot hear treble. `fair` and `other` are equally good."""
    folder = tmp_path_factory.mktemp("panel")
    session = a_test(folder, "mushra", 8, ("good", "fair", "other"))
    generator = np.random.default_rng(4)
    answers = Answers(folder)
    hard = generator.normal(0, 5, 8)  # of items
    for number in range(14):
        listener, habit = f"listener {number:02}", generator.normal(0, 4)
        for trial in range(8):
            scores = {}
            for name in session.stimuli:
                truth = TRUTH[name]
                if number == 5:
                    score = generator.uniform(0, 100)
                elif number == 9 and name == "mid-anchor":
                    score = 96
                elif name == "reference":
                    score = generator.choice([100, 100, 100, 96, 92])
                else:
                    score = truth + habit + hard[trial] + generator.normal(0, 8)
                scores[name.replace("-", "_")] = int(np.clip(round(score), 0, 100))
            rate(answers, listener, trial, **scores)
    return folder


def test_a_panel_of_known_truth(panel):
    found = results_of(panel)
    assert set(found.excluded) == {"listener 05", "listener 09"}
    assert "hidden reference below 90" in found.excluded["listener 05"]
    assert found.excluded["listener 09"] == "mid anchor above 90 in 8 of 8 items"
    assert len(found.listeners) == 12
    for name, truth in TRUTH.items():
        if name != "reference":  # items are hard or easy, for all listeners alike
            assert found.overall[name].value == pytest.approx(truth, abs=5)
        assert found.overall[name].n == 12
    by_pair = {(each.system, each.other): each for each in found.differences}
    assert len(by_pair) == 3
    for other in ("fair", "other"):
        better = by_pair["good", other]
        assert better.mean.value == pytest.approx(16, abs=3)  # 3 standard errors
        assert better.p_holm == pytest.approx(3 * 2 / 2**12)
    same = by_pair["fair", "other"]
    assert same.mean.value == pytest.approx(0, abs=3)
    assert same.p_holm > 0.05
    assert all(each.p_holm >= each.p for each in found.differences)


def test_the_command_tells_what_the_panel_found(panel, tmp_path):
    result = CliRunner().invoke(
        main, ["listen", "results", str(panel), "--csv", str(tmp_path / "rows.csv")]
    )
    assert result.exit_code == 0, result.output
    assert result.output.startswith("12 listeners\nexcluded    listener 05: ")
    assert "mean score and 95 % interval over listeners" in result.output
    assert "item 7" in result.output
    assert "0.0005  0.0015" in result.output  # 2 of 2^12 signs, times three
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 14 * 8 * 6
    assert set(rows[0]) >= {"listener", "item", "stimulus", "score", "place", "heard_s", "at"}
    told = json.loads(CliRunner().invoke(main, ["listen", "results", str(panel), "--json"]).output)
    assert told["kind"] == "mushra"
    assert told["overall"]["good"]["n"] == 12
    assert told["differences"][0]["system"] == "good"


def test_abx_by_hand(tmp_path):
    """Eight trials each: anna 8 right (1 / 256), ben 4 (163 / 256); together 12 of 16."""
    a_test(tmp_path, "abx", 4, ("a",), pairs=(("reference", "a"),), repeats=2)
    answers = Answers(tmp_path)
    for listener, right in (("anna", 8), ("ben", 4), ("cleo", 1)):
        answers.begin(listener)
        for trial in range(8 if listener != "cleo" else 1):
            x, other = ("a", "reference") if trial % 3 else ("reference", "a")
            chosen = x if trial < right else other
            row = Choice(listener, trial, f"item {trial // 2}", "a", "reference", x, chosen, 3, 9.0)
            assert answers.choose(row)
    found = results_of(tmp_path)
    assert found.listeners == ("anna", "ben")
    assert found.unfinished == {"cleo": 1}
    (both,) = found.pairs
    assert (both.correct, both.trials, both.confidence) == (12, 16, 3.0)
    assert both.p == both.p_holm == 2517 / 65536
    told = {each.listener: each for each in found.per_listener}
    assert (told["anna"].correct, told["anna"].p) == (8, 1 / 256)
    assert (told["ben"].correct, told["ben"].p) == (4, 163 / 256)
    output = CliRunner().invoke(main, ["listen", "results", str(tmp_path)]).output
    assert "reference and a  12     16  75 %  0.0384" in output
    assert "unfinished  cleo: 1 trial done, not counted" in output


def test_several_pairs_are_corrected_for_their_number(tmp_path):
    pairs = (("reference", "a"), ("reference", "b"))
    a_test(tmp_path, "abx", 5, ("a", "b"), pairs=pairs)
    answers = Answers(tmp_path)
    answers.begin("anna")
    for trial in range(10):
        name = "ab"[trial % 2]
        chosen = name if name == "a" or trial < 6 else "reference"
        answers.choose(Choice("anna", trial, "i", "reference", name, name, chosen, 1, 5.0))
    first, second = results_of(tmp_path).pairs
    assert (first.correct, second.correct) == (5, 3)
    assert (first.p, first.p_holm) == (1 / 32, 2 / 32)
    assert (second.p, second.p_holm) == (0.5, 0.5)


def test_before_anybody_has_finished(tmp_path):
    a_test(tmp_path, "mushra", 2, ("a",))
    with pytest.raises(MissingFileError, match="nobody has answered yet"):
        results_of(tmp_path)
    answers = Answers(tmp_path)
    answers.begin("anna")
    result = CliRunner().invoke(main, ["listen", "results", str(tmp_path)])
    assert result.exit_code == 0
    assert result.output == "0 listeners\nunfinished  anna: 0 trials done, not counted\n"
    result = CliRunner().invoke(main, ["listen", "results", str(tmp_path / "no")])
    assert result.exit_code == 1
    assert "holds no listening test" in result.output


def test_one_listener_has_means_and_no_interval(tmp_path):
    a_test(tmp_path, "mushra", 1, ("a",))
    rate(Answers(tmp_path), "anna", 0, reference=95, mid_anchor=50, low_anchor=10, a=60)
    output = CliRunner().invoke(main, ["listen", "results", str(tmp_path)]).output
    assert "1 listener\n" in output
    assert "60.0" in output
    assert "±" not in output
