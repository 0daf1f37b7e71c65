"""Samples as bytes: G.711 as libsndfile has it, samples cut anywhere, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from fullband.audio.pcm import PCM_CODINGS, PcmDecoder, bytes_per_sample, encode
from fullband.errors import AudioError

SUBTYPES = {"s16le": "PCM_16", "f32le": "FLOAT", "mulaw": "ULAW", "alaw": "ALAW"}


def by_libsndfile(data: bytes, coding: str, channels: int = 1) -> np.ndarray:
    audio, _ = soundfile.read(
        io.BytesIO(data),
        samplerate=8000,
        channels=channels,
        format="RAW",
        subtype=SUBTYPES[coding],
        endian="LITTLE",
        dtype="float32",
        always_2d=True,
    )
    return audio.T


@pytest.mark.parametrize("coding", ["mulaw", "alaw"])
def test_every_code_means_what_libsndfile_says(coding):
    codes = bytes(range(256))
    found = PcmDecoder(coding).push(codes)
    np.testing.assert_array_equal(found, by_libsndfile(codes, coding))
    assert found.shape == (1, 256)


@pytest.mark.parametrize("coding", ["mulaw", "alaw"])
def test_every_meaning_has_its_code_and_the_nearest_is_taken(coding):
    meanings = PcmDecoder(coding).push(bytes(range(256)))
    there_and_back = PcmDecoder(coding).push(encode(meanings, coding))
    np.testing.assert_array_equal(there_and_back, meanings)
    samples = np.arange(-32768, 32768)[None].astype(np.float32) / 32768
    found = PcmDecoder(coding).push(encode(samples, coding))
    nearest = np.min(np.abs(samples.T - meanings), axis=1)
    np.testing.assert_allclose(np.abs(found - samples)[0], nearest, atol=1e-7)


@pytest.mark.parametrize("coding", PCM_CODINGS)
@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_cut_anywhere_give_the_same_samples(coding, channels):
    generator = np.random.default_rng(1)
    audio = generator.uniform(-1, 1, (channels, 500)).astype(np.float32)
    data = encode(audio, coding)
    assert len(data) == audio.size * bytes_per_sample(coding)
    decoder, pieces, start = PcmDecoder(coding, channels), [], 0
    while start < len(data):
        length = int(generator.integers(1, 9))
        pieces.append(decoder.push(data[start : start + length]))
        start += length
    found = np.concatenate(pieces, axis=-1)
    np.testing.assert_array_equal(found, by_libsndfile(data, coding, channels))
    assert np.abs(found - audio).max() < {"s16le": 2e-5, "f32le": 1e-9}.get(coding, 0.04)


def test_what_is_beyond_full_scale_is_limited():
    loud = np.array([[2.0, -2.0, 1.0]], np.float32)
    assert np.frombuffer(encode(loud, "s16le"), "<i2").tolist() == [32767, -32768, 32767]
    for law in ("mulaw", "alaw"):
        found = PcmDecoder(law).push(encode(loud, law))[0]
        assert found[0] == -found[1] > 0.97
    assert PcmDecoder("f32le").push(encode(loud, "f32le")).tolist() == loud.tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_floats_that_are_no_samples_are_refused(value):
    with pytest.raises(AudioError, match="no samples"):
        PcmDecoder("f32le").push(np.array([0.0, value], "<f4").tobytes())


def test_unknown_formats_are_refused():
    for door in (PcmDecoder, bytes_per_sample, lambda name: encode(np.zeros((1, 1)), name)):
        with pytest.raises(AudioError, match="unknown sample coding 'u8'; one of s16le"):
            door("u8")
