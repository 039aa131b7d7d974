"""Schedule: latency of one image, pixel by pixel, and how deep the FIFOs before a join must be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from dse.fpga.memory import Array, ceil_div
from dse.fpga.workload import INPUT, LayerWorkload, NetworkWorkload, StreamWorkload, Window

PIPELINE_CYCLES = 2
"""Registers through a matrix-vector unit (measured against RTL simulation)."""


@lru_cache(maxsize=4096)
def _last_inputs(window: Window) -> Array:
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
    network: NetworkWorkload, words: Mapping[str, int], lanes: Mapping[str, int]
) -> int:
    """Cycles from the first input code to the last output of one image in an empty pipeline.

    `words` is each layer's cycles per output pixel, `lanes` the channels that each node takes per
    cycle. An output pixel starts when its last input pixel has arrived on every input and its unit
    is free. The sum of the layers is 43 % above a measured board, this recurrence 11 % below
    (CNV-W1A1 on a PYNQ-Z2).
    """
    arrived = {INPUT: np.zeros(network.input_pixels, dtype=np.int64)}
    for node in network.nodes:
        if isinstance(node, LayerWorkload):
            done = _through_layer(arrived[node.source], node, words[node.name], lanes[node.name])
        else:
            ready = [arrived[source] for source in node.sources]
            done = _through_stream(ready, node, lanes[node.name])
        arrived[node.name] = done
    return int(arrived[network.nodes[-1].name][-1])


def _through_layer(arrived: Array, layer: LayerWorkload, words: int, lanes: int) -> Array:
    # a linear layer reads all its inputs as one pixel, which arrives as the source's pixels
    cycles = ceil_div(layer.in_channels, lanes) * layer.window.input_pixels
    taken = _serve(arrived, ceil_div(cycles, len(arrived)))
    return _serve(_slide(taken, layer.window), words) + PIPELINE_CYCLES


def _through_stream(arrived: list[Array], stream: StreamWorkload, lanes: int) -> Array:
    """A pixel of a join is there when it is there on every input; a concat then takes its sources
    one after the other. A pool follows its last input by a cycle."""
    pixels = stream.window.input_pixels
    whole = [times if len(times) == pixels else np.full(pixels, times[-1]) for times in arrived]
    channels = max(stream.channels, *stream.source_channels)
    taken = _serve(np.maximum.reduce(whole), ceil_div(channels, lanes))
    if stream.window.output_pixels > pixels:
        return _serve(_slide(taken, stream.window), ceil_div(channels, lanes))
    multiplies = stream.rescaled or stream.requantizes
    return _slide(taken, stream.window) + (PIPELINE_CYCLES if multiplies else 1)


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
        elif isinstance(node, StreamWorkload) and node.window.tiles:
            depths[node.name] = (burst_pixels(node.window),)
        lead = _lead(node.window)
        first[node.name] = start + lead + 1 / inputs + (1 + PIPELINE_CYCLES) / outputs
        pixels[node.name] = outputs
    return depths


@lru_cache(maxsize=4096)
def _lead(window: Window) -> float:
    """Intervals between the first input pixel and the start of the first output pixel, both
    streams periodic."""
    ready = _last_inputs(window) / window.input_pixels
    return float((ready - np.arange(window.output_pixels) / window.output_pixels).max())


@lru_cache(maxsize=4096)
def burst_pixels(window: Window) -> int:
    """Output pixels that wait behind a pool for a reader that takes them strictly periodically.

    The pool gives pixel j when its last input pixel comes, at last(j)/N_in: a row of them while a
    row of the image comes in, then none until the last row of the next windows. They are read at
    f + j/N_out, f as early as none is too late; the pixel that is being read waits, too.
    """
    inputs, outputs = window.input_pixels, window.output_pixels
    early = _last_inputs(window) * outputs - np.arange(outputs) * inputs
    return int(ceil_div(early.max() - early.min(), inputs)) + 1
