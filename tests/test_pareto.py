"""Properties and hand-derived values of dominance, front, hypervolume, pick and the interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from dse.pareto import dominates, front, hypervolume, pick, wilson


def tables(objectives: int | None = None) -> st.SearchStrategy[np.ndarray]:
    """(n, m) of small integers, so that ties and duplicates are common."""
    columns = st.integers(1, 4) if objectives is None else st.just(objectives)
    shapes = st.tuples(st.integers(0, 12), columns)
    return shapes.flatmap(lambda shape: hnp.arrays(np.float64, shape, elements=st.integers(0, 5)))


def area_by_cells(points: np.ndarray, side: int) -> int:
    """Hypervolume of integer points against (side, side), counting unit cells one by one."""
    return sum(
        any(x <= column and y <= row for x, y in points)
        for column in range(side)
        for row in range(side)
    )


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2], [1, 3], True),
        ([1, 3], [1, 2], False),
        ([1, 2], [1, 2], False),  # equal points do not dominate each other
        ([1, 3], [2, 1], False),
        ([0, 0, 0], [1, 1, 1], True),
    ],
)
def test_dominates(a: list[float], b: list[float], expected: bool) -> None:
    assert dominates(a, b) is expected


def test_dominates_refuses_different_shapes() -> None:
    with pytest.raises(ValueError, match=r"but got \(2,\) and \(3,\)"):
        dominates([1, 2], [1, 2, 3])


def test_front_by_hand() -> None:
    # (3, 3) is dominated by (2, 2); the second (2, 2) repeats the first; (5, 1) has the least y.
    assert front([[5, 1], [3, 3], [2, 2], [1, 4], [2, 2]]).tolist() == [3, 2, 0]


def test_front_of_nothing() -> None:
    assert front(np.empty((0, 2))).tolist() == []


@given(tables())
def test_front_holds_just_the_points_nobody_dominates(points: np.ndarray) -> None:
    free = [p for p in points if not any(dominates(q, p) for q in points)]
    kept = points[front(points)]
    assert {tuple(p) for p in kept} == {tuple(p) for p in free}
    assert len({tuple(p) for p in kept}) == len(kept)


@given(tables())
def test_front_is_sorted_and_keeps_the_first_of_equals(points: np.ndarray) -> None:
    kept = front(points).tolist()
    assert [tuple(points[i]) for i in kept] == sorted(tuple(points[i]) for i in kept)
    for index in kept:
        assert index == min(i for i, p in enumerate(points) if np.array_equal(p, points[index]))


def test_front_refuses_nan_and_one_axis() -> None:
    with pytest.raises(ValueError, match="NaN"):
        front([[1.0, math.nan]])
    with pytest.raises(ValueError, match=r"\(n, m\), but got \(3,\)"):
        front([1, 2, 3])


def test_hypervolume_by_hand() -> None:
    # Against (6, 5): (1, 4) gives 1 x 1 up to x = 2, (2, 2) gives 3 x 3 up to x = 5,
    # (5, 1) gives 1 x 4: 1 + 9 + 4 = 14. (7, 0) is right of the reference.
    assert hypervolume([[5, 1], [1, 4], [2, 2], [3, 3], [7, 0]], [6, 5]) == 14.0


def test_hypervolume_of_nothing_is_zero() -> None:
    assert hypervolume(np.empty((0, 2)), [1, 1]) == 0.0


@given(tables(2))
def test_hypervolume_counts_cells(points: np.ndarray) -> None:
    assert hypervolume(points, [6, 6]) == area_by_cells(points, 6)


@given(tables(2), st.integers(0, 5), st.integers(0, 5))
def test_hypervolume_grows_just_when_a_point_is_not_weakly_dominated(
    points: np.ndarray, x: int, y: int
) -> None:
    more = np.vstack([points, [[x, y]]])
    covered = any(q[0] <= x and q[1] <= y for q in points)
    grown = hypervolume(more, [6, 6]) > hypervolume(points, [6, 6])
    assert grown is not covered


def test_hypervolume_refuses_three_objectives_and_an_open_reference() -> None:
    with pytest.raises(ValueError, match=r"two objectives, but got points \(1, 3\)"):
        hypervolume([[1, 2, 3]], [4, 4, 4])
    with pytest.raises(ValueError, match="must be finite"):
        hypervolume([[1, 2]], [math.inf, 4])


@pytest.mark.parametrize(
    ("wish", "expected"),
    [(0.99, 3), (0.98, 1), (0.9, 0), (0.995, None)],
)
def test_pick_by_hand(wish: float, expected: int | None) -> None:
    # 0.98 is reached at 200 bytes by two points; the more accurate of them is index 1.
    assert pick([100, 200, 200, 400, 400], [0.95, 0.985, 0.98, 0.99, 0.99], wish) == expected


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), max_size=10), st.integers(0, 5))
def test_pick_reaches_the_wish_with_the_least_memory(
    points: list[tuple[int, int]], wish: int
) -> None:
    index = pick([m for m, _ in points], [a for _, a in points], wish)
    enough = [m for m, a in points if a >= wish]
    if index is None:
        assert enough == []
    else:
        assert points[index][1] >= wish
        assert points[index][0] == min(enough)


def test_pick_refuses_different_lengths() -> None:
    with pytest.raises(ValueError, match=r"but got \(2,\) and \(1,\)"):
        pick([1, 2], [0.5], 0.1)


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        # z^2 = 3.841459. 0 of 10: high = (z^2/10) / (1 + z^2/10) = 0.384146 / 1.384146.
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        # 5 of 10: 0.5 -+ sqrt(0.25 * 0.384146 + 0.384146^2 / 4) / 1.384146 = 0.5 -+ 0.263407.
        (5, 10, 0.236593, 0.763407),
        # 9890 of 10000: spread 3.841459e-4, centre 0.9890 moved to 0.988812, half 0.002052.
        (9890, 10000, 0.986760, 0.990864),
    ],
)
def test_wilson_by_hand(correct: int, total: int, low: float, high: float) -> None:
    assert wilson(correct, total) == pytest.approx((low, high), abs=1e-6)


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_mirrors(case: tuple[int, int]) -> None:
    correct, total = case
    low, high = wilson(correct, total)
    assert 0.0 <= low <= correct / total <= high <= 1.0
    assert low < high
    mirrored = wilson(total - correct, total)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-12)


@settings(deadline=None)
@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_scipy(case: tuple[int, int]) -> None:
    correct, total = case
    theirs = stats.binomtest(correct, total).proportion_ci(0.95, method="wilson")
    assert wilson(correct, total) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(("correct", "total"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(correct: int, total: int) -> None:
    with pytest.raises(ValueError, match=f"but got {correct} of {total}"):
        wilson(correct, total)
