"""Dense: the code of every weight, in row-major order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.integer.grid import IntegerWeights
from dse.storage.bits import BitReader, to_bits
from dse.storage.encoded import Encoded
from dse.storage.layout import Layout

IDENTIFIER = 0
COUNTED = False
PARAMETER_BITS = 0
QUICK = True


def supports(weights: IntegerWeights) -> bool:
    """False for mid-rise weights with absent ones: that grid has no code for zero."""
    return not weights.mid_rise or weights.nonzeros == weights.values.size


def size_bits(weights: IntegerWeights) -> int:
    """N * b."""
    return weights.values.size * weights.bits


def encode(weights: IntegerWeights) -> Encoded:
    """N codes. Raises ValueError for weights the format does not support."""
    if not supports(weights):
        raise ValueError("dense storage has no code for an absent mid-rise weight")
    layout = Layout.of(weights)
    return Encoded(to_bits(layout.codes(weights.values.reshape(-1)), weights.bits))


def decode(reader: BitReader, layout: Layout, count: int, parameter: int) -> npt.NDArray[np.int32]:
    """N codes back to integer weights."""
    return layout.values(reader.integers(layout.size, layout.bits)).reshape(layout.shape)
