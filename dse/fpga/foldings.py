"""Foldings: every (PE, SIMD) of every layer with its cycles, dense and sparse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from dse.errors import InputError
from dse.fpga import sparse
from dse.fpga.arithmetic import tree_levels
from dse.fpga.memory import Array, ceil_div
from dse.fpga.workload import LayerWorkload

Folding = Mapping[str, tuple[int, int]]
"""Layer name to (PE, SIMD)."""


MOST_SLACK = 8
"""A layer more than this many times faster than the slowest layer at its fastest only costs area.
Some slack is kept, as more and smaller weight arrays may suit the memories better."""


@dataclass(frozen=True, eq=False)
class Units:
    """Foldings of all layers, one per row; dense and sparse, before multipliers are chosen.

    `words` is the depth of the weight memory (of the busiest lane where sparse) and the cycles per
    output pixel; `input_cycles` those to take in one image.
    """

    layer: Array
    pe: Array
    simd: Array
    levels: Array
    sparse: Array
    words: Array
    lanes: Array
    cycles: Array
    input_cycles: Array


def enumerate_foldings(workloads: Sequence[LayerWorkload], folding: Folding | None) -> Units:
    """Foldings of all layers, by layer and then cycles; `folding` fixes those of layers it names.

    Raises InputError when `folding` names no layer or does not divide its layer.
    """
    names = [workload.name for workload in workloads]
    for name in folding or {}:
        if name not in names:
            raise InputError(f"folding.{name}: no such layer (known: {', '.join(names)})")
    layers = [_layer_units(i, workload, folding) for i, workload in enumerate(workloads)]
    columns = [np.concatenate(column) for column in zip(*layers, strict=True)]
    units = Units(*columns)
    order = np.lexsort((units.cycles, units.layer))
    return Units(*(column[order[_worthwhile(units, order)]] for column in columns))


def _worthwhile(units: Units, order: Array) -> Array:
    """Which units of `order` (by layer, then cycles) are not far faster than any pipeline can be."""
    cycles, layer = units.cycles[order], units.layer[order]
    starts = np.flatnonzero(np.diff(layer, prepend=-1))
    ends = np.append(starts[1:], len(layer)) - 1
    useful = np.minimum(cycles[starts].max(), cycles[ends])
    kept: Array = MOST_SLACK * cycles >= useful[layer]
    return kept


@cache
def _dense_pairs(rows: int, columns: int) -> Array:
    """(PE, SIMD, tree levels) of every folding, shape (3, n)."""
    pairs = [
        (p, q, tree_levels(q)) for p in sparse.divisors(rows) for q in sparse.divisors(columns)
    ]
    return np.array(pairs, dtype=np.int64).T


def _sparse_columns(workload: LayerWorkload) -> tuple[Array, Array]:
    """(PE, SIMD, tree levels) of every lane layout, shape (3, n), and words, shape (n,)."""
    simd = np.array([q for q in sparse.LANE_SIMD if q <= workload.columns], dtype=np.int64)
    lanes = sparse.divisors(workload.out_channels)
    levels = np.array([tree_levels(q) for q in simd.tolist()])
    columns = [
        np.tile(lanes, len(simd)),
        np.repeat(simd, len(lanes)),
        np.repeat(levels, len(lanes)),
    ]
    return np.array(columns), sparse.lane_words(workload.row_nonzeros, simd).ravel()


def _chosen(workload: LayerWorkload, folding: Folding | None, columns: Array) -> Array:
    """Which columns a given folding allows."""
    if folding is None or workload.name not in folding:
        return np.ones(columns.shape[1], dtype=bool)
    pe, simd = folding[workload.name]
    allowed: Array = (columns[0] == pe) & (columns[1] == simd)
    return allowed


def _layer_units(index: int, workload: LayerWorkload, folding: Folding | None) -> list[Array]:
    """Integer columns of one layer's units, in the order of the fields of Units."""
    dense = _dense_pairs(workload.out_channels, workload.columns)
    dense = dense[:, _chosen(workload, folding, dense)]
    if not dense.shape[1]:
        assert folding is not None
        pe, simd = folding[workload.name]
        raise InputError(
            f"folding.{workload.name}: PE must divide {workload.out_channels} and SIMD "
            f"{workload.columns}, but got ({pe}, {simd})"
        )
    pe, simd, _ = dense
    words = (workload.out_channels // pe) * (workload.columns // simd)
    blocks = [_block(index, workload, dense, words, sparse.dense_lanes(workload, pe, simd))]
    if sparse.can_skip_zeros(workload):
        columns, words = _sparse_columns(workload)
        kept = _chosen(workload, folding, columns)
        columns, words = columns[:, kept], words[kept]
        # every lane's copy of the activations has one write port: one code per cycle
        blocks.append(_block(index, workload, columns, words, None))
    return [np.concatenate(column) for column in zip(*blocks, strict=True)]


def _block(
    index: int, workload: LayerWorkload, columns: Array, words: Array, lanes: Array | None
) -> list[Array]:
    window, count = workload.window, columns.shape[1]
    width = np.ones(count, dtype=np.int64) if lanes is None else lanes
    taken = window.input_pixels * ceil_div(workload.in_channels, width)
    return [
        np.full(count, index),
        *columns,
        np.full(count, lanes is None),
        words,
        width,
        np.maximum(words * window.output_pixels, taken),
        taken,
    ]
