"""Latency: when the last value of one image leaves an empty pipeline, pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dse.fpga.foldings import Units
from dse.fpga.memory import ceil_div
from dse.fpga.schedule import PIPELINE_CYCLES, burst_pixels, last_inputs
from dse.fpga.sliding import window_block
from dse.fpga.sparse import DRAIN
from dse.fpga.unit import FIFO_DEPTH
from dse.fpga.workload import INPUT, LayerWorkload, NetworkWorkload, StreamWorkload, Window

Times = npt.NDArray[np.float64]

WINDOW_CYCLES = 2
"""From a window's last input pixel to its first word (`rtl/window.v`: a memory and a register)."""

SUMS_CYCLES = 6
"""From the last code of lanes' copy to the first row out, beside their words (`rtl/sparse.v`)."""


@dataclass(frozen=True)
class Pace:
    """How a node computes: `takes` and `gives` channels per word, `words` cycles per output pixel
    with `simd` columns in each; `skips`: lanes that skip zeros."""

    takes: int
    gives: int
    words: int = 1
    simd: int = 1
    skips: bool = False


@dataclass(frozen=True)
class _Stream:
    """When each pixel of a tensor is there to be taken, in cycles from the first code on; its first
    word comes `spread` cycles earlier, and words are of `count` channels."""

    last: Times
    spread: int
    count: int


def unit_pace(units: Units, index: int) -> Pace:
    """The pace of a layer's unit."""
    skips = bool(units.sparse[index])
    pe = int(units.pe[index])
    return Pace(
        takes=int(units.lanes[index]),
        gives=1 if skips else pe,
        words=int(units.words[index]),
        simd=1 if skips else int(units.simd[index]),
        skips=skips,
    )


def latency_cycles(network: NetworkWorkload, paces: Mapping[str, Pace]) -> int:
    """Cycles from the first input code to the last output of one image in an empty pipeline, both
    included.

    A pixel is taken when its words have come through the width converters, an output pixel starts
    when its last input pixel is there and its unit is free, and the registers on the way are those
    of the Verilog in `rtl/`, as simulated. Full FIFOs are not waited for.
    """
    streams: dict[str, _Stream] = {}
    for node in network.nodes:
        pace = paces[node.name]
        if INPUT in node.sources:  # offered in the words that suit
            streams[INPUT] = _Stream(np.ones(network.input_pixels), 0, pace.takes)
        sources = [streams[name] for name in node.sources]
        if isinstance(node, StreamWorkload):
            streams[node.name] = _through_stream(sources, node, pace)
        elif pace.skips:
            streams[node.name] = _through_lanes(sources[0], node, pace)
        else:
            streams[node.name] = _through_unit(sources[0], node, pace)
    return round(float(streams[network.nodes[-1].name].last[-1]))


def _serve(ready: Times, cycles: float, least: float = 0) -> Times:
    """When each pixel has been served: `least` cycles after it is ready, `cycles` after the one
    before it."""
    steps = cycles * _counted(len(ready))
    finished: Times = ready - steps
    np.maximum.accumulate(finished, out=finished)
    finished += steps + least
    return finished


@lru_cache(maxsize=256)
def _counted(pixels: int) -> Times:
    counted = np.arange(pixels, dtype=np.float64)
    counted.setflags(write=False)
    return counted


def _converted(source: int, count: int) -> tuple[int, int]:
    """(converters, words of the last one per word it gets) from words of `source` to `count`."""
    common = math.lcm(source, count)
    return int(common > source) + int(common > count), common // count


def _take(source: _Stream, count: int, cycles: float) -> Times:
    """When each pixel of `source` has been taken in words of `count`, `cycles` of them."""
    converters, words = _converted(source.count, count)
    least = converters + max(words - 1 if words > 1 else 0, cycles - 1 - source.spread)
    return _serve(source.last, cycles, least)


def _windows(taken: Times, window: Window) -> Times:
    """When all inputs of each output pixel have been taken.

    A stream whose pixels are not those of the window (a reshape in between) is waited for whole.
    """
    if len(taken) != window.input_pixels:
        return np.full(window.output_pixels, taken[-1])
    ready: Times = taken[last_inputs(window)]
    return ready


