"""Causal extender: no look beyond two hops, step by step as in one piece, lows where none are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from fullband.engine import StreamingModel, open_model
from fullband.errors import SettingsError
from fullband.models.causal import CausalExtender, CausalExtenderConfig
from fullband.train.export import export_model, write_graph
from fullband.train.restore import load_exported
from new_band import added, enliven
from signals import band, noise, rms_db, tone

RATE, HOP = 16_000, 80  # bins of 100 Hz, as in the default
SMALL = CausalExtenderConfig(
    RATE, HOP, width=8, depth=2, kernel=3, dilations=(1, 2), adds_lows=True
)


pytestmark = pytest.mark.slow  # exporters take their time


def small(config: CausalExtenderConfig = SMALL) -> CausalExtender:
    torch.manual_seed(0)
    network = CausalExtender(config).eval()
    enliven(network)
    return network


def test_what_comes_later_than_two_hops_changes_nothing():
    network = small()
    audio = noise(1, 40 * HOP)
    changed = audio.copy()
    changed[20 * HOP :] = noise(1, 20 * HOP, seed=5)
    before, after = added(network, audio)[0], added(network, changed)[0]
    # A sample in block 18 lies in frames 18 and 19, and frame 19 ends with block 19.
    assert torch.equal(before[: 19 * HOP], after[: 19 * HOP])
    assert not torch.allclose(before[19 * HOP : 20 * HOP], after[19 * HOP : 20 * HOP], atol=1e-6)


def test_what_came_earlier_than_its_reach_changes_nothing():
    network = small()
    assert network.causal.pasts == (2, 4)
    assert network.causal.reach == 6
    reach = network.causal.context
    audio = noise(1, 40 * HOP)
    changed = audio.copy()
    changed[: 10 * HOP] = 0
    before, after = added(network, audio)[0], added(network, changed)[0]
    end = 10 * HOP + reach
    assert torch.allclose(before[end:], after[end:], atol=1e-6)
    assert not torch.allclose(before[: 10 * HOP + 2 * HOP], after[: 10 * HOP + 2 * HOP], atol=1e-6)


@pytest.mark.parametrize("lengths", [[1] * 30, [4, 1, 7, 18], [30]])
@pytest.mark.parametrize("adds_lows", [False, True])
def test_step_by_step_as_in_one_piece_a_hop_later(lengths, adds_lows):
    network = small(replace(SMALL, adds_lows=adds_lows))
    audio = torch.from_numpy(np.stack([noise(1, 30 * HOP, seed) for seed in (1, 2)]))
    told = torch.linspace(2000.0, 6000.0, 31).expand(2, -1)
    step, memory = network.step(), torch.zeros(2, network.memory)
    pieces, start = [], 0
    with torch.inference_mode():
        whole = network(audio, told)
        for length in lengths:
            part = slice(start, start + length)
            blocks = audio.view(2, -1, HOP)[:, part]
            piece, memory = step(blocks, told[:, part], torch.ones(2, 2), memory)
            pieces.append(piece.flatten(1))
            start += length
    streamed = torch.cat(pieces, dim=1)
    assert float(streamed[:, :HOP].abs().max()) < 0.1  # what the first frame spreads into the past
    torch.testing.assert_close(streamed[:, HOP:], whole[:, :-HOP], rtol=0, atol=2e-6)


def test_the_mix_scales_what_is_added_and_nothing_else():
    network = small()
    audio = torch.from_numpy(noise(1, 20 * HOP))[None]
    told, blocks = torch.full((1, 20), 3000.0), audio.view(1, -1, HOP)
    found = {}
    with torch.inference_mode():
        for mix in ((0.0, 0.0), (1.0, 0.0), (0.5, 0.0)):
            memory = torch.zeros(1, network.memory)
            wide, _ = network.step()(blocks, told, torch.tensor([mix]), memory)
            found[mix] = wide.flatten()[HOP:]
    kept = audio[0, :-HOP]
    assert torch.equal(found[0.0, 0.0], kept)
    half, whole = found[0.5, 0.0] - kept, found[1.0, 0.0] - kept
    torch.testing.assert_close(half, whole / 2, rtol=0, atol=1e-6)
    assert float(whole.abs().max()) > 1e-3


def test_a_voice_without_its_fundamental_gets_it_back_and_one_with_it_nothing():
    """Partials of 200 Hz from 400 Hz up: what rectification finds below 300 Hz is 200 Hz."""
    network = small()
    with torch.no_grad():
        network.leave_low.weight.zero_()
        network.leave_low.bias.fill_(1.5)
    partials = [tone(hz, 1, RATE, 0.1) for hz in (400.0, 600.0, 800.0, 1000.0)]
    without = sum(partials)
    whole = without + tone(200.0, 1, RATE, 0.3)
    blocks = [
        torch.from_numpy(np.pad(each, (HOP, HOP))).view(1, -1, HOP).float()
        for each in (without, whole)
    ]
    lows = []
    with torch.inference_mode():
        for each in blocks:
            _, low, _ = network.added_to(each, torch.full((1, 1), 6000.0), None)
            assert low is not None
            lows.append(network.fourier.inverse(*low)[0].numpy()[RATE // 10 : -RATE // 10])
    spectrum = np.abs(np.fft.rfft(lows[0] * np.hanning(len(lows[0]))))
    loudest_hz = float(np.argmax(spectrum)) * RATE / len(lows[0])
    assert abs(loudest_hz - 200.0) < 5.0
    assert rms_db(lows[1]) < rms_db(lows[0]) - 40


def test_lows_stay_below_a_telephones_band():
    network = small()
    network.leave_low.bias.data.fill_(1.5)
    audio = band(noise(1, RATE), RATE, 350.0, 3400.0)
    blocks = torch.from_numpy(np.pad(audio, (HOP, HOP))).view(1, -1, HOP).float()
    with torch.inference_mode():
        _, low, _ = network.added_to(blocks, torch.full((1, 1), 6000.0), None)
        assert low is not None
        found = network.fourier.inverse(*low)[0].numpy()
    assert rms_db(found) > -40
    spectrum = np.abs(np.fft.rfft(found)) ** 2
    frequency = np.fft.rfftfreq(len(found), 1 / RATE)
    assert spectrum[frequency > 600].sum() < 0.01 * spectrum.sum()


def test_looking_ahead_for_partials_is_refused():
    with pytest.raises(SettingsError, match="in_tune"):
        replace(SMALL, in_tune=True)


def test_the_exported_graph_runs_frame_by_frame_and_gives_its_weights_back(tmp_path):
    network = small(replace(SMALL, fills_holes=True))
    with torch.no_grad():
        for parameter in network.parameters():  # an exporter keeps equal ones only once
            parameter += 0.01 * torch.randn_like(parameter)
    settings = {
        "name": "causal-extender", "sample_rate": RATE, "hop": HOP, "width": 8, "depth": 2,
        "kernel": 3, "dilations": [1, 2], "adds_lows": True, "fills_holes": True,
    }  # fmt: skip
    path = export_model(network, settings, "small", tmp_path)
    restored, _ = load_exported(str(path))
    for name, value in network.state_dict().items():
        assert torch.equal(value, restored.state_dict()[name]), name
    model = open_model(str(path))
    assert isinstance(model, StreamingModel)
    assert model.memory == network.memory == 2 * HOP + 6 * 8
    audio = np.stack([noise(1, 1000, seed) for seed in (1, 2)])
    with torch.inference_mode():
        expected = network(torch.from_numpy(audio), torch.full((2, 1), 3000.0)).numpy()
    np.testing.assert_allclose(model.run(audio, 3000.0), expected, atol=1e-5)


def test_silence_where_nothing_is_said_is_no_division_of_nothing_by_nothing(tmp_path):
    """A runtime's optimiser takes x + 1e-18 for x: what is said may cancel out to nothing."""
    network = small(replace(SMALL, fills_holes=True))
    with torch.no_grad():
        network.leave.weight.zero_()
        envelope, fine, flat, skirt = network.leave.bias.view(4, -1)
        for part, value in ((envelope, -3.0), (fine, 1.0), (flat, -1.0), (skirt, 0.0)):
            part.fill_(value)
    path = tmp_path / "silent.onnx"
    write_graph(network, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = {
        "audio": np.zeros((1, 20, HOP), np.float32),
        "bandwidth_hz": np.full((1, 20), 3000.0, np.float32),
        "mix": np.ones((1, 2), np.float32),
        "memory": np.zeros((1, network.memory), np.float32),
    }
    for found in session.run(None, given):
        assert np.isfinite(found).all()
