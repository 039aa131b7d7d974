"""CPU time of an FPGA estimate, folding included: `python benchmarks/cost_speed.py`."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from dse.fpga import AUTO, TEMPLATES, CannotBuild, describe, estimate, load_device
from dse.integer import ActivationGrid, AveragePool, IntegerNetwork, MaxPool, Node, Reshape
from tests.fpga.networks import Bits, add, chain, conv, lenet5, linear, packed, requantizer


def resnet50(bits: Bits) -> IntegerNetwork:
    """ResNet-50 (He et al. 2016, stride in the 3x3) on 224 x 224 pixels with random weights."""
    nodes: list[Node] = [
        conv("stem", "input", (64, 3, 7, 7), bits, padding=3, stride=2),
        MaxPool("pool", "stem", (3, 3), (2, 2), (1, 1)),
    ]
    channels = 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            name, source, step = f"{stage}.{block}", nodes[-1].name, 1 + (block == 0 < stage)
            nodes += [
                conv(f"{name}.a", source, (width, channels, 1, 1), bits),
                conv(f"{name}.b", f"{name}.a", (width, width, 3, 3), bits, padding=1, stride=step),
                conv(f"{name}.c", f"{name}.b", (4 * width, width, 1, 1), bits),
            ]
            shortcut = source
            if block == 0:
                shape = (4 * width, channels, 1, 1)
                nodes.append(conv(f"{name}.d", source, shape, bits, stride=step))
                shortcut = f"{name}.d"
            channels = 4 * width
            nodes.append(add(f"{name}.sum", (shortcut, f"{name}.c"), bits))
    mean = AveragePool("mean", nodes[-1].name, (7, 7), (1, 1), (0, 0), requantizer(bits))
    nodes += [mean, Reshape("flat", "mean", (2048,))]
    nodes.append(linear("fc", "flat", (1000, 2048), bits, last=True))
    return IntegerNetwork((3, 224, 224), ActivationGrid(bits.activations, 1.0, 0), tuple(nodes))


CASES = (
    ("LeNet-5 W4A4 dense", lambda: lenet5(Bits(4, 4)), "dense", "xc7z020", 2.0),
    ("LeNet-5 W4A4 density 0.1", lambda: lenet5(Bits(4, 4, 0.1)), "csr", "xc7z020", 2.0),
    ("50 layers 64 ch W4A4 dense", lambda: chain(50, 64, 32, Bits(4, 4)), "dense", "xczu9eg", 50.0),
    ("50 layers density 0.1", lambda: chain(50, 64, 32, Bits(4, 4, 0.1)), "csr", "xczu9eg", 50.0),
    ("ResNet-50 W4A4 dense", lambda: resnet50(Bits(4, 4)), "dense", "alveo-u250", 100.0),
)
REPEATS = 21


def main() -> None:
    """Print the median and the least of REPEATS estimates in ms, per template, beside the limit
    that is meant for the first. One thread does the work, so CPU time is what an idle machine
    takes."""
    print(f"{'network':26} {'device':10} {'template':9} {'median':>7} {'least':>7} {'limit':>5} ms")
    for name, build, form, device_name, limit in CASES:
        network, device = build(), load_device(device_name)
        workload = describe(network, packed(network, form))
        for template in (*TEMPLATES, AUTO):
            times = []
            for _ in range(REPEATS):
                start = time.process_time()
                try:
                    cost = estimate(workload, device, template=template)
                except CannotBuild as reason:
                    print(f"{name:26} {device_name:10} {template:9} {reason}")
                    break
                times.append(1e3 * (time.process_time() - start))
            if times:
                median, least = statistics.median(times), min(times)
                asked = f"{limit:5.0f}" if template == "dataflow" else " " * 5
                print(
                    f"{name:26} {device_name:10} {template:9} {median:7.1f} {least:7.1f} {asked} "
                    f"{cost.template}, {cost.fps:,.0f} frames/s, {cost.verdict()}"
                )


if __name__ == "__main__":
    main()
