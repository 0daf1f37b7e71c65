"""Hostile models, recipes, tables and archives: one line that names the file, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from fullband.audio.file import write
from fullband.card import read_card
from fullband.cli import main
from fullband.corpora.manifest import read_corpus
from fullband.corpora.notes import true_hz_of
from fullband.corpora.unpack import unpack
from fullband.engine import open_model
from fullband.errors import AudioFileError, DownloadError, FullbandError, ModelError
from fullband.manifest import MANIFEST_NAME
from fullband.settings import to_dict
from hostile.mutations import mutated
from hostile.seeds import Seed
from signals import noise

RATE = 8000


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failure(*arguments: str) -> str:
    """The one line that a failing command prints."""
    done = CliRunner().invoke(main, list(arguments))
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    return line


# Models


@pytest.fixture
def card(any_rate) -> dict[str, object]:
    return to_dict(read_card(any_rate.with_suffix(".json")))


def put_model(card: object, graph: bytes) -> None:
    """As mine.onnx, with the right checksum."""
    open_model.cache_clear()  # another test's had the same name
    Path("mine.onnx").write_bytes(graph)
    if isinstance(card, dict):
        card = json.dumps({**card, "sha256": hashlib.sha256(graph).hexdigest()})
    Path("mine.json").write_text(str(card))
    write("narrow.wav", noise(0.5, RATE), RATE, force=True)


def model_failure() -> str:
    line = failure("enhance", "narrow.wav", "--model", "mine.onnx", "-o", "out.wav")
    assert not Path("out.wav").exists()
    return line


CHANGES = {
    "a stride of nothing": ({"stride": 0}, "stride and context must be"),
    "a stride backwards": ({"stride": -4}, "stride and context must be"),
    "a context of terabytes": ({"context": 1 << 40}, "stride and context must be"),
    "no rate": ({"sample_rate": 0}, "sample_rate 0 Hz is outside"),
    "a rate backwards": ({"sample_rate": -48_000}, "sample_rate -48000 Hz is outside"),
    "an absurd rate": ({"sample_rate": 1 << 40}, "is outside 2000 to 768000 Hz"),
    "an absurd entry": (
        {"entry_rate": -1, "bandwidth_range_hz": None},
        "entry_rate -1 Hz is outside",
    ),
    "magic": ({"upsampling": "magic"}, "upsampling must be spline or sinc, not 'magic'"),
    "without end": ({"bandwidth_range_hz": [1.0, float("inf")]}, "bandwidth_range_hz must rise"),
    "words": ({"stride": "4"}, "stride: expected int, got str '4'"),
    "code": ({"__class__": "os"}, "unknown key '__class__'"),
}


@pytest.mark.parametrize(("changes", "message"), CHANGES.values(), ids=CHANGES)
def test_a_card_that_makes_no_sense(card, any_rate, changes, message):
    put_model(card | changes, any_rate.read_bytes())
    line = model_failure()
    assert message in line
    assert "mine.json: " in line


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "[" * 100_000, "9" * 10_000, '{"name": "a\\n"}']
)
def test_a_card_that_is_none(any_rate, text):
    put_model(text, any_rate.read_bytes())
    assert "mine.json: " in model_failure()


def graph(make: str) -> bytes:
    """Models whose signature is right and whose result is not."""
    from onnx import TensorProto, helper

    audio = helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["B", "T"])
    bandwidth = helper.make_tensor_value_info("bandwidth_hz", TensorProto.FLOAT, ["B", "F"])
    kind = TensorProto.DOUBLE if make == "double" else TensorProto.FLOAT
    wide = helper.make_tensor_value_info("wide", kind, ["B", "S"])
    nodes = {
        "longer": [helper.make_node("Concat", ["audio", "audio"], ["wide"], axis=1)],
        "double": [helper.make_node("Cast", ["audio"], ["wide"], to=TensorProto.DOUBLE)],
        "nan": [
            helper.make_node("Sub", ["audio", "audio"], ["zero"]),
            helper.make_node("Div", ["zero", "zero"], ["wide"]),
        ],
        "infinite": [
            helper.make_node("Sub", ["audio", "audio"], ["zero"]),
            helper.make_node("Reciprocal", ["zero"], ["wide"]),
        ],
        "fails": [helper.make_node("MatMul", ["audio", "audio"], ["wide"])],
    }[make]
    made = helper.make_graph(nodes, make, [audio, bandwidth], [wide])
    opset = helper.make_opsetid("", 17)
    return helper.make_model(made, opset_imports=[opset], ir_version=8).SerializeToString()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        ("longer", "mine.onnx: makes float32 ["),
        ("double", "mine.onnx: makes float64 ["),
        ("nan", "mine.onnx: makes samples that are NaN or infinite"),
        ("infinite", "mine.onnx: makes samples that are NaN or infinite"),
        ("fails", "mine.onnx: cannot be run ("),
    ],
)
def test_a_graph_that_does_something_else(card, make, message):
    put_model(card, graph(make))
    assert message in model_failure()


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, b"\x08\x08" * 1000])
def test_a_graph_that_is_none(card, content):
    put_model(card, content)
    assert "mine.onnx: cannot be loaded (" in model_failure()


def test_cards_that_ship_make_sense():
    from fullband.card import RELEASED

    for path in RELEASED.glob("*.json"):
        found = read_card(path)
        assert dataclasses.replace(found) == found
        Path("mine.json").write_text(json.dumps({**to_dict(found), "stride": 0}))
        with pytest.raises(ModelError, match="stride"):
            read_card(Path("mine.json"))


# Recipes


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{a=" * 50_000,
        "a = " + "9" * 10_000,
        "a.b",
        "\0",
        '"a\\n"=1',
    ],
    ids=["deep", "deeper", "a long number", "half", "null", "a key of two lines"],
)
def test_a_recipe_that_makes_no_sense(text):
    Path("mine.toml").write_text(text)
    assert "mine.toml: " in failure("train", "mine.toml")


@pytest.mark.skipif(os.name == "nt", reason="Windows has none of these")
def test_a_recipe_that_is_no_file():
    os.mkfifo("fifo.toml")
    assert "fifo.toml: is not a regular file" in failure("train", "fifo.toml")
    assert "/dev/zero: is not a regular file" in failure("train", "/dev/zero")
    assert "null\\x00.toml: no such recipe" in failure("train", "null\0.toml")


def test_a_setting_that_makes_no_sense():
    Path("mine.toml").write_text("")
    for value in ("[" * 100_000, "9" * 10_000):
        assert "mine.toml: " in failure("train", "mine.toml", "--set", f"run.seed={value}")


# Tables of corpora


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,split\n" + "a" * 200_000 + ",train\n", "files.csv: not a table (field larger"),
        ("file,split\n\n\n,train\n", "files.csv: line 4 lacks its file or its split"),
        ("file,split\nnull\0.wav,train\n", "files.csv: 'null\\x00.wav' lies outside the corpus"),
        ("file,split\n/etc/passwd,train\n", "files.csv: '/etc/passwd' lies outside the corpus"),
        ("file,split\na/../../b.wav,train\n", "files.csv: 'a/../../b.wav' lies outside the corpus"),
    ],
    ids=["long", "empty", "null", "elsewhere", "above"],
)
def test_a_table_that_makes_no_sense(table, message):
    Path("corpus").mkdir()
    Path("corpus/files.csv").write_text(table)
    with pytest.raises(AudioFileError) as caught:
        read_corpus("corpus")
    assert message in str(caught.value)
    assert message in failure("corpora", "show", "corpus")


@pytest.mark.parametrize("column", ["sample_rate", "wall_hz", "bandwidth_hz"])
@pytest.mark.parametrize("value", ["fast", "nan", "inf", "1e999", "0x10"])
def test_a_column_that_holds_no_number(column, value):
    with pytest.raises(AudioFileError, match=rf"a\.wav: '{value}' in the column '{column}'"):
        true_hz_of({"file": "a.wav", column: value}, 24_000)


def test_a_manifest_whose_lines_make_no_sense_is_passed_over():
    write("good.wav", noise(0.5, RATE), RATE)
    Path("out").mkdir()
    lines = [
        '{"state": "done", "target": [], "source": ""}',
        '{"state": "' + "[" * 9,
        "[" * 100_000,
    ]
    Path("out", MANIFEST_NAME).write_text("\n".join(lines) + "\n")
    command = ["enhance", "good.wav", "good.wav", "-o", "out", "--model", "sinc", "--sandbox"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.stderr
    assert Path("out/good.wav").exists()


# Archives

FILES = {"a/one.txt": b"one" * 1000, "a/b/two.txt": b"", "three.txt": b"three", "ü" * 40: b"x"}


def zipped(method: int) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in FILES.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return made.getvalue()


def tarred(mode: str, form: int, extra: dict[str, str] | None = None) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode, format=form) as archive:
        for name, content in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.pax_headers = extra or {}
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def archives() -> tuple[Seed, ...]:
    made = [zipped(method) for method in (0, 8, 12, 14)]
    made += [tarred(f"w:{packing}", form) for packing in ("", "gz", "xz") for form in (0, 1, 2)]
    return tuple(Seed(f"archive {number}", "", content) for number, content in enumerate(made))


def test_broken_archives_are_unpacked_or_refused_in_one_line(folder):
    seeds, refused = archives(), []
    path, out = folder / "broken", folder / "out"
    for number in range(600):
        path.write_bytes(mutated(seeds[number % len(seeds)], seeds, random.Random(number)))
        (out / str(number)).mkdir(parents=True)
        try:
            unpack(path, out / str(number))
        except FullbandError as error:
            refused.append(str(error))
    assert 200 < len(refused) < 600
    assert [said for said in refused if str(folder) not in said or not said.isprintable()] == []
    assert {entry.name for entry in folder.iterdir()} == {"broken", "out"}


def test_an_encrypted_zip():
    content = bytearray(zipped(0))
    content[6] |= 1  # of the first file's own header, and of the directory's
    content[content.index(b"PK\1\2") + 8] |= 1
    Path("locked.zip").write_bytes(content)
    Path("out").mkdir()
    with pytest.raises(DownloadError, match=r"locked\.zip: 'a/one.txt' needs a password"):
        unpack(Path("locked.zip"), Path("out"))


def test_a_tar_whose_names_are_longer_than_memory():
    """A gigabyte of name packs into a megabyte; tarfile would hold it in memory."""
    content = tarred("w:gz", tarfile.PAX_FORMAT, {"comment": "x" * (4 << 20)})
    assert len(content) < 100_000
    Path("names.tar.gz").write_bytes(content)
    Path("out").mkdir()
    with pytest.raises(DownloadError, match="a name of 4194"):
        unpack(Path("names.tar.gz"), Path("out"))
