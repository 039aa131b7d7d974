"""From float weights to integer weights: the grid that loses least."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.errors import InputError
from dse.integer.grid import ActivationGrid, FloatArray, IntegerWeights
from dse.quantize.clipping import Method, best_grid

Floats = npt.NDArray[np.floating]

CLIP_FRACTIONS = np.linspace(0.2, 1.0, 41)
"""Shares of the full range that are tried. Below 0.2 never won, even at 2 bits."""

SCALE_OF_NOTHING = 2.0**-10
"""Scale of a layer without a single non-zero weight: any is right, this one resolves its bias."""

BINS = 2048

WIDEST_CLIPPED = 9
"""Beyond 9 bits clipping costs more than the finer step gains: the full range is used."""


def wants_mid_rise(weight: Floats, bits: int, sparse_storage: bool) -> bool:
    """Whether the mid-rise grid serves these weights better.

    At one bit always: {-1, +1}. At two bits when at least half of them are pruned: the affine grid
    spends one of its four codes on a zero that a sparse format does not store. Post-training that
    is worth two points at 90 % pruned; finetuned, it is within the noise (docs/compression.md).
    Without sparse storage a pruned weight cannot be absent, so a layer that has any needs the
    affine grid.
    """
    kept = int(np.count_nonzero(weight))
    if kept < weight.size and not sparse_storage:
        return False
    return bits == 1 or (bits == 2 and kept <= weight.size / 2)


def quantize_weights(
    weight: Floats, bits: int, mid_rise: bool, method: Method = "mse", per_channel: bool = False
) -> IntegerWeights:
    """Integer weights on the grid that `method` finds best; zeros of `weight` stay zero.

    Affine: the range is widened to hold 0, so zero is a code. Mid-rise: odd integers for the
    weights that are not zero; at one bit the scale is their mean magnitude (Rastegari et al. 2016,
    eq. 6), whatever the method. `per_channel` scales each output channel by itself, with the
    tensor's zero point. Raises InputError for NaN or infinite weights.
    """
    values = np.asarray(weight, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError("weights must be finite, but hold NaN or infinite values")
    scale, zero_point = _best(values[values != 0], bits, mid_rise, method)
    scales = np.array([scale])
    if per_channel:
        # one zero point for all: it is what a layer stores, and 2^(b-1) suits every row alike
        zero_point = 0 if mid_rise else 1 << (bits - 1)
        rows = values.reshape(len(values), -1)
        fixed = None if mid_rise else zero_point
        scales = np.array([_best(row[row != 0], bits, mid_rise, method, fixed)[0] for row in rows])
    return weights_on_grid(values, bits, zero_point, scales, mid_rise)


def _best(
    present: Floats, bits: int, mid_rise: bool, method: Method, zero_point: int | None = None
) -> tuple[float, int]:
    """Scale and zero point (the given one, if any) for the weights that are not zero."""
    if not present.size:
        return SCALE_OF_NOTHING, 0 if mid_rise else (1 << bits) // 2
    clips = bits <= WIDEST_CLIPPED and method != "minmax"
    fractions = CLIP_FRACTIONS if clips else np.ones(1)
    grids = [_grid(present, bits, mid_rise, fraction, zero_point) for fraction in fractions]
    if method == "entropy" and not mid_rise:
        counts, edges = np.histogram(present, BINS)
        candidates = [ActivationGrid(bits, scale, zero) for scale, zero in grids]
        found = best_grid(counts.astype(float), (edges[:-1] + edges[1:]) / 2, candidates, method)
        return found.scale, found.zero_point
    errors = [
        float(np.square(present - scale * integers_on(present, bits, zero, scale, mid_rise)).sum())
        for scale, zero in grids
    ]
    return grids[int(np.argmin(errors))]


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


def _grid(
    present: Floats, bits: int, mid_rise: bool, fraction: float, zero_point: int | None
) -> tuple[float, int]:
    """Scale and zero point for a clipped range of the non-zero weights."""
    top = (1 << bits) - 1
    if mid_rise:
        if bits == 1:
            return float(np.abs(present).mean()), 0
        return float(np.abs(present).max()) * fraction / top, 0
    low = min(float(present.min()), 0.0) * fraction
    high = max(float(present.max()), 0.0) * fraction
    if zero_point is not None:
        return max(-low / zero_point, high / max(top - zero_point, 1)), zero_point
    scale = (high - low) / top
    return scale, int(np.clip(np.floor(-low / scale + 0.5), 0, top))
