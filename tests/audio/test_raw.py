"""Samples without a header: each coding against a second path, and what is refused."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
import soundfile

from encoded import encode
from fullband.audio.file import AudioReader, read
from fullband.audio.raw import RAW_CODINGS, RawFormat
from fullband.errors import AudioError
from signals import noise, tone

RATE = 8000


def mulaw(code: int) -> int:
    """G.711's table for 16-bit samples, by its definition."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


def alaw(code: int) -> int:
    code ^= 0x55
    segment, low = code >> 4 & 7, (code & 0x0F) << 4
    magnitude = low + 8 if segment == 0 else (low + 0x108) << (segment - 1)
    return magnitude if code & 0x80 else -magnitude


@pytest.mark.parametrize(("coding", "table"), [("mulaw", mulaw), ("alaw", alaw)])
def test_telephone_codings_by_their_definition(tmp_path, coding, table):
    (tmp_path / "call.bin").write_bytes(bytes(range(256)))
    audio, rate = read(tmp_path / "call.bin", f"{coding}:8000")
    assert rate == 8000
    assert (audio * 2**15).tolist() == [table(code) for code in range(256)]


@pytest.mark.parametrize(
    ("coding", "stored"),
    [("s16le", "<i2"), ("s24le", None), ("f32le", "<f4")],
)
def test_linear_codings(tmp_path, coding, stored):
    sound = np.stack([noise(0.1, RATE, seed=1), noise(0.1, RATE, seed=2)])
    whole = np.rint(sound * 2**15).astype(np.int64)
    if coding == "s24le":
        content = b"".join(int(v << 8).to_bytes(3, "little", signed=True) for v in whole.T.flat)
    elif coding == "s16le":
        content = whole.T.astype(stored).tobytes()
    else:
        content = (whole.T / 2**15).astype(stored).tobytes()
    (tmp_path / "call.pcm").write_bytes(content)
    audio, rate = read(tmp_path / "call.pcm", f"{coding}:12000:2")
    assert rate == 12_000
    np.testing.assert_array_equal(audio, (whole / 2**15).astype(np.float32))


def test_gsm_and_g722_by_name(tmp_path):
    sound = tone(440, 1, RATE)
    soundfile.write(tmp_path / "a.x", sound, RATE, "GSM610", endian="FILE", format="RAW")
    audio, rate = read(tmp_path / "a.x", "gsm")
    assert (rate, len(audio)) == (8000, 8000)
    assert np.corrcoef(audio, sound)[0, 1] > 0.9
    encode(tmp_path / "b.x", tone(440, 1, 16_000), 16_000, "g722", "g722")
    audio, rate = read(tmp_path / "b.x", "g722:16000")
    assert (rate, len(audio)) == (16_000, 16_000)


def test_standard_input(monkeypatch):
    class Standard:
        buffer = io.BytesIO(bytes(range(256)) * 10)

    monkeypatch.setattr(sys, "stdin", Standard)
    with AudioReader("-", "alaw") as reader:
        passes = [np.concatenate(list(reader.blocks(100)), axis=-1) for _ in range(2)]
    np.testing.assert_array_equal(*passes)
    assert passes[0].shape == (1, 2560)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ulaw:8000", "'ulaw' is not one of alaw, f32le, g722, gsm, mulaw, s16le, s24le"),
        ("s16le", "give its sample rate too, as in s16le:16000"),
        ("s16le:fast", "give CODING:RATE:CHANNELS"),
        ("s16le:-8000", "give CODING:RATE:CHANNELS"),
        ("s16le:8000:1:1", "give CODING:RATE:CHANNELS"),
        ("s16le:8000:99999999999999", "give CODING:RATE:CHANNELS"),
        ("s16le:1999", "sample rate 1999 Hz is outside 2000 to 768000 Hz"),
        ("s16le:8000:0", "0 channels are outside the limits"),
        ("s16le:8000:65", "65 channels are outside the limits"),
        ("gsm:8000:2", "2 channels are outside the limits"),
        ("", "'' is not one of"),
    ],
)
def test_what_is_no_raw_format(text, message):
    with pytest.raises(AudioError, match=message):
        RawFormat.parse(text)


@pytest.mark.parametrize("coding", RAW_CODINGS)
def test_any_bytes_are_some_sound_or_one_error(tmp_path, coding):
    (tmp_path / "noise.bin").write_bytes(np.random.default_rng(0).bytes(1001))
    try:
        audio, _ = read(tmp_path / "noise.bin", f"{coding}:16000")
    except ValueError as error:
        assert "noise.bin: " in str(error)  # noqa: PT017
    else:
        assert np.isfinite(audio).all()
