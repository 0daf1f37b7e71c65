"""Translator: the transform by its definition, what is copied where, how loud, and what stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fullband.errors import SettingsError
from fullband.models.translator import CosineTransform, Translator, TranslatorConfig
from new_band import added, enliven
from signals import band, error_db, noise, rms_db, tone

RATE, HOP = 16_000, 160  # coefficients of 50 Hz, bands of 200 Hz, as in the default
SMALL = TranslatorConfig(RATE, HOP, width=8, depth=2, kernel=3, dilations=(1, 2))


def small(lively: bool = True) -> Translator:
    """A network that runs in milliseconds; a lively one says something else for every frame."""
    torch.manual_seed(0)
    network = Translator(SMALL).eval()
    if lively:
        enliven(network)
    return network


def saying(level_db: float) -> Translator:
    """A network that says one level everywhere: that of a sample of noise in each coefficient."""
    network = small(lively=False)
    with torch.no_grad():
        network.leave.weight.zero_()
        network.leave.bias.fill_(level_db / 20 * np.log(10))
    return network


@pytest.mark.parametrize("hop", [8, 160, 480])
def test_the_transform_is_the_one_defined(hop):
    # X[k] = sqrt(2 / M) sum w[n] x[n] cos(pi / M (n + 1/2 + M / 2) (k + 1/2)), Princen and Bradley.
    audio = noise(1, 6 * hop)
    n, k = np.arange(2 * hop)[:, None], np.arange(hop)
    window = np.sin(np.pi * (n + 0.5) / (2 * hop))
    matrix = window * np.cos(np.pi / hop * (n + 0.5 + hop / 2) * (k + 0.5)) * np.sqrt(2 / hop)
    padded = np.pad(audio, hop)
    frames = np.stack([padded[i : i + 2 * hop] for i in range(0, len(audio) + 1, hop)])
    found = CosineTransform(hop)(torch.from_numpy(audio)[None])[0].numpy()
    assert error_db(found, frames @ matrix) < -60


@pytest.mark.parametrize("hop", [8, 160, 480])
def test_there_and_back_is_what_was_given(hop):
    audio = np.stack([noise(1, 9 * hop, seed) for seed in (1, 2)])
    transform = CosineTransform(hop)
    back = transform.inverse(transform(torch.from_numpy(audio))).numpy()
    assert error_db(back, audio) < -60  # the matrix is kept in 16 bits


def test_silence_stays_exactly_silence():
    assert torch.all(added(small(), torch.zeros(2, 1000)) == 0)


@pytest.mark.parametrize("bandwidth_hz", [2000.0, 3100.0, 5500.0])
def test_what_is_there_passes_through(bandwidth_hz):
    audio, network = noise(1, RATE), small()
    new = added(network, audio, bandwidth_hz)[0].numpy()
    assert rms_db(new) > -70
    assert rms_db(band(new, RATE, 0, bandwidth_hz - 300)) < rms_db(new) - 25
    with torch.inference_mode():
        wide = network(torch.from_numpy(audio)[None], torch.tensor([[bandwidth_hz]]))[0].numpy()
    np.testing.assert_allclose(wide, audio + new, atol=1e-7)


def test_bands_are_copied_piece_by_piece():
    # To 4 kHz there are 20 bands, of which the upper ten are a piece.
    source = small()._source(torch.tensor([[[4000.0]]]))[0, 0].tolist()
    assert source == [*range(20), *range(10, 20), *range(10, 20)]


def test_what_is_copied_comes_from_whole_bands_below_the_end():
    network = small()
    for end_hz in (0.0, 1000.0, 1999.0, 3025.0, 5170.0, 7999.0, 8000.0):
        source = network._source(torch.tensor([[[end_hz]]]))[0, 0]
        gate = network._gate(torch.tensor([[[end_hz]]]))[0, 0].view(-1, 4).amax(-1) > 0
        whole = max(end_hz, 1000.0) // 200
        assert bool((source[whole <= torch.arange(40)] < whole).all())
        assert not bool(gate[: int(max(end_hz - 50, 0) // 200)].any())


def test_a_steady_tone_is_copied_as_a_nearly_steady_tone():
    # 3 kHz lies in the piece of 2 kHz under the end at 4 kHz, and appears 2 kHz higher, as a line;
    # what folds over puts a quarter of its power beside it.
    new = added(small(lively=False), tone(3000, 1, RATE), 4000.0)[0].numpy()
    around = rms_db(band(new, RATE, 4500, 5500))
    assert rms_db(band(new, RATE, 4950, 5050)) > around - 1.5


def test_the_level_that_is_said_is_the_level_of_the_new_band():
    # Every coefficient has the power of a sample, so those of half the spectrum have half of it.
    for amplitude in (0.03, 0.3):
        audio = band(amplitude * noise(2, RATE), RATE, 0, 4000)
        new = added(saying(-40.0), audio, 4000.0)[0].numpy()
        said_db = -40.0 + 10 * np.log10((7000 - 4500) / 8000)
        assert rms_db(band(new, RATE, 4500, 7000)) == pytest.approx(said_db, abs=1.0)


def test_up_to_nyquist_what_is_said_highest_up_holds():
    # The two topmost bands of 200 Hz are shut, or speak with the voice of the one below.
    shut, network = saying(-40.0), Translator(replace(SMALL, highest_hz=RATE / 2)).eval()
    network.load_state_dict(shut.state_dict())
    with torch.no_grad():
        network.leave.bias[-2:] = 0.0  # whatever is said there does not count
    audio = band(0.1 * noise(2, RATE), RATE, 0, 4000)
    open_db, shut_db = (
        rms_db(band(added(each, audio, 4000.0)[0].numpy(), RATE, 7700, 7990))
        for each in (network, shut)
    )
    assert open_db == pytest.approx(-40.0 + 10 * np.log10(290 / 8000), abs=1.5)
    assert shut_db < open_db - 20


def test_a_shift_by_the_stride_shifts_the_output():
    audio, context = noise(0.5, RATE), SMALL.context
    ends = np.linspace(2500, 5000, len(audio) // HOP)
    shifted = np.concatenate([noise(1, RATE, seed=1)[: 3 * HOP], audio])
    plain = added(small(), audio, ends)[0]
    moved = added(small(), shifted, np.concatenate([[3000, 3000, 3000], ends]))[0]
    torch.testing.assert_close(
        moved[3 * HOP + context : -context], plain[context:-context], rtol=0, atol=1e-6
    )
    assert float(moved.abs().max()) > 1e-3


@pytest.mark.parametrize("at", [30 * HOP, 30 * HOP + 77])
def test_nothing_reaches_further_than_the_context(at):
    audio = torch.from_numpy(noise(1, RATE)[: 60 * HOP])[None]
    other = audio.clone()
    other[0, at] += 0.5
    network = small()
    changed = torch.nonzero((added(network, audio) - added(network, other)).abs()[0] > 1e-7)
    assert at - SMALL.context <= int(changed.min()) <= at - SMALL.context + 2 * HOP
    assert at + SMALL.context - 2 * HOP <= int(changed.max()) <= at + SMALL.context


def test_one_bandwidth_holds_for_all_and_the_last_for_the_rest():
    audio, network = noise(0.2, RATE), small()
    one = added(network, audio, 3000.0)
    assert torch.equal(added(network, audio, np.full(3, 3000.0)), one)
    assert torch.equal(added(network, audio, np.full(99, 3000.0)), one)
    assert not torch.equal(added(network, audio, [3000.0, 3300.0]), one)


@pytest.mark.parametrize("time", [1, 7, 159, 160, 161, 333])
def test_any_length_will_do(time):
    audio = torch.from_numpy(np.stack([noise(1, 8000, seed)[:time] for seed in (1, 2)]))
    new = added(small(), audio)
    assert new.shape == audio.shape
    assert bool(torch.isfinite(new).all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hop": 30}, "a hop that is a multiple of 4"),
        ({"width": 0}, "width, depth, expansion >= 1"),
        ({"kernel": 4}, "an odd kernel and dilations >= 1"),
        ({"dilations": ()}, "an odd kernel and dilations >= 1"),
        ({"sample_rate": 0}, "a sample rate above 0"),
    ],
)
def test_what_makes_no_network_is_refused(options, message):
    with pytest.raises(SettingsError, match=message):
        TranslatorConfig(**options)
