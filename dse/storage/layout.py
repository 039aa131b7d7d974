"""Layout of a layer's weights: everything a storage format must know besides the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.integer.grid import IntArray, IntegerWeights


@dataclass(frozen=True)
class Layout:
    """Shape and grid of a layer's integer weights, without its scale.

    `shape` is (out, in/groups, kh, kw) or (out, in). `codes` turns integer weights into stored
    codes of `bits` bits, `values` turns them back.
    """

    shape: tuple[int, ...]
    bits: int
    zero_point: int
    mid_rise: bool

    @classmethod
    def of(cls, weights: IntegerWeights) -> Layout:
        """The layout of `weights`."""
        return cls(weights.shape, weights.bits, weights.zero_point, weights.mid_rise)

    @property
    def size(self) -> int:
        """Number of weights, present or not."""
        return math.prod(self.shape)

    @property
    def rows(self) -> int:
        """Output channels."""
        return self.shape[0]

    @property
    def columns(self) -> int:
        """Weights per output channel."""
        return math.prod(self.shape[1:])

    def codes(self, values: npt.NDArray[np.int32]) -> IntArray:
        """Codes (int64, 0 <= q < 2^bits) of integer weights; on the mid-rise grid not of 0."""
        wide = values.astype(np.int64)
        if self.mid_rise:
            return (wide + ((1 << self.bits) - 1)) >> 1
        return wide + self.zero_point

    def values(self, codes: IntArray) -> npt.NDArray[np.int32]:
        """Integer weights of `codes`."""
        if self.mid_rise:
            return (2 * codes - ((1 << self.bits) - 1)).astype(np.int32)
        return (codes - self.zero_point).astype(np.int32)

    def place(self, positions: IntArray, codes: IntArray) -> npt.NDArray[np.int32]:
        """The weight array with `codes` at row-major `positions` and 0 elsewhere.

        Raises ValueError when a position lies outside.
        """
        if positions.size and not 0 <= positions.min() <= positions.max() < self.size:
            raise ValueError(f"a weight lies outside shape {self.shape}")
        values = np.zeros(self.size, dtype=np.int32)
        values[positions] = self.values(codes)
        return values.reshape(self.shape)


def gaps_of(values: npt.NDArray[np.int32]) -> IntArray:
    """Zeros before each non-zero weight (int64, shape (nnz,)), counted from the one before it."""
    return np.diff(np.flatnonzero(values.reshape(-1) != 0), prepend=-1) - 1
