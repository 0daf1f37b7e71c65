"""Sessions out of folders: anchors measured, files matched and cut, and what is refused."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from fullband.audio.file import AudioReader, read, write
from fullband.cli import main
from fullband.errors import FullbandError, MissingFileError, SettingsError
from fullband.listening.anchors import anchor
from fullband.listening.making import make_session
from fullband.listening.session import read_session
from signals import band, error_db, lag, noise, pink_noise, rms_db, silence, tone

RATE = 48_000


@pytest.mark.parametrize(("cutoff_hz", "gone_hz"), [(3500, 3780), (7000, 7400)])
def test_an_anchor_keeps_what_lies_below_and_loses_what_lies_above(cutoff_hz, gone_hz):
    reference = noise(2.0, RATE)[None]
    found = anchor(reference, RATE, cutoff_hz)
    assert found.shape == reference.shape
    middle = np.s_[:, RATE // 2 : -RATE // 2]  # the filter sees the ends as jumps
    below = [band(each, RATE, 0, cutoff_hz)[middle] for each in (found, reference)]
    assert error_db(*below) < -60
    above = [rms_db(band(each, RATE, gone_hz, RATE / 2)[middle]) for each in (found, reference)]
    assert above[0] < above[1] - 75
    assert lag(found[0], reference[0]) == 0


def test_the_low_anchor_meets_the_mask_of_the_standard():
    """BS.1534-3: 0.1 dB of ripple up to 3.5 kHz, 25 dB down at 4 kHz, 50 dB at 4.5 kHz."""
    impulse = np.zeros((1, RATE), np.float32)
    impulse[0, RATE // 2] = 1
    gain_db = 20 * np.log10(np.abs(np.fft.rfft(anchor(impulse, RATE, 3500)[0])) + 1e-12)
    assert np.abs(gain_db[:3501]).max() < 0.1  # bins of 1 Hz
    assert gain_db[4000:].max() < -25
    assert gain_db[4500:].max() < -50


def test_an_anchor_that_would_be_the_reference_is_refused():
    with pytest.raises(SettingsError, match="references of 14800 Hz or more"):
        anchor(silence(0.1, 11_025)[None], 11_025, 7000)


def test_a_session_has_every_stimulus_at_one_rate_and_length(made):
    folder = made("mushra")
    session = read_session(folder)
    assert [item.name for item in session.items] == ["below/flute", "oboe"]
    assert session.stimuli == ("reference", "mid-anchor", "low-anchor", "clear", "matt")
    for item in session.items:
        sizes = set()
        for file in item.files.values():
            with AudioReader(folder / file) as reader:
                info = reader.info
            assert (info.sample_rate, info.frames, info.channels) == (16_000, 9600, 1)
            sizes.add((folder / file).stat().st_size)
        assert len(sizes) == 1
        assert set(item.files) == set(session.stimuli)


def test_stimuli_are_the_files_to_the_sample(made, folders):
    folder = made("mushra")
    first = read_session(folder).items[1]
    for name, source in folders.items():
        found, expected = read(folder / first.files[name])[0], read(source / "oboe.wav")[0]
        assert np.abs(found - expected).max() < 2**-23
    reference = read(folder / first.files["reference"])[0]
    for name, cutoff_hz in (("low-anchor", 3500), ("mid-anchor", 7000)):
        found = read(folder / first.files[name])[0]
        assert np.abs(found - anchor(reference[None], 16_000, cutoff_hz)[0]).max() < 2**-22


def test_abx_has_no_anchors_and_compares_with_the_reference(made):
    session = read_session(made("abx"))
    assert session.pairs == (("reference", "clear"), ("reference", "matt"))
    assert set(session.items[0].files) == {"reference", "clear", "matt"}
    assert session.trials == 4


def test_long_recordings_are_cut_to_where_there_is_most_to_hear(tmp_path):
    wide = silence(20.0, 16_000)
    wide[8 * 16_000 : 11 * 16_000] = noise(3.0, 16_000)
    for name in ("reference", "same"):
        write(tmp_path / name / "a.flac", wide, 16_000)
    systems = {"same": tmp_path / "same"}
    made = make_session(tmp_path / "test", "mushra", tmp_path / "reference", systems, longest_s=4)
    (item,) = made.session.items
    assert item.frames == 4 * 16_000
    assert 7 <= item.start_s <= 8
    heard = read(tmp_path / "test" / item.files["same"])[0]
    start = round(item.start_s * 16_000)
    np.testing.assert_allclose(heard, wide[start : start + 4 * 16_000], atol=2**-15)
    longest = make_session(tmp_path / "usual", "mushra", tmp_path / "reference", systems)
    assert longest.session.items[0].frames == 12 * 16_000


def test_levels_stay_and_only_a_whole_item_is_lowered(tmp_path):
    wide = tone(440, 1.0, 16_000, 0.8)
    write(tmp_path / "reference" / "a.wav", wide, 16_000)
    write(tmp_path / "loud" / "a.wav", 2 * wide, 16_000, subtype="FLOAT")
    systems = {"loud": tmp_path / "loud"}
    made = make_session(tmp_path / "test", "mushra", tmp_path / "reference", systems)
    (item,) = made.session.items
    assert item.gain_db == pytest.approx(-20 * np.log10(1.6), abs=0.01)
    reference, loud = (
        read(tmp_path / "test" / item.files[name])[0] for name in ("reference", "loud")
    )
    assert error_db(loud, 2 * reference) < -80
    assert error_db(reference, wide * 10 ** (item.gain_db / 20)) < -80
    (note,) = made.notes
    assert "6.0 dB louder than its reference" in note


def test_a_few_samples_more_or_less_are_cut_from_the_end(tmp_path):
    wide = pink_noise(1.0, 16_000)
    write(tmp_path / "reference" / "a.wav", wide, 16_000)
    write(tmp_path / "short" / "a.flac", wide[:-300], 16_000)
    systems = {"short": tmp_path / "short"}
    made = make_session(tmp_path / "test", "abx", tmp_path / "reference", systems)
    assert made.session.items[0].frames == 15_700


def breaking(folders, tmp_path, system="matt"):
    """A copy of a system's folder, to be broken."""
    shutil.copytree(folders[system], tmp_path / "broken")
    return tmp_path / "broken"


