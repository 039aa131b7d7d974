"""Accuracy of a study's network at the same bits in every layer: float, after training, finetuned.

    python -m dse.run studies/resnet8-cifar10.yml --trials 1     # makes the baseline
    python benchmarks/uniform_bits.py reports/resnet8-cifar10 --bits 8 4 --epochs 3

Nothing is pruned, and the first and last layer get no more bits than the others. Accuracy is that
of the integer network, on the study's test images; the baseline beside it is the float network.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from dse import train
from dse.config import LayerConfig
from dse.pareto import wilson
from dse.search.workers import load_context
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.trial import Context


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="results of a study")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6, 4])
    parser.add_argument("--epochs", type=int, nargs="+", default=[0, 3], help="of finetuning")
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = StudyFolder(given.folder)
    context = load_context(load_study(folder.study), folder)
    table = Table("network", "bits", "epochs", "test %", "95 % interval", "against float")
    right, total = train.float_accuracy(context.baseline, context.data.test)
    exact = right / total
    add_row(table, ("float", "32", ""), right, total, exact)
    for bits in given.bits:
        for epochs in given.epochs:
            correct, total = quantized(context, bits, epochs)
            add_row(table, ("integer", f"{bits}/{bits}", str(epochs)), correct, total, exact)
            Console().print(table)


def quantized(context: Context, bits: int, epochs: int) -> tuple[int, int]:
    """Right answers and test images of the integer network, every layer at `bits`."""
    net = copy.deepcopy(context.baseline)
    config = dict.fromkeys(net.layers, LayerConfig(0.0, bits, bits))
    schedule = dataclasses.replace(context.spec.finetune, epochs=epochs)
    generator = torch.Generator().manual_seed(context.spec.seed)
    network = train.finetune(net, config, context.lessons, schedule, generator)
    return train.integer_accuracy(network, context.data.test)


def add_row(table: Table, names: tuple[str, ...], correct: int, total: int, exact: float) -> None:
    """One accuracy with its interval and its distance from the float network's, in points."""
    low, high = wilson(correct, total)
    share = correct / total
    table.add_row(
        *names, f"{share:.2%}", f"{low:.2%} to {high:.2%}", f"{100 * (share - exact):+.2f}"
    )


if __name__ == "__main__":
    main()
