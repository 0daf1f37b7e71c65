"""The page's files: what is vendored is what was published, and what is sent is what there is."""

from __future__ import annotations

import gzip
import hashlib
import json
import re

import pytest

pytest.importorskip("fastapi", reason="the server needs: pip install 'fullband[web]'")

from click.testing import CliRunner

from fullband.card import find_card
from fullband.cli import main
from fullband.errors import OutputError
from fullband.web.site import HEADERS, PAGE, POLICY, assets, export_site, models
from fullband.web.vendor import VENDOR, opened, vendored
from served import ask, serving


@pytest.fixture(scope="module")
def port():
    with serving() as (port, _):
        yield port


def test_what_is_vendored_is_what_its_list_says():
    files = {name: file for entry in vendored() for name, file in entry["files"].items()}
    assert {f"{name}.gz" for name in files} == {path.name for path in VENDOR.glob("*.gz")}
    for name, file in files.items():
        assert hashlib.sha256(opened(name)).hexdigest() == file["sha256"], name
    for entry in vendored():
        assert re.fullmatch(r"\d+\.\d+\.\d+", entry["version"])
        assert entry["integrity"].startswith("sha512-")
        assert entry["licence"] in ("MIT", "MPL-2.0")


def test_the_page_names_only_files_that_are_there():
    known = set(assets())
    for name in ("index.html", *(path.relative_to(PAGE).as_posix() for path in PAGE.rglob("*.js"))):
        text = (PAGE / name).read_text("utf-8")
        folder = PAGE / name
        for found in re.findall(r'(?:from|href=|src=|import\()\s*"(\.{0,2}/?[\w./-]+)"', text):
            target = (folder.parent / found).resolve().relative_to(PAGE.resolve()).as_posix()
            assert target in known, f"{name}: {found}"
        assert not re.search(r"https?://(?!www\.w3\.org)", text), name


def test_all_models_of_any_rate_are_offered():
    assert {model["name"] for model in models()} == {"live", "music", "speech", "tiny"}
    for model in models():
        card, _ = find_card(model["name"])
        assert model["bandwidth_range_hz"] == list(card.bandwidth_range_hz)
        assert (model["memory"] is not None) == (model["name"] == "live")


def test_files_are_sent_as_they_are_and_say_what_they_may(port):
    for name, asset in assets().items():
        answer = ask(port, "GET", f"/{name}", accept_encoding="gzip")
        assert answer.status == 200
        packed = answer.headers["content-encoding"] == "gzip"
        assert packed == asset.packed
        assert (gzip.decompress(answer.body) if packed else answer.body) == asset.content()
        for header, value in HEADERS.items():
            assert answer.headers[header] == value
    for name in ("vendor/ort.wasm.min.mjs", "page.css"):
        plain = ask(port, "GET", f"/{name}")
        assert plain.headers["content-encoding"] is None
        assert plain.body == assets()[name].content()


def test_the_page_itself_and_what_is_not_there(port):
    assert ask(port, "GET", "/").body == (PAGE / "index.html").read_bytes()
    assert ask(port, "HEAD", "/").body == b""
    assert ask(port, "GET", "/../app.py").status == 404
    assert ask(port, "GET", "/vendor/vendored.json").status == 404
    assert ask(port, "GET", "/nothing").status == 404
    found = json.loads(ask(port, "GET", "/models.json").body)
    assert found["server"] is True


def test_what_has_not_changed_is_not_sent_again(port):
    first = ask(port, "GET", "/models/tiny.onnx")
    again = ask(port, "GET", "/models/tiny.onnx", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_an_exported_folder_has_everything_and_its_policy(tmp_path):
    folder = tmp_path / "site"
    files = export_site(folder)
    names = {file.relative_to(folder).as_posix() for file in files}
    assert names == {*assets(), "models.json", "_headers"}
    for name, asset in assets().items():
        if name != "index.html":
            assert (folder / name).read_bytes() == asset.content()
    page = (folder / "index.html").read_text("utf-8")
    assert f"script-src {POLICY['script-src']}" in page
    assert json.loads((folder / "models.json").read_text())["server"] is False
    assert "Cross-Origin-Embedder-Policy: require-corp" in (folder / "_headers").read_text()


def test_a_folder_that_is_something_else_is_left_alone(tmp_path):
    with pytest.raises(OutputError, match="is there already; --force"):
        export_site(tmp_path)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not a page that was exported"):
        export_site(tmp_path, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        export_site(tmp_path / "file" / "site")


def test_the_command_line_exports_and_replaces(tmp_path):
    folder = tmp_path / "site"
    for arguments in ([], ["--force"]):
        done = CliRunner().invoke(main, ["web", "export", str(folder), *arguments])
        assert done.exit_code == 0, done.output
        assert re.search(r"\d+ files, \d+ MB", done.output)
    refused = CliRunner().invoke(main, ["web", "export", str(folder)])
    assert refused.exit_code == 1
    assert "--force" in refused.output
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
