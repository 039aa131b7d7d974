"""Pools: resources of pools in the stream, max and average, for every number of lanes."""

from __future__ import annotations

import math

import numpy as np

from dse.fpga.device import RESOURCES, Device
from dse.fpga.memory import Array, ceil_div, lut_ram
from dse.fpga.sliding import Plan, window_needs, window_plan
from dse.fpga.workload import StreamWorkload

CONTROL_LUT = 1.65
"""LUTs of a pool per register of its counters: mean of LeNet-5's two pools at three widths, 1.5 to
1.85 (yosys 0.70, xc7, `tests/fpga/golden/lenet5_stages.csv`)."""

_LUT, _FF, _LUTRAM = (RESOURCES.index(name) for name in ("lut", "ff", "lutram"))


def pool_resources(pool: StreamWorkload, lanes: Array, device: Device) -> Array:
    """Resources, shape (n, RESOURCES), of `pool` that takes `lanes` channels of a pixel a cycle,
    without the requantizers of an average.

    A lane compares (two bits per LUT of the carry chain) and selects (a LUT per bit), or adds. It
    keeps what the windows of a row have so far in LUTs, read within a cycle (`rtl/pool.v`). Where
    windows overlap, a sliding window hands on their pixels; lanes for all channels take a window at
    once, with a comparison or an adder per pixel but one (`rtl/pool_window.v`).
    """
    averages = pool.kind == "average_pool"
    bits = pool.accumulator_bits if averages else pool.bits
    lanes = np.minimum(lanes, pool.channels)
    groups, area = ceil_div(pool.channels, lanes), math.prod(pool.window.kernel)
    needs = np.zeros((len(lanes), len(RESOURCES)))
    size, whole = pool.window.input_size, np.zeros(len(lanes), dtype=bool)
    if not pool.window.tiles:
        size, whole = pool.window.kernel, groups == 1
        taken = np.where(whole, area, 1) * lanes
        plans = [window_plan(pool.window, pool.channels, one, 1.0) for one in taken.tolist()]
        windows = Plan(*np.array(plans, dtype=np.int64).T)
        needs += window_needs(windows, pool.source_bits[0], taken, device)
    words = size[1] // pool.window.kernel[1] * groups
    counted = sum(count.bit_length() for count in (*size, *pool.window.kernel))
    control = counted + _bits(groups + 1) * (groups > 1) + _bits(words)
    kept = np.where(whole, 0, lut_ram(lanes * bits, words, device))
    operation = bits if averages else ceil_div(bits, 2) + bits
    needs[:, _LUT] += lanes * np.where(whole, area - 1, 1) * operation + kept
    needs[:, _LUT] += np.where(whole, 0, CONTROL_LUT * control)
    needs[:, _FF] += lanes * bits + 1 + np.where(whole, 0, control)
    needs[:, _LUTRAM] += kept
    return needs


def _bits(states: Array) -> Array:
    """Bits of a counter of so many states."""
    found: Array = np.ceil(np.log2(states))
    return found