def _behind(node: LayerWorkload) -> int:
    """Registers behind a unit: requantizer and FIFO."""
    return PIPELINE_CYCLES * (node.multipliers > 0) + _fifo_cycles(FIFO_DEPTH)


def _fifo_cycles(words: int) -> int:
    """Cycles through an empty FIFO of `words`: the shift registers of `rtl/fifo.v`, or what is
    written and then read of `rtl/queue.v`."""
    return 1 if words <= FIFO_DEPTH else 2


def _through_unit(source: _Stream, layer: LayerWorkload, pace: Pace) -> _Stream:
    window, steps = layer.window, layer.columns // pace.simd
    passes = pace.words // steps
    if window.kernel == (1, 1) and window.input_size == window.output_size:
        # the first pass takes the pixels as they come; a linear layer's vector is all of them
        parts = len(source.last) // window.output_pixels
        taken = _take(source, pace.simd, steps / parts)[parts - 1 :: parts]
        if passes > 1 and steps > 1:
            taken = taken + _fifo_cycles(steps)
        done = _serve(taken, pace.words, pace.words - steps)
    else:
        taken = _take(source, pace.takes, ceil_div(layer.in_channels, pace.takes))
        block = math.prod(window_block(layer.in_channels, window.kernel, pace.simd))
        common = math.lcm(block, pace.simd)
        converters = common // block * (common > block) + (common > pace.simd)
        ready = _windows(taken, window) + WINDOW_CYCLES + converters
        done = _serve(ready, pace.words, pace.words - 1)
    return _Stream(done + PIPELINE_CYCLES + _behind(layer), (passes - 1) * steps, pace.gives)


def _through_lanes(source: _Stream, layer: LayerWorkload, pace: Pace) -> _Stream:
    """A window is copied, computed, and its rows leave, each while the next one is before it."""
    window, rows = layer.window, layer.out_channels
    codes = layer.columns * layer.groups
    if window.kernel == (1, 1) and window.input_size == window.output_size:
        parts = len(source.last) // window.output_pixels
        copied = _take(source, 1, codes / parts)[parts - 1 :: parts]
    else:
        taken = _take(source, 1, layer.in_channels)
        copied = _serve(_windows(taken, window) + WINDOW_CYCLES, codes, codes - 1)
    summed = _serve(copied, pace.words, pace.words)
    pace_out = max(rows, (pace.words + rows + DRAIN) / 2)
    done = _serve(summed, pace_out, SUMS_CYCLES + rows - 1)
    return _Stream(done + _behind(layer), rows - 1, 1)


def _through_stream(sources: list[_Stream], stream: StreamWorkload, pace: Pace) -> _Stream:
    """A pixel of a join is there when it is there on every input; a concat then takes its sources
    one after the other. A pool follows its last input by a cycle."""
    window, passes = stream.window, ceil_div(stream.widest_channels, pace.takes)
    multiplies = PIPELINE_CYCLES * bool(stream.rescaled or stream.requantizes)
    if len(sources) == 1 and len(sources[0].last) == window.input_pixels:
        taken = _take(sources[0], pace.takes, passes)
    else:
        whole = [
            one.last
            if len(one.last) == window.input_pixels
            else np.full(window.input_pixels, one.last[-1])
            for one in sources
        ]
        taken = _serve(np.maximum.reduce(whole), passes, passes)
    ready = _windows(taken, window)
    if window.output_pixels > window.input_pixels and not stream.pools:
        done = _serve(ready, passes, passes)
    elif stream.pools and not window.tiles:
        area = math.prod(window.kernel) * passes if passes > 1 else 1
        done = _serve(ready + WINDOW_CYCLES, area, area - 1) + 1 + multiplies
    else:
        done = ready + 1 + multiplies
    if stream.pools:
        done = done + _fifo_cycles(burst_pixels(window) * passes)
    return _Stream(done, passes - 1, pace.gives)
