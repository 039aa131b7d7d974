"""Batch normalization: folded before finetuning, or kept in the loop and folded after it?

    python benchmarks/batchnorm.py           # MNIST from $DSE_DATA_DIR, cache or download

A small network, normalized behind each convolution, is trained on 6,000 images, then finetuned at
few bits, nothing pruned. *Folded*: the product of weights and gains is what is trained. *Kept*:
weights and gains are trained apart, statistics frozen, and what is quantized is their product
(Krishnamoorthi 2018, section 3.2.2). Accuracy is the integer network's on 6,000 validation images,
the mean over seeds; the same baseline for both.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from unittest.mock import patch

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dse import data, prune, train
from dse.config import LayerConfig
from dse.data import Split
from dse.quantize import ConvertedNet, convert
from dse.quantize.trace import trace
from dse.train import Lessons, Schedule

IMAGES = 6000
BASELINE = Schedule(epochs=8, lr=0.01)
FINETUNE = Schedule(epochs=2, lr=0.006)


class Net(nn.Sequential):
    """Three convolutions, normalized, and a linear layer: images (N, 1, 28, 28) to logits."""

    def __init__(self) -> None:
        parts: list[nn.Module] = []
        for inputs, outputs, stride in ((1, 16, 2), (16, 32, 2), (32, 32, 1)):
            parts.append(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False))
            parts += [nn.BatchNorm2d(outputs), nn.ReLU()]
        super().__init__(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


class Gain(nn.Module):
    """Rows times gamma / sigma, gamma trained."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.gamma = nn.Parameter(norm.weight.detach().clone())
        self.register_buffer("sigma", torch.sqrt(norm.running_var + norm.eps))

    def forward(self, weight: Tensor) -> Tensor:
        """The weights as folded."""
        return weight * (self.gamma / self.sigma).reshape(-1, 1, 1, 1)


def kept(net: ConvertedNet, source: Net) -> ConvertedNet:
    """The converted network with each gain a parameter of its own; it computes the same."""
    net = copy.deepcopy(net)
    for call, norm in trace(source, (1, 28, 28)).norms.items():
        layer, module = net.layers[call], source.get_submodule(norm)
        assert isinstance(module, nn.BatchNorm2d)
        layer.weight.data.copy_(source.get_submodule(call).get_parameter("weight"))
        parametrize.register_parametrization(layer, "weight", Gain(module))
    return net


def accuracy(net: ConvertedNet, lessons: Lessons, score: Split, bits: int, seed: int) -> float:
    """Of the integer network after finetuning `net` at `bits` everywhere."""
    config = dict.fromkeys(net.layers, LayerConfig(0.0, bits, bits))
    generator = torch.Generator().manual_seed(seed)
    unpruned = prune.Plan(config, net.graph((1, 28, 28)))
    with patch("dse.train.prune_at_once", lambda *_: unpruned):  # torch prunes no product
        network = train.finetune(copy.deepcopy(net), config, lessons, FINETUNE, generator)
    correct, total = train.integer_accuracy(network, score)
    return correct / total


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    dataset = data.load("mnist", seed=0)
    images = Split(dataset.train.images[:IMAGES], dataset.train.labels[:IMAGES])
    torch.manual_seed(0)
    source = Net()
    train.fit(source, images, BASELINE, torch.Generator().manual_seed(0))
    folded = convert(source, images.images[:2])
    lessons = Lessons(images, train.logits_of(folded, images.images))
    correct, total = train.float_accuracy(folded, dataset.validation)
    table = Table(title=f"float {correct / total:.2%}")
    for column in ("bits", "folded %", "kept %", "difference, points (deviation)"):
        table.add_column(column)
    for bits in (4, 3, 2):
        pairs = [
            [100 * accuracy(net, lessons, dataset.validation, bits, seed) for seed in seeds]
            for net in (folded, kept(folded, source))
        ]
        gaps = [b - a for a, b in zip(*pairs, strict=True)]
        spread = statistics.stdev(gaps) if len(gaps) > 1 else 0.0
        means = [f"{statistics.mean(values):.2f}" for values in pairs]
        table.add_row(str(bits), *means, f"{statistics.mean(gaps):+.2f} ({spread:.2f})")
        Console().print(table)


if __name__ == "__main__":
    main()
