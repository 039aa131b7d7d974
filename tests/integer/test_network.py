"""The integer network: what it refuses, and accumulator bounds that enclose and are reached."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.integer import (
    RELU,
    ActivationGrid,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    MaxPool,
    Node,
    Requantizer,
    Reshape,
    reference,
)
from dse.integer.network import AccumulatorBounds

from .graphs import graphs
from .strategies import generators, grids, layers, networks, random_codes

GRID = ActivationGrid(4, 1.0, 3)
TO_GRID = Requantizer(np.array([1 << 14]), np.array([16]), GRID, *RELU.codes(GRID))


def layer(name: str = "conv", source: str = "input", **changes: Any) -> Layer:
    """A convolution of 2 rows over 1 channel, or what `changes` make of it."""
    arguments: dict[str, Any] = {
        "shape": (2, 1, 3, 3),
        "bias": np.zeros(2, dtype=np.int64),
        "requantizer": TO_GRID,
        "geometry": ConvGeometry(),
        **changes,
    }
    shape = arguments.pop("shape")
    weights = IntegerWeights(np.ones(shape, dtype=np.int32), 8, 0, np.ones(1))
    return Layer(name, source, weights, **arguments)


def linear(name: str, source: str, shape: tuple[int, int], **changes: Any) -> Layer:
    """A linear layer."""
    bias = np.zeros(shape[0], dtype=np.int64)
    return layer(name, source, shape=shape, geometry=None, **{"bias": bias, **changes})


def network(*nodes: Node) -> IntegerNetwork:
    """A network over images of one channel, 6 x 5."""
    return IntegerNetwork((1, 6, 5), GRID, nodes)


@settings(max_examples=100, deadline=None)
@given(net=st.one_of(networks(), graphs()), rng=generators())
def test_bounds_enclose_every_accumulator(net: IntegerNetwork, rng: np.random.Generator) -> None:
    tensors = reference.evaluate(net, random_codes(net, 3, rng))
    for node in net.accumulating:
        sums = tensors[f"{node.name}.accumulators"]
        found = np.moveaxis(sums, 1, 0).reshape(sums.shape[1], -1)
        bounds = net.bounds[node.name]
        assert (found.min(1) >= bounds.low).all()
        assert (found.max(1) <= bounds.high).all()
        assert np.abs(found).max() <= bounds.magnitude


@settings(max_examples=100, deadline=None)
@given(net=st.one_of(networks(), graphs()), rng=generators())
def test_code_ranges_and_shapes_are_those_of_the_tensors(
    net: IntegerNetwork, rng: np.random.Generator
) -> None:
    tensors = reference.evaluate(net, random_codes(net, 2, rng))
    for name, shape in net.shapes.items():
        assert tensors[name].shape == (2, *shape)
    for name, (low, high) in net.code_ranges.items():
        assert low <= tensors[name].min()
        assert tensors[name].max() <= high


@settings(max_examples=100, deadline=None)
@given(data=st.data(), rng=generators(), grid=grids())
def test_bounds_enclose_every_partial_sum_in_any_order(
    data: st.DataObject, rng: np.random.Generator, grid: ActivationGrid
) -> None:
    node = data.draw(layers("fc", "input", (2, 6), None, last=True))
    net = IntegerNetwork((6,), grid, (node,))
    x = random_codes(net, 1, rng)[0] - grid.zero_point
    bounds = net.bounds["fc"]
    for row in range(2):
        terms = rng.permutation([*(node.weights.values[row] * x), node.bias[row]])
        sums = np.cumsum(terms)
        assert bounds.low[row] <= sums.min()
        assert sums.max() <= bounds.high[row]
        assert np.abs(terms).sum() <= bounds.magnitude


@settings(max_examples=100, deadline=None)
@given(data=st.data(), grid=grids())
def test_bounds_are_reached_by_the_worst_input(data: st.DataObject, grid: ActivationGrid) -> None:
    node = data.draw(layers("fc", "input", (2, 6), None, last=True))
    net = IntegerNetwork((6,), grid, (node,))
    bounds = net.bounds["fc"]
    for row in range(2):
        rising = node.weights.values[row] > 0
        most = reference.evaluate(net, np.where(rising, grid.max_code, 0)[None])["fc"][0, row]
        least = reference.evaluate(net, np.where(rising, 0, grid.max_code)[None])["fc"][0, row]
        bias = node.bias[row]
        # before or after the bias is added, whichever lies further out
        assert bounds.high[row] == max(most, most - bias)
        assert bounds.low[row] == min(least, least - bias)


# two's complement of n bits holds -2^(n-1) .. 2^(n-1) - 1
@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-3, 1, 3), (-128, 127, 8), (-128, 128, 9)],
)
def test_width_is_the_smallest_register_that_holds_both_bounds(
    low: int, high: int, bits: int
) -> None:
    assert AccumulatorBounds(np.array([low, 0]), np.array([0, high]), 0).bits == bits


def test_golden_bounds() -> None:
    # weights 2 -1 over codes 0..15 with zero point 3, so x in -3..12, and bias -10:
    # most 2*12 - -3 = 27 before the bias, least 2*-3 - 12 - 10 = -28, magnitude 3*12 + 10 = 46
    weights = IntegerWeights(np.array([[2, -1]], dtype=np.int32), 2, 1, np.ones(1))
    node = Layer("fc", "input", weights, np.array([-10]), None)
    bounds = IntegerNetwork((2,), GRID, (node,)).bounds["fc"]
    assert (bounds.low[0], bounds.high[0], bounds.magnitude, bounds.bits) == (-28, 27, 46, 6)


def test_a_relu_tightens_the_bounds_of_the_next_layer() -> None:
    # after ReLU the codes are 3..15, so x in 0..12 and a layer of two ones reaches 0..24
    net = network(layer(), Reshape("flat", "conv", (24,)), linear("fc", "flat", (1, 24)))
    assert (net.bounds["fc"].low[0], net.bounds["fc"].high[0]) == (0, 24 * 12)


def test_macs_count_dense_multiplications() -> None:
    # 2 x 1 x 3 x 3 weights at 4 x 3 pixels; 5 x 24 weights once
    net = network(layer(), Reshape("flat", "conv", (24,)), linear("fc", "flat", (5, 24)))
    assert [net.macs(node) for node in net.layers] == [216, 120]


WIDE = {"bias": np.array([1 << 45])}


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((), "needs at least one node"),
        ((layer("a"), layer("a")), "two tensors are named 'a'"),
        ((layer("input"),), "two tensors are named 'input'"),
        ((layer("a", "b"), layer("b")), "a reads 'b', which no earlier node makes"),
        ((layer(requantizer=None), layer("next", "conv")), "next reads accumulators"),
        ((layer(shape=(2, 3, 3, 3)),), "conv: expects 3 channels, but reads 1"),
        ((layer(geometry=ConvGeometry(groups=2)),), "conv: expects 2 channels, but reads 1"),
        ((layer(shape=(2, 1, 7, 1)),), r"conv: kernel \(7, 1\) is larger than its input \(6, 5\)"),
        ((linear("fc", "input", (1, 30)),), r"fc: expects shape \(30,\), but reads \(1, 6, 5\)"),
        ((Reshape("flat", "input", (29,)),), r"flat: cannot reshape \(1, 6, 5\) to \(29,\)"),
        ((Reshape("f", "input", (30,)), layer(source="f")), r"conv: expects \(channels, y, x\)"),
        (
            (Reshape("f", "input", (30,)), MaxPool("pool", "f", (1, 1), (1, 1))),
            r"pool: expects \(channels, y, x\)",
        ),
        ((MaxPool("pool", "input", (7, 1), (1, 1)),), r"pool: kernel \(7, 1\) is larger"),
        ((MaxPool("pool", "input", (2, 2), (1, 1), (0, 2)),), r"padding \(0, 2\) is above half"),
        (
            (Reshape("f", "input", (30,)), linear("fc", "f", (1, 30), **WIDE)),
            "fc: accumulators need 47 bits, at most 46 are supported",
        ),
    ],
)
def test_networks_that_do_not_fit_are_refused(nodes: tuple[Node, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(*nodes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"geometry": None}, "conv: weights need 2 dimensions, but have 4"),
        ({"shape": (2, 9)}, "conv: weights need 4 dimensions, but have 2"),
        ({"bias": np.zeros(3, dtype=np.int64)}, r"conv: bias must be int64 of shape \(2,\)"),
        ({"bias": np.zeros(2, dtype=np.int32)}, r"conv: bias must be int64 of shape \(2,\)"),
        (
            {"requantizer": Requantizer(np.full(3, 1 << 14), np.full(3, 16), GRID, 0, 15)},
            "conv: needs 1 or 2 multipliers, but has 3",
        ),
    ],
)
def test_layers_whose_parts_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer(**changes)
