"""Checked access to parsed JSON and YAML: a wrong value is an InputError with its place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from dse.errors import InputError, nearest


@dataclass(frozen=True)
class Fields:
    """A mapping somebody else wrote, found at `place` (`manifest.layers[2]`, or `model.yml:`)."""

    place: str
    content: Mapping[str, Any]

    @classmethod
    def of(cls, value: object, place: str) -> Fields:
        """`value` as fields. Raises InputError when it is no mapping."""
        if not isinstance(value, Mapping):
            raise InputError(f"{place}: expected a mapping, but got {_shown(value)}")
        return cls(place, value)

    def at(self, key: str) -> str:
        """The place of `key`; right under a file's name, which ends in a colon, without a dot."""
        return self.place + (" " if self.place.endswith(":") else ".") + key

    def get(self, key: str) -> Any:
        """The value of `key`, whatever it is."""
        if key not in self.content:
            raise InputError(f"{self.at(key)}: is missing")
        return self.content[key]

    def fields(self, key: str) -> Fields:
        """A nested mapping."""
        return Fields.of(self.get(key), self.at(key))

    def optional(self, key: str) -> Fields | None:
        """A nested mapping, or None where the file says null."""
        return None if self.get(key) is None else self.fields(key)

    def items(self, key: str) -> list[Any]:
        """A list."""
        value = self.get(key)
        return value if isinstance(value, list) else self.refuse(key, "a list")

    def entries(self, key: str) -> list[Fields]:
        """A list of mappings."""
        return [
            Fields.of(item, f"{self.at(key)}[{index}]")
            for index, item in enumerate(self.items(key))
        ]

    def text(self, key: str) -> str:
        """A string."""
        value = self.get(key)
        return value if isinstance(value, str) else self.refuse(key, "text")

    def choice(self, key: str, known: tuple[str, ...]) -> str:
        """A string that is one of `known`."""
        value = self.text(key)
        if value not in known:
            raise InputError(f"{self.at(key)}: unknown {value!r}{nearest(value, known)}")
        return value

    def integer(self, key: str) -> int:
        """An integer."""
        value = self.get(key)
        return int(value) if _is_integer(value) else self.refuse(key, "an integer")

    def integers(self, key: str, low: int, count: int | None = None) -> tuple[int, ...]:
        """A list of integers from `low` up, `count` of them where that is said."""
        values = self.items(key)
        right = all(_is_integer(value) and value >= low for value in values)
        if not right or count not in (None, len(values)):
            self.refuse(key, f"{'' if count is None else f'{count} '}integers from {low} up")
        return tuple(values)

    def pair(self, key: str, low: int) -> tuple[int, int]:
        """A list of two integers from `low` up, (y, x)."""
        y, x = self.integers(key, low, count=2)
        return y, x

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        values = self.items(key)
        if not all(isinstance(value, str) for value in values):
            self.refuse(key, "a list of text")
        return tuple(values)

    def number(self, key: str) -> float:
        """A finite real number."""
        value = self.get(key)
        return float(value) if _is_number(value) else self.refuse(key, "a number")

    def numbers(self, key: str) -> list[float]:
        """A list of finite real numbers."""
        values = self.items(key)
        if not all(map(_is_number, values)):
            self.refuse(key, "numbers")
        return [float(value) for value in values]

    def refuse(self, key: str, wanted: str) -> NoReturn:
        """Raise InputError: the value of `key` is not `wanted`."""
        raise InputError(f"{self.at(key)}: expected {wanted}, but got {_shown(self.get(key))}")


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
