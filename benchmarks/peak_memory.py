"""Peak memory of calibration, finetuning and evaluation of LeNet-5 on all of MNIST.

    python benchmarks/peak_memory.py

Each phase runs in a process of its own; what is printed is that process's largest resident size,
the interpreter, torch and the images included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from dse import data, train
from dse.config import LayerConfig
from dse.data import Dataset
from dse.models import build
from dse.quantize import QuanNet
from dse.train import Lessons, Schedule


def calibration(net: QuanNet, dataset: Dataset) -> None:
    """Post-training quantization, calibrated on every training image."""
    net.quantize(dataset.train.images, weight_bits=8, activation_bits=8)


def finetuning(net: QuanNet, dataset: Dataset) -> None:
    """One epoch, teacher's logits included."""
    config = {name: LayerConfig(0.9, 4, 8) for name in net.layers}
    lessons = Lessons(dataset.train, train.logits_of(net, dataset.train.images))
    train.finetune(net, config, lessons, Schedule(1, 0.006, 64, 0.5), torch.Generator())


def evaluation(net: QuanNet, dataset: Dataset) -> None:
    """Integer accuracy on the test images, of a network quantized on a few."""
    net.quantize(dataset.train.images[:1000], weight_bits=8, activation_bits=8)
    train.integer_accuracy(net.integer_network((1, 28, 28)), dataset.test)


PHASES = (calibration, finetuning, evaluation)


def measured(phase: Callable[[QuanNet, Dataset], None]) -> float:
    """Largest resident size of this process in MB after `phase`."""
    torch.set_num_threads(1)
    phase(build("lenet5"), data.load("mnist", seed=0))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000  # kilobytes on Linux


def main() -> None:
    """Measure and print the table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    table = Table(title="Peak memory")
    table.add_column("phase")
    table.add_column("MB", justify="right")
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for phase in PHASES:
            table.add_row(phase.__name__, f"{pool.apply(measured, (phase,)):,.0f}")
        pool.close()
        pool.join()
    Console(width=80).print(table)


if __name__ == "__main__":
    main()
