"""Streams: resources of pools, adds, concats and upsamplings, for every number of lanes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dse.fpga import arithmetic
from dse.fpga.device import RESOURCES, Device
from dse.fpga.memory import Array, buffer, ceil_div
from dse.fpga.pool import pool_resources
from dse.fpga.sparse import divisors
from dse.fpga.unit import CONVERTER, FIFO_DEPTH, FIFO_LUT
from dse.fpga.workload import StreamWorkload
from dse.integer.requantize import MULTIPLIER_BITS

QUEUE_LUT = 4.3
"""LUTs of a FIFO in a memory per bit of its count, memory aside: 26 where 48 words are kept, at
widths of 1, 4 and 6 bits (yosys 0.70, xc7, `tests/fpga/golden/lenet5_stages.csv`)."""

_LUT, _FF, _DSP, _BRAM, _, _LUTRAM = range(len(RESOURCES))


@dataclass(frozen=True, eq=False)
class StreamOptions:
    """A stream node at every number of lanes that differs in speed, fastest first.

    `cycles` per image ascend; `resources` has a row per entry.
    """

    lanes: Array
    cycles: Array
    resources: Array

    def slowest(self, targets: Array) -> Array:
        """Index of the fewest lanes that meet each of `targets`; the most where none does."""
        found: Array = np.searchsorted(self.cycles, targets, side="right") - 1
        return np.maximum(found, 0)


@lru_cache(maxsize=4096)
def stream_options(
    stream: StreamWorkload, fifo_pixels: tuple[int, ...], copies: int, device: Device
) -> StreamOptions:
    """Options of `stream`, whose sources wait in FIFOs of `fifo_pixels` pixels (none: ()), and
    whose output is copied `copies` times for further readers.

    A pixel of C channels takes ceil(C / lanes) cycles, so only the least lanes of every quotient
    are of interest; those of a pool divide its channels (`rtl_network`).
    """
    channels = stream.widest_channels
    passes = np.array(divisors(channels)) if stream.pools else np.arange(1, channels + 1)
    lanes = np.unique(ceil_div(channels, passes))[::-1]
    needs = _COSTS[stream.kind](stream, lanes, device)
    for pixels, bits, count in zip(
        fifo_pixels, stream.source_bits, stream.source_channels, strict=False
    ):
        # a pixel is kept whole, as many words of all lanes as it has channels for
        needs += _fifo(lanes * bits, pixels * ceil_div(count, lanes), device)
    # words are gathered in a register before; copies, and what a pool has itself, are registered
    wide, copied = lanes > 1, copies + (0 if stream.pools else 1)
    needs[:, _LUT] += CONVERTER * len(stream.sources) * wide + lanes * copied * stream.bits
    needs[:, _FF] += (CONVERTER * len(stream.sources) + lanes * sum(stream.source_bits)) * wide
    needs[:, _FF] += lanes * copied * stream.bits
    cycles = stream.pixels * ceil_div(channels, lanes)
    if stream.pools and not stream.window.tiles:
        # a cycle per pixel of every window, unless lanes for all channels take it whole
        area = np.where(lanes < channels, math.prod(stream.window.kernel), 1)
        windows = stream.window.output_pixels * area * ceil_div(channels, lanes)
        cycles = np.maximum(cycles, windows)
    options = StreamOptions(lanes, cycles, np.ceil(needs))
    for array in (options.lanes, options.cycles, options.resources):
        array.setflags(write=False)
    return options


def _none(lanes: Array) -> Array:
    return np.zeros((len(lanes), len(RESOURCES)))


def _fifo(width: Array, words: Array, device: Device) -> Array:
    """First in, first out: in shift registers (`rtl/fifo.v`), or in a memory where there are more
    words than a LUT holds (`rtl/queue.v`): two addresses, a count and the word that was read."""
    counter = np.frexp(words)[1]  # words + 1 states
    luts, blocks = buffer(width, words, device)
    short = words <= FIFO_DEPTH
    needs = _none(width)
    needs[:, _LUTRAM] = np.where(short, width, luts)
    needs[:, _LUT] = needs[:, _LUTRAM] + np.where(short, FIFO_LUT, QUEUE_LUT) * counter
    needs[:, _FF] = np.where(short, counter, 3 * counter + 1 + np.where(blocks > 0, 0, width))
    needs[:, _BRAM] = np.where(short, 0, blocks)
    return needs


def _average_pool(stream: StreamWorkload, lanes: Array, device: Device) -> Array:
    """A pool, and a requantizer per lane."""
    needs = pool_resources(stream, lanes, device)
    if stream.requantizes:
        needs += _requantizers(lanes, (stream.accumulator_bits, stream.bits), device)
    return needs


def _add(stream: StreamWorkload, lanes: Array, device: Device) -> Array:
    """Per lane a 15-bit multiplier in DSPs for every source, adders of the sum's width, and the
    shift, rounding and clamp of a requantizer, which an add has without its multiplier."""
    multipliers = sum(
        arithmetic.dsps_per_product(MULTIPLIER_BITS + 1, bits, device.dsp_ports)
        for bits in stream.source_bits
    )
    needs = _none(lanes)
    sums = (len(stream.sources) - 1) * stream.accumulator_bits
    needs[:, _LUT] = lanes * (sums + arithmetic.requantizer_lut(stream.bits))
    needs[:, _FF] = lanes * stream.accumulator_bits
    needs[:, _DSP] = lanes * multipliers
    return needs


def _concat(stream: StreamWorkload, lanes: Array, device: Device) -> Array:
    """A multiplexer that takes one source's channels after the other's, four sources per LUT; a
    requantizer per lane, with a constant for every source, where one is rescaled."""
    needs = _none(lanes)
    inputs = len(stream.sources)
    needs[:, _LUT] = lanes * max(stream.source_bits) * ceil_div(inputs - 1, 3)
    if stream.rescaled:
        needs += _requantizers(lanes, (max(stream.source_bits) + 1, stream.bits), device)
    return needs


def _upsample(stream: StreamWorkload, lanes: Array, device: Device) -> Array:
    """Two rows of the input, one replayed while the next arrives; one pixel where only x grows."""
    window = stream.window
    grows = window.output_size[0] > window.input_size[0]
    pixels = 2 * window.input_size[1] if grows else 1
    luts, blocks = buffer(lanes * stream.bits, ceil_div(pixels * stream.channels, lanes), device)
    needs = _none(lanes)
    needs[:, _LUT] = luts + (arithmetic.WINDOW_CONTROL_LUT if grows else 0)
    needs[:, _LUTRAM] = luts
    needs[:, _BRAM] = blocks
    return needs


def _requantizers(lanes: Array, bits: tuple[int, int], device: Device) -> Array:
    """Requantizers from and to codes or sums of `bits`."""
    needs = _none(lanes)
    needs[:, _LUT] = lanes * arithmetic.requantizer_lut(bits[1])
    needs[:, _DSP] = lanes * arithmetic.requantizer_dsp(bits[0], device.dsp_ports)
    return needs


_COSTS = {
    "max_pool": pool_resources,
    "average_pool": _average_pool,
    "add": _add,
    "concat": _concat,
    "upsample": _upsample,
}
