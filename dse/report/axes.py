"""The two axes of the plots: memory with binary ticks, accuracy stretched towards 100 %."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from dse.report.text import percent

FloatArray = npt.NDArray[np.float64]

ERROR_KNEE = 2e-3
"""Error below which the accuracy axis stops being logarithmic in the error. A plain log axis has
no place for an accuracy of exactly 1; this one puts it 0.4 decades above 99.7 %."""

ACCURACY_TICKS = (
    1.0, 0.999, 0.998, 0.995, 0.99, 0.985, 0.98, 0.97, 0.96, 0.95, 0.93, 0.9, 0.85,
    0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0,
)  # fmt: skip
"""The important ones are kept where ticks would touch, see `thinned`."""
IMPORTANT_TICKS = (0.99, 0.9, 0.95, 1.0, 0.98, 0.5, 0.8, 0.995, 0.999)
MOST_TICKS = 9


def stretch(accuracy: npt.ArrayLike) -> FloatArray:
    """Height of an accuracy on the axis: minus the decimal logarithm of error plus knee."""
    error = 1.0 - np.asarray(accuracy, dtype=np.float64)
    return np.asarray(-np.log10(np.maximum(error, -ERROR_KNEE / 2) + ERROR_KNEE))


def unstretch(height: npt.ArrayLike) -> FloatArray:
    """Inverse of `stretch`."""
    return np.asarray(1.0 + ERROR_KNEE - 10.0 ** -np.asarray(height, dtype=np.float64))


def accuracy_axis(axes: Axes, accuracies: Sequence[float]) -> None:
    """Scale the y axis so that `accuracies` (not empty) fit, with room below for the ticks' rug."""
    axes.set_yscale("function", functions=(stretch, unstretch))
    low, high = (float(stretch(value)) for value in (min(accuracies), max(accuracies)))
    span = max(high - low, 0.15)
    bottom, top = low - 0.14 * span, high + 0.1 * span
    axes.set_ylim(float(unstretch(bottom)), float(unstretch(top)))
    inside = [tick for tick in ACCURACY_TICKS if bottom <= float(stretch(tick)) <= top]
    if len(inside) < 3:
        inside = _even_ticks(float(unstretch(bottom)), min(1.0, float(unstretch(top))))
    ticks = thinned(inside, (top - bottom) / 14)
    axes.set_yticks(ticks, labels=[f"{_shortest(tick)} %" for tick in ticks])
    axes.minorticks_off()


def thinned(ticks: Sequence[float], gap: float) -> list[float]:
    """Of accuracy `ticks`, the important first, those at least `gap` apart in height."""
    by_importance = [tick for tick in IMPORTANT_TICKS if tick in ticks]
    by_importance += [tick for tick in ticks if tick not in IMPORTANT_TICKS]
    kept: list[float] = []
    for tick in by_importance:
        height = float(stretch(tick))
        if all(abs(height - float(stretch(other))) >= gap for other in kept):
            kept.append(tick)
    return sorted(kept)


def memory_axis(axes: Axes, sizes_bytes: Sequence[float]) -> None:
    """Scale the x axis logarithmically so that `sizes_bytes` (not empty) fit."""
    axes.set_xscale("log", base=2)
    low, high = math.log2(min(sizes_bytes)), math.log2(max(sizes_bytes))
    margin = max(0.05 * (high - low), 0.1)
    axes.set_xlim(2 ** (low - margin), 2 ** (high + margin))
    ticks = memory_ticks(2 ** (low - margin), 2 ** (high + margin))
    axes.set_xticks(ticks, labels=[_memory_label(tick) for tick in ticks])
    axes.minorticks_off()


def memory_ticks(low_bytes: float, high_bytes: float) -> list[float]:
    """Round sizes between two bounds, 3 to 9 of them: powers of two, or even steps between."""
    first, last = math.floor(math.log2(low_bytes)), math.ceil(math.log2(high_bytes))
    for parts in (1, 2, 4, 8, 16, 32, 64):
        ticks = [
            2.0**power * (1 + part / parts)
            for power in range(first, last + 1)
            for part in range(parts)
        ]
        inside = [tick for tick in ticks if low_bytes <= tick <= high_bytes]
        if len(inside) >= 3:
            break
    return inside[:: math.ceil(len(inside) / MOST_TICKS)]


def _even_ticks(low: float, high: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10(max(high - low, 1e-4) / 2))
    first, last = math.ceil(max(low, 0.0) / step), math.floor(high / step)
    return [round(step * count, 6) for count in range(first, last + 1)]


def _shortest(tick: float) -> str:
    return percent(tick, 3).rstrip("0").rstrip(".")


def _memory_label(size_bytes: float) -> str:
    for unit, name in ((2.0**20, "MiB"), (2.0**10, "KiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.6g} {name}"
    return f"{size_bytes:.6g} B"
