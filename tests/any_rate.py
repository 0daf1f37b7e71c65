"""A model of any rate made by hand: a graph of audio and bandwidth whose every number is known."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from fullband.card import Card, write_card

RATE = 48_000
HOP, FRAME = 480, 960  # bins of 50 Hz
BINS = FRAME // 2 + 1
COPIED_BINS = 40  # of 0 to 2 kHz, over and over


def write_any_rate_model(
    folder: Path,
    name: str = "any",
    loudness: float = 1.0,
    bandwidth_range_hz: tuple[float, float] = (1900.0, 20_000.0),
) -> Path:
    """Write the graph and its card, and give the graph's path.

    In frames of 20 ms, twice overlapping, under the square root of a Hann window: what lies above
    the bandwidth is blanked, and there the band from 0 to 2 kHz is repeated up to 24 kHz, so many
    times as loud. The gate opens from 50 Hz below the bandwidth to 100 Hz above it.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME))
    angle = 2 * np.pi * np.outer(np.arange(BINS), np.arange(FRAME)) / FRAME
    analysis = np.concatenate([window * np.cos(angle), -window * np.sin(angle)])
    once = np.where((np.arange(BINS) == 0) | (np.arange(BINS) == BINS - 1), 1.0, 2.0)[:, None]
    synthesis = np.concatenate([once * window * np.cos(angle), -once * window * np.sin(angle)]) / (
        FRAME
    )
    copied = np.arange(BINS) % COPIED_BINS
    constants = {
        "analysis": analysis[:, None].astype(np.float32),
        "synthesis": synthesis[:, None].astype(np.float32),
        "bins_hz": (50.0 * np.arange(BINS, dtype=np.float32))[None, :, None],
        "copied": np.concatenate([copied, BINS + copied]),
        "loudness": np.float32(loudness),
        "before_hz": np.float32(50),
        "width_hz": np.float32(150),
        "zero": np.float32(0),
        "one": np.float32(1),
        "axis": np.array([1]),
        "shift": np.array([HOP]),
    }
    node = helper.make_node
    nodes = [
        node("Unsqueeze", ["audio", "axis"], ["channel"]),
        node("Conv", ["channel", "analysis"], ["bins"], strides=[HOP], pads=[HOP, HOP]),
        node("Unsqueeze", ["bandwidth_hz", "axis"], ["ends"]),
        node("Sub", ["bins_hz", "ends"], ["above"]),
        node("Add", ["above", "before_hz"], ["past_gate"]),
        node("Div", ["past_gate", "width_hz"], ["slope"]),
        node("Clip", ["slope", "zero", "one"], ["gate"]),
        node("Sub", ["one", "gate"], ["kept"]),
        node("Concat", ["kept", "kept"], ["kept_both"], axis=1),
        node("Concat", ["gate", "gate"], ["gate_both"], axis=1),
        node("Mul", ["bins", "kept_both"], ["blanked"]),
        node("Gather", ["blanked", "copied"], ["repeated"], axis=1),
        node("Mul", ["repeated", "gate_both"], ["gated"]),
        node("Mul", ["gated", "loudness"], ["new_bins"]),
        node("ConvTranspose", ["new_bins", "synthesis"], ["padded"], strides=[HOP]),
        node("Squeeze", ["padded", "axis"], ["flat"]),
        node("Shape", ["audio"], ["shape"]),
        node("Gather", ["shape", "axis"], ["length"], axis=0),
        node("Add", ["length", "shift"], ["end"]),
        node("Slice", ["flat", "shift", "end", "axis"], ["new_band"]),
        node("Add", ["audio", "new_band"], ["wide"]),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [
            helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["B", "T"]),
            helper.make_tensor_value_info("bandwidth_hz", TensorProto.FLOAT, ["B", "F"]),
        ],
        [helper.make_tensor_value_info("wide", TensorProto.FLOAT, ["B", "T"])],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    card = Card(
        name=name,
        summary="repeats the lowest 2 kHz",
        architecture={"name": "by hand"},
        sample_rate=RATE,
        entry_rate=None,
        upsampling="sinc",
        stride=HOP,
        context=4 * HOP,
        parameters=0,
        data=(),
        licence="MIT",
        command="",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        bandwidth_range_hz=bandwidth_range_hz,
    )
    write_card(card, path.with_suffix(".json"))
    return path
