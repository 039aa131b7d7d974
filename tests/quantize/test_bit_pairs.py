"""All 256 pairs of weight and activation bits, through everything a convolution can have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dse.integer import reference
from dse.integer.kernels import Evaluator, quantize_input
from dse.quantize import QuanConv2d, QuanLinear, QuanNet


class Everything(QuanNet):
    """Stride, padding, dilation, groups, no bias; pruned weights, and a row without any."""

    def __init__(self) -> None:
        super().__init__(8)
        self.strided = QuanConv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0))
        self.grouped = QuanConv2d(4, 4, 2, dilation=2, groups=2, bias=False)
        self.last = QuanLinear(4 * 2 * 4, 3)

    def forward_(self, x: Tensor) -> Tensor:
        """Images (N, 2, 7, 7), of both signs, to logits (N, 3)."""
        x = self.strided(x)
        x = self.grouped.relu(self.grouped(x))
        return self.last(x.flatten(1))


@pytest.fixture(scope="module")
def net() -> Everything:
    torch.manual_seed(0)
    net = Everything()
    for layer in net.layers.values():
        layer.weight.data[1] = 0
        layer.weight.data[torch.rand_like(layer.weight) < 0.3] = 0
    return net


@pytest.mark.parametrize("weight_bits", range(1, 17))
def test_the_evaluator_equals_the_reference_at_every_pair(
    net: Everything, weight_bits: int
) -> None:
    images = torch.randn(6, 2, 7, 7, generator=torch.Generator().manual_seed(1))
    for activation_bits in range(1, 17):
        net.quantize(images, weight_bits=weight_bits, activation_bits=activation_bits)
        network = net.integer_network((2, 7, 7))
        for layer in network.layers:
            assert layer.weights.bits == weight_bits
            assert network.input_grid_of(layer).bits == activation_bits
        codes = quantize_input(network, images)
        expected = reference.evaluate(network, codes.numpy())[network.output]
        np.testing.assert_array_equal(Evaluator(network)(codes).numpy(), expected)
