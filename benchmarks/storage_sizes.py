"""Bits of every storage format for a pruned checkpoint, beside the entropy bound.

    python examples/lenet5.py out && python benchmarks/storage_sizes.py out/lenet5_sparse_float.pt

The bound is that of a random mask of each layer's density plus plain values; header, biases and
requantization are not counted. The example's 90 % mask, best format per layer, asked: at most
72,542 bits at 8 bits and 47,712 at 4.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from dse.integer import IntegerWeights
from dse.models import build
from dse.quantize.weights import quantize_weights
from dse.storage import formats


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="state_dict of a pruned LeNet-5")
    net = build("lenet5")
    path = parser.parse_args().checkpoint
    net.load_state_dict(torch.load(path, weights_only=True), strict=False)
    weights = [layer.weight.detach().numpy() for layer in net.layers.values()]
    kept = sum(np.count_nonzero(weight) for weight in weights)
    table = Table(title=f"bits of {kept:,} weights of {sum(w.size for w in weights):,}")
    table.add_column("bits")
    for name in (*formats.names(), "best per layer", "bound"):
        table.add_column(name, justify="right")
    for bits in (8, 4, 2):
        table.add_row(str(bits), *(f"{count:,}" for count in row(weights, bits)))
    Console(width=120).print(table)


def row(weights: list[np.ndarray], bits: int) -> list[int]:
    """Bits by format, of the best per layer, and of the bound."""
    layers = [quantize_weights(weight, bits, mid_rise=False) for weight in weights]
    sizes = [formats.sizes(layer, formats.registry()) for layer in layers]
    totals = [sum(size[name] for size in sizes) for name in formats.names()]
    best = sum(min(size.values()) for size in sizes)
    return [*totals, best, round(sum(bound(layer) for layer in layers))]


def bound(layer: IntegerWeights) -> float:
    """Entropy of the mask, and every non-zero's value as it is."""
    density = layer.density
    if density in (0.0, 1.0):
        return float(layer.nonzeros * layer.bits)
    each = -density * np.log2(density) - (1 - density) * np.log2(1 - density)
    return float(layer.values.size * each + layer.nonzeros * layer.bits)


if __name__ == "__main__":
    main()
