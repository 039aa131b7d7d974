"""Numbers as people write them ("30 min", "16 KiB", 1e-3), and values as messages show them."""

from __future__ import annotations

import math
import re
import reprlib
from typing import Any

from dse.errors import InputError

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"

SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}

BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "KiB": 1024.0, "MiB": 1024.0**2}
SHORT_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
SHARE = {"%": 0.01}


_short = reprlib.Repr()
_short.maxlevel, _short.maxlist, _short.maxdict = 3, 8, 6
_short.maxstring = _short.maxother = 60


def shown(value: Any) -> str:
    """A value as it is named in a message, shortened; aliases in YAML can make it endless."""
    try:
        return _short.repr(value)
    except ValueError:  # an integer of more digits than Python converts
        return f"a very large {type(value).__name__}"


def number(value: Any) -> float | None:
    """A finite number, or None when `value` is none. Takes "1e-3", which YAML 1.1 reads as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and not re.fullmatch(NUMBER, value.strip(), re.ASCII):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def with_unit(text: Any, units: dict[str, float]) -> float | None:
    """A number with one of `units` or without, in the unit that counts 1; None for others."""
    plain = number(text)
    if plain is not None or not isinstance(text, str):
        return plain
    match = re.fullmatch(rf"({NUMBER})\s*(\S+)", text.strip(), re.ASCII)
    if match is None or match[2] not in units:
        return None
    value = float(match[1]) * units[match[2]]
    return value if math.isfinite(value) else None


def duration_s(text: str | float) -> float:
    """Seconds in a duration: seconds, or like "30 min", "1.5 h", "90 s".

    Raises InputError for anything else, and for a duration that is not above 0.
    """
    seconds = with_unit(text, SECONDS)
    if seconds is None or seconds <= 0:
        raise InputError(
            f"must be seconds above 0, or like '30 min' or '1.5 h', but got {shown(text)}"
        )
    return seconds
