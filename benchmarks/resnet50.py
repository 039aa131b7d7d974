"""A deep network's way through the library: ResNet-50 with random weights, 25.6 M parameters.

    python benchmarks/resnet50.py

Converts a plain module for 224x224 images (He et al. 2016, figure 3 and table 1, written here
because the library does not depend on torchvision), quantizes it to 8 bits, packs it, estimates its
cost, and prints the seconds and the largest memory of each step. One core.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from dse import fpga, storage
from dse.quantize import convert

T = TypeVar("T")

SHAPE = (3, 224, 224)
STACKS = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Inner channels and blocks of the four stacks."""


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut."""

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * inner
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Images to images of four times the inner channels."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        y += self.shortcut(x)
        return self.relu(y)


class ResNet50(nn.Module):
    """Images (N, 3, 224, 224) to logits (N, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)
        )
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.stacks = nn.Sequential()
        inputs = 64
        for inner, blocks in STACKS:
            for block in range(blocks):
                stride = 2 if block == 0 and inner > 64 else 1
                self.stacks.append(Bottleneck(inputs, inner, stride))
                inputs = 4 * inner
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.fc(torch.flatten(self.mean(self.stacks(self.pool(self.stem(x)))), 1))


def settled(net: nn.Module, images: Tensor) -> nn.Module:
    """The network in eval mode, its normalizations with the statistics of these images."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net(images)
    return net.eval()


def main() -> None:
    """Time each step and print the table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = torch.randint(0, 256, (2, *SHAPE)) / 256
    net = settled(ResNet50(), images)
    table = Table("step", "seconds", "CPU seconds", "peak memory MB", title="ResNet-50, 224x224")

    def timed(step: str, work: Callable[[], T]) -> T:
        start, cpu = time.perf_counter(), time.process_time()
        result = work()
        seconds, used = time.perf_counter() - start, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        table.add_row(step, f"{seconds:.2f}", f"{used:.2f}", f"{peak:.0f}")
        return result

    converted = timed("convert", lambda: convert(net, images))
    timed("quantize to 8 bits, two images", lambda: converted.quantize(images))
    network = timed("integer network", lambda: converted.integer_network(SHAPE))
    names = storage.formats.names()
    packed = timed("pack, best of all formats", lambda: storage.pack(network, names))
    manifest = timed("manifest", lambda: storage.manifest(network, packed))
    timed("read back", lambda: storage.load(manifest, packed.data))
    sizes = {layer.name: (layer.format, layer.packed_bits) for layer in packed.layers}
    workload = timed("describe for the cost model", lambda: fpga.describe(network, sizes))
    device = fpga.load_device("alveo-u250")
    timed("estimate its cost", lambda: fpga.estimate(workload, device))
    Console().print(table)
    count, macs = sum(p.numel() for p in net.parameters()), sum(map(network.macs, network.layers))
    print(f"{count:,} parameters, {macs:,} MACs, {len(packed.data):,} bytes packed")


if __name__ == "__main__":
    main()
