"""CSC: column pointers, then per non-zero weight its row and its code, column by column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.integer.grid import IntegerWeights
from dse.storage.bits import BitReader, ceil_lg, interleave, to_bits
from dse.storage.encoded import Encoded
from dse.storage.layout import Layout

IDENTIFIER = 3
COUNTED = True
PARAMETER_BITS = 0
QUICK = True


def supports(weights: IntegerWeights) -> bool:
    """True: every grid, absent weights are not stored."""
    return True


def size_bits(weights: IntegerWeights) -> int:
    """nnz * (b + ceil(lg rows)) + (columns + 1) * ceil(lg(nnz + 1))."""
    layout, nonzeros = Layout.of(weights), weights.nonzeros
    pointers = (layout.columns + 1) * ceil_lg(nonzeros + 1)
    return nonzeros * (weights.bits + ceil_lg(layout.rows)) + pointers


def encode(weights: IntegerWeights) -> Encoded:
    """Rows are output channels, columns in*kh*kw; the count is nnz."""
    layout = Layout.of(weights)
    table = np.ascontiguousarray(weights.values.reshape(layout.rows, layout.columns).T)
    pointers = np.concatenate([[0], np.cumsum(np.count_nonzero(table, axis=1))])
    positions = np.flatnonzero(table)
    codes = layout.codes(table.reshape(-1)[positions])
    entries = interleave([(positions % layout.rows, ceil_lg(layout.rows)), (codes, weights.bits)])
    width = ceil_lg(len(positions) + 1)
    return Encoded(np.concatenate([to_bits(pointers, width), entries]), count=len(positions))


def decode(reader: BitReader, layout: Layout, count: int, parameter: int) -> npt.NDArray[np.int32]:
    """Pointers and entries back to integer weights."""
    pointers = reader.integers(layout.columns + 1, ceil_lg(count + 1))
    rows, codes = reader.entries(count, [ceil_lg(layout.rows), layout.bits])
    columns = np.repeat(np.arange(layout.columns), np.diff(pointers))
    return layout.place(rows * layout.columns + columns, codes)
