"""Tiles: how an engine cuts a layer's output image, and what it reads for that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dse.fpga.memory import Array, ceil_div
from dse.fpga.workload import Size, Window

NEVER = 1 << 40
"""Tiles of a layer that cannot be cut as small as a buffer wants it."""


@dataclass(frozen=True, eq=False)
class Tiles:
    """Two ways to cut one layer for every buffer size, arrays of shape (buffer sizes, 2).

    First the fewest tiles, which loads weights least often, then the fewest pixels read, overlaps
    of the tiles counted again. `count` is tiles per image, `read` input pixels read per image and
    channel, `words` input pixels of one tile, `rows` and `columns` its output.
    """

    count: Array
    read: Array
    words: Array
    rows: Array
    columns: Array


@lru_cache(maxsize=4096)
def cut(window: Window, multiple: Size, sizes: tuple[int, ...]) -> Tiles:
    """Tiles of at most `sizes` output pixels each, whose sides are multiples of `multiple` (of the
    pool that follows at once) or whole sides of the image.

    Sides are the least of every quotient of the image's, so nothing is gained between them. A tile
    of Tr x Tc outputs reads (S Tr + K - S)(S Tc + K - S) inputs (Zhang et al. 2015), here with
    dilation and never more than the image.
    """
    sides = [_sides(window.output_size[axis], multiple[axis]) for axis in range(2)]
    y, x = (grid.ravel() for grid in np.meshgrid(*sides, indexing="ij"))
    taken = _taken(window, 0, y) * _taken(window, 1, x)
    count = ceil_div(window.output_size[0], y) * ceil_div(window.output_size[1], x)
    table = np.stack([count, count * taken, taken, y, x])
    chosen = np.empty((len(sizes), 2, 5), dtype=np.int64)
    for index, size in enumerate(sizes):
        possible = table[:, y * x <= size]
        if not possible.shape[1]:
            chosen[index] = (NEVER, NEVER, 1, 1, 1)
            continue
        fewest = np.lexsort((possible[1], possible[0]))[0]
        least = np.lexsort((possible[0], possible[1]))[0]
        chosen[index] = possible[:, [fewest, least]].T
    chosen.setflags(write=False)
    return Tiles(*np.moveaxis(chosen, 2, 0))


def _sides(size: int, multiple: int) -> Array:
    parts = np.unique(ceil_div(size, np.arange(1, size + 1)))
    sides: Array = np.unique(np.minimum(ceil_div(parts, multiple) * multiple, size))
    return sides


def _taken(window: Window, axis: int, side: Array) -> Array:
    """Input pixels along one axis that `side` outputs need."""
    reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1
    taken: Array = (side - 1) * window.stride[axis] + reach
    return np.minimum(taken, window.input_size[axis])
