"""What a study wants: the metrics to improve and the bounds to keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from dse.study.section import Section
from dse.study.spec import Constraint, Direction
from dse.study.units import BYTES, SHARE, SHORT_SECONDS, shown, with_unit

OBJECTIVES: Mapping[str, Direction] = {
    "accuracy": "maximize",
    "memory_bytes": "minimize",
    "latency_s": "minimize",
    "fps": "maximize",
    "lut": "minimize",
    "ff": "minimize",
    "dsp": "minimize",
    "bram18": "minimize",
    "bytes_per_inference": "minimize",
}
"""Metrics a search can improve, each with its only sensible direction."""

DEFAULT_OBJECTIVES: Mapping[str, Direction] = {
    "accuracy": "maximize",
    "memory_bytes": "minimize",
}

OPERATORS: tuple[Literal[">=", "<=", "=="], ...] = (">=", "<=", "==")

UNITS = {
    "accuracy": SHARE,
    "memory_bytes": BYTES,
    "bytes_per_inference": BYTES,
    "latency_s": SHORT_SECONDS,
}
"""Units a bound may be written in; other metrics have none."""

EXAMPLES = {
    "accuracy": ">= 98 %",
    "memory_bytes": "<= 16 KiB",
    "bytes_per_inference": "<= 16 KiB",
    "latency_s": "<= 1 ms",
    "fps": ">= 1000",
}


def objectives(section: Section) -> dict[str, Direction]:
    """Metric to direction, in OBJECTIVES' order; accuracy against memory when none is given."""
    section.known_keys(*OBJECTIVES)
    given = {metric: way for metric, way in OBJECTIVES.items() if metric in section.values}
    for metric, direction in given.items():
        if section.get(metric) != direction:
            section.wrong(
                metric, f"can only be {direction!r}, but got {shown(section.get(metric))}"
            )
    return given or dict(DEFAULT_OBJECTIVES)


def constraints(section: Section) -> tuple[Constraint, ...]:
    """Bounds: `fits: true`, `fps: ">= 1000"`; `fits: false` asks nothing."""
    section.known_keys("fits", *OBJECTIVES)
    fits = section.get("fits")
    if fits is not None and not isinstance(fits, bool):
        section.wrong("fits", f"must be true or false, but got {shown(fits)}")
    found = [Constraint("fits", "==", 1.0)] if fits is True else []
    for metric in OBJECTIVES:
        if section.get(metric) is not None:
            found += _bound(section, metric, section.get(metric))
    return tuple(found)


def constraint_values(wanted: tuple[Constraint, ...]) -> dict[str, Any]:
    """The section of a study file that says exactly `wanted`."""
    return {
        item.metric: True if item.metric == "fits" else f"{item.operator} {item.bound!r}"
        for item in wanted
    }


def _bound(section: Section, metric: str, value: Any) -> list[Constraint]:
    text = value.strip() if isinstance(value, str) else ""
    operator = next((item for item in OPERATORS if text.startswith(item)), None)
    units = UNITS.get(metric, {})
    bound = with_unit(text[2:].strip(), units)
    if operator is None or bound is None or bound < 0:
        allowed = f"an operator ({', '.join(OPERATORS)}) and a number"
        written = f" (units: {', '.join(units)})" if units else ""
        example = f"like {EXAMPLES.get(metric, '<= 1000')!r}"
        section.wrong(metric, f"must be {allowed}{written}, {example}, but got {shown(value)}")
        return []
    if metric == "accuracy" and bound > 1:
        section.wrong(metric, f"must be a share of at most 1 or 100 %, but got {shown(value)}")
        return []
    return [Constraint(metric, operator, bound)]
