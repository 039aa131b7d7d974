"""LeNet-5's layers as units: which are simulated and synthesised, and their integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dse.fpga.specimens import Matrix
from dse.integer import IntegerNetwork, Layer
from tests.fpga.networks import Bits, lenet5

CONFIGURATIONS = (Bits(4, 4), Bits(1, 1, mid_rise=True), Bits(3, 6, density=0.2))
"""The last one is computed by lanes that skip zeros, too."""

FOLDING = {"conv1": (3, 5), "conv2": (4, 15), "conv3": (8, 20), "fc1": (6, 8), "fc2": (5, 12)}
"""PE and SIMD of the dense units."""

LANES = {"conv1": 1, "conv2": 1, "conv3": 2, "fc1": 2, "fc2": 1}


def lenet5_with_biases(bits: Bits) -> IntegerNetwork:
    """LeNet-5 with random weights, and random biases within an eighth of the accumulators'
    range: zeros would need no memory."""
    network = lenet5(bits)
    rng = np.random.default_rng(5)
    nodes = []
    for node in network.nodes:
        if isinstance(node, Layer):
            most = 1 << (network.bounds[node.name].bits - 4)
            node = replace(node, bias=rng.integers(-most, most, node.rows))
        nodes.append(node)
    return replace(network, nodes=tuple(nodes))


def layer_matrix(network: IntegerNetwork, layer: Layer) -> Matrix:
    """The integers of `layer`'s unit; the zero point of its codes goes into the bias."""
    grid = network.input_grid_of(layer)
    weights = layer.weights.values.reshape(layer.rows, -1).astype(np.int64)
    return Matrix(
        weights,
        layer.bias - grid.zero_point * weights.sum(axis=1),
        layer.weights.bits,
        grid.bits,
        network.bounds[layer.name].bits,
    )
