"""Numbers as people read them."""

from __future__ import annotations

import pytest

from dse.report.text import duration, memory, three_digits, two_digits


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (430, "7 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (512, "512 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (5970, "5.83 KiB"),
        (1572864, "1.50 MiB"),
    ],
)
def test_sizes_in_memory(size: float, words: str) -> None:
    assert memory(size) == words


@pytest.mark.parametrize(
    ("share", "digits"),
    [
        (0.0042, "0.42"),
        (0.0526, "5.3"),
        (0.0949, "9.5"),
        (0.68, "68"),
        (0.996, "100"),
        (1.0, "100"),
    ],
)
def test_two_digits_of_a_share(share: float, digits: str) -> None:
    assert two_digits(share) == digits


@pytest.mark.parametrize(
    ("value", "digits"),
    [(0.004, "0.00"), (9.994, "9.99"), (9.995, "10.0"), (99.95, "100"), (12345.6, "12,346")],
)
def test_three_digits(value: float, digits: str) -> None:
    assert three_digits(value) == digits
