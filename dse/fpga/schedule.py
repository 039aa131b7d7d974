"""Schedule: how deep the FIFOs before joins and behind pools must be, from periodic streams."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from dse.fpga.memory import Array, ceil_div
from dse.fpga.workload import INPUT, NetworkWorkload, StreamWorkload, Window

PIPELINE_CYCLES = 2
"""Registers through a matrix-vector unit, and through a requantizer (`rtl/`, as simulated)."""


@lru_cache(maxsize=4096)
def last_inputs(window: Window) -> Array:
    """Raster index of the last input pixel that each output pixel (in raster order) needs."""
    axes = []
    for axis in range(2):
        size = window.input_size[axis]
        reach = (window.kernel[axis] - 1) * window.dilation[axis] - window.padding[axis]
        outputs = np.arange(window.output_size[axis])
        if window.output_size[axis] > size and window.kernel == (1, 1):  # copies of each pixel
            outputs = outputs * size // window.output_size[axis]
        axes.append(np.clip(outputs * window.stride[axis] + reach, 0, size - 1))
    last_pixels: Array = (axes[0][:, None] * window.input_size[1] + axes[1][None, :]).ravel()
    # a window may need an earlier row only through padding; the stream still comes in order
    last_pixels = np.maximum.accumulate(last_pixels)
    last_pixels.setflags(write=False)
    return last_pixels


def fifo_pixels(network: NetworkWorkload) -> Mapping[str, tuple[int, ...]]:
    """Pixels that must be held before each join, per source, and behind each pool, for no frames to
    be lost.

    Let every tensor of N pixels come strictly periodically, pixel k at f + k/N, in units of the
    initiation interval. A window then starts max_k(last(k)/N_in - k/N_out) after its source, where
    output pixel k needs input pixels up to last(k); a unit takes an input pixel in 1/N_in and
    computes an output pixel in 1/N_out at the slowest it may be, and its registers are worth at
    most PIPELINE_CYCLES more pixels. A join starts with its latest source, so source i waits
    floor((f - f_i) N) + 1 pixels long. This schedule holds for every folding that reaches the
    interval, and hardware that starts as soon as it can is never later than a schedule that its
    FIFOs allow (a marked graph is monotone), so these depths cost no frames.
    """
    first = {INPUT: 0.0}
    pixels = {INPUT: network.input_pixels}
    depths: dict[str, tuple[int, ...]] = {}
    for node in network.nodes:
        inputs, outputs = node.window.input_pixels, node.window.output_pixels
        starts = [
            # a source that is reshaped is waited for whole
            first[source] + (0.0 if pixels[source] == inputs else 1 - 1 / pixels[source])
            for source in node.sources
        ]
        start = max(starts)
        if len(starts) > 1:
            depths[node.name] = tuple(math.floor((start - f) * inputs) + 1 for f in starts)
        elif isinstance(node, StreamWorkload) and node.pools:
            depths[node.name] = (burst_pixels(node.window),)
        lead = _lead(node.window)
        first[node.name] = start + lead + 1 / inputs + (1 + PIPELINE_CYCLES) / outputs
        pixels[node.name] = outputs
    return depths


@lru_cache(maxsize=4096)
def _lead(window: Window) -> float:
    """Intervals between the first input pixel and the start of the first output pixel, both
    streams periodic."""
    ready = last_inputs(window) / window.input_pixels
    return float((ready - np.arange(window.output_pixels) / window.output_pixels).max())


@lru_cache(maxsize=4096)
def burst_pixels(window: Window) -> int:
    """Output pixels that wait behind a pool for a reader that takes them strictly periodically.

    The pool gives pixel j when its last input pixel comes, at last(j)/N_in: a row of them while a
    row of the image comes in, then none until the last row of the next windows. They are read at
    f + j/N_out, f as early as none is too late; the pixel that is being read waits, too. Behind a
    window pixels come evenly, but all words of a pixel at its end.
    """
    if not window.tiles:
        return 1
    inputs, outputs = window.input_pixels, window.output_pixels
    early = last_inputs(window) * outputs - np.arange(outputs) * inputs
    return int(ceil_div(early.max() - early.min(), inputs)) + 1
