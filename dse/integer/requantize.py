"""Requantization: from accumulators to the codes of the next layer, in integers and shifts."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Requantizer:
    """y = clamp(z_y + floor((acc * M0 + 2^(n-1)) / 2^n), low, 2^a - 1).

    Rounds half up, once, and saturates. `multiplier` M0 (int64, 2^14 <= M0 < 2^15) and `shift` n
    (int64) have shape (1,) per tensor or (rows,) per output channel, s_w * s_x / s_y = M0 * 2^-n.
    `grid` is that of the output; `relu` raises the lower clamp from 0 to the zero point.
    Jacob et al. 2018, section 2.2, with a narrower multiplier and a single rounding.
    """

    multiplier: IntArray
    shift: IntArray
    grid: ActivationGrid
    relu: bool

    def __post_init__(self) -> None:
        if self.multiplier.shape != self.shift.shape or self.multiplier.ndim != 1:
            raise ValueError("multiplier and shift must be one-dimensional and of equal shape")
        low, high = 1 << (MULTIPLIER_BITS - 1), 1 << MULTIPLIER_BITS
        if (self.multiplier < low).any() or (self.multiplier >= high).any():
            raise ValueError(f"multiplier must lie in {low}..{high - 1}")
        if (self.shift < MIN_SHIFT).any() or (self.shift > MAX_SHIFT).any():
            raise ValueError(f"shift must lie in {MIN_SHIFT}..{MAX_SHIFT}")

    @classmethod
    def from_scales(
        cls, accumulator_scale: FloatArray, grid: ActivationGrid, relu: bool
    ) -> Requantizer:
        """The requantizer nearest to s_w * s_x (shape (1,) or (rows,)) over the grid's scale."""
        mantissa, exponent = np.frexp(accumulator_scale / grid.scale)
        multiplier = np.floor(mantissa * (1 << MULTIPLIER_BITS) + 0.5).astype(np.int64)
        shift = MULTIPLIER_BITS - exponent.astype(np.int64)
        carry = multiplier == 1 << MULTIPLIER_BITS
        multiplier = np.where(carry, 1 << (MULTIPLIER_BITS - 1), multiplier)
        shift = np.clip(np.where(carry, shift - 1, shift), MIN_SHIFT, MAX_SHIFT)
        return cls(multiplier, shift, grid, relu)

    @property
    def low(self) -> int:
        """Lower clamp: the zero point after ReLU, else 0."""
        return self.grid.zero_point if self.relu else 0

    @property
    def high(self) -> int:
        """Upper clamp: the largest code."""
        return self.grid.max_code

    def __call__(self, accumulators: IntArray) -> IntArray:
        """Codes (int64) of `accumulators` (int64, shape (N, rows, ...))."""
        per_row = (1, -1) + (1,) * (accumulators.ndim - 2)
        product = accumulators * self.multiplier.reshape(per_row)
        shift = self.shift.reshape(per_row)
        right, left = np.maximum(shift, 0), np.maximum(-shift, 0)
        half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
        # 2^40 is beyond every code: the clip changes no result, and the left shift cannot overflow
        scaled = np.clip((product + half) >> right, -(1 << 40), 1 << 40) << left
        codes: IntArray = np.clip(scaled + self.grid.zero_point, self.low, self.high)
        return codes
