"""Orders: different for every listener, the same again for each, and fair."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from fullband.listening.order import trials_of
from fullband.listening.session import Item, Session

STIMULI = ("reference", "mid-anchor", "low-anchor", "a", "b")


def a_session(kind: str, items: int = 8, **changes) -> Session:
    files = dict.fromkeys(STIMULI, "x.wav")
    session = Session(
        kind=kind,
        id="t",
        seed=7,
        sample_rate=48_000,
        systems=("a", "b"),
        pairs=(("reference", "a"), ("a", "b")) if kind == "abx" else (),
        repeats=1,
        welcome=("Hello.",),
        items=tuple(Item(f"item {n}", 0.0, 48_000, 0.0, files) for n in range(items)),
        version="0",
    )
    return dataclasses.replace(session, **changes)


@pytest.mark.parametrize("kind", ["mushra", "abx"])
def test_a_listener_gets_the_same_order_again_and_another_listener_another(kind):
    session = a_session(kind)
    anna = trials_of(session, "anna")
    assert trials_of(session, "anna") == anna
    assert trials_of(session, "ben") != anna
    assert trials_of(dataclasses.replace(session, seed=8), "anna") != anna


def test_the_order_is_the_same_in_every_version():
    """What is on a listener's screen must not change with an update in the middle of a test. The
    first line is also what sorting the lines of this gives, with each stimulus for NAME:

    printf 'anna\\0000\\000NAME' | openssl dgst -sha256 -hmac 7
    """
    session = a_session("mushra", items=3)
    assert [(trial.item, trial.stimuli[1:]) for trial in trials_of(session, "anna")] == [
        (0, ("b", "a", "low-anchor", "reference", "mid-anchor")),
        (2, ("low-anchor", "a", "b", "mid-anchor", "reference")),
        (1, ("reference", "low-anchor", "a", "b", "mid-anchor")),
    ]


def test_mushra_has_every_item_once_with_every_stimulus_and_the_open_reference():
    trials = trials_of(a_session("mushra"), "anna")
    assert sorted(trial.item for trial in trials) == list(range(8))
    for trial in trials:
        assert trial.stimuli[0] == "reference"
        assert sorted(trial.stimuli[1:]) == sorted(STIMULI)


def test_abx_has_every_pair_of_every_item_as_often_as_asked():
    session = a_session("abx", items=3, repeats=4)
    trials = trials_of(session, "anna")
    assert len(trials) == session.trials == 24
    assert sorted(trial.key for trial in trials) == list(range(24))
    counts = Counter((trial.item, frozenset(trial.stimuli[:2])) for trial in trials)
    assert set(counts.values()) == {4}
    assert all(trial.stimuli[2] in trial.stimuli[:2] for trial in trials)


def test_places_and_x_are_fair():
    """5 standard deviations of what a fair coin gives."""
    session = a_session("abx", items=50, pairs=(("a", "b"),))
    trials = [trial for n in range(40) for trial in trials_of(session, f"listener {n}")]
    assert len(trials) == 2000
    first = sum(trial.stimuli[0] == "a" for trial in trials)
    same = sum(trial.stimuli[2] == trial.stimuli[0] for trial in trials)
    both = sum(trial.stimuli[0] == "a" and trial.stimuli[2] == "a" for trial in trials)
    assert abs(first - 1000) < 112
    assert abs(same - 1000) < 112
    assert abs(both - 500) < 97
    session = a_session("mushra", items=50)
    places = Counter(
        trial.stimuli.index("a") for n in range(40) for trial in trials_of(session, f"listener {n}")
    )
    assert all(abs(count - 400) < 90 for count in places.values())
    begins = Counter(trials_of(session, f"listener {n}")[0].item for n in range(500))
    assert max(begins.values()) < 30  # 10 on average
