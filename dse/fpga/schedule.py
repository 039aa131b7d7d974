"""Schedule: latency of one image through the pipeline, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from dse.fpga.memory import Array, ceil_div
from dse.fpga.workload import LayerWorkload, Window

PIPELINE_CYCLES = 2
"""Registers through a matrix-vector unit (measured against RTL simulation)."""


@lru_cache(maxsize=4096)
def _last_inputs(window: Window) -> Array:
    """Raster index of the last input pixel that each output pixel (in raster order) needs."""
    axes = []
    for axis in range(2):
        reach = (window.kernel[axis] - 1) * window.dilation[axis] - window.padding[axis]
        last = np.arange(window.output_size[axis]) * window.stride[axis] + reach
        axes.append(np.clip(last, 0, window.input_size[axis] - 1))
    last_pixels: Array = (axes[0][:, None] * window.input_size[1] + axes[1][None, :]).ravel()
    # a window may need an earlier row only through padding; the stream still comes in order
    last_pixels = np.maximum.accumulate(last_pixels)
    last_pixels.setflags(write=False)
    return last_pixels


def _serve(ready: Array, cycles: int) -> Array:
    """When a unit of `cycles` per pixel finishes each pixel: max(ready, free) + cycles."""
    steps = cycles * np.arange(len(ready))
    finished: Array = np.maximum.accumulate(ready - steps) + steps + cycles
    return finished


def _slide(arrived: Array, window: Window) -> Array:
    """When all inputs of each output pixel have arrived.

    A stream whose pixels are not those of the window (a reshape in between) is waited for whole.
    """
    if len(arrived) != window.input_pixels:
        return np.full(window.output_pixels, arrived[-1])
    ready: Array = arrived[_last_inputs(window)]
    return ready


def latency_cycles(
    workloads: Sequence[LayerWorkload], words: Sequence[int], lanes: Sequence[int]
) -> int:
    """Cycles from the first input code to the last output of one image in an empty pipeline.

    `words` is each layer's cycles per output pixel, `lanes` the input channels it takes per cycle.
    An output pixel starts when its last input pixel has arrived and its unit is free; a pool's
    output follows its last input by a cycle. The sum of the layers is 43 % above a measured board,
    this recurrence 11 % below (CNV-W1A1 on a PYNQ-Z2).
    """
    pools = workloads[0].input_pools
    first = pools[0].window if pools else workloads[0].window
    arrived = np.zeros(first.input_pixels, dtype=np.int64)
    for pool in pools:
        arrived = _slide(_serve(arrived, 1), pool.window) + 1
    for workload, word, lane in zip(workloads, words, lanes, strict=True):
        # a linear layer reads all its inputs as one pixel, which arrives as the source's pixels
        cycles = ceil_div(workload.in_channels, lane) * workload.window.input_pixels
        taken = _serve(arrived, ceil_div(cycles, len(arrived)))
        arrived = _serve(_slide(taken, workload.window), word) + PIPELINE_CYCLES
        for pool in workload.pools:
            arrived = _slide(arrived, pool.window) + 1
    return int(arrived[-1])
