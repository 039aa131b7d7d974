"""What each step of the compression recipe buys, on small LeNet-5 configs of MNIST.

    python benchmarks/recipe.py

Each row adds one step to the one above; the last takes one away again. Accuracy is that of the
integer network on the validation split (where choices are made), the mean of three configs;
bytes are the whole packed model, also their mean. One seed: differences below 0.1 points are noise.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from dse import data, prune, storage, train
from dse.config import Config, LayerConfig
from dse.integer import IntegerNetwork
from dse.models import build
from dse.quantize import QuanNet
from dse.quantize.weights import wants_mid_rise
from dse.train import Lessons, Schedule
from dse.trial import compact

LAYERS = ("conv1", "conv2", "conv3", "fc1", "fc2")
CONFIGS: Sequence[tuple[Sequence[float], Sequence[int], Sequence[int]]] = (
    ((0.4, 0.8, 0.94, 0.9, 0.6), (4, 3, 2, 2, 4), (8, 4, 4, 4, 4)),
    ((0.5, 0.85, 0.97, 0.94, 0.7), (4, 2, 1, 1, 3), (8, 3, 3, 3, 3)),
    ((0.5, 0.85, 0.98, 0.96, 0.7), (4, 3, 2, 2, 3), (8, 4, 3, 3, 3)),
)
"""Prune ratios, weight bits, activation bits by layer: 2 to 4 KB each."""

WITHOUT_RICE = ("dense", "coo", "csr", "csc", "bitmap")
WITH_RICE = (*WITHOUT_RICE, "runlength", "rice")
"""What small_shapes.py says of the arithmetic format would blur these steps."""


@dataclass(frozen=True)
class Step:
    """One row: what is on."""

    name: str
    schedule: Schedule
    two_bit_mid_rise: bool = True
    formats: Sequence[str] = WITH_RICE
    finish: Callable[[IntegerNetwork], IntegerNetwork] = compact


def plain(network: IntegerNetwork) -> IntegerNetwork:
    """The network as quantized."""
    return network


STEPS = (
    Step("pruned at once, post-training", Schedule(0, 0.002), False, WITHOUT_RICE, plain),
    Step("finetuned 1 epoch, peak 0.002", Schedule(1, 0.002), False, WITHOUT_RICE, plain),
    Step("run-length and Rice formats", Schedule(1, 0.002), False, WITH_RICE, plain),
    Step("peak 0.006", Schedule(1, 0.006), False, WITH_RICE, plain),
    Step("pruned gradually", Schedule(1, 0.006, 64, 0.5), False, WITH_RICE, plain),
    Step("mid-rise 2-bit weights", Schedule(1, 0.006, 64, 0.5), True, WITH_RICE, plain),
    Step("dead weights and channels out", Schedule(1, 0.006, 64, 0.5)),
    Step("4 epochs", Schedule(4, 0.006, 64, 0.5)),
    Step("4 epochs, without mid-rise 2-bit weights", Schedule(4, 0.006, 64, 0.5), False),
)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name holds TEXT")
    steps = [step for step in STEPS if parser.parse_args().only in step.name]
    torch.set_num_threads(1)
    dataset = data.load("mnist", seed=0)
    torch.manual_seed(0)
    baseline = build("lenet5")
    train.fit(baseline, dataset.train, Schedule(8, 0.003), torch.Generator().manual_seed(0))
    lessons = Lessons(dataset.train, train.logits_of(baseline, dataset.train.images))
    console = Console(width=90)
    table = Table(title="LeNet-5 on MNIST, mean of three configs")
    for column in ("step", "validation %", "bytes"):
        table.add_column(column, justify="left" if column == "step" else "right")
    for step in steps:
        found = [run(step, baseline, dataset, lessons, config_of(*c)) for c in CONFIGS]
        accuracy, size = (statistics.mean(values) for values in zip(*found, strict=True))
        table.add_row(step.name, f"{100 * accuracy:.2f}", f"{size:,.0f}")
        console.print(f"{step.name}: {found}")
    console.print(table)


def config_of(
    ratios: Sequence[float], weight_bits: Sequence[int], activation_bits: Sequence[int]
) -> Config:
    """One of CONFIGS by layer name."""
    choices = zip(LAYERS, ratios, weight_bits, activation_bits, strict=True)
    return {name: LayerConfig(*choice) for name, *choice in choices}


def run(
    step: Step, baseline: QuanNet, dataset: data.Dataset, lessons: Lessons, config: Config
) -> tuple[float, int]:
    """Validation accuracy and bytes of one config under one recipe."""

    def grid_rule(weight: np.ndarray, bits: int, sparse_storage: bool) -> bool:
        allowed = bits != 2 or step.two_bit_mid_rise
        return allowed and wants_mid_rise(weight, bits, sparse_storage)

    net = copy.deepcopy(baseline)
    prune.prune_layers(net, config)
    with patch("dse.quantize.fake.wants_mid_rise", grid_rule):
        start = copy.deepcopy(baseline) if step.schedule.gradual else net
        generator = torch.Generator().manual_seed(1)
        network = train.finetune(start, config, lessons, step.schedule, generator)
    network = step.finish(network)
    correct, total = train.integer_accuracy(network, dataset.validation)
    return correct / total, len(storage.pack(network, step.formats).data)


if __name__ == "__main__":
    main()
