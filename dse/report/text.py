"""How numbers are written for people: KiB, per cent, minutes, bits per layer."""

from __future__ import annotations

from collections.abc import Iterable

from dse.study.record import TestScore

KIB, MIB = 1024.0, 1024.0**2
NOTHING = "–"


def memory(memory_bytes: float) -> str:
    """Bytes with their binary unit to three digits: `512 B`, `5.83 KiB`, `241 KiB`, `1.50 MiB`."""
    if memory_bytes < KIB:
        return f"{memory_bytes:.0f} B"
    if memory_bytes < MIB:
        return f"{three_digits(memory_bytes / KIB)} KiB"
    return f"{three_digits(memory_bytes / MIB)} MiB"


def three_digits(value: float) -> str:
    """At least three significant digits, no exponent: `5.83`, `61.2`, `241`, `12,300`."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """A time in words: `9 s`, `7 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def percent(share: float, digits: int = 2) -> str:
    """A share in per cent without the sign: 0.98912 is `98.91`."""
    return f"{100 * share:.{digits}f}"


def two_digits(share: float) -> str:
    """A share in per cent to two digits, no exponent: `0.42`, `5.3`, `68`, `100`."""
    return f"{100 * share:.2g}" if share < 0.095 else f"{100 * share:.0f}"


def interval(score: TestScore | None) -> str:
    """Test accuracy with its 95 % interval in per cent, or a dash."""
    if score is None:
        return NOTHING
    return f"{percent(score.accuracy)} ({percent(score.low)}–{percent(score.high)})"


def per_layer(values: Iterable[object]) -> str:
    """One value per layer, in the network's order: `8/4/4/4/6`."""
    return "/".join(str(value) for value in values)


def optional(value: float | None, unit: str = "") -> str:
    """Three digits and a unit, or a dash for a metric the trial does not have."""
    return NOTHING if value is None else three_digits(value) + unit
