"""COO: per non-zero weight its index along every dimension of the weight, and its code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.integer.grid import IntegerWeights
from dse.storage.bits import BitReader, ceil_lg, interleave
from dse.storage.encoded import Encoded
from dse.storage.layout import Layout

IDENTIFIER = 1
COUNTED = True
PARAMETER_BITS = 0
QUICK = True


def supports(weights: IntegerWeights) -> bool:
    """True: every grid, absent weights are not stored."""
    return True


def size_bits(weights: IntegerWeights) -> int:
    """nnz * (b + sum of ceil(lg dim))."""
    return weights.nonzeros * (weights.bits + sum(map(ceil_lg, weights.shape)))


def encode(weights: IntegerWeights) -> Encoded:
    """Entries in row-major order; the count is nnz."""
    flat = weights.values.reshape(-1)
    positions = np.flatnonzero(flat)
    axes = np.unravel_index(positions, weights.shape)
    fields = [(axis, ceil_lg(dim)) for axis, dim in zip(axes, weights.shape, strict=True)]
    codes = Layout.of(weights).codes(flat[positions])
    return Encoded(interleave([*fields, (codes, weights.bits)]), count=len(positions))


def decode(reader: BitReader, layout: Layout, count: int, parameter: int) -> npt.NDArray[np.int32]:
    """Entries back to integer weights."""
    *axes, codes = reader.entries(count, [*map(ceil_lg, layout.shape), layout.bits])
    return layout.place(np.ravel_multi_index(tuple(axes), layout.shape), codes)
