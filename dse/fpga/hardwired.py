"""Template hardwired: weights are constants in the logic, an output pixel per cycle and layer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.errors import InputError
from dse.fpga import arithmetic
from dse.fpga.dataflow import pipeline
from dse.fpga.design import CannotBuild, Design, Request
from dse.fpga.device import RESOURCES, Device
from dse.fpga.foldings import Units
from dse.fpga.memory import Array, buffer, fifo_luts
from dse.fpga.options import Options, fork_resources
from dse.fpga.unit import FIFO_DEPTH
from dse.fpga.workload import LayerWorkload, NetworkWorkload
from dse.integer.grid import IntArray

_LUT, _FF, _DSP, _BRAM, _, _LUTRAM = range(len(RESOURCES))

LUT_PER_BIT, LUT_PER_ADDITION = 1.74, 0.47
"""LUTs of an addition per bit of the codes, and beside: fitted to constant dot products of 16 terms
synthesised with yosys 0.70 for xc7 (`python benchmarks/hardwired_luts.py`)."""


def design_hardwired(network: NetworkWorkload, device: Device, request: Request) -> Design:
    """Every layer fully unrolled; requantizers in DSPs or in LUTs, whichever suits the budget.

    There is nothing to fold: a multiplier that changes its constant needs a memory for it. Raises
    InputError for a folding, CannotBuild where the weights themselves are not known.
    """
    if request.folding:
        raise InputError(f"folding: constant weights do not fold, but got {dict(request.folding)}")
    return pipeline("hardwired", network, (_options(network, device), device), request)


def csd_digits(values: npt.NDArray[np.integer]) -> IntArray:
    """Non-zero digits of the canonical signed form of integers, same shape (Reitwiesner 1960).

    They are the ones of w xor 3w; no signed form has fewer.
    """
    sizes = np.abs(values.astype(np.int64))
    digits: IntArray = np.bitwise_count(sizes ^ (3 * sizes)).astype(np.int64)
    return digits


def dot_luts(digits: Array, code_bits: int) -> Array:
    """LUTs of dot products with constant weights that have `digits` non-zero digits each.

    Every digit but the first is an addition. Median error 6 %, largest 28 % (each left out of the
    fit) over 30 pairs of rows that take more than 40 LUTs; below, yosys finds what no formula sees.
    """
    luts: Array = np.maximum(digits - 1, 0) * (LUT_PER_BIT * code_bits + LUT_PER_ADDITION)
    return luts


def _options(network: NetworkWorkload, device: Device) -> Options:
    """Two options per layer: requantizers multiply in DSPs or in LUTs."""
    layers = network.layers
    index = np.arange(len(layers))
    cycles = np.array([max(w.window.output_pixels, w.window.input_pixels) for w in layers])
    rows = np.array([layer.out_channels for layer in layers])
    columns = np.array([layer.columns for layer in layers])
    lanes = np.array([layer.in_channels for layer in layers])
    zero, one = np.zeros(len(layers), dtype=np.int64), np.ones(len(layers), dtype=np.int64)
    units = Units(index, rows, columns, zero, zero, one, lanes, zero, cycles)
    needs = np.stack([_resources(layer, device) for layer in layers])
    needs += fork_resources(network, index, rows)[:, None]
    unit = np.repeat(index, 2)
    return Options(
        units=units,
        unit=unit,
        multiplier=np.tile([0, 1], len(layers)),
        memory=np.zeros(len(unit), dtype=np.int64),
        cycles=cycles[unit],
        resources=np.ceil(needs.reshape(len(unit), len(RESOURCES))),
        starts=2 * np.arange(len(layers) + 1),
        word_bits=zero,
        computes=("constant",),
        multipliers=("constant", "constant"),
        memories=("none",),
    )


def _resources(layer: LayerWorkload, device: Device) -> Array:
    """Resources of one layer, shape (2, RESOURCES): requantizers in DSPs, then in LUTs.

    Adders are pipelined: each has its register in the slice of its carry chain.
    """
    if layer.values is None:
        raise CannotBuild(f"{layer.name}: only counts of its weights are known, not their values")
    sums = dot_luts(csd_digits(layer.values).sum(axis=1), layer.activation_bits).sum()
    adders = sums + layer.out_channels * layer.accumulator_bits  # each row adds its bias
    written = layer.out_channels * layer.output_bits
    shared = _window(layer, device)
    shared[_LUT] += adders + fifo_luts(np.array([written]), FIFO_DEPTH)[0]
    shared[_FF] += adders + written
    needs = np.stack([shared, shared])
    if layer.scales is not None:
        dsps = arithmetic.requantizer_dsp(layer.accumulator_bits, device.dsp_ports)
        digits = csd_digits(layer.scales)
        each = np.broadcast_to(digits, layer.out_channels)
        needs[:, _LUT] += layer.out_channels * arithmetic.requantizer_lut(layer.output_bits)
        needs[0, _DSP] += layer.out_channels * dsps
        needs[1, _LUT] += dot_luts(each, layer.accumulator_bits).sum()
    return needs


def _window(layer: LayerWorkload, device: Device) -> Array:
    """Resources of what gathers all inputs of an output pixel, shape (RESOURCES,): memories of
    whole rows of the image, and a register per input."""
    needs = np.zeros(len(RESOURCES))
    window, width = layer.window, layer.in_channels * layer.activation_bits
    needs[_FF] = layer.columns * layer.groups * layer.activation_bits
    if not layer.linear and window.kernel != (1, 1):
        rows = (window.kernel[0] - 1) * window.dilation[0]
        luts, blocks = buffer(np.array([width]), np.array([window.input_size[1]]), device)
        needs[_LUT] = rows * luts[0] + arithmetic.WINDOW_CONTROL_LUT
        needs[_LUTRAM], needs[_BRAM] = rows * luts[0], rows * blocks[0]
    return needs
