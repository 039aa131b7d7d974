"""How a front grew: its hypervolume after each trial, and the time the trials took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dse import pareto
from dse.report.results import Results
from dse.study.record import TrialRecord, front_of

POINTS_BELOW = 0.10
"""The corner lies ten points below the baseline: what is worse is no use, and must not count."""


@dataclass(frozen=True)
class Corner:
    """The point that bounds a hypervolume: memory of the dense float network, and an accuracy ten
    points below its own."""

    memory_bytes: float
    accuracy: float


@dataclass(frozen=True)
class Step:
    """The front after `trials` trials had ended, `seconds` of evaluation after the first began.

    `seconds` counts only while a trial ran; None where the timing of a trial is not known.
    """

    trials: int
    seconds: float | None
    hypervolume: float


def corner_of(results: Results) -> Corner | None:
    """The study's own corner, None before its baseline was scored."""
    base = results.baseline
    if base is None:
        return None
    return Corner(base.memory_bytes, max(base.accuracy - POINTS_BELOW, 0.0))


def hypervolume(trials: Sequence[TrialRecord], corner: Corner) -> float:
    """Area between the front and `corner`: halvings of memory times percentage points of accuracy.

    A front that reaches 10 points above the corner's accuracy at 1/64 of its memory, and nothing
    else, has 60.
    """
    points = [
        (math.log2(record.metrics["memory_bytes"]), -100 * record.metrics["accuracy"])
        for record in trials
        if record.state == "complete"
    ]
    if not points:
        return 0.0
    return pareto.hypervolume(points, (math.log2(corner.memory_bytes), -100 * corner.accuracy))


def history(results: Results) -> list[Step]:
    """One step per trial that changed the hypervolume, and one at the end, in trials' order."""
    corner = corner_of(results)
    if corner is None:
        return []
    steps, best = [], 0.0
    front: tuple[TrialRecord, ...] = ()
    for count, record in enumerate(results.trials, 1):
        if record.state == "complete":
            front = front_of([*front, record])
            now = hypervolume(front, corner)
            if now > best:
                best = now
                steps.append(Step(count, busy_seconds(results, count), now))
    if results.trials and (not steps or steps[-1].trials < len(results.trials)):
        count = len(results.trials)
        steps.append(Step(count, busy_seconds(results, count), best))
    return steps


def busy_seconds(results: Results, count: int | None = None) -> float | None:
    """Seconds in which at least one of the first `count` (all) trials ran, None where unknown."""
    records = results.trials[:count]
    if not records or any(record.number not in results.timings for record in records):
        return None
    spans = sorted(
        (timing.started, timing.started + timing.seconds)
        for timing in (results.timings[record.number] for record in records)
    )
    total, end = 0.0, -math.inf
    for start, stop in spans:
        total += max(stop - max(start, end), 0.0)
        end = max(end, stop)
    return total
