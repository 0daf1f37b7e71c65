"""Settings: what is accepted, what is refused and in which words, and the way back."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal, Optional, Union

import pytest

from fullband.errors import MissingFileError, SettingsError
from fullband.settings import build, override, parse_assignment, read_toml, to_dict


@dataclass(frozen=True)
class Inner:
    size: int = 3
    gain_db: float = 0.5

    def __post_init__(self):
        if self.size < 1:
            raise SettingsError("size must be at least 1")


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = Inner()
    flag: bool = False
    mode: Literal["fast", "good", 3] = "fast"
    widths: tuple[int, ...] = (1, 2)
    pair: tuple[int, float] = (1, 2.0)
    limit: int | None = None
    rate: Optional[float] = None  # noqa: UP045 - the older spelling is read as well
    either: Union[int, str] = 0  # noqa: UP007
    inners: tuple[Inner, ...] = ()
    choice: Inner | None = None
    weights: dict[str, float] = field(default_factory=dict)
    anything: Any = None


@dataclass(frozen=True)
class Impossible:
    names: set[str] = frozenset()


FULL = {
    "name": "x",
    "inner": {"size": 7, "gain_db": -1.5},
    "flag": True,
    "mode": "good",
    "widths": [4, 5, 6],
    "pair": [9, 0.25],
    "limit": 12,
    "rate": 0.5,
    "either": "word",
    "inners": [{"size": 1, "gain_db": 1.0}, {"size": 2, "gain_db": 2.0}],
    "choice": {"size": 8, "gain_db": 8.0},
    "weights": {"a": 1.0, "b": 2.0},
    "anything": {"deep": [1, [2, "three"]]},
}


def built(**values):
    return build(Outer, {"name": "x", **values})


def test_every_kind_of_value_is_built():
    assert build(Outer, FULL) == Outer(
        name="x",
        inner=Inner(7, -1.5),
        flag=True,
        mode="good",
        widths=(4, 5, 6),
        pair=(9, 0.25),
        limit=12,
        rate=0.5,
        either="word",
        inners=(Inner(1, 1.0), Inner(2, 2.0)),
        choice=Inner(8, 8.0),
        weights={"a": 1.0, "b": 2.0},
        anything={"deep": [1, [2, "three"]]},
    )


def test_what_is_left_out_is_the_default():
    assert build(Outer, {"name": "x"}) == Outer("x")


def test_to_dict_gives_back_what_was_built():
    assert to_dict(build(Outer, FULL)) == FULL


@pytest.mark.parametrize("data", [FULL, {"name": "x"}])
def test_json_and_back_changes_nothing(data):
    settings = build(Outer, data)
    assert build(Outer, json.loads(json.dumps(to_dict(settings)))) == settings


def test_toml_and_back_changes_nothing(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "ä"\nwidths = [1]\npair = [1, 2]\n[inner]\nsize = 4\n[weights]\nsnr_db = 1\n',
        encoding="utf-8",
    )
    settings = build(Outer, read_toml(recipe))
    assert settings == Outer(
        "ä", inner=Inner(4), widths=(1,), pair=(1, 2.0), weights={"snr_db": 1.0}
    )
    assert build(Outer, to_dict(settings)) == settings


def test_what_is_built_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        built().name = "y"


def test_a_dataclass_that_is_built_already_is_taken_as_it_is():
    inner = Inner(5)
    assert built(inner=inner).inner is inner


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nam": 1}, "settings: unknown key 'nam'; did you mean 'name'?"),
        ({"inner": {"siez": 1}}, "settings: inner: unknown key 'siez'; did you mean 'size'?"),
        ({"inner": {"q": 1}}, "settings: inner: unknown key 'q'; known keys: size, gain_db"),
        ({"inners": [{}, {"q": 1}]}, "settings: inners: unknown key 'q'; known keys: size"),
    ],
)
def test_unknown_keys_are_refused_with_what_was_probably_meant(values, message):
    with pytest.raises(SettingsError) as caught:
        built(**values)
    assert str(caught.value).startswith(message)


def test_a_missing_key_is_named_with_its_place():
    with pytest.raises(SettingsError, match=r"^recipe\.toml: 'name' is missing$"):
        build(Outer, {}, "recipe.toml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": 3}, "name: expected str, got int 3"),
        ({"name": True}, "name: expected str, got bool True"),
        ({"name": None}, "name: expected str, got NoneType None"),
        ({"flag": 1}, "flag: expected bool, got int 1"),
        ({"flag": "true"}, "flag: expected bool, got str 'true'"),
        ({"inner": {"size": True}}, "inner: size: expected int, got bool True"),
        ({"inner": {"size": 3.0}}, "inner: size: expected int, got float 3.0"),
        ({"inner": {"size": "3"}}, "inner: size: expected int, got str '3'"),
        ({"inner": {"gain_db": False}}, "inner: gain_db: expected float, got bool False"),
        ({"inner": {"gain_db": "1"}}, "inner: gain_db: expected float, got str '1'"),
        ({"inner": 3}, "inner: expected a table, got int 3"),
        ({"inner": [1]}, "inner: expected a table, got list [1]"),
        ({"mode": "slow"}, "mode: 'slow' is not one of 'fast', 'good', 3"),
        ({"mode": 4}, "mode: 4 is not one of 'fast', 'good', 3"),
        ({"widths": 3}, "widths: expected an array, got int 3"),
        ({"widths": "34"}, "widths: expected an array, got str '34'"),
        ({"widths": [1, 2.5]}, "widths: expected int, got float 2.5"),
        ({"widths": [True]}, "widths: expected int, got bool True"),
        ({"pair": [1]}, "pair: expected 2 values, got 1"),
        ({"pair": [1, 2, 3]}, "pair: expected 2 values, got 3"),
        ({"pair": [0.5, 1]}, "pair: expected int, got float 0.5"),
        ({"limit": "none"}, "limit: str 'none' does not fit"),
        ({"limit": True}, "limit: bool True does not fit"),
        ({"rate": "1"}, "rate: str '1' does not fit"),
        ({"either": 0.5}, "either: float 0.5 does not fit"),
        ({"either": None}, "either: NoneType None does not fit"),
        ({"weights": [1]}, "weights: expected a table, got list [1]"),
        ({"weights": {"a": "1"}}, "weights: expected float, got str '1'"),
        ({"inner": {"size": 0}}, "inner: size must be at least 1"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(values, message):
    with pytest.raises(SettingsError) as caught:
        built(**values)
    assert str(caught.value) == f"settings: {message}"


@pytest.mark.parametrize("data", [None, 3, "name", ["name"]])
def test_settings_that_are_no_table_are_refused(data):
    with pytest.raises(SettingsError, match=r"^here: expected a table, got "):
        build(Outer, data, "here")


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        ({"inner": {"gain_db": 2}}, "inner", Inner(3, 2.0)),
        ({"pair": (1, 2)}, "pair", (1, 2.0)),
        ({"weights": {"a": 3}}, "weights", {"a": 3.0}),
        ({"rate": 2}, "rate", 2.0),
        ({"limit": None}, "limit", None),
        ({"rate": None}, "rate", None),
        ({"limit": 0}, "limit", 0),
        ({"either": "3"}, "either", "3"),
        ({"either": 3}, "either", 3),
        ({"mode": 3}, "mode", 3),
        ({"widths": []}, "widths", ()),
        ({"choice": {}}, "choice", Inner()),
    ],
)
def test_values_that_fit_are_taken(values, name, expected):
    assert getattr(built(**values), name) == expected


def test_a_whole_number_becomes_a_float_only_where_a_float_is_meant():
    settings = built(inner={"size": 2, "gain_db": 2})
    assert type(settings.inner.size) is int
    assert type(settings.inner.gain_db) is float


def test_a_kind_that_settings_cannot_hold_is_the_programmers_mistake():
    with pytest.raises(TypeError, match="settings cannot hold"):
        build(Impossible, {"names": ["a"]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed=3", (["seed"], 3)),
        ("optimiser.learning_rate=1e-4", (["optimiser", "learning_rate"], 1e-4)),
        (" run . steps = 1_000 ", (["run", "steps"], 1000)),
        ("model.bias=true", (["model", "bias"], True)),
        ("model.bias=True", (["model", "bias"], "True")),
        ("model.name=audiounet", (["model", "name"], "audiounet")),
        ("model.name = audiounet ", (["model", "name"], "audiounet")),
        ('model.name="3"', (["model", "name"], "3")),
        ("degrade.ratios=[2, 4]", (["degrade", "ratios"], [2, 4])),
        ("run.select={snr_db = 1.0}", (["run", "select"], {"snr_db": 1.0})),
        ("data.corpus=/a=b", (["data", "corpus"], "/a=b")),
        ("data.corpus=", (["data", "corpus"], "")),
    ],
)
def test_an_assignment_is_read_as_toml_or_else_as_text(text, expected):
    path, value = parse_assignment(text)
    assert (path, value) == expected
    assert type(value) is type(expected[1])


@pytest.mark.parametrize("text", ["", "seed", "=3", ".seed=3", "run.=3", "run..seed=3", " =3"])
def test_what_is_no_assignment_is_refused(text):
    with pytest.raises(SettingsError) as caught:
        override({}, [text])
    assert str(caught.value) == f"'{text}': write a setting as section.key=value"


def test_override_changes_adds_and_keeps():
    data = {"seed": 1, "run": {"steps": 5, "name": "a"}}
    changed = override(data, ["run.steps=6", "seed=2", "model.inner.size=4", "run.steps=7"])
    assert changed == {
        "seed": 2,
        "run": {"steps": 7, "name": "a"},
        "model": {"inner": {"size": 4}},
    }
    assert data == {"seed": 1, "run": {"steps": 5, "name": "a"}}  # untouched


def test_override_with_nothing_is_the_same():
    data = {"run": {"steps": 5}}
    assert override(data, []) == data


def test_what_is_overridden_is_checked_as_the_rest():
    with pytest.raises(SettingsError, match="inner: unknown key 'sise'; did you mean 'size'"):
        build(Outer, override({"name": "x"}, ["inner.sise=4"]))


def test_a_value_is_not_taken_for_a_section():
    with pytest.raises(SettingsError, match=r"^'seed\.x=1': 'seed' is not a section$"):
        override({"seed": 3}, ["seed.x=1"])


def test_a_recipe_is_read(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("# why\nseed = 3\n[run]\nsteps = 4\n")
    assert read_toml(recipe) == {"seed": 3, "run": {"steps": 4}}


def test_a_recipe_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.toml: no such recipe$"):
        read_toml(tmp_path / "none.toml")


def test_a_folder_is_no_recipe(tmp_path):
    with pytest.raises(MissingFileError, match=r"no such recipe$"):
        read_toml(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed = \n", "not valid TOML: "),
        (b"seed: 3\n", "not valid TOML: "),
        (b"seed = 1\nseed = 2\n", "not valid TOML: "),
        (b"name = '\xff'\n", "not a text file"),
        ("name = 'x'".encode("utf-16"), "not a text file"),
    ],
)
def test_what_is_not_toml_is_refused(tmp_path, content, message):
    recipe = tmp_path / "recipe.toml"
    recipe.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read_toml(recipe)
    assert str(caught.value).startswith(f"{recipe}: {message}")


def test_override_leaves_its_input_alone_at_every_depth():
    data = {"run": {"select": {"a": 1}}}
    assert override(data, ["run.select.a=2"]) == {"run": {"select": {"a": 2}}}
    assert data == {"run": {"select": {"a": 1}}}


def test_an_assignment_is_one_line():
    with pytest.raises(SettingsError, match=r"section\.key=value"):
        parse_assignment("a=1\nb=2")


def test_a_recipe_under_a_file_or_with_an_impossible_name(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "recipe.toml", tmp_path / ("x" * 300)):
        with pytest.raises(MissingFileError):
            read_toml(path)
