"""What holds for every test, and what is too slow to make in each."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from any_rate import write_any_rate_model


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: workers take whole files, and a long one begun last would
    keep one of them busy alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, so that no decoded corpus comes from an earlier one."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FULLBAND_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Two models as ONNX files with cards, by their ratio: 4 to 16 kHz and 16 to 48 kHz.

    Both are one untrained little AudioUNet, which does not know its rates: only their cards differ.
    Its last layer is made a hundred times what a training starts from, so that what it adds is as
    loud as what it is given: a stand-in for a model that is wrong as loudly as it can be.
    """
    import torch

    from fullband.card import read_card, write_card
    from fullband.models.registry import build_model
    from fullband.train.export import export_model

    folder = tmp_path_factory.mktemp("exported")
    settings = {"name": "audiounet", "sample_rate": 16_000, "ratio": 4, "width": 1 / 32}
    torch.manual_seed(0)
    network = build_model(settings)
    with torch.no_grad():
        network.last.weight *= 100
    narrower = export_model(network, settings, "tiny-4x", folder)
    wider = narrower.with_stem("tiny-3x")
    shutil.copy(narrower, wider)
    card = dataclasses.replace(
        read_card(narrower.with_suffix(".json")),
        name="tiny-3x",
        sample_rate=48_000,
        entry_rate=16_000,
    )
    write_card(card, wider.with_suffix(".json"))
    return {4: narrower, 3: wider}


@pytest.fixture(scope="session")
def any_rate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of any rate that is told the bandwidth, as an ONNX file with its card."""
    return write_any_rate_model(tmp_path_factory.mktemp("any-rate"))
