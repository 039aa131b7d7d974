"""Clipping: which of several grids loses least of a histogram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from dse.integer.grid import ActivationGrid, FloatArray

Method = Literal["mse", "minmax", "entropy"] | float
"""How a range is chosen: least squared error, everything seen, least divergence, or the share of
the images whose extremes must lie inside (the seed's `out_cover_f`)."""

METHODS = ("mse", "minmax", "entropy")


def best_grid(
    counts: FloatArray, centres: FloatArray, grids: Sequence[ActivationGrid], method: Method
) -> ActivationGrid:
    """The grid with the least squared error ("mse", "minmax") or divergence ("entropy").

    Of equals the last one, which clips least when `grids` ascend.
    """
    loss = divergence if method == "entropy" else squared_error
    losses = [loss(counts, centres, grid) for grid in grids]
    return grids[len(losses) - 1 - int(np.argmin(losses[::-1]))]


def squared_error(counts: FloatArray, centres: FloatArray, grid: ActivationGrid) -> float:
    """Sum of squared rounding and clipping errors over a histogram."""
    real = grid.scale * (grid.quantize(centres) - grid.zero_point)
    return float((counts * np.square(real - centres)).sum())


def divergence(counts: FloatArray, centres: FloatArray, grid: ActivationGrid) -> float:
    """Kullback-Leibler divergence of the quantized histogram from the real one.

    As in TensorRT's calibration (Migacz 2017): the mass beyond the range joins its outermost bins
    in the real distribution only, so clipping costs what it distorts; the quantized one spreads
    each code's mass evenly over the non-empty bins that round to it.
    """
    low = grid.scale * (0 - grid.zero_point - 0.5)
    high = grid.scale * (grid.max_code - grid.zero_point + 0.5)
    inside = np.flatnonzero((centres >= low) & (centres < high))
    if not counts[inside].any():
        return np.inf
    real, kept = counts[inside].copy(), counts[inside]
    real[0] += counts[: inside[0]].sum()
    real[-1] += counts[inside[-1] + 1 :].sum()
    codes = grid.quantize(centres[inside])
    filled = kept > 0
    mass = np.bincount(codes, weights=kept)
    bins = np.bincount(codes, weights=filled.astype(np.float64))
    spread = np.where(filled, mass[codes] / np.maximum(bins[codes], 1), 0)
    present = real > 0
    p, q = real[present] / real.sum(), np.maximum(spread[present] / spread.sum(), 1e-9)
    return float((p * np.log(p / q)).sum())
