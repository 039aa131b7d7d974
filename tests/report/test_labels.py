"""Names beside points: inside the plot, near their point, over nothing that is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from dse.report.front_plot import front_plot
from dse.report.labels import DISTANCES, box_places, drawn_places, free_place
from dse.report.results import read_results
from dse.study.record import Reference, TrialRecord

from .studies import complete_trial, random_trials, score_near, write_study

INSIDE = Bbox([[0, 0], [400, 300]])
SIZE = np.array([80.0, 12.0])
NOTHING = np.empty((0, 2))


def test_above_the_point_where_there_is_room() -> None:
    box = free_place(np.array([200.0, 100.0]), SIZE, NOTHING, INSIDE)
    assert box.extents.tolist() == [160, 100 + DISTANCES[0], 240, 112 + DISTANCES[0]]


def test_what_lies_above_sends_it_below() -> None:
    box = free_place(np.array([200.0, 100.0]), SIZE, np.array([[230.0, 112.0]]), INSIDE)
    assert box.extents.tolist() == [160, 88 - DISTANCES[0], 240, 100 - DISTANCES[0]]


def test_at_the_edge_it_is_moved_inside() -> None:
    box = free_place(np.array([395.0, 100.0]), SIZE, NOTHING, INSIDE)
    assert (box.x0, box.x1) == (320, 400)


@given(
    at=st.tuples(st.floats(0, 400), st.floats(0, 300)),
    taken=st.lists(st.tuples(st.floats(0, 400), st.floats(0, 300)), max_size=30),
)
def test_inside_and_no_worse_than_above(
    at: tuple[float, float], taken: list[tuple[float, float]]
) -> None:
    places = np.array(taken).reshape(-1, 2)
    box = free_place(np.array(at), SIZE, places, INSIDE)
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= 400.001
    assert box.y1 <= 300.001
    above = free_place(np.array(at), SIZE, NOTHING, INSIDE)
    assert covered(box, places) <= covered(above, places) + margins(above, places)


def covered(box: Bbox, places: np.ndarray) -> int:
    return sum(bool(box.contains(*place)) for place in places)


def margins(box: Bbox, places: np.ndarray) -> int:
    return covered(box.padded(2.001), places) - covered(box, places)


def test_lines_steps_and_bars_are_places() -> None:
    axes = Figure(figsize=(4, 4), dpi=100).add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 400), ylim=(0, 400))  # a pixel is a unit
    axes.plot([0, 100], [50, 80], drawstyle="steps-post")
    axes.plot([300], [300], "o", linestyle="")
    axes.errorbar([200], [200], yerr=[[20], [30]], fmt="D")
    places = drawn_places(axes)

    def has(x: float, y: float) -> bool:
        return bool((np.abs(places - (x, y)).max(axis=1) <= 2).any())

    assert has(50, 50)  # along the step, which goes right before it goes up
    assert has(100, 65)
    assert not has(50, 65)
    assert has(300, 300)
    assert has(200, 185)
    assert has(200, 228)


def test_a_box_is_filled_to_its_edges() -> None:
    places = box_places(Bbox([[10, 20], [40, 32]]))
    assert places.min(axis=0).tolist() == [10, 20]
    assert (places.max(axis=0) >= [40, 32]).all()


def beside_the_front() -> list[TrialRecord]:
    """A front that rises past a star, and dominated trials under it."""
    front = [complete_trial(n, 0.95 + 0.004 * n, 3000 + 900 * n) for n in range(11)]
    under = [complete_trial(20 + n, 0.94 + 0.004 * n, 4000 + 900 * n) for n in range(8)]
    return front + under


@pytest.mark.parametrize("trials", [beside_the_front(), random_trials(60)], ids=["rising", "many"])
def test_no_name_of_a_star_covers_a_trial(tmp_path: Path, trials: list[TrialRecord]) -> None:
    stars = [
        Reference("global 90% at 8 bit", 0.975, 9600, score_near(0.98)),
        Reference("uniform 8 bit", 0.99, 62_000, score_near(0.98)),
        Reference("dense float", 0.99, 246_824, score_near(0.98)),
    ]
    folder = write_study(tmp_path / "study", trials, stars)
    figure = front_plot(read_results(folder))
    (axes,) = figure.axes
    figure.draw_without_rendering()
    names = [text for text in axes.texts if text.get_text() in {star.name for star in stars}]
    assert len(names) == 3
    boxes = [name.get_window_extent() for name in names]
    for line in axes.get_lines():
        for place in line.get_transform().transform(line.get_xydata()):
            assert not any(box.contains(*place) for box in boxes)
    assert Bbox.count_overlaps(boxes[0], boxes[1:]) == 0
    assert Bbox.count_overlaps(boxes[1], boxes[2:]) == 0
