"""The stretched accuracy axis and the binary ticks of the memory axis."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from dse.report.axes import (
    accuracy_axis,
    memory_axis,
    memory_ticks,
    stretch,
    thinned,
    unstretch,
)

shares = st.floats(0.0, 1.0)


@given(shares)
def test_unstretch_inverts_stretch(accuracy: float) -> None:
    assert float(unstretch(stretch(accuracy))) == pytest.approx(accuracy, abs=1e-12)


@given(shares, shares)
def test_stretch_keeps_the_order(a: float, b: float) -> None:
    assert (a <= b) == bool(stretch(a) <= stretch(b)) or abs(a - b) < 1e-12


def test_a_perfect_accuracy_has_a_finite_place() -> None:
    # error + knee: log10(0.002) = -2.69897
    assert float(stretch(1.0)) == pytest.approx(2.69897, abs=1e-5)


def test_ninety_to_hundred_takes_most_of_the_axis() -> None:
    whole = float(stretch(1.0) - stretch(0.1))
    assert float(stretch(1.0) - stretch(0.9)) / whole > 0.6


@settings(deadline=None)  # the first figure loads fonts
@given(st.lists(shares, min_size=1, max_size=6))
def test_accuracy_axis_holds_every_value_and_few_honest_ticks(accuracies: list[float]) -> None:
    axes = Figure().subplots()
    accuracy_axis(axes, accuracies)
    low, high = axes.get_ylim()
    assert low < min(accuracies)
    assert max(accuracies) < high
    ticks = [float(tick) for tick in axes.get_yticks()]
    assert 1 <= len(ticks) <= 15
    assert all(0.0 <= tick <= 1.0 for tick in ticks)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert [float(label.removesuffix(" %")) for label in labels] == pytest.approx(
        [100 * tick for tick in ticks], abs=5e-4
    )


def test_thinned_keeps_the_important() -> None:
    assert thinned([0.985, 0.99, 0.995], gap=1.0) == [0.99]


@given(st.floats(1.0, 2.0**40), st.floats(1.07, 2.0**20))
def test_memory_ticks_are_few_and_inside(low: float, factor: float) -> None:
    ticks = memory_ticks(low, low * factor)
    assert 3 <= len(ticks) <= 9
    assert low <= ticks[0]
    assert ticks[-1] <= low * factor
    assert all(a < b for a, b in itertools.pairwise(ticks))


def test_memory_ticks_by_hand() -> None:
    assert memory_ticks(900, 9000) == [1024, 2048, 4096, 8192]
    assert memory_ticks(1000, 2100) == [1024, 1536, 2048]


def test_memory_axis_names_binary_units() -> None:
    axes = Figure().subplots()
    memory_axis(axes, [300, 3 * 2**20])
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == [
        "256 B", "1 KiB", "4 KiB", "16 KiB", "64 KiB", "256 KiB", "1 MiB", "4 MiB"
    ]  # fmt: skip


def test_one_size_is_enough() -> None:
    axes = Figure().subplots()
    memory_axis(axes, [6000])
    low, high = axes.get_xlim()
    assert low < 6000 < high
    assert np.all(np.isfinite(axes.get_xticks()))