@pytest.mark.parametrize(
    ("audio", "rate", "reason"),
    [
        (None, 0, "oboe.*: no such audio (of system broken)"),
        (noise(0.6, 8000), 8000, "8000 Hz, but its reference has 16000 Hz; resample it first"),
        (noise(1.2, 16_000), 16_000, "lasts 1.200 s, but its reference 0.600 s"),
        (np.stack([noise(0.6, 16_000)] * 2), 16_000, "channels: 2, but its reference has 1"),
    ],
)
def test_files_that_do_not_fit_are_named(folders, tmp_path, audio, rate, reason):
    broken = breaking(folders, tmp_path)
    (broken / "oboe.wav").unlink()
    if audio is not None:
        write(broken / "oboe.wav", audio, rate)
    with pytest.raises(FullbandError) as error:
        make_session(tmp_path / "test", "mushra", folders["reference"], {"broken": broken})
    assert reason in str(error.value)
    assert "oboe" in str(error.value)
    assert not (tmp_path / "test").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken"]


@pytest.mark.parametrize("kind", ["mushra", "abx"])
def test_references_that_make_no_test_are_named(folders, tmp_path, kind):
    with pytest.raises(MissingFileError, match="no such folder"):
        make_session(tmp_path / "test", kind, tmp_path / "no", {"matt": folders["matt"]})
    with pytest.raises(MissingFileError, match=r"no such folder \(of system no\)"):
        make_session(tmp_path / "test", kind, folders["reference"], {"no": tmp_path / "no"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match="no audio in it"):
        make_session(tmp_path / "test", kind, tmp_path / "empty", {"matt": folders["matt"]})
    mixed = breaking(folders, tmp_path, "reference")
    shutil.copy(mixed / "oboe.wav", mixed / "oboe.flac")
    with pytest.raises(FullbandError, match=r"oboe\.wav: oboe\.flac has the same name"):
        make_session(tmp_path / "test", kind, mixed, {"matt": folders["matt"]})
    (mixed / "oboe.flac").unlink()
    write(mixed / "oboe.wav", noise(1.0, 8000), 8000, force=True)
    with pytest.raises(FullbandError, match=r"oboe\.wav: 8000 Hz, but .*a test has one rate"):
        make_session(tmp_path / "test", kind, mixed, {"matt": folders["matt"]})


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--kind", "mushra", "--system", "reference={matt}"], "can be called 'reference'"),
        (["--kind", "mushra", "--system", "low-anchor={matt}"], "can be called 'low-anchor'"),
        (["--kind", "mushra", "--system", "a/b={matt}"], "letters, digits and any of"),
        (["--kind", "mushra", "--system", "{matt}"], "--system takes NAME=FOLDER"),
        (["--kind", "abx", "--system", "d={matt}", "--system", "d={matt}"], "given twice"),
        (["--kind", "mushra", "--system", "d={matt}", "--repeats", "2"], "belong to ABX"),
        (["--kind", "mushra", "--system", "d={matt}", "--pair", "d,reference"], "belong to ABX"),
        (["--kind", "abx", "--system", "d={matt}", "--pair", "d"], "--pair takes NAME,NAME"),
        (["--kind", "abx", "--system", "d={matt}", "--pair", "d,e"], "'e', which is no system"),
        (["--kind", "abx", "--system", "d={matt}", "--pair", "d,d"], "cannot be told apart"),
        (
            ["--kind", "abx", "--system", "d={matt}"] + 2 * ["--pair", "d,reference"],
            "pair is given twice",
        ),
        (
            ["--kind", "mushra", *(f"--system=s{n}={{matt}}" for n in range(10))],
            "10 systems are too many to rate side by side; at most 9",
        ),
        (["--kind", "abx", "--system", "d={matt}", "--welcome", "no.txt"], "no.txt: cannot be"),
    ],
)
def test_what_makes_no_test_is_said_in_a_line(folders, tmp_path, arguments, reason):
    command = ["listen", "make", str(tmp_path / "test"), "--reference", str(folders["reference"])]
    command += [argument.format(matt=folders["matt"]) for argument in arguments]
    result = CliRunner().invoke(main, command)
    assert result.exit_code in (1, 2)
    assert reason in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "test").exists()


