"""Every layer of LeNet-5 as Verilog against the integer reference, bit for bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from dse.integer import IntegerNetwork, Layer
from dse.integer.grid import IntArray
from dse.integer.reference import evaluate
from tests.fpga.lenet5_units import (
    CONFIGURATIONS,
    FOLDING,
    LANES,
    layer_matrix,
    lenet5_with_biases,
)
from tests.fpga.networks import Bits
from tests.fpga.simulation import Unit, run_dense, run_sparse

pytestmark = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="iverilog is not installed"
)

PIXELS = 8


def _unit(network: IntegerNetwork, layer: Layer, source: IntArray, accumulators: IntArray) -> Unit:
    """The first PIXELS output pixels of `layer`, whose inputs are `source` (channels, y, x)."""
    matrix = layer_matrix(network, layer)
    codes = source.reshape(1, -1)
    if layer.geometry is not None:
        y, x = layer.geometry.padding
        zero = network.input_grid_of(layer).zero_point
        padded = np.pad(source, ((0, 0), (y, y), (x, x)), constant_values=zero)
        windows = np.lib.stride_tricks.sliding_window_view(
            padded, layer.weights.shape[2:], axis=(1, 2)
        )
        codes = windows.transpose(1, 2, 0, 3, 4).reshape(-1, matrix.weights.shape[1])[:PIXELS]
    unit = Unit(
        matrix.weights,
        matrix.bias,
        codes,
        matrix.weight_bits,
        matrix.activation_bits,
        matrix.acc_bits,
    )
    expected = accumulators.reshape(layer.rows, -1).T[: len(codes)]
    assert unit.expected.tolist() == expected.tolist()
    return unit


@pytest.mark.parametrize("bits", CONFIGURATIONS)
@pytest.mark.parametrize("name", FOLDING)
def test_layers_of_lenet5_are_exact(name: str, bits: Bits, tmp_path: Path) -> None:
    network = lenet5_with_biases(bits)
    codes = np.random.default_rng(7).integers(0, 1 << bits.activations, (1, 1, 28, 28))
    tensors = evaluate(network, codes)
    (layer,) = (layer for layer in network.layers if layer.name == name)
    accumulators = tensors[f"{name}.accumulators"][0]
    unit = _unit(network, layer, tensors[layer.source][0], accumulators)
    found, _ = run_dense(unit, FOLDING[name], tmp_path)
    assert found.tolist() == unit.expected.tolist()
    if bits.density < 1:
        found, _, _ = run_sparse(unit, LANES[name], tmp_path)
        assert found.tolist() == unit.expected.tolist()
