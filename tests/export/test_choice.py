"""Which point is chosen, what is said about it, and what is said when there is none."""

from __future__ import annotations

import pytest

from dse.errors import InputError
from dse.export._choice import Point, Wishes, choose, named

FRONT = [
    Point(7, 0.80, 2_000, 5000.0, True),
    Point(3, 0.97, 4_000, 3000.0, True),
    Point(5, 0.988, 8_000, 2000.0, True),
    Point(1, 0.991, 16_000, 1000.0, False),
    Point(2, 0.992, 64_000, 500.0, False),
]


@pytest.mark.parametrize(
    ("wishes", "trial", "runner_up"),
    [
        (Wishes(), 5, 1),
        (Wishes(min_accuracy=0.97), 3, 5),
        (Wishes(min_accuracy=0.9701), 5, 1),
        (Wishes(max_memory_bytes=16_000), 1, 5),
        (Wishes(max_memory_bytes=15_999), 5, 3),
        (Wishes(min_accuracy=0.9, max_memory_bytes=9_000), 3, 5),
        (Wishes(min_fps=2500.0), 3, 7),
        (Wishes(device="xc7z010"), 5, 3),
        (Wishes(min_accuracy=0.992), 2, None),
    ],
)
def test_the_chosen_point(wishes: Wishes, trial: int, runner_up: int | None) -> None:
    choice = choose(FRONT, wishes)
    assert choice.point.number == trial
    assert (choice.runner_up.number if choice.runner_up else None) == runner_up


def test_neighbours_are_those_on_the_front() -> None:
    choice = choose(FRONT, Wishes(max_memory_bytes=4_000))
    assert choice.smaller == FRONT[0]
    assert choice.larger == FRONT[2]
    assert choose(FRONT, Wishes(min_accuracy=0.5)).smaller is None
    assert choose(FRONT, Wishes(min_accuracy=0.992)).larger is None


def test_why_is_said() -> None:
    assert choose(FRONT, Wishes()).why == (
        "the smallest within 0.5 points of the best (99.20%); 5 points on the front"
    )
    assert choose(FRONT, Wishes(min_accuracy=0.98)).why == (
        "the smallest that is accurate enough; 3 of 5 points on the front meet accuracy >= 98.00%"
    )


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (
            Wishes(min_accuracy=0.995),
            r"no point on the front meets accuracy >= 99.50%; "
            r"nearest point: trial 2 with 99.20%, 64,000 bytes",
        ),
        (
            Wishes(min_accuracy=0.98, max_memory_bytes=7_900),
            r"meets accuracy >= 98.00% and memory <= 7,900 bytes, though each is met by some; "
            r"accuracy >= 98.00% binds; nearest point: trial 3 with 97.00%, 4,000 bytes",
        ),
        (Wishes(max_memory_bytes=100), r"meets memory <= 100 bytes; nearest point: trial 7"),
        (
            Wishes(max_memory_bytes=100, min_fps=6000.0),
            r"meets memory <= 100 bytes \(the nearest is trial 7: 2,000 bytes\); "
            r"nor frames/s >= 6,000 \(the nearest is trial 7: 5,000",
        ),
        (Wishes(min_accuracy=0.9905, device="tiny"), r"though each is met by some"),
    ],
)
def test_a_wish_that_no_point_meets(wishes: Wishes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose(FRONT, wishes)


def test_a_named_trial_must_meet_the_wishes_too() -> None:
    met = Wishes(max_memory_bytes=2_000, min_fps=5000.0, device="x")
    assert named(FRONT, FRONT[0], met).why == "the trial you named, on the front"
    with pytest.raises(
        InputError, match=r"trial 1 does not meet memory <= 9 bytes \(16,000 bytes\)"
    ):
        named(FRONT, FRONT[3], Wishes(max_memory_bytes=9))
    with pytest.raises(InputError, match=r"does not meet fits on x \(does not fit\)"):
        named(FRONT, FRONT[3], Wishes(device="x"))


def test_a_named_trial_beside_the_front_has_neighbours_on_it() -> None:
    choice = named(FRONT, Point(9, 0.9, 5_000, 1.0, True), Wishes())
    assert choice.why == "the trial you named, not on the front"
    assert (choice.smaller, choice.larger) == (FRONT[1], FRONT[2])
    assert choice.runner_up is None
