"""One mapping of a study file, read key by key; every wrong value is noted, none stops the reading.

A reader returns the default in place of a wrong value. That is never seen: whoever reads a study
raises one error with all that was noted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dse.errors import InputError, nearest
from dse.study.units import duration_s, number, shown


@dataclass(frozen=True)
class Bounds:
    """Numbers from `low` to `high`; `open_low` leaves `low` itself out."""

    low: float
    high: float = float("inf")
    open_low: bool = False

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and not (self.open_low and value == self.low)

    def __str__(self) -> str:
        if self.high == float("inf"):
            return f"{'above' if self.open_low else 'at least'} {self.low}"
        return f"{'above ' if self.open_low else ''}{self.low} to {self.high}"


@dataclass(frozen=True)
class Section:
    """The mapping at `path` (empty for the whole file) and the mistakes noted so far.

    A key without a value counts as absent, so that emptying a section brings its defaults back.
    """

    path: str
    values: Mapping[Any, Any]
    mistakes: list[str] = field(default_factory=list)

    def wrong(self, key: str, message: str) -> None:
        """Note that the value at `key` is wrong."""
        self.mistakes.append(f"{self.at(key)}: {message}")

    def at(self, key: str) -> str:
        """Full path of `key`; this section's own for an empty key."""
        return ".".join(part for part in (self.path, key) if part)

    def get(self, key: str) -> Any:
        """The value as it is; None when absent."""
        return self.values.get(key)

    def known_keys(self, *known: str, passed_over: tuple[str, ...] = ()) -> None:
        """Note every key but these and those `passed_over`, which nobody needs to know."""
        for key in self.values:
            if key not in known and key not in passed_over:
                self.wrong(shown_key(key), f"unknown key{nearest(shown_key(key), known)}")

    def section(self, key: str) -> Section:
        """The mapping at `key`, empty when absent or wrong."""
        return self.child(key, self.get(key))

    def child(self, key: str, value: Any) -> Section:
        """`value` as the mapping at `key`, noted when it is none."""
        if value is not None and not isinstance(value, dict):
            self.wrong(key, f"must be a mapping of keys to values, but got {shown(value)}")
            value = None
        return Section(self.at(key), value or {}, self.mistakes)

    def number(self, key: str, default: float, bounds: Bounds) -> float:
        """A number within `bounds`."""
        value = self.get(key)
        if value is None:
            return default
        result = number(value)
        if result is None or result not in bounds:
            self.wrong(key, f"must be a number {bounds}, but got {shown(value)}")
            return default
        return result

    def integer(self, key: str, default: int, bounds: Bounds) -> int:
        """A whole number within `bounds`."""
        value = self.get(key)
        if value is None:
            return default
        whole = whole_number(value)
        if whole is None or whole not in bounds:
            self.wrong(key, f"must be a whole number {bounds}, but got {shown(value)}")
            return default
        return whole

    def duration(self, key: str) -> float | None:
        """Seconds, or None where no duration is given."""
        if self.get(key) is None:
            return None
        try:
            return duration_s(self.get(key))
        except InputError as error:
            self.wrong(key, str(error))
            return None

    def text(self, key: str, default: str) -> str:
        """A text that is not empty."""
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, str) or not value.strip():
            self.wrong(key, f"must be text (in quotes if in doubt), but got {shown(value)}")
            return default
        return value

    def names(self, key: str, known: Iterable[str], what: str) -> tuple[str, ...]:
        """A name or a list of different names, each among `known`; empty when absent."""
        value, known = self.get(key), tuple(known)
        if isinstance(value, str):
            value = [value]
        if value is None:
            return ()
        if not isinstance(value, list):
            self.wrong(key, f"must be a list of names, but got {shown(value)}")
            return ()
        for position, name in enumerate(value):
            if name not in known:
                self.wrong(key, f"no {what} {shown(name)}{nearest(shown_key(name), known)}")
            elif name in value[:position]:
                self.wrong(key, f"{shown(name)} is given twice")
        return tuple(name for name in value if isinstance(name, str))


def shown_key(key: Any) -> str:
    """A key as part of a path; YAML reads unquoted `on` or `1` as no text."""
    return key if isinstance(key, str) and len(key) <= 60 else shown(key)


def whole_number(value: Any) -> int | None:
    """A whole number, or None; 8.0 and "1e3" count as whole, true does not."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    result = number(value)
    return int(result) if result is not None and result.is_integer() else None
