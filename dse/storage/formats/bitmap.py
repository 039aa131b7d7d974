"""Bitmap: one bit per weight, set where it is non-zero, then the codes of the non-zero ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.integer.grid import IntegerWeights
from dse.storage.bits import BitReader, to_bits
from dse.storage.encoded import Encoded
from dse.storage.layout import Layout

IDENTIFIER = 4
COUNTED = False
PARAMETER_BITS = 0
QUICK = True


def supports(weights: IntegerWeights) -> bool:
    """True: every grid, absent weights are not stored."""
    return True


def size_bits(weights: IntegerWeights) -> int:
    """N + nnz * b."""
    return weights.values.size + weights.nonzeros * weights.bits


def encode(weights: IntegerWeights) -> Encoded:
    """The map in row-major order, then the codes in the same order."""
    flat = weights.values.reshape(-1)
    present = flat != 0
    codes = Layout.of(weights).codes(flat[present])
    return Encoded(np.concatenate([present.view(np.uint8), to_bits(codes, weights.bits)]))


def decode(reader: BitReader, layout: Layout, count: int, parameter: int) -> npt.NDArray[np.int32]:
    """Map and codes back to integer weights."""
    positions = np.flatnonzero(reader.bits(layout.size))
    return layout.place(positions, reader.integers(len(positions), layout.bits))
