"""`fullband report` as it is typed: a page from a corpus and a model, and mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import fullband
from fullband.cli import main
from signals import low_passed, noise


def report(*arguments):
    return CliRunner().invoke(main, ["report", *(str(argument) for argument in arguments)])


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Two recordings to judge on, half a second each, and one to learn from."""
    for name in ("test/a.wav", "test/b.flac", "train/c.wav"):
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        audio = 0.1 * low_passed(noise(0.5, 16_000, seed=ord(path.stem)), 16_000, 7000)
        fullband.write(path, audio.astype("float32"), 16_000)
    return tmp_path / "corpus"


def test_a_page_of_models_beside_the_spline(corpus, exported, tmp_path):
    folder = tmp_path / "new" / "page"
    done = report(folder, "--corpus", corpus, "--model", exported[4], "--model", "spline")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"wrote {folder / 'index.html'}\n"
    text = (folder / "index.html").read_text("utf-8")
    assert "<h1>corpus, 4 to 16 kHz</h1>" in text
    for name in ("High resolution", "Low resolution", "spline", "tiny-4x"):
        assert f'<figure data-name="{name}">' in text
    assert "test/a.wav" in text
    assert "train/c.wav" not in text
    # The stand-in is as loud above the cutoff as noise is: wrong everywhere, so it is shown.
    assert "less SNR than the spline" in text
    assert sorted(path.name for path in folder.parent.iterdir()) == ["page"]


def test_options_reach_the_page(corpus, tmp_path):
    folder = tmp_path / "page"
    options = ["--corpus", corpus, "--model", "spline", "--samples", 1, "--search", 1]
    done = report(folder, *options, "--ratio", 2, "--method", "fir", "--split", "train")
    assert done.exit_code == 0, done.output
    text = (folder / "index.html").read_text("utf-8")
    assert "train/c.wav" in text
    assert "<code>fir</code>" in text
    assert "marks 4 kHz" in text
    done = report(folder, *options, "--title", "A & B")
    assert done.exit_code == 1
    assert done.stderr == f"Error: {folder}: holds a page already; use --force to replace it\n"
    done = report(folder, *options, "--title", "A & B", "--force")
    assert done.exit_code == 0, done.output
    text = (folder / "index.html").read_text("utf-8")
    assert "<h1>A &amp; B</h1>" in text
    assert text.count('class="sample"') == 1


def test_a_model_of_another_rate_is_heard_as_enhance_gives_it(corpus, exported, tmp_path):
    done = report(tmp_path / "page", "--corpus", corpus, "--model", exported[3], "--samples", 1)
    assert done.exit_code == 0, done.output
    assert 'data-name="tiny-3x (enhance)"' in (tmp_path / "page" / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--corpus", "none", "--model", "spline"], "none: no such folder"),
        (["--corpus", "CORPUS"], "give --corpus and --model"),
        (["--model", "spline"], "give --corpus and --model"),
        (["--corpus", "CORPUS", "--model", "audiounet-singel-4x"], "audiounet-single-4x"),
        (["--corpus", "CORPUS", "--model", "spline", "--method", "magic"], "unknown degradation"),
        (["--corpus", "CORPUS", "--model", "spline", "--split", "valid"], "no split 'valid'"),
        (["--corpus", "CORPUS", "--model", "spline", "--samples", "0"], "--samples"),
        (["--corpus", "CORPUS", "--model", "spline", "--search", "0"], "--search"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(corpus, tmp_path, arguments, message):
    folder = tmp_path / "page"
    done = report(folder, *(corpus if word == "CORPUS" else word for word in arguments))
    assert done.exit_code in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
