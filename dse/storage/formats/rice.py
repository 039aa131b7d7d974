"""Rice: the gaps between non-zero weights in Rice's code with k per layer, and plain codes.

The gap g (zeros before a weight) is g >> k in unary and its k low bits (Rice 1979; Golomb's code
with a power of two). Gaps of randomly pruned weights are geometric, for which it is the best
prefix code but for the choice of the power of two: within a few per cent of the entropy.
The unary parts stand together in front, so that both sides are plain array operations.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.integer.grid import IntArray, IntegerWeights
from dse.storage.bits import BitReader, Bits, interleave
from dse.storage.encoded import Encoded
from dse.storage.layout import Layout, gaps_of

IDENTIFIER = 6
COUNTED = True
PARAMETER_BITS = 4
QUICK = True


def supports(weights: IntegerWeights) -> bool:
    """True: every grid, absent weights are not stored."""
    return True


def size_bits(weights: IntegerWeights) -> int:
    """nnz * (b + 1 + k) + sum of (gap >> k) for the best k."""
    gaps = gaps_of(weights.values)
    return len(gaps) * weights.bits + _best(gaps)[1]


def encode(weights: IntegerWeights) -> Encoded:
    """Unary quotients, then (remainder, code) entries in row-major order; the count is nnz."""
    gaps = gaps_of(weights.values)
    k, _ = _best(gaps)
    codes = Layout.of(weights).codes(weights.values[weights.values != 0])
    entries = interleave([(gaps & ((1 << k) - 1), k), (codes, weights.bits)])
    return Encoded(np.concatenate([_unary(gaps >> k), entries]), len(gaps), k)


def decode(reader: BitReader, layout: Layout, count: int, parameter: int) -> npt.NDArray[np.int32]:
    """Quotients and entries back to integer weights."""
    longest = count + (max(layout.size - count, 0) >> parameter)
    quotients = reader.unary(count, longest)
    remainders, codes = reader.entries(count, [parameter, layout.bits])
    gaps = (quotients << parameter) | remainders
    return layout.place(np.cumsum(gaps + 1) - 1, codes)


def _best(gaps: IntArray) -> tuple[int, int]:
    """The k with the fewest bits for all gaps, and those bits.

    One more bit of remainder saves sum(ceil((g >> k) / 2)) bits, ever less: the size is convex in
    k, so the first k that is no worse than the next one is the best.
    """
    k, quotients = 0, gaps
    bits = len(gaps) + int(gaps.sum())
    while k < (1 << PARAMETER_BITS) - 1:
        quotients = quotients >> 1
        longer = len(gaps) * (k + 2) + int(quotients.sum())
        if longer >= bits:
            break
        k, bits = k + 1, longer
    return k, bits


def _unary(numbers: IntArray) -> Bits:
    """Each number as that many zeros and a one."""
    ends = np.cumsum(numbers + 1)
    bits = np.zeros(int(ends[-1]) if len(ends) else 0, dtype=np.uint8)
    bits[ends - 1] = 1
    return bits
