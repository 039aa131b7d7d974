"""Sliding windows: their words and rows, and what `rtl/window.v` takes for every folding."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from dse.fpga.device import RESOURCES, Device
from dse.fpga.memory import Array, buffer, ceil_div
from dse.fpga.workload import Size, Window

CONTROL_LUT, TURN_LUT = 1.84, 0.48
"""LUTs of a window per register of its counters and flags, and per bit of its word and bit of the
phases that rotate it; fitted to the table window_luts (yosys 0.70, xc7)."""

_LUT, _FF, _BRAM, _LUTRAM = (RESOURCES.index(name) for name in ("lut", "ff", "bram18", "lutram"))


class Plan(NamedTuple):
    """A window for one folding: its word is `codes` codes out of `banks` memories of `depth` words.

    `control` counts registers beside the word, `turns` the bits of the two phases that rotate it,
    `addresses` the bits of all banks' read addresses, which are added up.
    What follows it gathers the word to `wide` codes or hands it on in parts, 0 where neither is.
    """

    codes: int
    banks: int
    depth: int
    control: int
    turns: int
    addresses: int
    wide: int


NO_WINDOW = Plan(0, 0, 0, 0, 0, 0, 0)


def window_block(channels: int, kernel: Size, simd: int) -> tuple[int, int, int]:
    """(channels, pixels in x, rows) of a window's word: the least one that holds `simd` codes.

    A word is part of a pixel, pixels of a row of the window, or all of the window: these lie in
    memories of their own.
    """
    parts = [(n, 1, 1) for n in range(1, channels + 1) if channels % n == 0]
    pixels = [(channels, n, 1) for n in range(2, kernel[1] + 1) if kernel[1] % n == 0]
    fitting = (block for block in (*parts, *pixels) if math.prod(block) >= simd)
    return min(fitting, key=math.prod, default=(channels, kernel[1], kernel[0]))


def ring_rows(window: Window, share: float, rows_at_once: int) -> int:
    """Rows of the image that a window keeps, so that a pipeline at full pace never waits for it.

    Let pixels come in and windows be read strictly periodically, as in `schedule.fifo_pixels`; a
    window is read in the first `share` of its period. Rows from the first one of a row of windows
    to those that have come in when it is read are held. A multiple of `rows_at_once`.
    """
    return int(ceil_div(_least_rows(window, share), rows_at_once)) * rows_at_once


@lru_cache(maxsize=65536)
def _least_rows(window: Window, share: float) -> int:
    (rows, columns), (out_rows, out_columns) = window.input_size, window.output_size
    reach = window.reach[0]
    lead = max(
        (
            min(y * window.stride[0] - window.padding[0] + reach, rows)
            * columns
            / window.input_pixels
            - y / out_rows
            for y in range(out_rows)
        ),
    )
    most = reach + 1
    for y in range(out_rows):
        read = lead + ((y + 1) * out_columns - 1 + share) / window.output_pixels
        first = y * window.stride[0] - window.padding[0]
        most = max(most, math.ceil(read * rows) - first)
    return most


@lru_cache(maxsize=65536)
def window_plan(window: Window, channels: int, simd: int, share: float) -> Plan:
    """The window that feeds `simd` codes per cycle and is read in `share` of its period.

    Registers are those of `rtl/window.v`, the bits of every counter as declared there.
    """
    together, pixels, lines = window_block(channels, window.kernel, simd)
    ring = ring_rows(window, share, lines)
    (rows, columns), (reach_y, reach_x) = window.input_size, window.reach
    groups = channels // together
    line = math.ceil(columns / pixels) * groups
    depth, steps = ring // lines * line, window.kernel[1] // pixels * groups
    address = (depth + line + steps).bit_length() + 1
    count = (ring + rows + reach_y).bit_length() + 1
    across = (columns + 2 * window.padding[1] + reach_x).bit_length() + 1
    down = (rows + 2 * window.padding[0] + reach_y).bit_length() + 1
    phase, turn = (pixels - 1).bit_length(), (lines - 1).bit_length()
    # group, part; step and row of the kernel, where there are several
    loops = 2 * groups.bit_length() * (groups > 1) + steps.bit_length() * (steps > 1)
    loops += window.kernel[0].bit_length() * (window.kernel[0] > lines)
    control = loops + 3 * across + 2 * down + count + 5 * address + 3 * (phase + turn)
    control += 1 + pixels + lines
    codes, banks = together * pixels * lines, pixels * lines
    wide = 0 if codes == simd else math.lcm(codes, simd)
    return Plan(codes, banks, depth, control, phase + turn, banks * address, wide)


def window_needs(plan: Plan, bits: Any, positions: Array, device: Device) -> Array:
    """Resources, shape (n, RESOURCES), of windows over codes of `bits` (`rtl/window.v`), and of
    what makes words of `positions` codes of theirs. The fields of `plan` are arrays of n."""
    width = plan.codes // np.maximum(plan.banks, 1) * bits
    luts, blocks = buffer(width, np.asarray(plan.depth), device)
    needs = np.zeros((len(positions), len(RESOURCES)))
    needs[:, _LUTRAM] = plan.banks * luts
    moved = TURN_LUT * plan.turns * plan.codes * bits + plan.addresses
    # a wider word is written a part at a time, a narrower one shifted out: a LUT per bit that moves
    parted = np.where(plan.wide > positions, (plan.wide - positions) * bits, 0)
    needs[:, _LUT] = needs[:, _LUTRAM] + CONTROL_LUT * plan.control + moved + parted
    word = np.where(blocks > 0, 0, plan.codes * bits)
    needs[:, _FF] = plan.control + word + plan.wide * bits
    needs[:, _BRAM] = plan.banks * blocks
    return needs
