"""Damage: both sides of a codec are scored alike, and a table says what fell."""

from __future__ import annotations

import numpy as np
import pytest

from fullband.audio.file import write
from fullband.audio.resample import resample
from fullband.degrade.codec import Coding
from fullband.evaluate.cutoffs import Recording
from fullband.evaluate.damage import CODED, damage_table, score_damage
from signals import noise, tone

RATE = 48_000


@pytest.fixture
def piece(tmp_path):
    sound = 0.2 * tone(700, 2, RATE) + 0.05 * noise(2, RATE)
    write(tmp_path / "piece.wav", np.stack([sound, 0.5 * sound]).astype(np.float32), RATE, "FLOAT")
    return Recording("piece.wav", tmp_path / "piece.wav", "", "", float("inf"))


def test_the_decoded_audio_itself_stands_beside_what_is_made_of_it(piece):
    given = []

    def enhance(coded, rate):
        given.append((coded.shape, rate))
        return resample(coded, rate, RATE)

    rows = score_damage([piece], Coding("mp3", 64), "same", enhance, "music", listen=0)
    assert given == [((2, 2 * RATE), RATE)]
    assert [row["system"] for row in rows] == [CODED, "same"]
    assert rows[0]["lsd"] == rows[1]["lsd"] > 0
    assert np.isnan(rows[0]["visqol"])
    assert 5 < rows[0]["snr_db"] < 40


def test_decoded_audio_that_was_scored_before_gets_no_row(piece):
    def enhance(coded, rate):
        return resample(coded, rate, RATE)

    coding = Coding("mp3", 64)
    both = score_damage([piece], coding, "same", enhance, "music", listen=0)
    after = score_damage([piece], coding, "same", enhance, "music", 0, known={"piece.wav"})
    assert [row["system"] for row in after] == ["same"]
    assert after[0]["lsd"] == both[1]["lsd"]


def test_voice_is_mono_and_telephones_have_8_khz(piece):
    given = []

    def enhance(coded, rate):
        given.append((coded.shape, rate))
        return resample(coded, rate, RATE)

    for text in ("opus:24", "alaw"):
        score_damage([piece], Coding.parse(text), "same", enhance, "speech", listen=0)
    assert given == [((1, 2 * RATE), RATE), ((1, 2 * 8000), 8000)]


def test_what_is_not_believed_is_not_compared(piece):
    told = Recording(piece.file, piece.path, "", "", 9000.0)

    def enhance(coded, rate):
        made = resample(coded, rate, RATE)
        return made + 0.3 * tone(15_000, 2, RATE)

    rows = score_damage([told], Coding("mp3", 96), "shrill", enhance, "music", listen=0)
    assert rows[1]["snr_db"] == pytest.approx(rows[0]["snr_db"], abs=0.05)


def test_a_table_has_before_and_after_and_counts_what_fell():
    def row(system, file, visqol):
        scores = {"snr_db": 10.0, "lsd": 1.0, "visqol": visqol, "dnsmos": float("nan")}
        return {"corpus": "x", "coding": "mp3:64", "system": system, "file": file, **scores}

    # The third was heard before only, and does not count.
    rows = [row(CODED, "a", 3.0), row(CODED, "b", 4.0), row(CODED, "c", 1.0)]
    rows += [row("m", "a", 3.5), row("m", "b", 3.9), row("m", "c", float("nan"))]
    last = damage_table(rows, "m").splitlines()[-1]
    assert last == (
        "| x | mp3:64 | 3 | 10.00 / 10.00 | 1.00 / 1.00 | 3.50 / 3.70 | - / - | 1 of 2 |"
    )
