"""Decoded corpora against reading by hand, and training pairs against their own definition."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

import fullband
from fullband.corpora.dataset import Decoded, PairDataset, decode, default_cache
from fullband.corpora.manifest import read_corpus
from fullband.corpora.synthetic import synthetic_corpus
from fullband.degrade import degrade
from fullband.errors import AudioFileError, FullbandError, MissingFileError
from fullband.models.spline import interpolate
from fullband.train.config import DataConfig
from signals import error_db, lag, noise, rms_db, tone


@pytest.fixture
def folder(tmp_path):
    """A corpus of a mono file, and of a stereo one at another rate in a sub-folder."""
    fullband.write(tmp_path / "b.wav", noise(0.6, 16_000, seed=1), 16_000, "FLOAT")
    stereo = np.stack([noise(0.5, 44_100, seed=2), tone(1000, 0.5, 44_100)])
    (tmp_path / "a").mkdir()
    fullband.write(tmp_path / "a" / "stereo.flac", stereo, 44_100, "PCM_24")
    return tmp_path


def decoded_at(sample_rate, folder, split="test"):
    return decode(read_corpus(folder), split, sample_rate)


def in_memory(*recordings, sample_rate=16_000, levels_db=None):
    """What `decode` would give for these recordings."""
    return Decoded(
        samples=np.concatenate(recordings),
        starts=tuple(itertools.accumulate(map(len, recordings), initial=0)),
        levels_db=tuple(levels_db or (rms_db(recording) for recording in recordings)),
        names=tuple(f"{index}.wav" for index in range(len(recordings))),
        sample_rate=sample_rate,
    )


def test_decoding_is_reading_and_resampling(folder):
    decoded = decoded_at(16_000, folder)
    assert decoded.names == ("a/stereo.flac", "b.wav")
    assert len(decoded) == 2
    stereo, rate = soundfile.read(folder / "a" / "stereo.flac", dtype="float64")
    by_hand = soxr.resample(stereo.sum(axis=1) / 2, rate, 16_000, quality="VHQ")
    assert error_db(decoded.recording(0), by_hand) < -100
    np.testing.assert_array_equal(decoded.recording(1), noise(0.6, 16_000, seed=1))
    assert decoded.starts == (0, 8000, 17_600)
    assert decoded.sample_rate == 16_000


def test_levels_are_those_of_the_files(folder):
    # White noise at an RMS of 0.1 in one. In the other half of such noise, less what lies above
    # 8 kHz, and half of a sine of 0.5, whose fades cost 0.2 dB.
    levels_db = decoded_at(16_000, folder).levels_db
    assert levels_db[1] == pytest.approx(-20, abs=0.1)
    power = (0.5**2 / 2 + 0.1**2 * 16_000 / 44_100) / 4
    assert levels_db[0] == pytest.approx(10 * np.log10(power) - 0.2, abs=0.1)


def test_the_second_time_nothing_is_decoded(folder):
    first = decoded_at(8000, folder)
    assert isinstance(first.samples, np.memmap)
    kept = Path(first.samples.filename)
    written_ns = kept.stat().st_mtime_ns
    for path in (folder / "b.wav", folder / "a" / "stereo.flac"):
        status = path.stat()
        path.write_bytes(bytes(status.st_size))  # no audio any more, which nobody should notice
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = decoded_at(8000, folder)
    assert Path(second.samples.filename) == kept
    assert kept.stat().st_mtime_ns == written_ns
    np.testing.assert_array_equal(second.samples, first.samples)
    assert (second.starts, second.levels_db) == (first.starts, first.levels_db)


def test_a_changed_file_is_decoded_again(folder):
    before = decoded_at(16_000, folder)
    status = (folder / "b.wav").stat()
    fullband.write(folder / "b.wav", noise(0.6, 16_000, seed=9), 16_000, "FLOAT", force=True)
    os.utime(folder / "b.wav", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    after = decoded_at(16_000, folder)
    np.testing.assert_array_equal(after.recording(1), noise(0.6, 16_000, seed=9))
    np.testing.assert_array_equal(after.recording(0), before.recording(0))


def test_rates_and_splits_are_kept_apart(tmp_path):
    for split, seed in (("train", 1), ("valid", 2)):
        (tmp_path / split).mkdir()
        fullband.write(tmp_path / split / "a.wav", noise(0.2, 8000, seed), 8000, "FLOAT")
    kept = {
        (split, rate): decoded_at(rate, tmp_path, split).recording(0)
        for split in ("train", "valid")
        for rate in (8000, 16_000)
    }
    np.testing.assert_array_equal(kept["train", 8000], noise(0.2, 8000, 1))
    np.testing.assert_array_equal(kept["valid", 8000], noise(0.2, 8000, 2))
    assert kept["train", 16_000].shape == (3200,)
    assert kept["valid", 16_000].shape == (3200,)


def test_what_was_left_unfinished_is_decoded_again(folder, own_cache):
    first = decoded_at(16_000, folder)
    expected = np.array(first.samples)
    (index,) = own_cache.glob("*.json")
    index.unlink()
    np.testing.assert_array_equal(decoded_at(16_000, folder).samples, expected)
    assert index.is_file()


def test_what_another_process_reads_is_not_written_to(folder, own_cache):
    # A map that is cut off under its reader kills it with a bus error.
    decode(read_corpus(folder), "test", 16_000)
    (index,), (data,) = own_cache.glob("*.json"), own_cache.glob("*.npy")
    with data.open("rb") as held:
        before = os.fstat(held.fileno())
        index.unlink()
        decode(read_corpus(folder), "test", 16_000)
        after = os.fstat(held.fileno())
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert data.stat().st_ino != before.st_ino


def test_only_the_samples_and_their_index_are_kept(folder, own_cache):
    decoded_at(16_000, folder)
    assert sorted(path.suffix for path in own_cache.iterdir()) == [".json", ".npy"]
    assert all(path.name.startswith(f"{folder.name}-16000-") for path in own_cache.iterdir())


def test_a_file_that_is_not_audio_is_refused_and_nothing_is_kept(folder, own_cache):
    (folder / "c.wav").write_text("not audio")
    with pytest.raises(AudioFileError, match=r"c\.wav: is not audio"):
        decoded_at(16_000, folder)
    assert list(own_cache.iterdir()) == []


def test_a_file_that_the_table_names_but_nobody_has_is_refused(folder):
    (folder / "files.csv").write_text("file,split\nb.wav,test\nnone.wav,test\n")
    with pytest.raises(FullbandError) as caught:
        decoded_at(16_000, folder)
    assert str(caught.value) == f"{folder / 'none.wav'}: named by the corpus, not there"


def test_a_split_that_is_not_there_is_refused(folder):
    with pytest.raises(MissingFileError, match=r"has no split 'train', only test$"):
        decoded_at(16_000, folder, "train")


def test_the_cache_may_be_given(folder, tmp_path_factory, own_cache):
    cache = tmp_path_factory.mktemp("given") / "new" / "folder"
    decode(read_corpus(folder), "test", 16_000, cache)
    assert len(list(cache.iterdir())) == 2
    assert list(own_cache.iterdir()) == []


def test_the_default_cache_is_where_the_user_says(monkeypatch, own_cache):
    assert default_cache() == own_cache
    monkeypatch.delenv("FULLBAND_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/cache")
    assert default_cache() == Path("/some/cache/fullband")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path.home() / ".cache" / "fullband"


PATCH = 2048
CONTEXT = 512  # what a patch is degraded with to each side


def pairs_of(decoded, methods=("chebyshev",), ratios=(4,), seed=0, **settings):
    settings = {"patch_samples": PATCH, "batch_size": 4, **settings}
    return PairDataset(decoded, DataConfig("", **settings), methods, ratios, seed)


def place_of(patch, recording):
    """Where in a recording of noise a patch was taken, and by what factor it differs."""
    length = len(recording) + len(patch)
    product = np.fft.rfft(recording, length) * np.conj(np.fft.rfft(patch, length))
    start = int(np.argmax(np.abs(np.fft.irfft(product, length))[: len(recording)]))
    piece = recording[start : start + len(patch)].astype(np.float64)
    return start, float(np.dot(patch, piece) / np.dot(piece, piece))


@pytest.mark.parametrize("speed", [0.0, 0.3])
def test_the_same_seed_and_step_give_the_same_pairs(speed):
    corpus = synthetic_corpus(16_000, 1, count=2)
    one, other = pairs_of(corpus, seed=5, speed=speed), pairs_of(corpus, seed=5, speed=speed)
    for step in range(6):  # what came before does not matter
        one.batch(step)
    for step in (3, 0, 5):
        for first, second in zip(one.batch(step), other.batch(step), strict=True):
            np.testing.assert_array_equal(first, second)


def test_another_step_or_seed_gives_other_pairs():
    corpus = synthetic_corpus(16_000, 1, count=2)
    batches = [pairs_of(corpus, seed=seed).batch(step) for seed in (0, 1) for step in (0, 1)]
    for one, other in itertools.combinations(batches, 2):
        assert not np.array_equal(one[0], other[0])
        assert not np.array_equal(one[1], other[1])


@pytest.mark.parametrize("speed", [0.0, 0.1, 0.45])
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("patch", [1, 1000, 2048])
@pytest.mark.parametrize(("method", "ratio"), [("chebyshev", 4), ("soxr", 6), ("kaiser", 3)])
def test_the_shapes_are_those_asked_for(speed, batch_size, patch, method, ratio):
    pairs = pairs_of(
        synthetic_corpus(48_000, 1, count=2, duration_s=1),
        (method,),
        (ratio,),
        patch_samples=patch,
        batch_size=batch_size,
        speed=speed,
    )
    for step in range(3):
        for audio in pairs.batch(step):
            assert audio.shape == (batch_size, patch)
            assert audio.dtype == np.float32
            assert audio.flags.c_contiguous
            assert np.all(np.isfinite(audio))


def test_a_wide_patch_is_a_piece_of_the_recording_up_to_gain_and_sign():
    # The recording is at -20 dB, and is brought to -26 dB, give or take 3 dB.
    recording = noise(3, 16_000)
    pairs = pairs_of(in_memory(recording), batch_size=64, gain_db=3.0)
    _, wide = pairs.batch(0)
    starts, factors = zip(*(place_of(patch, recording) for patch in wide), strict=True)
    for patch, start, factor in zip(wide, starts, factors, strict=True):
        assert error_db(patch, factor * recording[start : start + PATCH]) < -100
    assert len(set(starts)) > 55  # from everywhere
    assert min(starts) < 8000 < 38_000 < max(starts)
    gains_db = 20 * np.log10(np.abs(factors)) + 26 + rms_db(recording)
    assert np.all(np.abs(gains_db) <= 3.001)
    assert gains_db.min() < -2 < 2 < gains_db.max()
    assert 16 < np.sum(np.sign(factors) == 1) < 48


def test_without_gain_every_recording_is_at_the_reference_level():
    loud, faint = noise(1, 16_000, seed=1, rms=0.5), noise(1, 16_000, seed=2, rms=0.001)
    _, wide = pairs_of(in_memory(loud, faint), batch_size=16, gain_db=0.0).batch(0)
    assert [rms_db(patch) for patch in wide] == pytest.approx([-26] * 16, abs=0.5)


@pytest.mark.parametrize(("method", "ratio"), [("chebyshev", 4), ("fir", 2), ("soxr", 4)])
def test_the_narrow_patch_is_the_piece_degraded_and_drawn_as_a_spline(method, ratio):
    # By hand it is done with four times as much around it: a patch has surroundings enough.
    recording = noise(3, 16_000)
    narrow, wide = pairs_of(in_memory(recording), (method,), (ratio,), batch_size=16).batch(0)
    around = 4 * CONTEXT
    compared = 0
    for patch, from_narrow in zip(wide, narrow, strict=True):
        start, factor = place_of(patch, recording)
        if start < around or start + PATCH + around > len(recording):
            continue
        piece = np.float32(factor) * recording[start - around : start + PATCH + around]
        by_hand = interpolate(
            degrade(piece, 16_000, 16_000 // ratio, method), 16_000 // ratio, 16_000
        )
        assert error_db(from_narrow, by_hand[around : around + PATCH]) < -60
        compared += 1
    assert compared > 5


@pytest.mark.parametrize("method", ["chebyshev", "kaiser", "soxr", "spectral-cut"])
def test_pairs_are_aligned(method):
    recording = tone(300, 2, 16_000)
    narrow, wide = pairs_of(in_memory(recording), (method,), (4,), batch_size=8).batch(0)
    for one, other in zip(narrow, wide, strict=True):
        assert abs(lag(one, other)) == 0
        assert error_db(one, other) < -36  # the Chebyshev filter's ripple is 0.1 dB


def test_every_method_and_ratio_comes_up_and_one_at_a_time():
    recording = noise(2, 16_000)
    choices = list(itertools.product(("subsample", "kaiser", "fir"), (2, 4)))
    pairs = pairs_of(in_memory(recording), ("subsample", "kaiser", "fir"), (2, 4), batch_size=2)
    seen = set()
    for step in range(40):
        narrow, wide = pairs.batch(step)
        inside = slice(CONTEXT, PATCH - CONTEXT)
        for method, ratio in choices:
            rate = 16_000 // ratio
            again = interpolate(degrade(wide, 16_000, rate, method), rate, 16_000)
            if all(
                error_db(one[inside], other[inside]) < -60
                for one, other in zip(again, narrow, strict=True)
            ):
                seen.add((method, ratio))
                break
        else:
            raise AssertionError("a batch that no single method and ratio explain")
    assert seen == set(choices)


def test_a_patch_never_runs_over_the_end_of_a_recording():
    # Every recording is one constant, so a patch with two values would lie in two of them.
    recordings = [np.full(4000, value, np.float32) for value in (0.1, 0.2, 0.3, 0.4)]
    decoded = in_memory(*recordings, levels_db=[-26] * 4)
    _, wide = pairs_of(decoded, ("subsample",), (2,), batch_size=200, gain_db=0.0).batch(0)
    assert np.all(np.ptp(wide, axis=1) == 0)
    assert set(np.round(np.abs(wide[:, 0]), 4)) == {
        np.float32(0.1),
        np.float32(0.2),
        np.float32(0.3),
        np.float32(0.4),
    }


def test_long_recordings_are_drawn_more_often_and_short_ones_never():
    # One quarter and three quarters of what is long enough; five standard deviations are 43.
    lengths = {0.1: 8000, 0.2: 24_000, 0.3: 3000}
    recordings = [np.full(length, value, np.float32) for value, length in lengths.items()]
    decoded = in_memory(*recordings, levels_db=[-26] * 3)
    _, wide = pairs_of(decoded, ("subsample",), (2,), batch_size=400, gain_db=0.0).batch(0)
    drawn = np.round(np.abs(wide[:, 0]), 1)
    assert abs(np.sum(drawn == np.float32(0.1)) - 100) < 43
    assert np.sum(drawn == np.float32(0.1)) + np.sum(drawn == np.float32(0.2)) == 400


def test_speed_moves_the_pitch_both_ways_and_keeps_the_level():
    recording = tone(1000, 2, 16_000)
    _, wide = pairs_of(in_memory(recording), batch_size=64, speed=0.2, gain_db=0.0).batch(0)
    window = np.hanning(PATCH)
    peaks_hz = np.argmax(np.abs(np.fft.rfft(wide * window, 16_000)), axis=1)  # 1 Hz apart
    assert np.all((peaks_hz >= 799) & (peaks_hz <= 1201))
    assert peaks_hz.min() < 850
    assert peaks_hz.max() > 1150
    inner = [rms_db(patch) for patch in wide]
    assert np.median(inner) == pytest.approx(-26, abs=0.5)


def test_without_speed_the_pitch_stays():
    _, wide = pairs_of(in_memory(tone(1000, 2, 16_000)), batch_size=8).batch(0)
    peaks_hz = np.argmax(np.abs(np.fft.rfft(wide * np.hanning(PATCH), 16_000)), axis=1)
    assert set(peaks_hz) == {1000}


@pytest.mark.parametrize("speed", [0.0, 0.25])
def test_recordings_that_are_too_short_are_refused(speed):
    needed = round((PATCH + 2 * CONTEXT) * (1 + speed)) + 1
    pairs_of(in_memory(noise(1, 16_000)[:needed]), speed=speed).batch(0)
    with pytest.raises(AudioFileError) as caught:
        pairs_of(in_memory(noise(1, 16_000)[: needed - 1], noise(0.1, 16_000)), speed=speed)
    assert str(caught.value) == (
        f"no recording is as long as a training patch of {needed / 16_000:.2f} s "
        f"(the longest has {(needed - 1) / 16_000:.2f} s); lower data.patch_samples"
    )


def test_a_corpus_of_which_nothing_is_left_is_refused(tmp_path):
    fullband.write(tmp_path / "one.wav", np.zeros(1, np.float32), 16_000)
    with pytest.raises(AudioFileError, match="nothing is left of it at 4000 Hz"):
        decode(read_corpus(tmp_path), "test", 4000)
    with pytest.raises(AudioFileError):  # and no half of a cache entry is left behind
        decode(read_corpus(tmp_path), "test", 4000)
