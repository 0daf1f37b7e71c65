"""Extender: frames there and back, what is copied where, and what the output cannot depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fullband.errors import SettingsError
from fullband.models.extender import Extender, ExtenderConfig, ShortTimeFourier, _smooth
from new_band import added, enliven
from signals import band, error_db, noise, rms_db, tone

RATE, HOP = 16_000, 160  # bins of 50 Hz, as in the default
SMALL = ExtenderConfig(RATE, HOP, width=8, depth=2, kernel=3, dilations=(1, 2))
EXPORTING = "torch.onnx.is_in_onnx_export"


def small(config: ExtenderConfig = SMALL, lively: bool = True) -> Extender:
    """A network that runs in milliseconds; a lively one says something else for every frame."""
    torch.manual_seed(0)
    network = Extender(config).eval()
    if lively:
        enliven(network)
    return network


def copied_from(network: Extender, end_hz: float) -> torch.Tensor:
    """Which bin is copied to each."""
    return network._source(*network._top_piece(torch.tensor([[[end_hz]]])))


@pytest.mark.parametrize("hop", [8, 12, 480])
@pytest.mark.parametrize("exporting", [False, True])
def test_frames_and_back_is_what_was_given(monkeypatch, hop, exporting):
    monkeypatch.setattr(EXPORTING, lambda: exporting)
    audio = torch.from_numpy(np.stack([noise(1, 20 * hop, seed) for seed in (1, 2)]))
    fourier = ShortTimeFourier(hop)
    real, imaginary = fourier(audio)
    assert real.shape == imaginary.shape == (2, 21, hop + 1)
    torch.testing.assert_close(fourier.inverse(real, imaginary), audio, rtol=0, atol=1e-6)


@pytest.mark.parametrize("hop", [8, 12, 480])
def test_by_matrices_as_by_the_fast_transform(monkeypatch, hop):
    audio = torch.from_numpy(noise(1, 12 * hop))[None]
    fourier = ShortTimeFourier(hop)
    fast = fourier(audio)
    # Spectra that no audio has, as the network makes them, have to come back the same too.
    odd_ones = [torch.randn_like(part) for part in fast]
    back = fourier.inverse(*odd_ones)
    monkeypatch.setattr(EXPORTING, lambda: True)
    scale = float(fast[0].abs().max())
    for by_matrix, expected in zip(fourier(audio), fast, strict=True):
        torch.testing.assert_close(by_matrix, expected, rtol=0, atol=1e-6 * scale)
    torch.testing.assert_close(fourier.inverse(*odd_ones), back, rtol=0, atol=2e-6)


@pytest.mark.parametrize("share", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("hop", [48, 160, 220, 480])
def test_in_a_graph_as_in_training(monkeypatch, hop, share):
    # Steps that a graph takes in other ways: what is said spread over bins, and smoothed energies.
    network = small(ExtenderConfig(100 * hop, hop, width=8, depth=1, highest_hz=share * 50 * hop))
    hidden, energy = torch.randn(2, 3, 8), torch.rand(2, 3, hop + 1)
    said, smooth = network._say(hidden), _smooth(energy, 4)
    monkeypatch.setattr(EXPORTING, lambda: True)
    for piecewise, expected in zip(network._say(hidden), said, strict=True):
        torch.testing.assert_close(piecewise, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(_smooth(energy, 4), smooth, rtol=1e-5, atol=1e-6)


def test_frame_i_is_centred_on_i_hops():
    audio = torch.zeros(1, 10 * HOP)
    audio[0, 4 * HOP] = 1.0
    real, imaginary = ShortTimeFourier(HOP)(audio)
    power = (real.square() + imaginary.square()).mean(dim=-1)[0]
    # There the window is one; a hop away it ends.
    assert float(power[4]) == pytest.approx(1, abs=1e-3)
    assert float(power[3] + power[5]) < 1e-3
    assert float(power[:3].sum() + power[6:].sum()) == 0


def test_silence_stays_exactly_silence():
    assert torch.all(added(small(), torch.zeros(2, 1000)) == 0)
    half = torch.zeros(1, 40 * HOP)
    half[:, 30 * HOP :] = torch.from_numpy(noise(1, RATE)[: 10 * HOP])
    new = added(small(), half)
    assert torch.all(new[:, : 28 * HOP] == 0)
    assert float(new.abs().max()) > 0


@pytest.mark.parametrize("bandwidth_hz", [2000.0, 3000.0, 5500.0])
def test_what_is_there_passes_through(bandwidth_hz):
    # The band opens 50 Hz below the end. What reaches further down is the side lobes of the window
    # that frames are joined with: less than a thousandth of its power from 300 Hz below the end.
    audio = noise(1, RATE)
    network = small()
    new = added(network, audio, bandwidth_hz)[0].numpy()
    whole = rms_db(new)
    assert whole > -70
    assert rms_db(band(new, RATE, 0, bandwidth_hz - 300)) < whole - 30
    assert rms_db(band(new, RATE, 0, bandwidth_hz - 1000)) < whole - 40
    with torch.inference_mode():
        wide = network(torch.from_numpy(audio)[None], torch.tensor([[bandwidth_hz]]))[0].numpy()
    np.testing.assert_allclose(wide, audio + new, atol=1e-7)


def test_nothing_is_added_in_the_topmost_bins():
    # The six topmost bins of 50 Hz and Nyquist are shut; side lobes remain.
    new = added(small(), noise(1, RATE))[0].numpy()
    assert rms_db(band(new, RATE, 7900, 8001)) < rms_db(band(new, RATE, 7300, 7401)) - 25
    real, imaginary = ShortTimeFourier(HOP)(torch.from_numpy(new)[None])
    power = (real.square() + imaginary.square()).mean(dim=1)[0]
    assert float(power[-4:].mean()) < 3e-3 * float(power[-20:-12].mean())


def test_up_to_nyquist_what_is_said_highest_up_holds():
    # 160 bins of 50 Hz: the 37th band of four is the last that lies below the six topmost bins, and
    # whatever is said above it does not count.
    network = small(replace(SMALL, highest_hz=RATE / 2), lively=False)
    with torch.no_grad():
        network.leave.weight.zero_()
        bias = network.leave.bias.view(4, -1)
        bias[0], bias[1], bias[2] = -9.0, 0.0, 1.0
        bias[0, 35:38], bias[0, 38:] = -3.0, 3.0
    new = added(network, noise(1, RATE), 3000.0)
    real, imaginary = ShortTimeFourier(HOP)(new)
    level_db = 10 * torch.log10((real.square() + imaginary.square()).mean(dim=1)[0])
    top = level_db[150:]  # 7.5 to 8 kHz
    assert float(top.max() - top.min()) < 4
    assert float(top.mean()) == pytest.approx(10 * np.log10(np.exp(-6)), abs=2)
    assert float(level_db[100:130].mean()) < float(top.mean()) - 40


def test_a_shift_by_the_stride_shifts_the_output():
    audio, context = noise(0.5, RATE), SMALL.context
    ends = np.linspace(2500, 5000, len(audio) // HOP)
    shifted = np.concatenate([noise(1, RATE, seed=1)[: 3 * SMALL.stride], audio])
    plain = added(small(), audio, ends)[0]
    moved = added(small(), shifted, np.concatenate([[3000, 3000, 3000], ends]))[0]
    torch.testing.assert_close(
        moved[3 * HOP + context : -context], plain[context:-context], rtol=0, atol=1e-6
    )
    assert float((moved[context:-context][: len(plain) - 2 * context]).abs().max()) > 1e-3


def test_what_can_reach_a_sample_by_hand():
    # Kernels of 3 at dilations 1 and 2 reach 3 frames; two more hops are half a frame on the way
    # in and half a frame on the way out.
    assert SMALL.context == 5 * HOP
    assert ExtenderConfig().context == (2 * 3 * (1 + 3 + 9) + 2) * 480


@pytest.mark.parametrize("at", [30 * HOP, 30 * HOP + 77])
def test_nothing_reaches_further_than_the_context(at):
    audio = torch.from_numpy(noise(1, RATE)[: 60 * HOP])[None]
    other = audio.clone()
    other[0, at] += 0.5
    network = small()
    changed = torch.nonzero((added(network, audio) - added(network, other)).abs()[0] > 1e-7)
    assert int(changed.min()) >= at - SMALL.context
    assert int(changed.max()) <= at + SMALL.context
    # And what lies within does matter, nearly to the end: a sample on the edge of two frames is
    # seen by one alone.
    assert int(changed.min()) <= at - SMALL.context + HOP
    assert int(changed.max()) >= at + SMALL.context - HOP - 1


def test_nor_does_a_bandwidth():
    audio = torch.from_numpy(noise(1, RATE)[: 40 * HOP])[None]
    ends = torch.full((41,), 3000.0)
    other = ends.clone()
    other[20] = 3500.0
    network = small()
    changed = torch.nonzero(
        (added(network, audio, ends) - added(network, audio, other)).abs()[0] > 1e-7
    )
    assert 20 * HOP - SMALL.context <= int(changed.min()) < 20 * HOP < int(changed.max())
    assert int(changed.max()) <= 20 * HOP + SMALL.context


def test_one_bandwidth_holds_for_all_and_the_last_for_the_rest():
    audio, network = noise(0.2, RATE), small()
    one = added(network, audio, 3000.0)
    frames = len(audio) // HOP + 1
    assert torch.equal(added(network, audio, np.full(frames, 3000.0)), one)
    assert torch.equal(added(network, audio, np.full(3, 3000.0)), one)
    assert torch.equal(added(network, audio, np.full(frames + 9, 3000.0)), one)
    assert not torch.equal(added(network, audio, [3000.0, 3100.0]), one)


@pytest.mark.parametrize("config", [SMALL, ExtenderConfig(8000, 8, width=4, depth=1)])
@pytest.mark.parametrize("time", [1, 7, 159, 160, 161, 333])
def test_any_length_will_do(config, time):
    audio = torch.from_numpy(np.stack([noise(1, 8000, seed)[:time] for seed in (1, 2)]))
    new = added(small(config), audio)
    assert new.shape == audio.shape
    assert bool(torch.isfinite(new).all())


def test_what_lies_after_the_end_is_silence():
    audio = torch.from_numpy(noise(1, RATE)[: 5 * HOP + 33])[None]
    longer = torch.nn.functional.pad(audio, (0, HOP - 33))
    network = small()
    assert torch.equal(added(network, audio), added(network, longer)[:, : audio.shape[1]])


def test_a_batch_is_its_recordings_one_by_one():
    audio = torch.from_numpy(np.stack([noise(0.1, RATE, seed) for seed in (1, 2)]))
    told = torch.tensor([[2500.0], [4000.0]])
    network = small()
    with torch.inference_mode():
        together = network(audio, told)
        for index in range(2):
            alone = network(audio[index : index + 1], told[index : index + 1])
            torch.testing.assert_close(together[index], alone[0], rtol=0, atol=1e-6)


def test_the_top_of_the_kept_band_is_copied_piece_by_piece():
    # Content up to 4 kHz is kept in bins 0 to 79 as a whole. The octave below that is bins 39 to
    # 79, of which the topmost 40 are a piece: 80 + n comes from 40 + n, and so on up.
    spectrum = torch.zeros(1, 1, SMALL.bins)
    spectrum[0, 0, 61] = 1.0
    spectrum[0, 0, 20] = 5.0  # too low to be copied
    copied = spectrum.gather(-1, copied_from(small(), 4000.0))
    where = torch.nonzero(copied[0, 0])[:, 0].tolist()
    assert where == [20, 61, 101, 141]


@pytest.mark.parametrize("end_hz", [0.0, 400.0, 1000.0, 3025.0, 7999.0, 8000.0, 30_000.0])
@pytest.mark.parametrize("hop", [8, 48, 160])
def test_what_is_copied_comes_from_below_the_end(hop, end_hz):
    config = ExtenderConfig(RATE, hop, width=1, depth=1)
    index = torch.arange(config.bins, dtype=torch.float32).expand(1, 1, -1)
    source = copied_from(small(config), end_hz)[0, 0]
    spacing_hz = RATE / 2 / hop
    last_kept = max(np.floor(max(end_hz, 1000.0) / spacing_hz), 2)
    assert bool((source <= last_kept).all())
    assert bool((source >= 0).all())
    assert bool(((index[0, 0] - source) % 2 == 0).all())  # by an even number of bins


def test_a_steady_tone_is_copied_as_a_steady_tone():
    # 3 kHz lies in the piece of 2 kHz under the end at 4 kHz, and appears 2 and 4 kHz higher, as a
    # line: a copy whose phase were not kept would be spread by 50 Hz.
    network = small(ExtenderConfig(RATE, HOP, width=4, depth=1), lively=False)
    new = added(network, tone(3000, 1, RATE), 4000.0)[0].numpy()
    for at_hz in (5000, 7000):
        around = rms_db(band(new, RATE, at_hz - 500, at_hz + 500))
        assert rms_db(band(new, RATE, at_hz - 20, at_hz + 20)) > around - 1
    assert error_db(band(new, RATE, 4900, 5100), band(new, RATE, 4980, 5020)) < -15


def test_the_envelope_says_how_loud_the_new_band_is():
    # Flattened bin by bin and told an envelope of e^-3, every bin of a frame has that magnitude.
    network = small(lively=False)
    with torch.no_grad():
        network.leave.weight.zero_()
        bias = network.leave.bias.view(4, -1)
        bias[1], bias[2] = 0.0, 1.0
    quiet, loud = (
        added(network, amplitude * noise(0.5, RATE), 3000.0)[0].numpy() for amplitude in (0.1, 1)
    )
    assert error_db(quiet, loud) < -40  # whatever the level it is given
    # White noise of power p has |X|^2 = p * hop under this window, whose mean square is a half.
    share = (7600 - 3200) / 8000
    expected = 10 * np.log10(np.exp(-3) ** 2 / HOP * share)
    assert rms_db(band(loud, RATE, 3200, 7600)) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hop": 4}, "a hop that is a multiple of 4"),
        ({"hop": 30}, "a hop that is a multiple of 4"),
        ({"width": 0}, "width, depth, expansion >= 1"),
        ({"depth": 0}, "width, depth, expansion >= 1"),
        ({"expansion": 0}, "width, depth, expansion >= 1"),
        ({"kernel": 4}, "an odd kernel and dilations >= 1"),
        ({"highest_hz": -1.0}, r"highest_hz in \[0, Nyquist\]"),
        ({"highest_hz": 24_001.0}, r"highest_hz in \[0, Nyquist\]"),
        ({"highest_hz": float("nan")}, r"highest_hz in \[0, Nyquist\]"),
        ({"kernel": -1}, "an odd kernel and dilations >= 1"),
        ({"dilations": ()}, "an odd kernel and dilations >= 1"),
        ({"dilations": (1, 0)}, "an odd kernel and dilations >= 1"),
        ({"sample_rate": 0}, "a sample rate above 0"),
    ],
)
def test_what_makes_no_network_is_refused(options, message):
    with pytest.raises(SettingsError, match=message):
        ExtenderConfig(**options)


HOLES = ExtenderConfig(RATE, HOP, width=8, depth=2, kernel=3, dilations=(1, 2), fills_holes=True)


def saying(level_db: float) -> Extender:
    """A network that fills holes and says one level everywhere, of flat fine structure."""
    network = small(HOLES, lively=False)
    with torch.no_grad():
        network.leave.weight.zero_()
        said = network.leave.bias.view(4, -1)
        # The root of a bin's power for noise of that level, at a frame of 2 * HOP.
        said[0] = level_db / 20 * np.log(10) + 0.5 * np.log(HOP)
        said[1], said[2], said[3] = 0.0, 1.0, 0.0
    return network


def test_a_hole_is_filled_and_what_is_there_left_alone():
    audio = noise(2, RATE, rms=0.1)
    riddled = audio - band(audio, RATE, 4000, 5000)
    new = added(saying(-20), riddled, 7000.0)[0].numpy()
    kept = rms_db(band(riddled, RATE, 4200, 4800))
    filled = rms_db(band(new, RATE, 4200, 4800))
    assert kept < -60
    assert filled == pytest.approx(rms_db(band(audio, RATE, 4200, 4800)), abs=2)
    # Noise that is as loud as it should be is quiet by chance here and there, but hardly anywhere.
    for low_hz, high_hz in ((0, 3500), (5500, 6500)):
        whole = rms_db(band(audio, RATE, low_hz, high_hz))
        assert rms_db(band(new, RATE, low_hz, high_hz)) < whole - 20


def test_below_a_kilohertz_there_are_no_holes():
    audio = band(noise(2, RATE, rms=0.1), RATE, 2000, 6000)
    new = added(saying(-20), audio, 6000.0)[0].numpy()
    assert rms_db(band(new, RATE, 0, 900)) < rms_db(audio) - 40


def test_above_the_end_only_what_is_lacking_is_added():
    # Content goes on above what is told: at the level that is said, nothing is lacking.
    audio = noise(2, RATE, rms=0.1)
    new = added(saying(-20), audio, 4000.0)[0].numpy()
    cut = added(saying(-20), band(audio, RATE, 0, 4000), 4000.0)[0].numpy()
    levels = [rms_db(band(each, RATE, 4500, 7000)) for each in (new, cut, audio)]
    assert levels[1] == pytest.approx(levels[2], abs=2)
    assert levels[0] < levels[2] - 5


IN_TUNE = ExtenderConfig(48_000, 480, width=8, depth=1, in_tune=True)


def partials(pitch_hz: float, up_to_hz: float, seconds: float = 1.0) -> np.ndarray:
    numbers = range(1, int(up_to_hz / pitch_hz) + 1)
    return sum(tone(number * pitch_hz, seconds, 48_000) for number in numbers) / 30


def share_on_partials(new: torch.Tensor, pitch_hz: float) -> float:
    """Of a new band's power from 8.5 to 11 kHz."""
    middle = new[12_000:36_000].numpy()
    power = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) ** 2
    hz = np.linspace(0, 24_000, len(power))
    above = (hz > 8500) & (hz < 11_000)
    near = np.abs(hz - pitch_hz * np.round(hz / pitch_hz)) < 40
    return float(power[above & near].sum() / power[above].sum())


def correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    """Of the middle halves of two bands of one second each."""
    return float(np.corrcoef(first[12_000:36_000].numpy(), second[12_000:36_000].numpy())[0, 1])


@pytest.mark.parametrize("pitch_hz", [277.2, 311.1, 350.0])
def test_in_tune_partials_are_copied_onto_partials(pitch_hz):
    # A piece of 4 kHz would put them anywhere; its width has to be a multiple of the pitch.
    audio = partials(pitch_hz, 8000)
    for tuned in (True, False):
        network = small(replace(IN_TUNE, in_tune=tuned), lively=False)
        new = added(network, audio, 8000.0)[0]
        assert (share_on_partials(new, pitch_hz) > 0.8) == tuned


def test_in_tune_channels_are_tuned_together():
    # Tones in the left channel alone, and the same noise in both. Were only the left one tuned, its
    # noise would be copied from elsewhere, and nothing be left of what the two share.
    network = small(IN_TUNE, lively=False)
    hiss = band(noise(1, 48_000, rms=0.1), 48_000, 0, 8000)
    left = partials(311.1, 8000) + hiss
    together = added(network, np.stack([left, hiss]), 8000.0)
    alone = [added(network, each, 8000.0)[0] for each in (left, hiss)]
    assert correlation(*together) > 0.5
    assert correlation(*alone) < 0.1


