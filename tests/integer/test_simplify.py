"""Simplification: the same outputs on every bit, no more weights than before."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dse.integer import ConvGeometry, IntegerNetwork, Layer, MaxPool, Node, Reshape
from dse.integer.grid import ActivationGrid, IntegerWeights
from dse.integer.reference import evaluate
from dse.integer.requantize import LINEAR, RELU, Requantizer
from dse.integer.simplify import simplify

GRID = ActivationGrid(4, 0.5, 3)
ONE = np.array([1.0])


def weights_of(values: list[object] | np.ndarray, bits: int = 4, zero: int = 8) -> IntegerWeights:
    return IntegerWeights(np.array(values, dtype=np.int32), bits, zero, ONE)


def requantizer(relu: bool = True) -> Requantizer:
    return Requantizer.from_scales(np.array([0.25]), GRID, RELU if relu else LINEAR)


def linear(name: str, source: str, values: list[object], bias: list[int], last: bool) -> Layer:
    output = None if last else requantizer()
    return Layer(name, source, weights_of(values), np.array(bias, dtype=np.int64), output)


@st.composite
def sparse_networks(draw: st.DrawFn) -> IntegerNetwork:
    """conv (padded or not) -> pool -> conv -> flatten -> linear -> linear, most weights zero."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups = draw(st.sampled_from([1, 2]))
    padding = draw(st.sampled_from([(0, 0), (1, 1)]))

    def weights(*shape: int) -> IntegerWeights:
        kept = rng.random(shape) < draw(st.sampled_from([0.05, 0.15, 0.5]))
        if draw(st.booleans()):
            values = np.where(kept, rng.choice([-3, -1, 1, 3], shape), 0).astype(np.int32)
            return IntegerWeights(values, 2, 0, ONE, mid_rise=True)
        return weights_of(np.where(kept, rng.integers(-8, 8, shape), 0))

    def bias(rows: int) -> np.ndarray:
        return rng.integers(-40, 41, rows)

    relu = draw(st.booleans())
    nodes = (
        Layer(
            "a",
            "input",
            weights(4, 2 // groups, 3, 3),
            bias(4),
            requantizer(relu),
            ConvGeometry(padding=padding, groups=groups),
        ),
        MaxPool("pool", "a", (2, 2), (2, 2)),
        Layer(
            "b",
            "pool",
            weights(6, 4, 2, 2),
            bias(6),
            requantizer(),
            ConvGeometry(padding=draw(st.sampled_from([(0, 0), (1, 1)]))),
        ),
    )
    shape = IntegerNetwork((2, 8, 8), GRID, nodes).shapes["b"]
    size = int(np.prod(shape))
    tail = (
        Reshape("flat", "b", (size,)),
        Layer("c", "flat", weights(5, size), bias(5), requantizer()),
        Layer("d", "c", weights(3, 5), bias(3), None),
    )
    return IntegerNetwork((2, 8, 8), GRID, (*nodes, *tail))


@st.composite
def unflattened_networks(draw: st.DrawFn) -> IntegerNetwork:
    """linear -> reshape to an image, its channels several rows each -> (pool) -> conv -> linear."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def layer(name: str, source: str, shape: tuple[int, ...], last: bool = False) -> Layer:
        kept = rng.random(shape) < draw(st.sampled_from([0.05, 0.3]))
        weights = weights_of(np.where(kept, rng.integers(-8, 8, shape), 0))
        padding = draw(st.sampled_from([(0, 0), (1, 1)]))
        geometry = ConvGeometry(padding=padding) if len(shape) == 4 else None
        output = None if last else requantizer(draw(st.booleans()))
        return Layer(name, source, weights, rng.integers(-40, 41, shape[0]), output, geometry)

    nodes: list[Node] = [layer("a", "input", (32, 3)), Reshape("image", "a", (2, 4, 4))]
    if draw(st.booleans()):
        nodes.append(MaxPool("pool", "image", (2, 2), (2, 2)))
    nodes.append(layer("b", nodes[-1].name, (3, 2, 2, 2)))
    size = int(np.prod(IntegerNetwork((3,), GRID, tuple(nodes)).shapes["b"]))
    nodes += [Reshape("flat", "b", (size,)), layer("c", "flat", (3, size), last=True)]
    return IntegerNetwork((3,), GRID, tuple(nodes))


@given(st.one_of(sparse_networks(), unflattened_networks()), st.integers(0, 2**32 - 1))
def test_outputs_stay_the_same_and_weights_only_go(network: IntegerNetwork, seed: int) -> None:
    simple, output = simplify(network), network.output
    codes = np.random.default_rng(seed).integers(0, 16, (3, *network.input_shape))
    assert np.array_equal(evaluate(simple, codes)[output], evaluate(network, codes)[output])
    for before, after in zip(network.layers, simple.layers, strict=True):
        dropped = after.weights.values == 0
        assert np.array_equal(np.where(dropped, 0, before.weights.values), after.weights.values)


@given(sparse_networks())
def test_simplifying_twice_changes_nothing_more(network: IntegerNetwork) -> None:
    once = simplify(network)
    for first, second in zip(once.layers, simplify(once).layers, strict=True):
        assert np.array_equal(first.weights.values, second.weights.values)
        assert np.array_equal(first.bias, second.bias)


def test_a_constant_output_becomes_a_bias_and_an_unread_row_is_dropped() -> None:
    # Row 0 of the first layer is empty with bias 16. M = 0.25 / 0.5 = 1/2, so it writes the code
    # 3 + 16/2 = 11, which is 8 above the zero point. Row 1 is read by nobody. Row 2 stays.
    first = linear("a", "input", [[0, 0], [1, 2], [3, 0]], [16, 5, 1], last=False)
    second = linear("b", "a", [[2, 0, 1], [-1, 0, 0]], [10, 20], last=True)
    a, b = simplify(IntegerNetwork((2,), GRID, (first, second))).layers
    assert a.weights.values.tolist() == [[0, 0], [0, 0], [3, 0]]
    assert b.weights.values.tolist() == [[0, 0, 1], [0, 0, 0]]
    assert b.bias.tolist() == [10 + 2 * 8, 20 - 8]
    assert a.bias.tolist() == [0, 0, 1]


def test_a_constant_channel_beside_padding_is_kept_unless_it_is_the_paddings_code() -> None:
    # Padding reads as the zero point 3; a channel constant at 11 is not constant at the border.
    kernel = np.ones((1, 1, 1, 1), dtype=np.int32)
    for bias, left in ((16, 9), (-16, 0)):  # after ReLU a negative sum is the zero point itself
        empty = Layer(
            "a", "input", weights_of(0 * kernel), np.array([bias]), requantizer(), ConvGeometry()
        )
        reader = Layer(
            "b",
            "a",
            weights_of(np.ones((1, 1, 3, 3))),
            np.array([0]),
            None,
            ConvGeometry(padding=(1, 1)),
        )
        network = simplify(IntegerNetwork((1, 4, 4), GRID, (empty, reader)))
        assert network.layers[1].weights.nonzeros == left


def test_a_full_mid_rise_layer_stays_full_because_dense_storage_has_no_absent_weight() -> None:
    signs = IntegerWeights(np.array([[1, -1], [1, 1]], dtype=np.int32), 1, 0, ONE, mid_rise=True)
    first = linear("a", "input", [[0, 0], [1, 0]], [16, 0], last=False)
    second = Layer("b", "a", signs, np.zeros(2, dtype=np.int64), None)
    simple = simplify(IntegerNetwork((2,), GRID, (first, second)))
    assert simple.layers[1].weights.nonzeros == 4
