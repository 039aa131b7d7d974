"""Integer evaluation and calibration of LeNet-5: speed beside float, exactness, peak memory.

    python benchmarks/integer_speed.py

Weights are random and images uniform noise: neither changes the time. One core, one process per
row; float and integer speeds are measured in turns in the same run, so compare them as ratios.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import torch
from rich.console import Console
from rich.table import Table

from dse.integer import reference
from dse.integer.kernels import Evaluator, quantize_input
from dse.models import build
from dse.quantize import QuanNet
from dse.train import logits_of

IMAGES = 10_000
ROUNDS = 5


def quantized(bits: int) -> tuple[QuanNet, torch.Tensor]:
    """LeNet-5 with random weights at `bits`, and images."""
    torch.manual_seed(0)
    net = build("lenet5")
    images = torch.rand(IMAGES, 1, 28, 28)
    net.quantize(images[:500], weight_bits=bits, activation_bits=bits)
    return net, images


def speed(bits: int) -> tuple[float, float, int]:
    """Images/s in integers and in float, and images on which the reference differs."""
    net, images = quantized(bits)
    network = net.integer_network((1, 28, 28))
    evaluator = Evaluator(network)
    codes = quantize_input(network, images)
    evaluator(codes[:500]), logits_of(net, images[:500])
    integer, real = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        outputs = evaluator(codes)
        middle = time.perf_counter()
        logits_of(net, images)
        integer.append(middle - start)
        real.append(time.perf_counter() - middle)
    expected = reference.evaluate(network, codes[:1000].numpy())[network.output]
    different = int((outputs[:1000].numpy() != expected).any(axis=1).sum())
    return IMAGES / min(integer), IMAGES / min(real), different


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
    table = Table(title="LeNet-5, images/s on one core")
    for column in ("bits", "integer", "float32", "ratio", "images unlike the reference"):
        table.add_column(column, justify="right")
    for bits in (2, 4, 8, 12, 16):
        integer, real, different = speed(bits)
        ratio = f"{integer / real:.2f}"
        table.add_row(str(bits), f"{integer:,.0f}", f"{real:,.0f}", ratio, f"{different} of 1000")
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