def test_in_tune_recordings_of_a_batch_are_tuned_by_themselves_in_training():
    network = small(IN_TUNE, lively=False).train()
    batch = np.stack([partials(pitch_hz, 8000) for pitch_hz in (277.2, 350.0)])
    expected = torch.cat([added(network, one, 8000.0) for one in batch])
    torch.testing.assert_close(added(network, batch, 8000.0), expected)


def test_in_tune_noise_is_copied_as_ever():
    audio = band(noise(1, 48_000), 48_000, 0, 8000)
    plain = added(small(replace(IN_TUNE, in_tune=False)), audio, 8000.0)
    torch.testing.assert_close(added(small(IN_TUNE), audio, 8000.0), plain, rtol=0, atol=1e-6)


def test_in_tune_the_context_reaches_as_far_as_partials_are_averaged():
    assert IN_TUNE.context == (16 + 2) * 480


def test_the_new_band_ends_where_it_is_to():
    # At 6 kHz, as music does that was kept at 44.1 kHz; the flank of a frame is 100 Hz.
    new = added(small(replace(SMALL, highest_hz=6000.0)), noise(1, RATE), 3000.0)[0].numpy()
    assert rms_db(band(new, RATE, 6300, 8001)) < rms_db(band(new, RATE, 5000, 5900)) - 24
