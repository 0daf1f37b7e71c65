"""Model cards: the folder of released models, and what is refused (see also test_engine)."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest

from fullband.card import Card, cards, find_card, read_card, write_card
from fullband.errors import ModelError

CARD = Card(
    name="small",
    summary="Größer × 4",
    architecture={"name": "audiounet", "width": 0.5, "dropout": None, "depths": [1, [2]]},
    sample_rate=16_000,
    entry_rate=4000,
    upsampling="spline",
    stride=32,
    context=1000,
    parameters=12,
    data=("VCTK, CC BY 4.0", "none"),
    licence="MIT",
    command="fullband train recipe.toml",
    training={"steps": 10},
    scores={"vctk, test": {"mean": {"spline": {"lsd": 1.25}}}},
    sha256="00",
)


@pytest.fixture
def released(tmp_path, monkeypatch):
    """A folder of released models of the test's own, empty."""
    monkeypatch.setattr("fullband.card.RELEASED", tmp_path)
    return tmp_path


def release(folder, name, weights=b"weights"):
    """Put a model into the folder: weights that nobody runs, and their card."""
    (folder / f"{name}.onnx").write_bytes(weights)
    digest = hashlib.sha256(weights).hexdigest()
    card = dataclasses.replace(CARD, name=name, sha256=digest)
    write_card(card, folder / f"{name}.json")
    return card


def test_everything_on_a_card_is_kept(tmp_path):
    write_card(CARD, tmp_path / "card.json")
    assert read_card(tmp_path / "card.json") == CARD


def test_a_card_is_json_that_others_can_read(tmp_path):
    write_card(CARD, tmp_path / "card.json")
    written = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert written == {**dataclasses.asdict(CARD), "data": ["VCTK, CC BY 4.0", "none"]}


def test_a_card_may_leave_out_scores_and_training(tmp_path):
    plain = {
        key: value
        for key, value in dataclasses.asdict(CARD).items()
        if key not in ("training", "scores", "sha256")
    }
    (tmp_path / "card.json").write_text(json.dumps(plain))
    expected = dataclasses.replace(CARD, training={}, scores={}, sha256="")
    assert read_card(tmp_path / "card.json") == expected


def test_there_are_no_cards_in_an_empty_folder(released):
    assert cards() == []


def test_cards_come_by_name(released):
    expected = [release(released, name) for name in "hcfaegbd"]
    assert cards() == sorted(expected, key=lambda card: card.name)


def test_what_is_no_card_is_not_listed(released):
    release(released, "a")
    (released / "notes.txt").write_text("{}")
    (released / "b.onnx").write_bytes(b"weights")
    assert [card.name for card in cards()] == ["a"]


def test_a_released_model_is_found_by_name(released):
    card = release(released, "a")
    assert find_card("a") == (card, released / "a.onnx")


@pytest.mark.parametrize("suffix", ["onnx", "json"])
def test_an_exported_model_is_found_by_either_path(tmp_path, suffix):
    card = release(tmp_path, "v1.2")  # a point in the name is not an ending
    assert find_card(str(tmp_path / f"v1.2.{suffix}")) == (card, tmp_path / "v1.2.onnx")


@pytest.mark.parametrize("lost", ["onnx", "json"])
def test_half_an_exported_model_is_refused(tmp_path, lost):
    release(tmp_path, "a")
    (tmp_path / f"a.{lost}").unlink()
    with pytest.raises(ModelError, match=r"a\.onnx: a model needs both a\.onnx and a\.json$"):
        find_card(str(tmp_path / "a.onnx"))


def test_a_released_model_without_its_weights_is_refused(released):
    release(released, "a")
    (released / "a.onnx").unlink()
    with pytest.raises(ModelError, match=r"a\.onnx: the weights cannot be read; install fullband"):
        find_card("a")


def test_weights_of_another_model_are_refused(released):
    release(released, "a")
    release(released, "b", b"other weights")
    (released / "b.onnx").replace(released / "a.onnx")
    with pytest.raises(ModelError, match=r"a\.onnx: the weights are not those of the card"):
        find_card("a")


def test_an_unknown_name_is_answered_with_the_released_ones(released):
    release(released, "voice-4x")
    with pytest.raises(ModelError, match=r"^unknown model 'voice4x'; did you mean 'voice-4x'\?"):
        find_card("voice4x")
    with pytest.raises(ModelError, match=r"^unknown model 'zzz'; one of sinc, spline, voice-4x$"):
        find_card("zzz")


def test_a_name_does_not_lead_out_of_the_folder(released, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    release(elsewhere, "a")
    with pytest.raises(ModelError, match=r"^unknown model "):
        find_card(f"../{elsewhere.name}/a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a model card"),
        (b"{", "not a model card"),
        (b"\xff\xfe{}", "not a model card"),
        (b"[1]", "expected a table, got list"),
        (b"{}", "'name' is missing"),
        (b'{"name": 3}', "name: expected str, got int 3"),
        (b'{"strid": 3}', "unknown key 'strid'; did you mean 'stride'?"),
    ],
)
def test_what_is_not_a_card_is_refused(tmp_path, content, message):
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_card(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_card_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"none\.json: not a model card"):
        read_card(tmp_path / "none.json")


ANY_RATE = dataclasses.replace(CARD, entry_rate=None, bandwidth_range_hz=(2000.0, 20_000.0))


def test_a_card_says_what_its_graph_takes():
    assert CARD.inputs == ("audio",)
    assert ANY_RATE.inputs == ("audio", "bandwidth_hz")


def test_a_card_of_any_rate_is_kept(tmp_path):
    write_card(ANY_RATE, tmp_path / "card.json")
    assert json.loads((tmp_path / "card.json").read_text())["entry_rate"] is None
    assert read_card(tmp_path / "card.json") == ANY_RATE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entry_rate": None}, "either an entry_rate or a bandwidth_range_hz"),
        (
            {"bandwidth_range_hz": (2000.0, 20_000.0)},
            "either an entry_rate or a bandwidth_range_hz",
        ),
        ({"entry_rate": None, "bandwidth_range_hz": (9000.0, 2000.0)}, "must rise"),
        ({"entry_rate": None, "bandwidth_range_hz": (0.0, 2000.0)}, "must rise, from above 0"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(tmp_path, changes, message):
    path = tmp_path / "card.json"
    path.write_text(json.dumps({**dataclasses.asdict(CARD), **changes}))
    with pytest.raises(ModelError, match=message):
        read_card(path)
