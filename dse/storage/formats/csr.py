"""CSR: row pointers, then per non-zero weight its column and its code, row by row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.integer.grid import IntegerWeights
from dse.storage.bits import BitReader, ceil_lg, interleave, to_bits
from dse.storage.encoded import Encoded
from dse.storage.layout import Layout

IDENTIFIER = 2
COUNTED = True
PARAMETER_BITS = 0
QUICK = True


def supports(weights: IntegerWeights) -> bool:
    """True: every grid, absent weights are not stored."""
    return True


def size_bits(weights: IntegerWeights) -> int:
    """nnz * (b + ceil(lg columns)) + (rows + 1) * ceil(lg(nnz + 1))."""
    layout, nonzeros = Layout.of(weights), weights.nonzeros
    pointers = (layout.rows + 1) * ceil_lg(nonzeros + 1)
    return nonzeros * (weights.bits + ceil_lg(layout.columns)) + pointers


def encode(weights: IntegerWeights) -> Encoded:
    """Rows are output channels, columns in*kh*kw; the count is nnz."""
    layout = Layout.of(weights)
    table = weights.values.reshape(layout.rows, layout.columns)
    pointers = np.concatenate([[0], np.cumsum(np.count_nonzero(table, axis=1))])
    positions = np.flatnonzero(table)
    codes = layout.codes(table.reshape(-1)[positions])
    entries = interleave(
        [(positions % layout.columns, ceil_lg(layout.columns)), (codes, weights.bits)]
    )
    width = ceil_lg(len(positions) + 1)
    return Encoded(np.concatenate([to_bits(pointers, width), entries]), count=len(positions))


def decode(reader: BitReader, layout: Layout, count: int, parameter: int) -> npt.NDArray[np.int32]:
    """Pointers and entries back to integer weights."""
    pointers = reader.integers(layout.rows + 1, ceil_lg(count + 1))
    columns, codes = reader.entries(count, [ceil_lg(layout.columns), layout.bits])
    rows = np.repeat(np.arange(layout.rows), np.diff(pointers))
    return layout.place(rows * layout.columns + columns, codes)
