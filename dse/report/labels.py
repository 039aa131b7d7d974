"""Names beside the points of a plot, each where it covers nothing that is drawn."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

FloatArray = npt.NDArray[np.float64]

DISTANCES = (9.0, 16.0, 26.0)
"""Pixels between a mark and its name, nearest first; what lies farther is not read as its name."""
SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, -1), (-1, 1), (1, 1), (-1, -1))
"""Right and up of the mark: above it first, where a point as accurate as the front has room."""
MARGIN = 2.0
STEP = 3.0
"""Pixels between the places of a line that a name must not cover: less than a letter's height."""


def drawn_places(axes: Axes) -> FloatArray:
    """Pixels, (n, 2), of all marks, lines and texts in `axes`; the layout must be settled."""
    parts = [_line_places(line) for line in axes.get_lines()]
    bars = [found for found in axes.collections if isinstance(found, LineCollection)]
    parts += [_along(axes.transData.transform(line)) for bar in bars for line in bar.get_segments()]
    parts += [box_places(text.get_window_extent()) for text in axes.texts]
    return np.concatenate([part for part in parts if len(part)] or [np.empty((0, 2))])


def box_places(box: Bbox) -> FloatArray:
    """Pixels, (n, 2), all over a box, close enough that no name fits between them."""
    xs, ys = np.arange(box.x0, box.x1 + STEP, STEP), np.arange(box.y0, box.y1 + STEP, STEP)
    return np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)


def free_place(at: FloatArray, size: FloatArray, taken: FloatArray, inside: Bbox) -> Bbox:
    """A box of `size` (width, height) beside `at` that covers the fewest of the `taken` places.

    Of equally free places the nearest. All in pixels; a box that leaves `inside` is moved back.
    """
    room = np.array([inside.size - size, np.zeros(2)]).max(axis=0)
    best, fewest = Bbox.null(), len(taken) + 1
    for distance, side in itertools.product(DISTANCES, SIDES):
        corner = at - size / 2 + np.array(side) * (size / 2 + distance)
        corner = np.clip(corner, inside.min, inside.min + room)
        low, high = corner - MARGIN, corner + size + MARGIN
        covered = int(((taken >= low) & (taken <= high)).all(axis=1).sum())
        if covered < fewest:
            best, fewest = Bbox([corner, corner + size]), covered
        if fewest == 0:
            break
    return best


def _line_places(line: Line2D) -> FloatArray:
    corners = np.asarray(line.get_transform().transform(line.get_xydata()), dtype=np.float64)
    if line.get_linestyle() == "None":
        return corners
    if line.get_drawstyle() == "steps-post":
        turns = np.stack([corners[1:, 0], corners[:-1, 1]], axis=1)
        corners = np.insert(corners, np.arange(1, len(corners)), turns, axis=0)
    return _along(corners)


def _along(corners: FloatArray) -> FloatArray:
    """Places along the line through `corners`, (n, 2)."""
    parts = [corners]
    for start, end in itertools.pairwise(corners):
        count = int(np.hypot(*(end - start)) / STEP) + 1
        parts.append(start + (end - start) * np.arange(1, count)[:, None] / count)
    return np.concatenate(parts)
