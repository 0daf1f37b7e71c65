"""Codecs: what comes back is the same recording, in its place, and as damaged as the codec says."""

from __future__ import annotations

import numpy as np
import pytest

from fullband.audio.holes import hole_share
from fullband.audio.resample import resample
from fullband.degrade.codec import CODECS, MUSIC_CODECS, TELEPHONE_CODECS, Codec, Coding
from fullband.errors import SettingsError
from signals import band, error_db, noise, tone

RATE = 48_000
MUSIC = ("mp3:96", "aac:160", "opus:96", "vorbis:96")
TELEPHONE = ("mulaw", "alaw", "g726:32", "gsm", "amr:12.2", "opus-nb:16")


def voice(seconds=2.0, rate=RATE):
    """A buzz of falling harmonics whose pitch glides and whose level comes and goes.

    None below 400 Hz, where AMR's high-pass turns the phase.
    """
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * (140 * time + 6 * np.sin(2 * np.pi * 1.3 * time))
    buzz = sum(np.sin(k * phase) / k for k in range(3, 22))
    audio = 0.3 * buzz * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * time))
    return audio.astype(np.float32)


def lag_of(late, audio, farthest=120):
    """By how many samples one is later than the other: the highest of their products."""
    middle = audio[farthest:-farthest]
    lags = range(-farthest, farthest + 1)
    products = [late[farthest + k : len(late) - farthest + k] @ middle for k in lags]
    return lags[int(np.argmax(products))]


@pytest.mark.parametrize("text", MUSIC)
def test_music_codecs_keep_place_length_and_channels(text):
    audio = np.stack([voice(), band(noise(2, RATE, 3), RATE, 200, 9000)])
    coded, rate = Coding.parse(text).apply(audio, RATE)
    assert (coded.shape, coded.dtype, rate) == (audio.shape, np.float32, RATE)
    assert error_db(coded[0], audio[0]) < -10
    assert lag_of(coded[0], audio[0]) == 0
    # Mono and short audio, and a rate that no codec takes.
    mono, rate = Coding.parse(text).apply(audio[0, :70], 11_025)
    assert (mono.shape, rate) == ((70,), 11_025)


@pytest.mark.parametrize("text", TELEPHONE)
def test_telephone_codecs_give_8_khz_in_place(text):
    audio = voice()
    coded, rate = Coding.parse(text).apply(audio, RATE)
    narrow = resample(audio, RATE, 8000)
    assert (coded.shape, rate) == (narrow.shape, 8000)
    assert abs(lag_of(coded, narrow)) <= 1
    powers = [float(np.mean(each**2)) for each in (coded, narrow)]
    assert 10 * np.log10(powers[0] / powers[1]) == pytest.approx(0, abs=2)


def test_companding_is_as_exact_as_g_711_says():
    # 8 bits on a logarithmic scale: some 37 dB over a wide range of levels (ITU-T G.712).
    for text in ("mulaw", "alaw"):
        for level in (0.5, 0.05):
            audio = (tone(997, 1, 8000) * level).astype(np.float32)
            coded, _ = Coding.parse(text).apply(audio, 8000)
            assert -41 < error_db(coded, audio) < -34


def test_fewer_bits_do_more_damage():
    audio = voice()
    for texts in (("mp3:24", "mp3:96"), ("g726:16", "g726:40"), ("opus:12", "opus:96")):
        errors = []
        for text in texts:
            coded, rate = Coding.parse(text).apply(audio, RATE)
            errors.append(error_db(coded, resample(audio, RATE, rate)))
        assert errors[0] > errors[1] + 3


def test_mp3_at_a_low_rate_leaves_holes_and_a_wall():
    audio = noise(3, RATE, rms=0.1) + 0.3 * band(noise(3, RATE, 1), RATE, 300, 600)
    coded, _ = Coding.parse("mp3:24").apply(audio, RATE)
    assert hole_share(coded, RATE, 2000, 5000) > 4 * hole_share(audio, RATE, 2000, 5000)
    above = band(coded, RATE, 12_000, 20_000)
    assert np.mean(above**2) < 1e-4 * np.mean(band(audio, RATE, 12_000, 20_000) ** 2)


def test_the_same_gives_the_same():
    audio = voice(0.5)
    for text in ("mp3:32", "amr:4.75"):
        once, again = (Coding.parse(text).apply(audio, RATE)[0] for _ in range(2))
        np.testing.assert_array_equal(once, again)


def test_nothing_stays_nothing():
    for text in ("mp3:64", "mulaw", "vorbis:64"):
        coding = Coding.parse(text)
        assert coding.apply(np.zeros(0, np.float32), RATE)[0].shape == (0,)
        silent, _ = coding.apply(np.zeros(4800, np.float32), RATE)
        assert np.max(np.abs(silent)) < 1e-3


def test_codings_are_written_as_they_are_read():
    for text in (*MUSIC, *TELEPHONE, "amr:4.75"):
        assert str(Coding.parse(text)) == text
    assert set(MUSIC_CODECS) | set(TELEPHONE_CODECS) == set(CODECS)
    assert all(isinstance(codec, Codec) for codec in CODECS.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mp4:64", "unknown codec 'mp4'; one of mp3"),
        ("mp3", "mp3 has 16 to 320 kb/s, not 0"),
        ("mp3:1000", "mp3 has 16 to 320 kb/s, not 1000"),
        ("g726:20", "g726 has 16, 24, 32, 40 kb/s, not 20"),
        ("gsm:13", "gsm has one rate only"),
        ("mp3:many", "'mp3:many': give CODEC or CODEC:KBPS"),
    ],
)
def test_what_no_codec_does_is_refused(text, message):
    with pytest.raises(SettingsError, match=message):
        Coding.parse(text)


def test_too_many_channels_are_refused():
    with pytest.raises(SettingsError, match="mp3 does not take 3 channels"):
        Coding("mp3", 64).apply(np.zeros((3, 100), np.float32), RATE)
    with pytest.raises(SettingsError, match="alaw does not take 2 channels"):
        Coding("alaw").apply(np.zeros((2, 100), np.float32), RATE)