def test_the_command_says_what_it_made(folders, tmp_path):
    (tmp_path / "hello.txt").write_text("Welcome\nto us.\n\nNow listen.\n", encoding="utf-8")
    command = ["listen", "make", str(tmp_path / "test"), "--kind", "abx"]
    command += ["--reference", str(folders["reference"]), "--repeats", "3", "--seed", "5"]
    command += [f"--system={name}={folders[name]}" for name in ("clear", "matt")]
    command += ["--pair", "clear,matt", "--welcome", str(tmp_path / "hello.txt")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "abx, 2 recordings, 6 trials for each listener" in result.output
    session = read_session(tmp_path / "test")
    assert (session.seed, session.repeats, session.pairs) == (5, 3, (("clear", "matt"),))
    assert session.welcome == ("Welcome to us.", "Now listen.")
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 1
    assert "exists already; choose another folder" in again.output


def test_a_session_that_is_none_is_said(tmp_path):
    with pytest.raises(MissingFileError, match="holds no listening test"):
        read_session(tmp_path)
    path = tmp_path / "session.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(SettingsError, match="is not JSON"):
        read_session(tmp_path)
    path.write_text('{"kind": "mos"}', encoding="utf-8")
    with pytest.raises(SettingsError, match="'mos' is not one of"):
        read_session(tmp_path)
