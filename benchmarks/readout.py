"""How much waveform a U-Net's features hold: its last layer solved for instead of trained.

    python benchmarks/readout.py MODEL.onnx CORPUS [--out FILE.json]

What a U-Net adds to its equalised input is linear in its last features (a convolution of few taps),
so the layer with the least squared error for given features is the solution of normal equations. No
further training of that layer can find more. Scored on the split `--split`, mean SNR in dB over
`--limit` files:

- `ideal`: the ideal low-pass; `equaliser`: the network's input, nothing added.
- `trained`: the model as it is.
- `solved`: its last layer solved for on the train split, `quarter`: on a quarter of its files.

What `solved` has more than `equaliser` is all the waveform that the features predict; what it has
more than `quarter` is what more data brings. Needs fullband[train,evaluate].
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fullband.audio.samples import Audio
from fullband.corpora.dataset import PairDataset, decode
from fullband.corpora.manifest import read_corpus
from fullband.degrade import Degradation, lower_rate
from fullband.evaluate.metrics import snr_db
from fullband.evaluate.run import raw_system
from fullband.evaluate.suite import ideal_lowpass_system, provenance, spread_files
from fullband.models.audiounet import AudioUNet
from fullband.train.config import DataConfig
from fullband.train.restore import load_exported

RIDGE = 1e-6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("corpus")
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--batches", type=int, default=60, help="of eight patches of 8192 samples")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    network, _ = load_exported(options.model)
    if not isinstance(network, AudioUNet):
        parser.error(f"{options.model} is no U-Net")
    config = network.config
    rate, ratio = config.sample_rate, config.ratio
    degradation = Degradation("chebyshev", rate, lower_rate(rate, ratio))
    corpus = read_corpus(options.corpus)
    training = decode(corpus, "train", rate)
    data = DataConfig(corpus="", batch_size=8)
    layers = {"equaliser": torch.zeros_like(network.last.weight), "trained": network.last.weight}
    for name, count in (("quarter", len(training) // 4), ("solved", len(training))):
        some = spread_files(training, count)
        pairs = PairDataset(some, data, ("chebyshev",), (ratio,), 1)
        layers[name] = solved_layer(network, (pairs.batch(i) for i in range(options.batches)))
    layers = {name: weight.detach().clone() for name, weight in layers.items()}

    @torch.inference_mode()
    def run(audio: Audio) -> Audio:
        predicted: Audio = network(torch.from_numpy(audio)).numpy()
        return predicted

    judged = spread_files(decode(corpus, options.split, rate), options.limit)
    ideal, system = ideal_lowpass_system(judged), raw_system(run, config)
    scores: dict[str, list[float]] = {name: [] for name in ("ideal", *layers)}
    for index in range(len(judged)):
        wide = judged.recording(index)
        narrow = degradation.apply(wide)
        scores["ideal"].append(snr_db(ideal(narrow, degradation, len(wide)), wide))
        for name, weight in layers.items():
            with torch.no_grad():
                network.last.weight.copy_(weight)
            scores[name].append(snr_db(system(narrow, degradation, len(wide)), wide))
    measured = {
        "model": Path(options.model).stem,
        "corpus": corpus.name,
        "split": options.split,
        "files": len(judged),
        "train_files": len(training),
        "batches": options.batches,
        **provenance(),
        "snr_db": {name: round(float(np.mean(values)), 4) for name, values in scores.items()},
    }
    print(json.dumps(measured, indent=1))
    if options.out:
        options.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


@torch.no_grad()
def solved_layer(model: AudioUNet, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Tensor:
    """The last convolution's weights with the least squared error over narrow and wide `[B, T]`.

    Every patch counts by how much of its own missing energy is found, so that loud ones do not
    decide alone. A patch's ends, where the network sees little, do not count.
    """
    _, channels, taps = model.last.weight.shape
    unknowns = channels * taps
    products = torch.zeros(unknowns, unknowns, dtype=torch.float64)
    crossed = torch.zeros(unknowns, 2, dtype=torch.float64)
    edge = model.config.context // 4  # of samples at half the rate
    for narrow, wide in pairs:
        features, missing = seen_and_missing(
            model, torch.from_numpy(narrow), torch.from_numpy(wide)
        )
        seen = F.unfold(features.unsqueeze(2), (1, taps), padding=(0, taps // 2))
        seen, missing = seen[..., edge:-edge], missing[..., edge:-edge]
        weights = 1 / (missing.square().sum(dim=(1, 2)) + 1e-3)
        weighted = seen * weights[:, None, None]
        products += torch.einsum("bit,bjt->ij", weighted, seen).double()
        crossed += torch.einsum("bit,bjt->ij", weighted, missing).double()
    noise = RIDGE * products.diagonal().mean() * torch.eye(unknowns, dtype=torch.float64)
    return torch.linalg.solve(products + noise, crossed).T.reshape(2, channels, taps).float()


def seen_and_missing(model: AudioUNet, narrow: Tensor, wide: Tensor) -> tuple[Tensor, Tensor]:
    """What the last layer sees `[B, C, T / 2]`, and what it should make of it `[B, 2, T / 2]`."""
    caught: list[Tensor] = []
    hook = model.last.register_forward_pre_hook(lambda _, given: caught.append(given[0]))
    try:
        predicted = model(narrow)
    finally:
        hook.remove()
    added = model.shuffle(model.last(caught[0])).squeeze(1)[:, : narrow.shape[-1]]
    missing = wide - (predicted - added)
    even = missing.shape[-1] // 2 * 2
    halves = torch.stack([missing[:, 0:even:2], missing[:, 1:even:2]], dim=1)
    return caught[0][..., : even // 2], halves


if __name__ == "__main__":
    main()
