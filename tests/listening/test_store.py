"""Answers stay: once each, whole, and whoever asks at the same time."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from fullband.errors import OutputError
from fullband.listening.store import Answers, Choice, Rating


def ratings(listener: str, trial: int, *scores: int) -> list[Rating]:
    return [
        Rating(listener, trial, "item", f"s{place}", score, place, 2.5, 30.0)
        for place, score in enumerate(scores, start=1)
    ]


def test_answers_are_there_when_it_is_opened_again(tmp_path):
    answers = Answers(tmp_path)
    answers.begin("anna")
    assert answers.rate(ratings("anna", 3, 100, 20))
    again = Answers(tmp_path)
    assert again.listeners() == ["anna"]
    assert again.answered("anna") == {3}
    assert again.answered("ben") == set()
    rows = again.ratings()
    assert [(row["stimulus"], row["score"], row["place"]) for row in rows] == [
        ("s1", 100, 1),
        ("s2", 20, 2),
    ]
    assert rows[0]["heard_s"] == 2.5
    assert str(rows[0]["at"]).endswith("+00:00")


def test_the_first_answer_stays(tmp_path):
    answers = Answers(tmp_path)
    answers.begin("anna")
    answers.begin("anna")
    assert answers.rate(ratings("anna", 0, 50, 60))
    assert not answers.rate(ratings("anna", 0, 1, 2))
    assert [row["score"] for row in answers.ratings()] == [50, 60]
    choice = Choice("anna", 0, "item", "a", "b", "a", "b", 1, 9.0)
    assert answers.choose(choice)
    assert not answers.choose(Choice("anna", 0, "item", "a", "b", "a", "a", 4, 9.0))
    assert [row["chosen"] for row in answers.choices()] == ["b"]


def test_a_trial_is_stored_whole_or_not_at_all(tmp_path):
    answers = Answers(tmp_path)
    assert not answers.rate(ratings("anna", 0, 50, 60, 101))
    assert answers.ratings() == []


def test_many_at_once_lose_nothing(tmp_path):
    answers = Answers(tmp_path)

    def listen(name: str) -> None:
        for trial in range(10):
            assert answers.rate(ratings(name, trial, 10, 20, 30))

    threads = [threading.Thread(target=listen, args=(f"listener {n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers.ratings()) == 6 * 10 * 3


def test_results_can_be_read_while_somebody_writes(tmp_path):
    answers = Answers(tmp_path)
    answers.rate(ratings("anna", 0, 50))
    writer = sqlite3.connect(tmp_path / "answers.sqlite3", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM ratings")
    assert len(answers.ratings()) == 1
    writer.execute("ROLLBACK")
    writer.close()


def test_what_is_no_database_is_said(tmp_path):
    (tmp_path / "answers.sqlite3").write_bytes(b"no database, but long enough to be one" * 99)
    with pytest.raises(OutputError, match=r"answers\.sqlite3: file is not a database"):
        Answers(tmp_path)
