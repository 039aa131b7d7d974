"""Every layer of LeNet-5 as Verilog against the integer reference, bit for bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from dse.integer import IntegerNetwork, Layer
from dse.integer.grid import IntArray
from dse.integer.reference import evaluate
from tests.fpga.networks import Bits, lenet5
from tests.fpga.simulation import Unit, run_dense, run_sparse

pytestmark = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="iverilog is not installed"
)

FOLDING = {"conv1": (3, 5), "conv2": (4, 15), "conv3": (8, 20), "fc1": (6, 8), "fc2": (5, 12)}
PIXELS = 8


def _unit(network: IntegerNetwork, layer: Layer, source: IntArray, accumulators: IntArray) -> Unit:
    """The first PIXELS output pixels of `layer`, whose inputs are `source` (channels, y, x)."""
    zero = network.input_grid_of(layer).zero_point
    weights = layer.weights.values.reshape(layer.rows, -1).astype(np.int64)
    codes = source.reshape(1, -1)
    if layer.geometry is not None:
        y, x = layer.geometry.padding
        padded = np.pad(source, ((0, 0), (y, y), (x, x)), constant_values=zero)
        windows = np.lib.stride_tricks.sliding_window_view(
            padded, layer.weights.shape[2:], axis=(1, 2)
        )
        codes = windows.transpose(1, 2, 0, 3, 4).reshape(-1, weights.shape[1])[:PIXELS]
    # the zero point of the codes goes into the bias
    bias = layer.bias - zero * weights.sum(axis=1)
    bits = network.bounds[layer.name].bits + 1
    weight_bits = 1 if layer.weights.mid_rise else layer.weights.bits
    unit = Unit(weights, bias, codes, weight_bits, network.input_grid_of(layer).bits, bits)
    expected = accumulators.reshape(layer.rows, -1).T[: len(codes)]
    assert unit.expected.tolist() == expected.tolist()
    return unit


@pytest.mark.parametrize("bits", [Bits(4, 4), Bits(1, 1, mid_rise=True), Bits(3, 6, density=0.2)])
@pytest.mark.parametrize("name", FOLDING)
def test_layers_of_lenet5_are_exact(name: str, bits: Bits, tmp_path: Path) -> None:
    network = lenet5(bits)
    codes = np.random.default_rng(7).integers(0, 1 << bits.activations, (1, 1, 28, 28))
    tensors = evaluate(network, codes)
    (layer,) = (layer for layer in network.layers if layer.name == name)
    accumulators = tensors[f"{name}.accumulators"][0]
    unit = _unit(network, layer, tensors[layer.source][0], accumulators)
    found, _ = run_dense(unit, FOLDING[name], tmp_path)
    assert found.tolist() == unit.expected.tolist()
    if bits.density < 1:
        found, _, _ = run_sparse(unit, FOLDING[name][0] // 3 or 1, tmp_path)
        assert found.tolist() == unit.expected.tolist()
