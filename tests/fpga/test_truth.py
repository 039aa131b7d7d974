"""Errors by hand, and the ranking against scipy."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from dse.fpga.truth import errors, kendall_tau, relative_error

numbers = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=8)


def test_errors_by_hand() -> None:
    # +10 %, -50 %, 0 %
    found = errors([(11, 10), (5, 10), (7, 7)])
    assert found.count == 3
    assert found.mean == pytest.approx(0.2)
    assert found.median == pytest.approx(0.1)
    assert found.worst == 0.5


def test_nothing_measured_is_no_error_only_if_nothing_was_predicted() -> None:
    assert relative_error(0, 0) == 0
    assert relative_error(1, 0) == math.inf


@given(numbers)
@settings(deadline=None)
def test_tau_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    predicted, measured = zip(*pairs, strict=True)
    expected = kendalltau(predicted, measured).statistic
    assert kendall_tau(predicted, measured) == pytest.approx(expected, nan_ok=True)
