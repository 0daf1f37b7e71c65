"""The listening page without a browser: its files, its figures, and what the search finds."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil

import numpy as np
import pytest

import fullband
from fullband.audio.file import read
from fullband.corpora.dataset import Decoded
from fullband.corpora.synthetic import synthetic_corpus, synthetic_voice
from fullband.degrade import Degradation
from fullband.errors import OutputError, SettingsError
from fullband.evaluate.metrics import lsd, score, snr_db
from fullband.evaluate.page import PageTask, write_page
from fullband.evaluate.page_findings import (
    find_moments,
    invented_moment,
    new_band_level_db,
    splined,
    spread_indices,
)
from signals import low_passed, noise, silence, tone

RATE = 16_000
DEGRADATION = Degradation("chebyshev", RATE, 4000)
BAD = 3  # the recording that the systems below fail on


def decoded_from(*recordings):
    starts = np.cumsum([0, *(len(recording) for recording in recordings)])
    return Decoded(
        samples=np.concatenate(recordings),
        starts=tuple(int(start) for start in starts),
        levels_db=(-26.0,) * len(recordings),
        names=tuple(f"voices/{index} & co.wav" for index in range(len(recordings))),
        sample_rate=RATE,
    )


@pytest.fixture(scope="module")
def voices():
    """Five recordings of 1.5 to 2 s, each of another length, so that a system can tell them."""
    generator = np.random.default_rng(0)
    return decoded_from(*(synthetic_voice(RATE, 1.5 + i / 8, generator) for i in range(5)))


def is_bad(decoded, length):
    return length == len(decoded.recording(BAD))


def bursting(decoded, at_s):
    """The spline, with a burst at 5 kHz of 0.1 s around a moment of one recording."""

    def system(narrow, degradation, length):
        audio = splined(narrow, degradation, length).copy()
        if is_bad(decoded, length):
            burst = tone(5000, 0.1, RATE, 0.2)
            start = round((at_s - 0.05) * RATE)
            audio[start : start + len(burst)] += burst
        return audio

    return system


def failing(decoded, at_s):
    """Closer to the original than the spline, but one recording is muted for a while."""

    def system(narrow, degradation, length):
        if not is_bad(decoded, length):
            index = [len(decoded.recording(i)) for i in range(len(decoded))].index(length)
            return decoded.recording(index)
        audio = splined(narrow, degradation, length).copy()
        audio[round((at_s - 0.3) * RATE) : round((at_s + 0.3) * RATE)] = 0
        return audio

    return system


@pytest.fixture(scope="module")
def page(voices, tmp_path_factory):
    """A page of one task, and its systems."""
    systems = {"bursts <i>": bursting(voices, 1.2), "original": failing(voices, 0.8)}
    folder = tmp_path_factory.mktemp("page") / "out"
    task = PageTask('Voices & "more"', voices, DEGRADATION, systems)
    assert write_page([task], folder, samples=2, title="A <page>") == folder / "index.html"
    return folder, systems


def articles(folder):
    """Each sample of a page: its key, the name shown and its HTML."""
    text = (folder / "index.html").read_text("utf-8")
    parts = re.findall(r'<article class="sample" id="([^"]+)".*?</article>', text, re.DOTALL)
    bodies = re.findall(r'<article class="sample".*?</article>', text, re.DOTALL)
    names = [html.unescape(re.search(r"<h4[^>]*>(.*?)</h4>", body)[1]) for body in bodies]
    return list(zip(parts, names, bodies, strict=True))


def sounds_of(folder, key, tmp_path):
    """The versions of a sample as they are on the page, decoded."""
    text = (folder / "samples" / f"{key}.js").read_text("ascii")
    encoded = json.loads(re.fullmatch(r'fullbandAudio\("[^"]+", (.*)\);\n', text, re.DOTALL)[1])
    sounds = []
    for one in encoded:
        path = tmp_path / "one.flac"
        path.write_bytes(base64.urlsafe_b64decode(one))
        audio, rate = read(path)
        assert rate == RATE
        sounds.append(audio)
    return sounds


def test_which_files_there_are(page):
    folder, _ = page
    keys = [key for key, _, _ in articles(folder)]
    assert keys[:2] == ["t1-s1", "t1-s2"]
    assert {path.name for path in folder.iterdir()} == {
        *("index.html", "page.css", "page.js", "scale.png", "samples")
    }
    expected = {f"{key}.js" for key in keys}
    expected |= {f"{key}-v{version}.png" for key in keys for version in range(1, 6)}
    assert {path.name for path in (folder / "samples").iterdir()} == expected
    assert not list(folder.parent.glob(".*"))


def test_nothing_leads_outside(page):
    folder, _ = page
    for path in folder.rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            text = path.read_text("utf-8")
            assert "//" not in text, path
            assert not re.search(r"@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket", text), path
    page_html = (folder / "index.html").read_text("utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page_html)[1]
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self' file:"
    assert "unsafe" not in policy
    assert not re.search(r"<script>|<style|\sstyle=|\son[a-z]+=", page_html)
    for target in re.findall(r'(?:src|href)="([^"#]+)"', page_html):
        assert target == "data:," or (folder / target).is_file(), target


def test_names_are_text_not_markup(page):
    folder, _ = page
    text = (folder / "index.html").read_text("utf-8")
    assert "<title>A &lt;page&gt;</title>" in text
    assert "Voices &amp; &quot;more&quot;" in text
    assert "<i>" not in text
    assert "bursts &lt;i&gt;" in text


def test_scores_shown_are_those_of_the_metrics(page, voices):
    folder, systems = page
    for _, name, body in articles(folder):
        wide = voices.recording(voices.names.index(name))
        narrow = DEGRADATION.apply(wide)
        figures = re.findall(r'<figure data-name="(.*?)">(.*?)</figure>', body, re.DOTALL)
        names = [html.unescape(figure) for figure, _ in figures]
        assert names == ["High resolution", "Low resolution", "spline", *systems]
        assert "<dl" not in figures[0][1]
        everything = dict(re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', body, re.DOTALL))
        for system in ("spline", *systems):
            predicted = systems.get(system, splined)(narrow, DEGRADATION, len(wide))
            expected = score(predicted, wide, RATE, DEGRADATION.cutoff_hz)
            shown = re.findall(r"<dd>(.*?)</dd>", figures[names.index(system)][1])
            values = [float(text.replace("−", "-").removesuffix(" dB")) for text in shown]
            wanted = [expected[metric] for metric in ("snr_db", "lsd_2017", "lsd")]
            assert values == pytest.approx(wanted, abs=0.006)
            cells = re.findall(r"<td>(.*?)</td>", everything[html.escape(system)])
            values = [float(text.replace("−", "-")) for text in cells]
            assert values == pytest.approx(list(expected.values()), abs=0.006)


def test_sounds_are_those_of_the_systems(page, voices, tmp_path):
    folder, systems = page
    key, name, _ = articles(folder)[0]
    wide = voices.recording(voices.names.index(name))
    narrow = DEGRADATION.apply(wide)
    sounds = sounds_of(folder, key, tmp_path)
    assert [sound.shape for sound in sounds] == [wide.shape] * 5
    expected = {0: wide, 2: splined(narrow, DEGRADATION, len(wide))}
    expected |= {
        3 + i: system(narrow, DEGRADATION, len(wide)) for i, system in enumerate(systems.values())
    }
    for version, audio in expected.items():
        np.testing.assert_allclose(sounds[version], audio, atol=0.6 / 2**15)  # 16 bit, no gain
    # What is called the low resolution has nothing above the cutoff and loses nothing below it.
    assert new_band_level_db(sounds[1], RATE, 2100).max() < -80
    below = low_passed(sounds[1] - expected[2], RATE, 1200)
    assert snr_db(below + expected[2], expected[2]) > 25


def test_pictures_share_the_page_size_and_differ(page):
    from PIL import Image

    folder, _ = page
    pictures = [Image.open(folder / "samples" / f"t1-s1-v{i}.png") for i in (1, 2)]
    assert {picture.size for picture in pictures} == {(900, 320)}
    high, low = (np.asarray(picture).astype(int) for picture in pictures)
    assert high[:200].mean() > low[:200].mean() + 20  # above 3 kHz
    assert high[260:].mean() == pytest.approx(low[260:].mean(), abs=2)  # below 1.5 kHz


def test_the_burst_is_found_where_it_was_planted(voices):
    found = find_moments(voices, DEGRADATION, {"x": bursting(voices, 1.2)})
    (invented,) = [f for f in found if f.kind == "invented"]
    assert (invented.system, invented.recording) == ("x", BAD)
    assert invented.at_s == pytest.approx(1.2, abs=0.064)
    assert invented.amount >= 10
    # A sine of 0.2 has -17 dBFS; the frame is a little longer than the burst.
    assert -22 < invented.own < -16


def test_what_was_there_a_moment_earlier_is_not_invented():
    quiet, burst = silence(2, RATE), tone(5000, 0.2, RATE, 0.2)
    early, late = quiet.copy(), quiet.copy()
    early[8000:11200] += burst
    late[8800:12000] += burst
    assert invented_moment(late, early, RATE, 2000) is None
    at_s, excess, own, other = invented_moment(late, quiet, RATE, 2000)
    assert at_s == pytest.approx(0.65, abs=0.064)
    assert excess == pytest.approx(own + 70, abs=1e-6)  # silence counts as -70 dBFS
    assert other < -150


def test_the_inaudible_is_not_invented():
    quiet = silence(2, RATE)
    assert invented_moment(tone(5000, 2, RATE, 0.004), quiet, RATE, 2000) is None  # -51 dBFS
    assert invented_moment(tone(5000, 2, RATE, 0.005), quiet, RATE, 2000) is not None  # -49
    assert invented_moment(tone(1000, 2, RATE, 0.5), quiet, RATE, 2000) is None  # below the cutoff


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
def test_level_of_the_new_band(sample_rate):
    both = tone(9000 / 16_000 * sample_rate / 2, 1, sample_rate, 0.1) + tone(500, 1, sample_rate)
    level = new_band_level_db(both, sample_rate, sample_rate / 8)
    assert level[len(level) // 2] == pytest.approx(20 * np.log10(0.1 / np.sqrt(2)), abs=0.01)
    white = new_band_level_db(noise(4, sample_rate, rms=0.1), sample_rate, sample_rate / 8)
    three_quarters = -20 + 10 * np.log10(0.75)
    assert 10 * np.log10(np.mean(10 ** (white / 10))) == pytest.approx(three_quarters, abs=0.2)


def test_the_worse_file_is_found(voices):
    system = failing(voices, 0.8)
    found = find_moments(voices, DEGRADATION, {"x": system})
    wide = voices.recording(BAD)
    narrow = DEGRADATION.apply(wide)
    predicted = system(narrow, DEGRADATION, len(wide))
    spline = splined(narrow, DEGRADATION, len(wide))
    by_kind = {f.kind: f for f in found}
    assert set(by_kind) == {"snr", "lsd"}
    worse = by_kind["snr"]
    assert worse.recording == BAD
    assert worse.amount == pytest.approx(snr_db(spline, wide) - snr_db(predicted, wide))
    assert worse.amount > 0
    assert 0.5 <= worse.at_s <= 1.1
    assert by_kind["lsd"].amount == pytest.approx(lsd(predicted, wide) - lsd(spline, wide))
    assert 0.5 <= by_kind["lsd"].at_s <= 1.1


def test_findings_are_on_the_page(page):
    folder, _ = page
    text = (folder / "index.html").read_text("utf-8")
    shown = articles(folder)[2:]
    assert [name for _, name, _ in shown] == [f"voices/{BAD} & co.wav"]
    body = shown[0][2]
    assert "<b>bursts &lt;i&gt;</b> puts" in body
    assert "<b>original</b> has" in body
    buttons = re.findall(r'data-start="(.*?)" data-stop="(.*?)" data-version="(\d)"', body)
    start, stop, version = next(button for button in buttons if button[2] == "3")
    assert (float(start) + float(stop)) / 2 == pytest.approx(1.2, abs=0.064)
    assert float(stop) - float(start) == pytest.approx(1)
    marks = [float(x) for x in re.findall(r'class="moment concerned" x1="([\d.]+)%"', body)]
    assert min(abs(x / 100 * (1.5 + BAD / 8) - 1.2) for x in marks) < 0.064
    assert "Invented no sound: original." in text
    assert version == "3"


def test_a_page_on_which_nothing_went_wrong_says_so(voices, tmp_path):
    def perfect(narrow, degradation, length):
        lengths = [len(voices.recording(i)) for i in range(len(voices))]
        return voices.recording(lengths.index(length))

    task = PageTask("t", voices, DEGRADATION, {"perfect": perfect, "spline": splined})
    text = write_page([task], tmp_path / "page", samples=1).read_text("utf-8")
    assert "No system invented sound by this measure." in text
    assert "No output was worse than the spline in SNR." in text
    assert "No output was worse than the spline in lsd." in text
    assert len(articles(tmp_path / "page")) == 1
    assert text.count('data-name="spline"') == 1


def test_long_recordings_are_cut_where_they_are_active(tmp_path):
    voice = synthetic_voice(RATE, 11, np.random.default_rng(1))
    recording = np.concatenate([silence(5, RATE), voice, silence(3, RATE)])
    task = PageTask("t", decoded_from(recording), DEGRADATION, {"spline": splined})
    write_page([task], tmp_path / "page", samples=3)
    ((key, _, body),) = articles(tmp_path / "page")
    start, stop, whole = re.search(r"([\d.]+) to ([\d.]+) s of ([\d.]+) s", body).groups()
    assert (float(stop) - float(start), float(whole)) == (10, 19)
    assert 5 <= float(start) <= 6
    sounds = sounds_of(tmp_path / "page", key, tmp_path)
    assert {len(sound) for sound in sounds} == {160_000}
    first = round(float(start) * RATE)
    np.testing.assert_allclose(sounds[0], recording[first : first + 160_000], atol=0.6 / 2**15)


def test_the_search_is_bounded_and_spread(voices):
    seen = []

    def counting(narrow, degradation, length):
        seen.append(length)
        return splined(narrow, degradation, length)

    find_moments(voices, DEGRADATION, {"x": counting}, at_most=2)
    assert seen == [len(voices.recording(1)), len(voices.recording(BAD))]
    assert spread_indices(5, 9) == [0, 1, 2, 3, 4]
    assert spread_indices(100, 1) == [50]


def test_too_loud_is_limited_and_said(tmp_path):
    def loud(narrow, degradation, length):
        return np.full(length, 1.5, np.float32)

    decoded = synthetic_corpus(RATE, 0, 1, 0.5)
    write_page([PageTask("t", decoded, DEGRADATION, {"loud": loud})], tmp_path / "page", search=1)
    assert "8000 sample values beyond full scale limited" in articles(tmp_path / "page")[0][2]


def test_progress_counts_up_to_the_end(voices, tmp_path):
    calls = []
    task = PageTask("t", voices, DEGRADATION, {"spline": splined})
    write_page([task], tmp_path / "page", 2, lambda *call: calls.append(call), search=3)
    assert [call[1:] for call in calls if "searching" in call[0]] == [(0, 3), (1, 3), (2, 3)]
    assert [call[1] / call[2] for call in calls if "drawing" in call[0]] == [0, 0.5, 1]


def test_a_page_is_replaced_only_when_told_and_nothing_else_ever(page, tmp_path):
    task = PageTask("t", synthetic_corpus(RATE, 0, 1, 0.5), DEGRADATION, {"spline": splined})
    folder = tmp_path / "page"
    folder.mkdir()  # empty: may be filled
    write_page([task], folder)
    with pytest.raises(OutputError, match="--force"):
        write_page([task], folder)
    shutil.copyfile(folder / "index.html", folder / "old.html")
    write_page([task], folder, force=True)
    assert not (folder / "old.html").exists()

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("my own page")
    with pytest.raises(OutputError, match="no page of fullband"):
        write_page([task], tmp_path / "mine", force=True)
    fullband.write(tmp_path / "file.wav", silence(1, RATE), RATE)
    with pytest.raises(OutputError, match="is a file"):
        write_page([task], tmp_path / "file.wav", force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.wav", "mine", "page"]


def test_a_failure_leaves_the_old_page(tmp_path):
    def broken(narrow, degradation, length):
        raise SettingsError("it broke")

    decoded = synthetic_corpus(RATE, 0, 1, 0.5)
    index = write_page(
        [PageTask("t", decoded, DEGRADATION, {"spline": splined})], tmp_path / "page"
    )
    before = index.read_text()
    with pytest.raises(SettingsError, match="it broke"):
        write_page(
            [PageTask("t", decoded, DEGRADATION, {"x": broken})], tmp_path / "page", force=True
        )
    assert index.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_impossible_wishes_are_refused(voices, tmp_path):
    task = PageTask("t", voices, DEGRADATION, {})
    for arguments in ({"tasks": []}, {"samples": 0}, {"search": 0}):
        with pytest.raises(SettingsError, match="at least one"):
            write_page(**({"tasks": [task], "folder": tmp_path / "page"} | arguments))
    other = PageTask("t", voices, Degradation("chebyshev", 48_000, 12_000), {})
    with pytest.raises(SettingsError, match="decoded at 16000 Hz, degraded from 48000 Hz"):
        write_page([other], tmp_path / "page")
    assert not list(tmp_path.iterdir())
