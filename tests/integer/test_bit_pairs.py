"""Every pair of weight and activation bits on a residual graph: one answer, also after packing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dse.integer import (
    RELU,
    ActivationGrid,
    Add,
    AveragePool,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    Requantizer,
    Reshape,
    reference,
)
from dse.integer.kernels import Evaluator
from dse.storage import formats, load, manifest, pack

from .strategies import random_codes


def residual(weight_bits: int, activation_bits: int) -> IntegerNetwork:
    """conv -> conv -> add to the first -> mean of the image -> linear."""
    rng = np.random.default_rng(17 * weight_bits + activation_bits)
    top = (1 << activation_bits) - 1
    grid = ActivationGrid(activation_bits, 1.0, int(rng.integers(0, top // 2 + 1)))

    def layer(name: str, source: str, shape: tuple[int, ...], last: bool = False) -> Layer:
        codes, mid_rise = rng.integers(0, 1 << weight_bits, shape), weight_bits == 1
        zero = 0 if mid_rise else 1 << (weight_bits - 1)
        values = IntegerWeights.values_of(codes, weight_bits, zero, mid_rise)
        weights = IntegerWeights(values, weight_bits, zero, np.ones(1), mid_rise)
        spread = 1 / max(1.0, np.abs(values).mean() * np.sqrt(values[0].size))
        requantizer = None if last else Requantizer.from_scales(np.array([spread]), grid, RELU)
        geometry = ConvGeometry(padding=(1, 1)) if len(shape) == 4 else None
        bias = rng.integers(-9, 10, shape[0])
        return Layer(name, source, weights, bias, requantizer, geometry)

    mean = Requantizer.from_scales(np.array([1 / 20]), grid)
    nodes = (
        layer("a", "input", (4, 2, 3, 3)),
        layer("b", "a", (4, 4, 3, 3)),
        Add.from_scales("sum", ("a", "b"), (1.0, 0.5), grid, RELU),
        AveragePool("mean", "sum", (5, 4), (1, 1), (0, 0), mean),
        Reshape("flat", "mean", (4,)),
        layer("fc", "flat", (3, 4), last=True),
    )
    return IntegerNetwork((2, 5, 4), grid, nodes)


@pytest.mark.parametrize("weight_bits", range(1, 17))
def test_every_pair_of_widths(weight_bits: int) -> None:
    for activation_bits in range(1, 17):
        network = residual(weight_bits, activation_bits)
        codes = random_codes(network, 3, np.random.default_rng(activation_bits))
        tensors = reference.evaluate(network, codes)
        assert len(np.unique(tensors["a"])) > 1, "the codes must not all be equal"
        fast = Evaluator(network)(torch.from_numpy(codes)).numpy()
        np.testing.assert_array_equal(fast, tensors["fc"])
        packed = pack(network, formats.names())
        read = load(manifest(network, packed), packed.data)
        np.testing.assert_array_equal(reference.evaluate(read, codes)["fc"], tensors["fc"])
