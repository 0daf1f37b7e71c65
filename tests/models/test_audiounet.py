"""AudioUNet: the paper's size, what it does before training, and what can reach what."""

from __future__ import annotations

import pytest
import torch

from fullband.errors import SettingsError
from fullband.models.audiounet import AudioUNet, AudioUNetConfig


def small(**options) -> AudioUNet:
    """A network that runs in milliseconds and whose output is not almost its input."""
    torch.manual_seed(0)
    network = AudioUNet(AudioUNetConfig(width=1 / 32, **options)).eval()
    with torch.no_grad():
        network.last.weight *= 100
    return network


def added(network: AudioUNet, audio: torch.Tensor) -> torch.Tensor:
    """What the network adds to its input."""
    with torch.inference_mode():
        return network(audio) - audio


def test_the_papers_size_has_56_million_parameters():
    # The count of the authors' released model: 56.4 million.
    network = AudioUNet(AudioUNetConfig(depth=4, width=1.0))
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == pytest.approx(56.4e6, rel=0.01)


def test_the_parameters_by_hand():
    # Depth 1, 4 filters of 65 taps: down 1 -> 4, bottleneck 4 -> 4, up 4 -> 8, last 8 -> 2 with 9
    # taps (4 channels of the shuffle and 4 of the way down), each with its biases.
    network = AudioUNet(AudioUNetConfig(depth=1, width=1 / 32))
    expected = (65 * 4 + 4) + (65 * 16 + 4) + (65 * 32 + 8) + (9 * 16 + 2)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def test_with_a_last_layer_of_zeros_it_is_the_identity():
    network = small()
    torch.nn.init.zeros_(network.last.weight)
    torch.nn.init.zeros_(network.last.bias)
    audio = torch.randn(2, 1000)
    torch.testing.assert_close(network(audio), audio, rtol=0, atol=0)


@pytest.mark.parametrize("time", [1, 2, 31, 32, 33, 1000, 1025])
def test_any_length_keeps_its_shape(time):
    assert small()(torch.randn(3, time)).shape == (3, time)


@pytest.mark.parametrize("time", [1, 31, 100])
def test_lengths_are_padded_with_silence(time):
    network = small()
    audio = torch.randn(1, time)
    padded = torch.nn.functional.pad(audio, (0, -time % network.config.stride))
    torch.testing.assert_close(added(network, audio), added(network, padded)[:, :time])


def test_batch_entries_do_not_meet():
    network = small()
    audio = torch.randn(3, 500)
    alone = torch.cat([added(network, audio[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(added(network, audio), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 4, 5])
def test_only_what_lies_within_the_context_matters(depth):
    network = small(depth=depth)
    context, stride = network.config.context, network.config.stride
    middle = -(-context // stride + 4) * stride
    audio = torch.randn(1, 2 * middle)
    changed = audio.clone()
    changed[:, middle] += 10
    difference = (added(network, changed) - added(network, audio)).abs()[0]
    reached = torch.nonzero(difference > 1e-6).flatten()
    assert middle - context <= int(reached.min())
    assert int(reached.max()) <= middle + context
    # And not much less, or the context would be waste: more than half of it is really reached.
    assert int(reached.max()) - middle > context / 2


@pytest.mark.parametrize("depth", [1, 4])
def test_a_shift_by_the_stride_shifts_the_output(depth):
    network = small(depth=depth)
    stride, context = network.config.stride, network.config.context
    audio = torch.randn(1, 4 * context)
    shifted = torch.nn.functional.pad(audio, (3 * stride, 0))
    inside = slice(context, -context)
    expected = added(network, audio)[:, inside]
    actual = added(network, shifted)[:, 3 * stride :][:, inside]
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_every_parameter_gets_a_gradient():
    network = small(dropout=0.0).train()
    network(torch.randn(2, 2048)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


@pytest.mark.parametrize("loudness", [1e-3, 0.5, 20.0])
def test_without_biases_louder_in_is_as_much_louder_out(loudness):
    network = small(bias=False)
    audio = torch.randn(1, 2000)
    expected = loudness * added(network, audio)
    torch.testing.assert_close(
        added(network, loudness * audio), expected, rtol=1e-3, atol=1e-4 * loudness
    )


def test_without_biases_silence_stays_silence_and_with_them_it_does_not():
    silence = torch.zeros(1, 2000)
    assert torch.equal(small(bias=False)(silence), silence)
    network = small(bias=True)
    torch.nn.init.constant_(network.bottleneck.conv.bias, 0.1)
    assert not torch.equal(network(silence), silence)


def test_dropout_acts_in_training_only():
    network = small(dropout=0.5)
    audio = torch.randn(1, 2000)
    assert torch.equal(network(audio), network(audio))
    network.train()
    assert not torch.equal(network(audio), network(audio))


@pytest.mark.parametrize(
    "options",
    [{"depth": 0}, {"width": 0.0}, {"dropout": 1.0}, {"ratio": 1}, {"equaliser_taps": 8}],
)
def test_impossible_settings_are_refused(options):
    with pytest.raises(SettingsError):
        AudioUNetConfig(**options)


def test_depth_and_width_as_in_the_paper():
    config = AudioUNetConfig(depth=6)
    assert config.filters == (128, 256, 512, 512, 512, 512)
    assert config.kernels == (65, 33, 17, 9, 9, 9)
    assert AudioUNetConfig(width=0.25).filters == (32, 64, 128, 128)
    assert config.stride == 128


def test_nothing_is_drawn_where_there_is_nothing_to_fit():
    def pairs():
        raise AssertionError("a pair was drawn")
        yield

    small(depth=1).fit(pairs(), lambda wide: wide)
