"""Run-length: per non-zero weight the zeros before it in r bits, and its code; r per layer.

A gap too long for r bits is preceded by filler entries. On the affine grid a filler stores a zero
weight after 2^r - 1 zeros, as in Deep Compression (Han et al. 2016, figure 2), and so covers 2^r
positions. The mid-rise grid has no code for zero: there the gap 2^r - 1 is the filler's mark and
covers 2^r - 1 positions, and its code field is 0 and ignored.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.integer.grid import IntArray, IntegerWeights
from dse.storage.bits import BitReader, interleave
from dse.storage.encoded import Encoded
from dse.storage.layout import Layout, gaps_of

IDENTIFIER = 5
COUNTED = True
PARAMETER_BITS = 3
QUICK = True

GAP_BITS = range(1, 9)
"""Choices of r; the header holds r - 1."""


def supports(weights: IntegerWeights) -> bool:
    """True: every grid, absent weights are not stored."""
    return True


def size_bits(weights: IntegerWeights) -> int:
    """(nnz + fillers) * (b + r) for the best r."""
    return min(_sizes(weights, gaps_of(weights.values)))


def encode(weights: IntegerWeights) -> Encoded:
    """Entries in row-major order; the count is nnz + fillers, zeros after the last are implied."""
    layout, gaps = Layout.of(weights), gaps_of(weights.values)
    sizes = _sizes(weights, gaps)
    gap_bits = GAP_BITS[sizes.index(min(sizes))]
    fillers, rest = np.divmod(gaps, _covered(gap_bits, weights.mid_rise))
    weight_entries = np.cumsum(fillers + 1) - 1
    count = len(gaps) + int(fillers.sum())
    gap_fields = np.full(count, (1 << gap_bits) - 1)
    gap_fields[weight_entries] = rest
    codes = np.full(count, 0 if weights.mid_rise else weights.zero_point)
    codes[weight_entries] = layout.codes(weights.values[weights.values != 0])
    bits = interleave([(gap_fields, gap_bits), (codes, weights.bits)])
    return Encoded(bits, count=count, parameter=gap_bits - 1)


def decode(reader: BitReader, layout: Layout, count: int, parameter: int) -> npt.NDArray[np.int32]:
    """Entries back to integer weights."""
    gap_bits = parameter + 1
    gaps, codes = reader.entries(count, [gap_bits, layout.bits])
    if not layout.mid_rise:  # a filler's code is that of zero: nothing to tell apart
        return layout.place(np.cumsum(gaps + 1) - 1, codes)
    present = gaps != (1 << gap_bits) - 1
    positions = np.cumsum(gaps + present) - 1
    return layout.place(positions[present], codes[present])


def _covered(gap_bits: int, mid_rise: bool) -> int:
    """Positions one filler entry covers."""
    return (1 << gap_bits) - mid_rise


def _sizes(weights: IntegerWeights, gaps: IntArray) -> list[int]:
    """Packed bits for every choice of r."""
    sizes = []
    long = gaps  # gaps that need a filler at this r; few are left after the first steps
    for gap_bits in GAP_BITS:
        fillers = long // _covered(gap_bits, weights.mid_rise)
        sizes.append((len(gaps) + int(fillers.sum())) * (weights.bits + gap_bits))
        long = long[fillers > 0]
    return sizes
