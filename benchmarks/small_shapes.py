"""What the shape of a small LeNet-5 is worth: channels, densities and bits at 1.5 to 3 KB of MNIST.

    python benchmarks/small_shapes.py

Every row is one config, finetuned for 4 epochs under the same recipe and seed. Accuracy is that of
the integer network on the 6,000 validation images (where choices are made): differences below 0.2
points are noise. Bytes are the whole packed model, with every storage format and without the
arithmetic one.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping, Sequence

import torch
from rich.console import Console
from rich.table import Table

from dse import data, storage, train
from dse.config import Config, LayerConfig
from dse.models import build
from dse.storage import formats
from dse.train import Lessons, Schedule
from dse.trial import compact

LAYERS = ("conv1", "conv2", "conv3", "fc1", "fc2")
BASELINE = Schedule(8, 0.003)
FINETUNE = Schedule(4, 0.006, batch_size=128, gradual=0.5)
WITHOUT_ARITHMETIC = tuple(name for name in formats.names() if name != "arithmetic")


def config(
    densities: Sequence[float],
    bits: Sequence[int],
    channels: Mapping[str, float],
    activation_bits: int = 8,
) -> Config:
    """A config by layer; `channels` are the ratios of those that go."""
    return {
        name: LayerConfig(1 - density, width, activation_bits, channels.get(name, 0.0))
        for name, density, width in zip(LAYERS, densities, bits, strict=True)
    }


THIRD = {"conv3": 0.667, "fc1": 0.643}
FIFTH = {"conv3": 0.8, "fc1": 0.81}
FEW_BITS = ((0.85, 0.44, 0.068, 0.055, 0.25), (4, 2, 1, 2, 3))
SHAPES: Mapping[str, Config] = {
    "all channels": config((0.5, 0.15, 0.03, 0.06, 0.3), (4, 3, 2, 2, 3), {}),
    "a third of conv3's and fc1's channels": config(
        (0.5, 0.25, 0.04, 0.04, 0.15), (4, 3, 2, 2, 3), THIRD
    ),
    "conv1 nearly whole": config((0.8, 0.3, 0.045, 0.04, 0.2), (4, 3, 2, 2, 3), THIRD),
    "fewer bits for more weights": config(*FEW_BITS, THIRD),
    "the same, activations of 4 bits": config(*FEW_BITS, THIRD, activation_bits=4),
    "a fifth of the channels": config((0.7, 0.3, 0.028, 0.02, 0.15), (4, 2, 1, 1, 2), FIFTH),
}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name holds TEXT")
    wanted = parser.parse_args().only
    torch.set_num_threads(1)
    dataset = data.load("mnist", seed=0)
    torch.manual_seed(0)
    baseline = build("lenet5")
    train.fit(baseline, dataset.train, BASELINE, torch.Generator().manual_seed(0))
    lessons = Lessons(dataset.train, train.logits_of(baseline, dataset.train.images))
    console = Console(width=90)
    table = Table(title="LeNet-5 on MNIST, 4 epochs of finetuning")
    for column in ("shape", "validation %", "bytes", "without arithmetic"):
        table.add_column(column, justify="left" if column == "shape" else "right")
    for name, choice in SHAPES.items():
        if wanted not in name:
            continue
        generator = torch.Generator().manual_seed(1)
        net = copy.deepcopy(baseline)
        network = compact(train.finetune(net, choice, lessons, FINETUNE, generator))
        correct, total = train.integer_accuracy(network, dataset.validation)
        sizes = [
            len(storage.pack(network, allowed).data)
            for allowed in (formats.names(), WITHOUT_ARITHMETIC)
        ]
        table.add_row(name, f"{100 * correct / total:.2f}", *(f"{size:,}" for size in sizes))
        console.print(f"{name}: {correct / total:.2%}, {sizes[0]:,} bytes")
    console.print(table)


if __name__ == "__main__":
    main()
