"""What decimation folded over is told apart from what was there."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from fullband.degrade import degrade
from fullband.errors import AudioError, SettingsError
from fullband.models.spline import interpolate
from fullband.models.unfolder import Unfolder, UnfolderConfig
from fullband.train.config import read_recipe
from fullband.train.export import export_model
from fullband.train.step import compute_loss
from signals import noise, pink_noise

RATE = 16_000
RECIPE = Path(__file__).parents[2] / "recipes" / "paper" / "unfolder.toml"


def narrowed(wide, ratio):
    rate = Fraction(RATE, ratio)
    narrow = interpolate(degrade(wide, RATE, rate, "chebyshev"), rate, RATE)
    return narrow[:, : wide.shape[-1]]


def pairs(count, ratio, length=16_384, seed=0):
    """Batches of narrow audio, at the wide rate again, and wide audio: a tone near the fold, and an
    octave below it another, in which noise lies that the equaliser has to keep."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        hz = generator.uniform(0.96, 1.04, (4, 1)) * RATE / 2 / ratio
        time_s = np.arange(length) / RATE
        tones = (np.cos(2 * np.pi * hz / octave * time_s) for octave in (1, 2))
        wide = 0.2 * sum(tones) + 0.0002 * generator.standard_normal((4, length))
        wide = wide.astype(np.float32)
        yield narrowed(wide, ratio), wide


def small(ratio=4, **options):
    torch.manual_seed(0)
    config = UnfolderConfig(
        ratio=ratio, equaliser_taps=257, **{"frame": 1024, "width": 32, "depth": 1, **options}
    )
    return Unfolder(config)


def fitted(network, ratio, given):
    with torch.no_grad():
        network.fit(given, lambda wide: narrowed(wide, ratio))


def snr(actual, wide):
    inside = (slice(None), slice(1024, -1024))
    error = np.sum((actual - wide)[inside] ** 2)
    return 10 * np.log10(np.sum(wide[inside] ** 2) / error)


def test_frames_add_up_to_what_they_were_cut_from():
    unfolding = small().unfolding
    unfolding.first, unfolding.last = 0, 513
    audio = torch.from_numpy(noise(0.3, RATE)[None])
    again = unfolding._synthesised(unfolding._analysed(audio), audio.shape[-1])
    torch.testing.assert_close(again, audio, atol=1e-6, rtol=0)


@pytest.mark.parametrize("ratio", [4, 6])
def test_what_is_set_first_undoes_what_decimation_did(ratio):
    """On both sides of the fold, for tones, though it was found by impulses."""
    network = small(ratio, frame=4096)
    fitted(network, ratio, pairs(1, ratio))
    inverse = torch.view_as_complex(network.unfolding.inverse.T.contiguous())
    for share in (0.81, 0.87, 0.94, 0.98, 1.02, 1.04):
        k = round(share * 2048 / ratio)
        tone = np.cos(2 * np.pi * k * np.arange(65_536) / 4096).astype(np.float32)[None]
        made, wanted = (
            torch.view_as_complex(network.unfolding._analysed(torch.from_numpy(audio)))[0, 12, k]
            for audio in (narrowed(tone, ratio), tone)
        )
        response = abs(made / wanted).item()
        undone = response**2 / (response**2 + 1e-6)  # what is 60 dB down is left down
        assert abs(made * inverse[k] / wanted).item() == pytest.approx(undone, abs=0.05)


@pytest.mark.slow
def test_it_learns_to_tell_a_partial_from_one_that_was_folded_over():
    """Its octave tells, which a linear filter cannot hear. Unseen tones are put where they were."""
    ratio = 4
    network = small(ratio)
    fitted(network, ratio, pairs(24, ratio))
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 3e-3)
    loss = read_recipe(RECIPE).loss
    for narrow, wide in pairs(120, ratio, seed=1):
        predicted = network(torch.from_numpy(narrow))
        total, _ = compute_loss(loss, predicted, torch.from_numpy(wide))
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    scores = []
    for narrow, wide in pairs(10, ratio, seed=2):
        with torch.no_grad():
            audio = torch.from_numpy(narrow)
            linear = network.equaliser(audio.unsqueeze(1)).squeeze(1).numpy()
            scores.append((snr(linear, wide), snr(network(audio).numpy(), wide)))
    linear, told = np.mean(scores, axis=0)
    assert told > linear + 2.0


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [2, 6])
def test_the_graph_computes_the_same(ratio, tmp_path):
    network = small(ratio)
    wide = np.stack([pink_noise(1.0, RATE, seed) for seed in range(8)])
    fitted(network, ratio, [(narrowed(wide, ratio), wide)])
    settings = {"name": "unfolder", "ratio": ratio, "equaliser_taps": 257, "frame": 1024}
    export_model(network, {**settings, "width": 32, "depth": 1}, "it", tmp_path)  # which compares


def test_ends_within_a_note_are_left_to_the_equaliser():
    network = small()
    with torch.no_grad():
        network.unfolding.inverse[0] = 1000.0  # as far as it may go
    audio = torch.from_numpy(1 + noise(0.5, RATE)[None])
    with torch.no_grad():
        added = network(audio) - network.equaliser(audio.unsqueeze(1)).squeeze(1)
    assert added[:, 1024:-1024].abs().max() > 1
    assert added[:, :64].abs().max() < 1e-2
    assert added[:, -64:].abs().max() < 1e-2


def test_silence_stays_silence():
    network = small()
    fitted(network, 4, pairs(4, 4))
    assert not network(torch.zeros(1, 5000)).any()


def test_a_later_beginning_changes_nothing_beyond_its_context():
    network = small()
    fitted(network, 4, pairs(4, 4))
    audio = torch.from_numpy(noise(2.0, RATE)[None])
    with torch.no_grad():
        whole, part = network(audio), network(audio[:, 4 * 256 :])
    context = network.config.context
    torch.testing.assert_close(part[:, context:], whole[:, 4 * 256 + context :], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "options", [{"equaliser_taps": 4}, {"ratio": 1}, {"width": 0}, {"depth": -1}]
)
def test_impossible_sizes_are_refused(options):
    with pytest.raises(SettingsError):
        UnfolderConfig(**options)


def test_frames_that_do_not_divide_and_short_patches_are_refused():
    with pytest.raises(SettingsError, match="multiple of 4"):
        Unfolder(UnfolderConfig(frame=1023))
    with pytest.raises(AudioError, match="patches as long"):
        fitted(small().unfolding, 4, pairs(1, 4, length=512))
