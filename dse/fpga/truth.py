"""Truth: how far a model is from what was measured, as errors and a ranking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median


@dataclass(frozen=True)
class Errors:
    """Relative errors of predictions: their number, and size without sign."""

    count: int
    mean: float
    median: float
    worst: float


def relative_error(predicted: float, measured: float) -> float:
    """predicted / measured - 1; 0 where both are 0, infinite where only `measured` is."""
    if measured == 0:
        return 0.0 if predicted == 0 else math.inf
    return predicted / measured - 1


def errors(pairs: Sequence[tuple[float, float]]) -> Errors:
    """Errors of (predicted, measured) `pairs`, one at least."""
    sizes = [abs(relative_error(*pair)) for pair in pairs]
    return Errors(len(sizes), fmean(sizes), median(sizes), max(sizes))


def kendall_tau(predicted: Sequence[float], measured: Sequence[float]) -> float:
    """Kendall's tau-b: 1 where both put everything in one order, -1 in the opposite one.

    Ties count in neither order (Kendall 1945). NaN where one of the two is constant.
    """
    agreement = untied_one = untied_two = 0
    for one, two in combinations(range(len(predicted)), 2):
        first = _sign(predicted[one] - predicted[two])
        second = _sign(measured[one] - measured[two])
        agreement += first * second
        untied_one += first != 0
        untied_two += second != 0
    scale = math.sqrt(untied_one * untied_two)
    return agreement / scale if scale else math.nan


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)
