"""Shrinking: channels go, outputs stay the same on every bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dse.integer import IntegerNetwork
from dse.integer.reference import evaluate
from dse.integer.shrink import shrink
from dse.integer.simplify import simplify
from tests.integer.graphs import graphs
from tests.integer.strategies import networks, random_codes
from tests.integer.test_simplify import (
    GRID,
    linear,
    sparse_networks,
    unflattened_networks,
)


@given(
    st.one_of(networks(), sparse_networks(), unflattened_networks(), graphs()),
    st.integers(0, 2**32 - 1),
)
def test_outputs_stay_the_same(network: IntegerNetwork, seed: int) -> None:
    codes = random_codes(network, 3, np.random.default_rng(seed))
    expected = evaluate(network, codes)[network.output]
    for smaller in (shrink(network), shrink(simplify(network))):
        assert np.array_equal(evaluate(smaller, codes)[network.output], expected)


@given(sparse_networks())
def test_shrinking_loses_no_weight_that_simplifying_kept(network: IntegerNetwork) -> None:
    simple = simplify(network)
    small = shrink(simple)
    for before, after in zip(simple.layers, small.layers, strict=True):
        assert after.weights.nonzeros == before.weights.nonzeros
        assert after.weights.values.size <= before.weights.values.size


def test_a_row_that_nobody_reads_goes_with_its_column() -> None:
    first = linear("a", "input", [[1, 0], [1, 2], [3, 0]], [1, 2, 3], last=False)
    second = linear("b", "a", [[1, 0, 4], [2, 0, 5]], [0, 0], last=True)
    a, b = shrink(IntegerNetwork((2,), GRID, (first, second))).layers
    assert a.weights.values.tolist() == [[1, 0], [3, 0]]
    assert a.bias.tolist() == [1, 3]
    assert b.weights.values.tolist() == [[1, 4], [2, 5]]


def test_a_network_without_any_weight_keeps_one_channel_and_its_output() -> None:
    first = linear("a", "input", [[0, 0], [0, 0]], [7, 9], last=False)
    second = linear("b", "a", [[0, 0]], [5], last=True)
    a, b = shrink(simplify(IntegerNetwork((2,), GRID, (first, second)))).layers
    assert (a.weights.shape, b.weights.shape) == ((1, 2), (1, 1))
    assert b.bias.tolist() == [5]
