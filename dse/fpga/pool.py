"""Pools: resources of max-pool units in the stream."""

from __future__ import annotations

import math

import numpy as np

from dse.fpga.arithmetic import WINDOW_CONTROL_LUT
from dse.fpga.device import RESOURCES, Device
from dse.fpga.memory import Array, buffer, ceil_div
from dse.fpga.workload import StreamWorkload


def pool_resources(pool: StreamWorkload, lanes: Array, device: Device) -> Array:
    """Resources, shape (n, RESOURCES), of `pool` behind units that write `lanes` channels a cycle.

    A lane holds a comparator (two bits per LUT of the carry chain) and a selector (one LUT per bit)
    and registers its maximum. Windows side by side need one row of running maxima, others a
    sliding-window ring and its control; lanes for all channels compare all positions at once.
    """
    (kernel_y, kernel_x), width = pool.window.kernel, pool.window.input_size[1]
    overlap = not pool.window.tiles
    pixels = (kernel_y - 1) * width + kernel_x if overlap else pool.window.output_size[1]
    lanes = np.minimum(lanes, pool.channels)
    whole = overlap & (lanes == pool.channels)
    compares = np.where(whole, math.prod(pool.window.kernel) - 1, 1)
    depth = ceil_div(pixels * pool.channels, lanes)
    luts, blocks = buffer(lanes * pool.bits, depth, device)
    needs = np.zeros((len(lanes), len(RESOURCES)))
    logic = lanes * compares * (ceil_div(pool.bits, 2) + pool.bits)
    needs[:, 0] = logic + luts + (WINDOW_CONTROL_LUT if overlap else 0)
    needs[:, 1] = lanes * pool.bits
    needs[:, 3] = blocks
    needs[:, 5] = luts
    return needs
