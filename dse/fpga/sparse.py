"""Sparse compute: how rows spread over lanes, and what a lane needs to decode its weights."""

from __future__ import annotations

from functools import cache

import numpy as np

from dse.fpga.arithmetic import part_cost
from dse.fpga.memory import ceil_div
from dse.fpga.workload import LayerWorkload
from dse.integer.grid import IntArray

LANE_SIMD = (1,)
"""Non-zeros a lane multiplies per cycle. More would not be faster: a window is copied a code per
cycle, and the lane of a single row has no more non-zeros than that has codes."""

LANE_LUT, SHARED_LUT = 2, 12
"""LUTs of a lane beside its counters, comparator, tables and arithmetic, and of what all lanes
share beside the write address (`rtl/lane.v`, `rtl/lanes.v`): least relative error over the sparse
units of the table unit_luts (yosys 0.70, xc7; `python -m dse.calibrate` prints the fit)."""

LANE_FF, SHARED_FF = 10, 7
"""Flags of a lane and of what all lanes share, counted in `rtl/lane.v` and `rtl/lanes.v`."""

VECTOR_BITS, ORDER_FF = 4, 5
"""Bits that count the vectors which have not left and those of them that are complete, and flags of
what brings rows into order, counted in `rtl/sparse.v`."""

DRAIN = 5
"""Cycles between a lane's last address and its pixel's first row out, and between the last row out
and the end of the next copy (`rtl/sparse.v`, as simulated)."""

LARGEST_BITMAP = 64
"""Bits of a bitmap that are searched for the next non-zero at once (largest measured)."""


def lane_words(row_nonzeros: IntArray, simd: IntArray) -> IntArray:
    """Cycles of the busiest lane per output pixel, shape (len(simd), divisors of the rows).

    One column per number of lanes that divides the rows, ascending. A row takes
    max(1, ceil(nonzeros / simd)) cycles. Rows are dealt longest first, there and back (0..L-1,
    L-1..0, ...), so every lane holds rows / lanes of them and, unlike with a greedy assignment, one
    more non-zero can never make the busiest lane finish earlier.
    """
    order, lanes, layouts = _deal(len(row_nonzeros))
    longest = np.sort(row_nonzeros)[::-1]
    cycles = np.maximum(1, ceil_div(longest[None, :], simd[:, None]))
    sums = np.add.reduceat(cycles[:, order], lanes, axis=1)
    busiest: IntArray = np.maximum.reduceat(sums, layouts, axis=1)
    return busiest


def paced(workload: LayerWorkload, words: IntArray) -> IntArray:
    """Cycles per image of lanes whose busiest takes `words` per output pixel.

    A pixel's window is copied, a code per cycle, while the one before is computed and the one
    before that leaves, a row per cycle, so what takes longest sets the pace (`rtl/sparse.v`). At
    most two pixels have been copied and have not left, which takes each its words, its rows and
    DRAIN.
    """
    rows, pixels = workload.out_channels, workload.window.output_pixels
    slowest = np.maximum(words, max(workload.columns * workload.groups, rows))
    found: IntArray = np.maximum(slowest * pixels, ceil_div((words + rows + DRAIN) * pixels, 2))
    return found


def dealt_rows(row_nonzeros: IntArray, lanes: int) -> IntArray:
    """Rows of every lane in the order it computes them, shape (lanes, rows / lanes)."""
    order = np.argsort(-row_nonzeros, kind="stable").reshape(-1, lanes).copy()
    order[1::2] = order[1::2, ::-1]
    dealt: IntArray = order.T
    return dealt


@cache
def divisors(number: int) -> tuple[int, ...]:
    """Divisors of `number`, ascending."""
    return tuple(n for n in range(1, number + 1) if number % n == 0)


@cache
def _deal(rows: int) -> tuple[IntArray, IntArray, IntArray]:
    """Ranks of the rows, lane after lane and layout after layout; where lanes and layouts start.

    Lane starts index the ranks, layout starts index the lanes.
    """
    order: list[IntArray] = []
    lanes: list[int] = []
    layouts: list[int] = []
    for count in divisors(rows):
        dealt = np.arange(rows).reshape(-1, count)
        dealt[1::2] = dealt[1::2, ::-1]
        layouts.append(len(lanes))
        lanes.extend(len(order) * rows + lane * (rows // count) for lane in range(count))
        order.append(dealt.T.ravel())
    return np.concatenate(order), np.array(lanes), np.array(layouts)


def can_skip_zeros(workload: LayerWorkload) -> bool:
    """Whether lanes can compute straight from a format that the layer may have."""
    return workload.lane_format is not None


def lane_format(workload: LayerWorkload) -> tuple[str, int]:
    """The format in a lane's memory, and the bits of the whole layer in it: the smallest of
    ROW_FORMATS. Weights are loaded once, so they may be stored in another one."""
    found = workload.lane_format
    assert found is not None, "only asked where zeros can be skipped"
    return found


def entry_bits(workload: LayerWorkload) -> int:
    """On-chip bits per non-zero, its share of indices included. CSR: a value and its column, as the
    ends of the rows lie with their biases."""
    name, bits = lane_format(workload)
    if name == "csr":
        return workload.weight_bits + (workload.columns - 1).bit_length()
    return int(ceil_div(bits, max(1, workload.nonzeros)))


def decoder_cost(workload: LayerWorkload) -> tuple[int, int]:
    """(LUTs, FFs) that decode one non-zero per cycle, by storage format (yosys 0.70, xc7).

    A lane's counters are not among it. CSR: nothing more, its indices are stored. COO: comparator
    that sees the row change. Bitmap: next set bit. Run-length: the gaps are added up, as wide
    as the column index.
    """
    columns = (workload.columns - 1).bit_length()
    name, _ = lane_format(workload)
    if name == "csr":
        return 0, 0
    if name == "coo":
        return part_cost("coo", (workload.out_channels - 1).bit_length())
    if name == "bitmap":
        return part_cost("bitmap", min(LARGEST_BITMAP, workload.columns))
    return part_cost("runlength", columns)


def copy_depth(workload: LayerWorkload) -> int:
    """Codes in the copy of the activations that every lane reads at random: two vectors of its
    columns, addressed by a bit and the column (`rtl/lane.v`)."""
    return 2 << (workload.columns - 1).bit_length()


def slides(workload: LayerWorkload) -> bool:
    """Whether a window of several pixels slides over the image."""
    return not workload.linear and workload.window.kernel != (1, 1)
