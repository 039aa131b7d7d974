"""Requantization: from accumulators to the codes of the next layer, in integers and shifts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dse.integer.grid import ActivationGrid, FloatArray, IntArray

MULTIPLIER_BITS = 15
"""One DSP slice multiplies a 25-bit operand by a 15-bit unsigned multiplier (18-bit signed port).
Wider buys nothing: 15 bits differ from a float scale on 0.02-0.15 % of outputs, by one code."""

MIN_SHIFT, MAX_SHIFT = -8, 62
"""Beyond these the result no longer changes. Below -8, 2^14 * 2^8 = 2^22 already saturates any
16-bit code for |acc| >= 1. Above 62, |acc * M0| < 2^61 always rounds to zero."""

MAX_ACCUMULATOR_BITS = 46
"""acc * M0 must stay below 2^61, so that the sum with the rounding constant 2^61 fits int64."""


MAX_LEAK = 15
"""Slopes of LeakyReLU down to 2^-15; a flatter one differs from ReLU on no 16-bit code."""


@dataclass(frozen=True)
class Nonlinearity:
    """What follows a sum before it is stored: negative values times 2^-leak, then a clamp.

    `low` and `high` are real values; `leak` 0 leaves negative values as they are.
    """

    low: float = -math.inf
    high: float = math.inf
    leak: int = 0

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"low must be at most high, but got {self.low} and {self.high}")
        if not 0 <= self.leak <= MAX_LEAK:
            raise ValueError(f"leak must lie in 0..{MAX_LEAK}, but got {self.leak}")

    def codes(self, grid: ActivationGrid) -> tuple[int, int]:
        """The clamp's ends as codes of `grid`: rounded half up, no further than its own ends."""
        ends = np.clip(np.array([self.low, self.high]) / grid.scale, -(2.0**40), 2.0**40)
        low, high = np.clip(np.floor(ends + 0.5) + grid.zero_point, 0, grid.max_code)
        return int(low), int(high)


LINEAR = Nonlinearity()
RELU = Nonlinearity(low=0.0)


@dataclass(frozen=True)
class Requantizer:
    """y = clamp(z_y + floor((acc * M0 + 2^(n-1)) / 2^n), low, high).

    Rounds half up, once, and saturates. `multiplier` M0 (int64, 2^14 <= M0 < 2^15) and `shift` n
    (int64) have shape (1,) per tensor or (rows,) per output channel, s_w * s_x / s_y = M0 * 2^-n.
    `grid` is that of the output, `low` and `high` are codes of it: 0 and 2^a - 1 without a
    nonlinearity, the zero point as `low` after ReLU. Negative accumulators use the shift n + `leak`
    (LeakyReLU with slope 2^-leak). Never decreases in acc.
    Jacob et al. 2018, section 2.2, with a narrower multiplier and a single rounding.
    """

    multiplier: IntArray
    shift: IntArray
    grid: ActivationGrid
    low: int
    high: int
    leak: int = 0

    def __post_init__(self) -> None:
        if self.multiplier.shape != self.shift.shape or self.multiplier.ndim != 1:
            raise ValueError("multiplier and shift must be one-dimensional and of equal shape")
        low, high = 1 << (MULTIPLIER_BITS - 1), 1 << MULTIPLIER_BITS
        if (self.multiplier < low).any() or (self.multiplier >= high).any():
            raise ValueError(f"multiplier must lie in {low}..{high - 1}")
        if (self.shift < MIN_SHIFT).any() or (self.shift > MAX_SHIFT).any():
            raise ValueError(f"shift must lie in {MIN_SHIFT}..{MAX_SHIFT}")
        if not 0 <= self.low <= self.high <= self.grid.max_code:
            raise ValueError(
                f"0 <= low <= high <= {self.grid.max_code} must hold, but low is {self.low} and "
                f"high {self.high}"
            )
        if not 0 <= self.leak <= MAX_LEAK:
            raise ValueError(f"leak must lie in 0..{MAX_LEAK}, but got {self.leak}")

    @classmethod
    def from_scales(
        cls,
        accumulator_scale: FloatArray,
        grid: ActivationGrid,
        nonlinearity: Nonlinearity = LINEAR,
    ) -> Requantizer:
        """The requantizer nearest to s_w * s_x (shape (1,) or (rows,)) over the grid's scale."""
        mantissa, exponent = np.frexp(accumulator_scale / grid.scale)
        multiplier = np.floor(mantissa * (1 << MULTIPLIER_BITS) + 0.5).astype(np.int64)
        shift = MULTIPLIER_BITS - exponent.astype(np.int64)
        carry = multiplier == 1 << MULTIPLIER_BITS
        multiplier = np.where(carry, 1 << (MULTIPLIER_BITS - 1), multiplier)
        shift = np.clip(np.where(carry, shift - 1, shift), MIN_SHIFT, MAX_SHIFT)
        return cls(multiplier, shift, grid, *nonlinearity.codes(grid), nonlinearity.leak)

    @property
    def negative_shift(self) -> IntArray:
        """Shift of negative accumulators; MAX_SHIFT already rounds each of them to zero."""
        return np.minimum(self.shift + self.leak, MAX_SHIFT)

    def __call__(self, accumulators: IntArray) -> IntArray:
        """Codes (int64) of `accumulators` (int64, shape (N, rows, ...))."""
        per_row = (1, -1) + (1,) * (accumulators.ndim - 2)
        product = accumulators * self.multiplier.reshape(per_row)
        scaled = _shifted(product, self.shift.reshape(per_row))
        if self.leak:
            leaked = _shifted(product, self.negative_shift.reshape(per_row))
            scaled = np.where(product < 0, leaked, scaled)
        codes: IntArray = np.clip(scaled + self.grid.zero_point, self.low, self.high)
        return codes


def _shifted(product: IntArray, shift: IntArray) -> IntArray:
    """floor(product / 2^shift + 1/2)."""
    right, left = np.maximum(shift, 0), np.maximum(-shift, 0)
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    # 2^40 is beyond every code: the clip changes no result, and the left shift cannot overflow
    scaled: IntArray = np.clip((product + half) >> right, -(1 << 40), 1 << 40) << left
    return scaled
