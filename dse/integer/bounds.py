"""Bounds: what the accumulators of a node can reach, whatever the input."""

from __future__ import annotations

from dataclasses import dataclass

from dse.integer.grid import IntArray


@dataclass(frozen=True)
class AccumulatorBounds:
    """What the accumulators of one node can reach, from its real weights and input codes.

    `low` and `high` (int64, shape (rows,), or (1,) where all channels are alike) enclose every
    partial sum in any order of summation; `magnitude` bounds the sum of absolute terms, which
    decides whether a float kernel is exact.
    """

    low: IntArray
    high: IntArray
    magnitude: int

    @property
    def bits(self) -> int:
        """Width of the two's complement register that holds every partial sum."""
        low, high = int(self.low.min()), int(self.high.max())
        return 1 + max((-low - 1).bit_length() if low < 0 else 0, high.bit_length())
