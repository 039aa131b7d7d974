"""Grids: which real values the integers of a tensor stand for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.config import MAX_BITS, MIN_BITS

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def _check_bits(bits: int) -> None:
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ValueError(f"bits must be in {MIN_BITS}..{MAX_BITS}, but got {bits}")


@dataclass(frozen=True)
class ActivationGrid:
    """Affine grid of an activation tensor: code q stands for scale * (q - zero_point).

    Jacob et al. 2018, eq. 1. Codes lie in [0, 2^bits - 1] and the zero point is one of them, so
    padding and ReLU are exact.
    """

    bits: int
    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        _check_bits(self.bits)
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale must be positive and finite, but got {self.scale}")
        if not 0 <= self.zero_point <= self.max_code:
            raise ValueError(
                f"zero point must be a code in 0..{self.max_code}, but got {self.zero_point}"
            )

    @property
    def max_code(self) -> int:
        """Largest code, 2^bits - 1."""
        return int((1 << self.bits) - 1)

    def quantize(self, values: npt.NDArray[np.floating]) -> IntArray:
        """Codes (int64, same shape) of real `values`: round half up, saturate.

        Raises ValueError when a value is NaN.
        """
        scaled = np.floor(np.asarray(values, dtype=np.float64) / self.scale + 0.5)
        if np.isnan(scaled).any():
            raise ValueError("cannot quantize NaN")
        codes: IntArray = np.clip(scaled + self.zero_point, 0, self.max_code).astype(np.int64)
        return codes


@dataclass(frozen=True)
class IntegerWeights:
    """Weights of one layer as integers.

    `values` (int32, the layer's weight shape) are the integer weights that are multiplied:

    - affine grid: w = q - zero_point with q a code in [0, 2^bits - 1]; pruned is w = 0;
    - mid-rise grid: w = 2q - (2^bits - 1), odd, so 0 marks a weight that is absent (pruned).
      At one bit it is the binary network's {-1, +1}.

    The real weight is scale * w; `scale` (float64) has shape (1,) per tensor or (rows,) per output
    channel. `zero_point` is a code on the affine grid and 0 on the mid-rise grid.
    """

    values: npt.NDArray[np.int32]
    bits: int
    zero_point: int
    scale: FloatArray
    mid_rise: bool = False

    def __post_init__(self) -> None:
        _check_bits(self.bits)
        if self.values.dtype != np.int32:
            raise ValueError(f"integer weights must be int32, but got {self.values.dtype}")
        if self.values.ndim < 2:
            raise ValueError(f"weights need at least 2 dimensions, but got {self.values.ndim}")
        if self.scale.shape not in {(1,), (self.values.shape[0],)}:
            raise ValueError(
                f"scale must have shape (1,) or ({self.values.shape[0]},), "
                f"but got {self.scale.shape}"
            )
        if not (np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise ValueError("weight scales must be positive and finite")
        top = (1 << self.bits) - 1
        if self.mid_rise:
            if self.zero_point != 0:
                raise ValueError(f"mid-rise zero point must be 0, but got {self.zero_point}")
            present = self.values[self.values != 0]
            if present.size and (np.abs(present).max() > top or (present % 2 == 0).any()):
                raise ValueError(f"mid-rise weights must be odd and within +-{top}")
            return
        if not 0 <= self.zero_point <= top:
            raise ValueError(f"zero point must be a code in 0..{top}, but got {self.zero_point}")
        if self.values.size:
            low, high = -self.zero_point, top - self.zero_point
            if self.values.min() < low or self.values.max() > high:
                raise ValueError(f"affine weights must lie in {low}..{high}")

    @property
    def shape(self) -> tuple[int, ...]:
        """The layer's weight shape: (out, in/groups, kh, kw) or (out, in)."""
        return tuple(self.values.shape)

    @property
    def nonzeros(self) -> int:
        """Number of integer weights that are not zero."""
        return int(np.count_nonzero(self.values))

    @property
    def density(self) -> float:
        """Share of integer weights that are not zero."""
        return self.nonzeros / self.values.size if self.values.size else 0.0

    def codes(self) -> npt.NDArray[np.int32]:
        """Codes in [0, 2^bits - 1], same shape. On the mid-rise grid an absent weight has none:
        its entry is 0 and must not be read."""
        if not self.mid_rise:
            return self.values + np.int32(self.zero_point)
        codes = (self.values + np.int32((1 << self.bits) - 1)) // 2
        return np.where(self.values == 0, np.int32(0), codes).astype(np.int32)

    @staticmethod
    def values_of(
        codes: npt.NDArray[np.integer], bits: int, zero_point: int, mid_rise: bool
    ) -> npt.NDArray[np.int32]:
        """Integer weights of `codes`: the inverse of `codes` for weights that are present."""
        wide = codes.astype(np.int64)
        values = 2 * wide - ((1 << bits) - 1) if mid_rise else wide - zero_point
        return values.astype(np.int32)
