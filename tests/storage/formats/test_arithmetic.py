"""Arithmetic coding of weights: clustered kernels and uneven codes are where it wins."""

from __future__ import annotations

import numpy as np
import pytest

from dse.integer import IntegerWeights
from dse.storage.formats import arithmetic, rice

from ..strategies import random_weights


def test_clustered_kernels_are_smaller_than_scattered_ones() -> None:
    """The same 480 weights, in whole kernel rows and anywhere."""
    rng = np.random.default_rng(0)
    rows = np.zeros((480, 5), dtype=np.int32)
    rows[rng.permutation(480)[:96]] = 1
    scattered = rng.permutation(rows.reshape(-1))
    sizes = [
        arithmetic.size_bits(IntegerWeights(values.reshape(6, 16, 5, 5), 1, 0, np.ones(1)))
        for values in (rows, scattered)
    ]
    assert sizes[0] < 0.8 * sizes[1]


def test_uneven_codes_are_smaller_than_their_width() -> None:
    """Bell-shaped 4-bit weights: 2.9 bits of entropy."""
    rng = np.random.default_rng(0)
    values = np.clip(np.rint(rng.normal(0, 1.8, (40, 400))), -8, 7).astype(np.int32)
    values[rng.random(values.shape) < 0.9] = 0
    weights = IntegerWeights(values, 4, 8, np.ones(1))
    assert arithmetic.size_bits(weights) < 0.93 * rice.size_bits(weights)


def test_random_weights_take_the_entropy() -> None:
    weights = random_weights((60, 16, 5, 5), 8, np.random.default_rng(1), 0.1)
    density, count = weights.density, weights.values.size
    mask = count * -(density * np.log2(density) + (1 - density) * np.log2(1 - density))
    assert arithmetic.size_bits(weights) == pytest.approx(mask + 8 * weights.nonzeros, rel=0.01)


def test_large_layers_are_left_to_faster_formats() -> None:
    large = IntegerWeights(np.zeros((2, arithmetic.MAX_WEIGHTS), np.int32), 4, 8, np.ones(1))
    assert not arithmetic.supports(large)
    with pytest.raises(ValueError, match="at most 131072 weights"):
        arithmetic.encode(large)
