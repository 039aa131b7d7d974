"""Recommended points: which ones, and that the reason's numbers are right."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.report.choices import knee, recommendations
from dse.report.results import Results, read_results

from .studies import complete_trial, references, unfinished_trial, write_study

# (accuracy, bytes); the float network of `references` has 99.12 % in 246,824 bytes.
FRONT = [(0.90, 2000), (0.985, 4000), (0.987, 8000), (0.989, 16_000), (0.990, 32_000)]


def study(tmp_path: Path, points: list[tuple[float, int]], **changes: object) -> Results:
    trials = [complete_trial(number, *point) for number, point in enumerate(points)]
    return read_results(write_study(tmp_path / "study", trials, **changes))


def test_three_points_by_hand(tmp_path: Path) -> None:
    near, bend, small = recommendations(study(tmp_path, FRONT))
    # 99.12 - 0.5 = 98.62: the smallest above it is 98.7 % in 8000 bytes; 246,824 / 8000 = 30.9.
    assert (near.letter, near.record.number) == ("A", 2)
    assert "98.70 % against 99.12 %, in 7.81 KiB, 30.9 times smaller." in near.reason
    assert (bend.letter, bend.record.number) == ("B", 1)
    assert "next smaller point saves 50% but loses 8.50 points" in bend.reason
    assert "gains only 0.20 points for 100% more memory" in bend.reason
    assert (small.letter, small.record.number) == ("C", 0)
    assert small.reason.startswith("The smallest of all; the study asks for nothing: 1.95 KiB")


def test_overlapping_test_intervals_are_said(tmp_path: Path) -> None:
    near = recommendations(study(tmp_path, FRONT))[0]
    # test scores: 98.60 % against 99.04 %: 98.35..98.81 and 98.83..99.21 on 10,000 images
    assert "the 95 % intervals do not overlap: 98.60 (98.35–98.81)" in near.reason
    close = recommendations(study(tmp_path / "..", [(0.9911, 4000)]))[0]
    assert "the 95 % intervals overlap" in close.reason


def test_the_wishes_are_named(tmp_path: Path) -> None:
    wishes = {"fits": True, "fps": ">= 1000", "accuracy": ">= 0.9"}
    small = recommendations(study(tmp_path, FRONT, constraints=wishes))[-1]
    assert "(fits the device, fps >= 1000, accuracy >= 0.9)" in small.reason
    assert "No accuracy is asked for" not in small.reason


def test_nothing_near_the_baseline_is_recommended_as_such(tmp_path: Path) -> None:
    letters = [item.letter for item in recommendations(study(tmp_path, FRONT[:1]))]
    assert letters == ["C"]


def test_without_a_front_or_baseline_nothing_is_invented(tmp_path: Path) -> None:
    trials = [unfinished_trial(0, "failed", "x")]
    assert recommendations(read_results(write_study(tmp_path / "a", trials))) == []
    trials = [complete_trial(0, 0.9, 100)]
    found = recommendations(read_results(write_study(tmp_path / "b", trials, [])))
    assert [item.letter for item in found] == ["C"]


def test_references_without_a_float_network_are_no_baseline(tmp_path: Path) -> None:
    trials = [complete_trial(0, 0.99, 100)]
    results = read_results(write_study(tmp_path / "study", trials, references()[1:]))
    assert results.baseline is None


def test_a_straight_front_has_no_knee() -> None:
    assert knee([1, 2], [0.5, 0.6]) is None
    assert knee([1, 10, 100], [0.0, 0.05, 0.9]) is None


@given(st.integers(1, 5), st.floats(0.001, 0.12))
def test_the_knee_is_where_the_gain_stops(place: int, step: float) -> None:
    """Accuracy rises up to `place` and hardly any further: the knee is there."""
    memory = [1000 * 2**index for index in range(8)]
    accuracy = [0.3 + step * min(index, place) + 1e-6 * index for index in range(8)]
    assert knee(memory, accuracy) == place


@pytest.mark.parametrize("factor", [1, 1000])
def test_the_unit_of_memory_does_not_matter(factor: int) -> None:
    memory, accuracy = zip(*((m, a) for a, m in FRONT), strict=True)
    assert knee([factor * value for value in memory], accuracy) == 1
