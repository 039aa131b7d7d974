"""Comparing points with several objectives: who dominates whom, the front, its hypervolume."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


def dominates(a: npt.ArrayLike, b: npt.ArrayLike) -> bool:
    """Whether `a` is nowhere worse than `b` and somewhere better; both (m,), all minimised."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"points must be (m,) alike, but got {first.shape} and {second.shape}")
    return bool(np.all(first <= second) and np.any(first < second))


def front(points: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Indices of the points that no other dominates; `points` is (n, m), all minimised.

    Sorted by the first objective, then the second and so on. Of equal points only the first is
    kept. Raises ValueError when an objective is NaN.
    """
    table = _table(points)
    # In lexicographic order a point comes after every point that dominates it, and lexsort is
    # stable: comparing with the points kept so far is enough.
    order = np.lexsort(table.T[::-1])
    if table.shape[1] == 2:  # with the least second objective of all before, at that
        second = table[order, 1]
        least = np.minimum.accumulate(np.append(np.inf, second[:-1]))
        best: npt.NDArray[np.intp] = order[(second < least) | (np.arange(len(order)) == 0)]
        return best
    kept: list[int] = []
    for index in order:
        if not np.any(np.all(table[kept] <= table[index], axis=1)):
            kept.append(int(index))
    return np.array(kept, dtype=np.intp)


def hypervolume(points: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Area dominated by `points` (n, 2) and bounded by `reference` (2,), both minimised.

    A point that is not better than the reference in both objectives adds nothing. The unit is
    the product of the two objectives' units. Raises ValueError for other than two objectives,
    NaN, or a reference that is not finite.
    """
    table, corner = _table(points), np.asarray(reference, dtype=np.float64)
    if table.shape[1] != 2 or corner.shape != (2,):
        raise ValueError(
            "hypervolume needs two objectives, "
            f"but got points {table.shape} and reference {corner.shape}"
        )
    if not np.all(np.isfinite(corner)):
        raise ValueError(f"reference must be finite, but got {corner.tolist()}")
    inside = table[np.all(table < corner, axis=1)]
    steps = inside[front(inside)]
    right = np.append(steps[1:, 0], corner[0])
    return float(np.sum((right - steps[:, 0]) * (corner[1] - steps[:, 1])))


def pick(memory_bytes: npt.ArrayLike, accuracy: npt.ArrayLike, min_accuracy: float) -> int | None:
    """Index of the smallest memory whose accuracy is at least `min_accuracy`, None without one.

    Both arrays are (n,). Of equal memory the more accurate is taken, then the first.
    """
    memory = np.asarray(memory_bytes, dtype=np.float64)
    reached = np.asarray(accuracy, dtype=np.float64)
    if memory.shape != reached.shape or memory.ndim != 1:
        raise ValueError(f"arrays must be (n,) alike, but got {memory.shape} and {reached.shape}")
    enough = np.flatnonzero(reached >= min_accuracy)
    if enough.size == 0:
        return None
    return int(enough[np.lexsort((-reached[enough], memory[enough]))[0]])


def wilson(correct: int, total: int) -> tuple[float, float]:
    """95 % interval (low, high) of a share of which `correct` of `total` were observed.

    Wilson 1927: unlike the normal interval it stays inside [0, 1] and is honest near 1, where
    accuracies live. Raises ValueError unless 0 <= correct <= total and total > 0.
    """
    if not 0 <= correct <= total or total == 0:
        raise ValueError(f"need 0 <= correct <= total, total > 0, but got {correct} of {total}")
    share, spread = correct / total, Z_95**2 / total
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    # At the ends the bound is exactly 0 or 1; rounding must not push it past the share.
    low = 0.0 if correct == 0 else max(0.0, centre - half)
    high = 1.0 if correct == total else min(1.0, centre + half)
    return low, high


def _table(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    table = np.asarray(points, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"points must be (n, m), but got {table.shape}")
    if np.isnan(table).any():
        raise ValueError("points must not hold NaN")
    return table
