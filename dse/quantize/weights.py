"""From float weights to integer weights: the grid that loses least."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.errors import InputError
from dse.integer.grid import FloatArray, IntegerWeights

Floats = npt.NDArray[np.floating]

CLIP_FRACTIONS = np.linspace(0.2, 1.0, 41)
"""Shares of the full range that are tried. Below 0.2 never won, even at 2 bits."""

SCALE_OF_NOTHING = 2.0**-10
"""Scale of a layer without a single non-zero weight: any is right, this one resolves its bias."""

WIDEST_CLIPPED = 9
"""Beyond 9 bits clipping costs more than the finer step gains: the full range is used."""


def quantize_weights(weight: Floats, bits: int, mid_rise: bool) -> IntegerWeights:
    """Integer weights with the scale of least squared error; zeros of `weight` stay zero.

    Affine: the range is widened to hold 0, so zero is a code. Mid-rise: odd integers for the
    weights that are not zero; at one bit the scale is their mean magnitude (Rastegari et al. 2016,
    eq. 6). Raises InputError for NaN or infinite weights.
    """
    values = np.asarray(weight, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError("weights must be finite, but hold NaN or infinite values")
    present = values[values != 0]
    if not present.size:
        zeros: npt.NDArray[np.int32] = np.zeros(values.shape, dtype=np.int32)
        zero_point = 0 if mid_rise else (1 << bits) // 2
        return IntegerWeights(zeros, bits, zero_point, np.array([SCALE_OF_NOTHING]), mid_rise)
    fractions = CLIP_FRACTIONS if bits <= WIDEST_CLIPPED else np.ones(1)
    grids = [_grid(present, bits, mid_rise, fraction) for fraction in fractions]
    errors = [
        float(np.square(present - scale * integers_on(present, bits, zero, scale, mid_rise)).sum())
        for scale, zero in grids
    ]
    scale, zero_point = grids[int(np.argmin(errors))]
    return weights_on_grid(values, bits, zero_point, np.array([scale]), mid_rise)


def weights_on_grid(
    values: Floats, bits: int, zero_point: int, scale: FloatArray, mid_rise: bool
) -> IntegerWeights:
    """Integer weights of float `values` on a given grid; zeros stay zero.

    `scale` has shape (1,) or (rows,).
    """
    per_row = scale.reshape((-1,) + (1,) * (values.ndim - 1))
    nearest = integers_on(values, bits, zero_point, per_row, mid_rise)
    integers = np.where(values == 0, 0, nearest).astype(np.int32)
    return IntegerWeights(integers, bits, 0 if mid_rise else zero_point, scale, mid_rise)


def integers_on(
    values: Floats, bits: int, zero_point: int, scale: FloatArray | float, mid_rise: bool
) -> FloatArray:
    """Nearest integer weights of `values`, rounding half up, as float64."""
    top = (1 << bits) - 1
    if mid_rise:
        odd: FloatArray = 2 * np.floor(values / scale / 2) + 1
        return np.clip(odd, -top, top)
    nearest: FloatArray = np.floor(values / scale + 0.5)
    return np.clip(nearest, -zero_point, top - zero_point)


def _grid(present: Floats, bits: int, mid_rise: bool, fraction: float) -> tuple[float, int]:
    """Scale and zero point for a clipped range of the non-zero weights."""
    top = (1 << bits) - 1
    if mid_rise:
        if bits == 1:
            return float(np.abs(present).mean()), 0
        return float(np.abs(present).max()) * fraction / top, 0
    low = min(float(present.min()), 0.0) * fraction
    high = max(float(present.max()), 0.0) * fraction
    scale = (high - low) / top
    return scale, int(np.clip(np.floor(-low / scale + 0.5), 0, top))
