"""Foldings: every (PE, SIMD) of every layer with its cycles, dense and sparse."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, lru_cache

import numpy as np

from dse.errors import InputError, nearest
from dse.fpga import sparse
from dse.fpga.arithmetic import tree_levels
from dse.fpga.memory import Array, ceil_div
from dse.fpga.sliding import NO_WINDOW, window_block, window_plan
from dse.fpga.workload import LayerWorkload, Size, Window

Folding = Mapping[str, tuple[int, int]]
"""Layer name to (PE, SIMD)."""


MOST_SLACK = 8
"""A layer more than this many times faster than the slowest layer at its fastest only costs area.
Some slack is kept, as more and smaller weight arrays may suit the memories better."""


@dataclass(frozen=True, eq=False)
class Units:
    """Foldings of all layers, one per row; dense and sparse, before multipliers are chosen.

    `words` is the depth of the weight memory (of the busiest lane where sparse) and the cycles per
    output pixel; `lanes` input channels are taken per cycle. `plan` is the folding's row in the
    layer's `window_plans`.
    """

    layer: Array
    pe: Array
    simd: Array
    levels: Array
    sparse: Array
    words: Array
    lanes: Array
    plan: Array
    cycles: Array


_FIELDS = len(fields(Units))


def enumerate_foldings(workloads: Sequence[LayerWorkload], folding: Folding | None) -> Units:
    """Foldings of all layers, by layer and then cycles; `folding` fixes those of layers it names.

    Raises InputError when `folding` names no layer or does not divide its layer.
    """
    check_names(workloads, folding)
    blocks = []
    for index, workload in enumerate(workloads):
        given = None if folding is None else folding.get(workload.name)
        blocks += _blocks(index, workload, given)
    table = np.concatenate(blocks, axis=1)
    table = table[:, np.lexsort((table[-1], table[0]))]
    return Units(*table[:, _worthwhile(table[0], table[-1])])


def check_names(workloads: Sequence[LayerWorkload], folding: Folding | None) -> None:
    """Raise InputError when `folding` names a layer that is not among `workloads`."""
    names = [workload.name for workload in workloads]
    for name in folding or {}:
        if name not in names:
            raise InputError(f"folding.{name}: no such layer{nearest(name, names)}")


def _worthwhile(layer: Array, cycles: Array) -> Array:
    """Which units (by layer, then cycles) are not far faster than any pipeline can be."""
    starts = np.flatnonzero(np.diff(layer, prepend=-1))
    ends = np.append(starts[1:], len(layer)) - 1
    useful = np.minimum(cycles[starts].max(), cycles[ends])
    kept: Array = MOST_SLACK * cycles >= useful[layer]
    return kept


def _blocks(index: int, workload: LayerWorkload, given: tuple[int, int] | None) -> list[Array]:
    """Tables of the dense and, where possible, sparse units of one layer: a row per Units field."""
    rows, columns = workload.out_channels, workload.columns
    dense = _dense(rows, workload.window.kernel, workload.in_channels, workload.groups)
    if given is not None:
        dense = dense[:, (dense[0] == given[0]) & (dense[1] == given[1])]
        if not dense.shape[1]:
            raise InputError(
                f"folding.{workload.name}: PE must divide {rows} and SIMD {columns}, "
                f"but got {given}"
            )
    blocks = [_block(index, workload, dense, False)]
    if sparse.can_skip_zeros(workload):
        lanes = _sparse(rows, columns).copy()
        lanes[3] = sparse.lane_words(workload.row_nonzeros, _lane_simd(columns)).ravel()
        if given is not None:
            lanes = lanes[:, (lanes[0] == given[0]) & (lanes[1] == given[1])]
        blocks.append(_block(index, workload, lanes, True))
    return blocks


def _block(index: int, workload: LayerWorkload, folded: Array, skips: bool) -> Array:
    """Units of one layer from (PE, SIMD, tree levels, words, lanes, plan), shape (6, n)."""
    window = workload.window
    block = np.empty((_FIELDS, folded.shape[1]), dtype=np.int64)
    block[0], block[4] = index, skips
    block[1:4], block[5:8] = folded[:3], folded[3:]
    if skips:
        computed, passes = sparse.paced(workload, folded[3]), workload.in_channels
    else:
        computed = folded[3] * window.output_pixels
        passes = ceil_div(workload.in_channels, folded[4])
    np.maximum(computed, window.input_pixels * passes, out=block[8])
    return block


@cache
def _dense(rows: int, kernel: Size, in_channels: int, groups: int) -> Array:
    """(PE, SIMD, tree levels, words, lanes, plan) of every dense folding, shape (6, n)."""
    columns = in_channels // groups * math.prod(kernel)
    simd = [(q, tree_levels(q)) for q in sparse.divisors(columns)]
    folded: list[tuple[int, ...]] = []
    for p in sparse.divisors(rows):
        for q, levels in simd:
            # rows of as many groups as P spans are computed at once, each on its own channels
            own = window_block(in_channels // groups, kernel, q)[0]
            lanes = min(in_channels, ceil_div(p * groups, rows) * own)
            folded.append((p, q, levels, rows // p * (columns // q), lanes, len(folded)))
    return np.array(folded, dtype=np.int64).T


@cache
def _lane_simd(columns: int) -> Array:
    return np.array([q for q in sparse.LANE_SIMD if q <= columns], dtype=np.int64)


@cache
def _sparse(rows: int, columns: int) -> Array:
    """As `_dense` for every lane layout, in the order of `lane_words`; words are still 0.

    Every lane's copy of the activations has one write port: one code is taken per cycle.
    """
    # behind all dense foldings there is the window that lanes take one code of
    plan = len(sparse.divisors(rows)) * len(sparse.divisors(columns))
    pairs = [
        (p, q, tree_levels(q), 0, 1, plan)
        for q in _lane_simd(columns).tolist()
        for p in sparse.divisors(rows)
    ]
    return np.array(pairs, dtype=np.int64).T


def window_plans(workload: LayerWorkload) -> Array:
    """The window of every dense folding, in the order of `_dense`, then that of lanes, shape
    (fields of a Plan, n + 1); zeros where nothing slides."""
    slides = workload.window if sparse.slides(workload) else None
    groups, channels = workload.groups, workload.in_channels
    return _window_plans((workload.out_channels, workload.columns), slides, channels, groups)


@lru_cache(maxsize=4096)
def _window_plans(
    shape: tuple[int, int], window: Window | None, channels: int, groups: int
) -> Array:
    rows, columns = shape
    foldings = itertools.product(sparse.divisors(rows), sparse.divisors(columns))
    plans = [NO_WINDOW] * (len(sparse.divisors(rows)) * len(sparse.divisors(columns)) + 1)
    if window is not None:
        plans = [
            window_plan(window, channels, int(ceil_div(p * groups, rows)) * q, p / rows)
            for p, q in foldings
        ]
        plans.append(window_plan(window, channels, 1, 1.0))
    found = np.array(plans, dtype=np.int64).T
    found.setflags(write=False)
    return found
