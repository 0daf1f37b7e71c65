"""Speech or music: figures known by hand on sounds whose level moves in known ways."""

from __future__ import annotations

import numpy as np
import pytest

from fullband.audio.content import ContentMeter, log_odds_of_music
from signals import noise, tone

RATE = 16_000


def heard(audio, sample_rate=RATE, pieces=1):
    meter = ContentMeter(sample_rate)
    for block in np.array_split(np.atleast_2d(audio), pieces, axis=-1):
        meter.push(block.astype(np.float32))
    return meter


def syllables(sample_rate=RATE, share=0.5, count=12):
    """Noise that is there for a share of every third of a second."""
    sound = noise(count / 3, sample_rate)
    on = (np.arange(len(sound)) / sample_rate * 3) % 1 < share
    return (sound * on).astype(np.float32)


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 44_100, 48_000])
def test_syllables_are_speech_and_a_held_chord_is_music(sample_rate):
    assert heard(syllables(sample_rate), sample_rate).kind() == "speech"
    chord = sum(tone(hz, 3, sample_rate) for hz in (220, 277, 330))
    assert heard(chord, sample_rate).kind() == "music"


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_the_share_of_quiet_frames(share):
    # A frame that is part sound has its level within 15 dB of a whole one, unless nearly empty.
    quiet, _ = heard(syllables(share=share, count=60)).figures()
    assert quiet == pytest.approx(1 - share, abs=0.08)


def test_the_spread_by_hand():
    # Half of the time 20 dB lower: the standard deviation is 10 dB.
    sound = np.concatenate([tone(1000, 2, RATE), 0.1 * tone(1000, 2, RATE)])
    quiet, spread_db = heard(sound).figures()
    assert quiet == pytest.approx(0.5, abs=0.02)
    assert spread_db == pytest.approx(10, abs=0.2)


def test_what_telephones_do_not_pass_does_not_count():
    # Quietly enough that the windows' side lobes stay 40 dB below the syllables.
    hum = 0.1 * tone(50, 4, RATE) + 0.1 * tone(5000, 4, RATE)
    one, other = heard(syllables()).figures(), heard(syllables() + hum).figures()
    assert other == pytest.approx(one, abs=0.6)
    filled = heard(syllables() + 0.1 * tone(1000, 4, RATE)).figures()
    assert filled[1] < one[1] - 5


@pytest.mark.parametrize("gain", [0.001, 30.0])
def test_the_level_does_not_matter(gain):
    one, other = heard(syllables()).figures(), heard(gain * syllables()).figures()
    assert other == pytest.approx(one, abs=0.5)  # levels are counted in steps of half a decibel


@pytest.mark.parametrize("pieces", [2, 7, 500])
def test_blocks_do_not_matter(pieces):
    assert heard(syllables(), pieces=pieces).figures() == heard(syllables()).figures()


def test_channels_are_averaged():
    sound = syllables()
    assert heard(np.stack([sound, sound])).figures() == heard(sound).figures()


@pytest.mark.parametrize(
    "audio", [np.zeros(4 * RATE), np.zeros(0), noise(0.9, RATE), np.zeros(5)], ids=len
)
def test_silence_and_what_is_too_short_count_as_speech(audio):
    assert heard(audio).figures() == (1.0, 40.0)
    assert heard(audio).kind() == "speech"


def test_quieter_frames_and_wider_spread_speak_for_speech():
    assert log_odds_of_music(0.0, 3.0) > 0 > log_odds_of_music(0.4, 11.0)
    assert log_odds_of_music(0.1, 5.0) > log_odds_of_music(0.2, 5.0)
    assert log_odds_of_music(0.1, 5.0) > log_odds_of_music(0.1, 6.0)
