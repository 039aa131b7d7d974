"""Integer evaluation of LeNet-5 and ResNet-8 beside float; peak memory of calibration.

    python benchmarks/integer_speed.py

Weights are random and images uniform noise: neither changes the time. Float (of ResNet-8 the plain
module, batch normalization and all) and integer speeds are measured in turns on one thread, in CPU
seconds of the best round, so compare them as ratios. The integers of 1000 images (50 of ResNet-8)
are compared with the int64 reference.
"""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
import time

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from dse.integer import IntegerNetwork, reference
from dse.integer.kernels import Evaluator, quantize_input
from dse.models import build
from dse.quantize import QuanNet
from dse.quantize.convert import convert
from dse.train import logits_of

ROUNDS = 5


NETWORKS = {"lenet5": ((1, 28, 28), 10_000), "resnet8": ((3, 32, 32), 1_000)}
"""Shape and number of the images."""
FLOAT_BATCHES = (50, 100, 250)
"""The float network gets the batch size with which it is fastest."""


def networks(name: str, bits: int) -> tuple[nn.Module, IntegerNetwork, torch.Tensor]:
    """A network with random weights, in float and at `bits`, and images."""
    torch.manual_seed(0)
    net = build(name).eval()
    shape, count = NETWORKS[name]
    images = torch.rand(count, *shape)
    quan = net if isinstance(net, QuanNet) else convert(net, images[:2])
    quan.quantize(images[:200], weight_bits=bits, activation_bits=bits)
    network = quan.integer_network(shape)
    if isinstance(net, QuanNet):
        net.float_mode()
    return net, network, images


def speed(name: str, bits: int) -> tuple[float, float, int]:
    """Images/s in integers and in float, and images on which the reference differs."""
    net, network, images = networks(name, bits)
    evaluator = Evaluator(network)
    codes = quantize_input(network, images)
    evaluator(codes[:500]), logits_of(net, images[:500])
    integer, real = [], []
    for _ in range(ROUNDS):
        start = time.process_time()
        outputs = evaluator(codes)
        integer.append(time.process_time() - start)
        for batch in FLOAT_BATCHES:
            start = time.process_time()
            logits_of(net, images, batch)
            real.append(time.process_time() - start)
    checked = 1000 if name == "lenet5" else 50
    expected = reference.evaluate(network, codes[:checked].numpy())[network.output]
    different = int((outputs[:checked].numpy() != expected).any(axis=1).sum())
    return len(images) / min(integer), len(images) / min(real), different


def calibration_peak(count: int) -> str:
    """Peak memory of a process that calibrates on `count` images, and how much of it that took."""
    code = (
        "import resource, torch; torch.set_num_threads(1)\n"
        "from dse.models import build\n"
        f"net, images = build('lenet5'), torch.rand({count}, 1, 28, 28)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before = peak(); net.quantize(images); print(f'{peak():.0f} {peak() - before:.0f}')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    total, more = done.stdout.split()
    return f"{total} MB, {more} MB more than before"


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    table = Table(title="images/s on one core")
    for column in ("network", "bits", "integer", "float32", "ratio", "unlike the reference"):
        table.add_column(column, justify="right")
    for name, bits in itertools.product(NETWORKS, (2, 4, 8, 12, 16)):
        integer, real, different = speed(name, bits)
        speeds = f"{integer:,.0f}", f"{real:,.0f}", f"{integer / real:.2f}"
        table.add_row(name, str(bits), *speeds, str(different))
    console = Console(width=100)
    console.print(table)
    memory = Table(title="peak memory of calibration")
    for column in ("images", "peak (asked: < 1 GB)"):
        memory.add_column(column, justify="right")
    for count in (1_000, 60_000):
        memory.add_row(f"{count:,}", calibration_peak(count))
    console.print(memory)
    console.print(f"this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
