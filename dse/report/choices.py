"""Which points of a front to look at first, each with the reason in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dse.report import text
from dse.report.axes import stretch
from dse.report.results import Results
from dse.study.record import TrialRecord

POINTS_BELOW = 0.005
"""How far below the baseline's accuracy the first recommendation may lie: half a point."""


@dataclass(frozen=True)
class Recommendation:
    """A point worth deploying: `letter` marks it in the plot, `reason` is a whole sentence."""

    letter: str
    title: str
    record: TrialRecord
    reason: str


def recommendations(results: Results) -> list[Recommendation]:
    """At most three points: nearly as accurate as the baseline, the knee, the smallest allowed.

    Accuracy is that on validation, as everything a choice may look at. Empty without a front.
    """
    found = [_near_baseline(results), _knee(results.front), _smallest(results)]
    return [item for item in found if item is not None]


def _near_baseline(results: Results) -> Recommendation | None:
    base = results.baseline
    if base is None:
        return None
    near = [r for r in results.front if r.metrics["accuracy"] >= base.accuracy - POINTS_BELOW]
    if not near:
        return None
    record = near[0]
    smaller = base.memory_bytes / record.metrics["memory_bytes"]
    reason = (
        f"The smallest whose validation accuracy is within half a point of the {base.name} "
        f"network: {_percent(record)} % against {text.percent(base.accuracy)} %, in "
        f"{text.memory(record.metrics['memory_bytes'])}, "
        f"{text.three_digits(smaller)} times smaller."
    )
    test = results.tests.get(record.number)
    if test is not None:
        overlap = test.high >= base.test.low
        reason += (
            f" On the test images the 95 % intervals {'overlap' if overlap else 'do not overlap'}: "
            f"{text.interval(test)} against {text.interval(base.test)}."
        )
    return Recommendation("A", "Nearly the baseline's accuracy", record, reason)


def _knee(front: Sequence[TrialRecord]) -> Recommendation | None:
    place = knee(
        [record.metrics["memory_bytes"] for record in front],
        [record.metrics["accuracy"] for record in front],
    )
    if place is None:
        return None
    before, here, after = front[place - 1], front[place], front[place + 1]
    reason = (
        f"Where the front bends: the next smaller point saves {_saved(before, here)} but loses "
        f"{_points(before, here)} points, the next larger one gains only {_points(here, after)} "
        f"points for {_more(here, after)} more memory."
    )
    return Recommendation("B", "The knee of the front", here, reason)


def knee(memory_bytes: Sequence[float], accuracy: Sequence[float]) -> int | None:
    """Index of the point of a front (by memory ascending) farthest above the line between its ends.

    Satopaa et al. 2011, section III, on the plot's axes: logarithm of memory, and accuracy
    stretched towards 100 %, both scaled to [0, 1]. None where no point lies above the line.
    """
    if len(memory_bytes) < 3:
        return None
    x = [math.log(value) for value in memory_bytes]
    y = [float(value) for value in stretch(accuracy)]
    above = [
        (b - y[0]) / (y[-1] - y[0]) - (a - x[0]) / (x[-1] - x[0])
        for a, b in zip(x[1:-1], y[1:-1], strict=True)
    ]
    best = max(range(len(above)), key=above.__getitem__)
    return best + 1 if above[best] > 0 else None


def _smallest(results: Results) -> Recommendation | None:
    if not results.front:
        return None
    record = results.front[0]
    wishes: Mapping[str, Any] = results.study.get("constraints") or {}
    asked = ", ".join(
        "fits the device" if name == "fits" else f"{name} {wish}"
        for name, wish in wishes.items()
        if wish is not False
    )
    reason = (
        f"The smallest that meets what the study asks for ({asked})"
        if asked
        else "The smallest of all; the study asks for nothing"
    )
    reason += f": {text.memory(record.metrics['memory_bytes'])} at {_percent(record)} %."
    if "accuracy" not in wishes:
        reason += (
            ' No accuracy is asked for; constraints: {accuracy: ">= 98 %"} would make this '
            "point a useful one."
        )
    return Recommendation("C", "The smallest that meets the wishes", record, reason)


def _percent(record: TrialRecord) -> str:
    return text.percent(record.metrics["accuracy"])


def _points(low: TrialRecord, high: TrialRecord) -> str:
    return f"{100 * (high.metrics['accuracy'] - low.metrics['accuracy']):.2f}"


def _saved(small: TrialRecord, large: TrialRecord) -> str:
    return f"{1 - small.metrics['memory_bytes'] / large.metrics['memory_bytes']:.0%}"


def _more(small: TrialRecord, large: TrialRecord) -> str:
    return f"{large.metrics['memory_bytes'] / small.metrics['memory_bytes'] - 1:.0%}"
