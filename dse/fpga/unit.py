"""Units: resources of matrix-vector units and their weight memories, for all foldings at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dse.fpga import arithmetic, sparse
from dse.fpga.device import RESOURCES, Device
from dse.fpga.foldings import Units
from dse.fpga.memory import (
    LUT_ROM_BITS,
    SHORT,
    SMALL_MEMORY_BITS,
    URAM_MIN_BITS,
    Array,
    buffer,
    ceil_div,
    fifo_luts,
    lut_rom,
    uram,
    weight_bram18,
)
from dse.fpga.workload import LayerWorkload
from dse.integer.requantize import MULTIPLIER_BITS

MULTIPLIERS = ("lut", "dsp", "packed_dsp")
"""Multipliers in LUTs, one per DSP (tree and accumulator inside too), or several per DSP."""

WEIGHT_MEMORIES = ("lut", "bram", "uram")

FIFO_DEPTH = 32
"""Words of the FIFO behind every layer: one SRL32 holds 32 in the LUT that would hold two."""

SHIFT_BITS = 7
"""Signed shift of -8..62 in a table of per-channel shifts."""

_LUT, _FF, _DSP, _BRAM, _URAM, _LUTRAM = range(len(RESOURCES))


class ArrayConstants(NamedTuple):
    """What an array of multipliers needs to know of its operands, as in `Constants`."""

    multiplier_lut: Any
    product_bits: Any
    xnor: Any
    dsps: Any
    per_dsp: Any
    accumulator_bits: Any


class Constants(NamedTuple):
    """What does not depend on the folding: integers of one layer, or arrays over units."""

    rows: Any
    columns: Any
    groups: Any
    multiplier_lut: Any
    product_bits: Any
    xnor: Any
    dsps: Any
    per_dsp: Any
    in_dsp: Any
    decode_lut: Any
    decode_ff: Any
    word_bits: Any
    activation_bits: Any
    accumulator_bits: Any
    output_bits: Any
    requantize_lut: Any
    requantize_dsp: Any
    parameter_bits: Any
    window_lut: Any
    ring: Any


def gather(workloads: Sequence[LayerWorkload], units: Units, device: Device) -> Constants:
    """Constants of the layer of every unit."""
    table = [_constants(workload, device, False) for workload in workloads]
    table += [
        _constants(workload, device, sparse.can_skip_zeros(workload)) for workload in workloads
    ]
    index = units.layer + len(workloads) * units.sparse
    return Constants(*np.array(table, dtype=np.int64).T[:, index])


def _constants(workload: LayerWorkload, device: Device, skips: bool) -> Constants:
    """Constants of one layer, computing dense or skipping zeros."""
    operand = workload.sparse_operand_bits if skips else workload.operand_bits
    activation = workload.activation_bits
    slides = not workload.linear and workload.window.kernel != (1, 1)
    if skips:
        word, ring = sparse.entry_bits(workload), sparse.copy_depth(workload)
        decode_lut, decode_ff = sparse.decoder_cost(workload)
        # in a ring of rows a lane adds the window's offset to its index
        decode_lut += (ring - 1).bit_length() * int(slides)
    else:
        word, ring = workload.dense_bits, sparse.ring_codes(workload) if slides else 0
        # the sign of q - z is a function of the stored code: one LUT tree over its bits
        signless = not workload.mid_rise and operand > word
        decode_lut, decode_ff = int(signless) * ceil_div(word, device.lut_inputs), 0
    requantizes = int(workload.multipliers > 0)
    shift_lut = arithmetic.shift_lut(workload.shifts, workload.output_bits)
    scale_bits = MULTIPLIER_BITS if workload.multipliers > 1 else 0
    shift_bits = SHIFT_BITS if workload.shifts > 1 else 0
    return Constants(
        rows=workload.out_channels,
        columns=workload.columns,
        groups=workload.groups,
        multiplier_lut=arithmetic.term_lut(operand, activation),
        product_bits=arithmetic.product_bits(operand, activation),
        xnor=operand == 1 and activation == 1,
        dsps=arithmetic.dsps_per_product(operand, activation, device.dsp_ports),
        per_dsp=arithmetic.products_per_dsp(operand, activation, device.dsp_ports),
        in_dsp=min(operand, activation) >= 2,
        decode_lut=decode_lut,
        decode_ff=decode_ff,
        word_bits=word,
        activation_bits=activation,
        accumulator_bits=workload.accumulator_bits,
        output_bits=workload.output_bits,
        requantize_lut=requantizes * (arithmetic.REQUANTIZER_LUT + shift_lut),
        requantize_dsp=requantizes
        * arithmetic.requantizer_dsp(workload.accumulator_bits, device.dsp_ports),
        parameter_bits=workload.accumulator_bits + scale_bits + shift_bits,  # with the bias
        window_lut=arithmetic.WINDOW_CONTROL_LUT if slides else 0,
        ring=ring,
    )


def logic_choices(units: Units, c: Constants, device: Device) -> list[tuple[Array, Array]]:
    """(possible, resources) of every unit without its weights, one pair per MULTIPLIERS."""
    shared = _shared(units, c, device)
    in_luts, per_dsp, packed = multiplier_arrays((units.pe, units.simd, units.levels), c)
    usable = c.in_dsp.astype(bool)
    everywhere = np.ones(len(units.pe), dtype=bool)
    # a lane of a sparse unit reads its own activations: no operand is shared, nothing is packed
    packable = usable & (c.per_dsp > 1) & (units.sparse == 0)
    return [
        (everywhere, shared + in_luts),
        (usable, shared + per_dsp),
        (packable, shared + packed),
    ]


def multiplier_arrays(
    shape: tuple[Array, Array, Array], c: Constants | ArrayConstants
) -> tuple[Array, Array, Array]:
    """Resources of P dot products of Q terms with their accumulators, one array per MULTIPLIERS.

    `shape` is (P, Q, tree levels of Q). An array is P (Q mul + tree + 1.5 acc) LUTs, times the
    scale fitted to whole units. One multiplier per DSP also takes in the tree and the
    accumulator: yosys left no LUT in 13 of 13 dot products. Where DSPs are packed, their products
    are added in LUTs.
    """
    pe, simd, levels = shape
    in_luts, per_dsp, packed = (np.zeros((len(pe), len(RESOURCES))) for _ in MULTIPLIERS)
    tree = (simd - 1) * c.product_bits + levels
    sums = arithmetic.ACCUMULATOR_LUT * c.accumulator_bits
    dot = np.where(c.xnor, arithmetic.XNOR_LUT * simd, simd * c.multiplier_lut + tree)
    in_luts[:, _LUT] = arithmetic.UNIT_SCALE * pe * (dot + sums)
    in_luts[:, _FF] = pe * c.accumulator_bits
    per_dsp[:, _DSP] = pe * simd * c.dsps
    packed[:, _LUT] = arithmetic.UNIT_SCALE * pe * (tree + sums)
    packed[:, _FF] = pe * c.accumulator_bits
    packed[:, _DSP] = ceil_div(pe, c.per_dsp) * simd
    return in_luts, per_dsp, packed


def _shared(units: Units, c: Constants, device: Device) -> Array:
    """Resources that do not depend on the multipliers: requantizers, streams, buffers, decoders."""
    pe, simd, skips = units.pe, units.simd, units.sparse.astype(bool)
    positions = np.where(skips, 1, ceil_div(pe * c.groups, c.rows) * simd)
    copies = np.where(skips, pe * simd, 1)
    width = positions * c.activation_bits
    window, window_blocks = buffer(width, ceil_div(c.ring, positions), device)
    # rows are computed in several passes over the same inputs, which are kept for them
    again = (pe < c.rows) & ~skips
    reuse, reuse_blocks = buffer(width, again * ceil_div(c.columns, simd), device)
    parameters, parameter_blocks = _parameters(pe * c.parameter_bits, c.rows // pe, device)
    counters = ~skips * _counter_bits(c.columns // simd, c.rows // pe)
    needs = edges(units, c)
    needs[:, _LUTRAM] = copies * window + reuse
    needs[:, _LUT] += (
        needs[:, _LUTRAM]
        + parameters
        + pe * (c.requantize_lut + simd * c.decode_lut + skips * sparse.LANE_CONTROL_LUT)
        + c.window_lut
        # the first pass takes the inputs from the stream, the others what was kept
        + again * width / 2
        + 2 * counters
        + ~skips * arithmetic.HANDSHAKE_LUT
    )
    operands = np.where(skips, pe * (c.word_bits + c.activation_bits), width)
    needs[:, _FF] += operands + (1 + skips) * pe * c.parameter_bits + pe * simd * c.decode_ff
    needs[:, _FF] += counters + ~skips * arithmetic.HANDSHAKE_FF
    needs[:, _DSP] = pe * c.requantize_dsp
    needs[:, _BRAM] = copies * window_blocks + reuse_blocks + parameter_blocks
    return needs


def _parameters(width: Array, depth: Array, device: Device) -> tuple[Array, Array]:
    """(LUTs, block RAMs) of biases, multipliers and shifts, which are constants: a LUT6 holds two
    bits of up to 32 words."""
    luts, blocks = buffer(width, depth, device)
    halves = 2 if device.lut_inputs == 6 else 1
    rom = np.ceil(lut_rom(width, depth, device) / np.where(depth <= SHORT, halves, 1))
    return np.where(luts > 0, rom, 0), blocks


def _counter_bits(steps: Array, passes: Array) -> Array:
    """Bits of a dense unit's counters of steps, passes and addresses, two LUTs and an FF each."""
    depth_bits = np.ceil(np.log2(steps * passes))
    bits: Array = np.ceil(np.log2(steps)) + np.ceil(np.log2(passes)) + depth_bits
    return bits


def edges(units: Units, c: Constants) -> Array:
    """Resources of the streams on both sides: width converters and the FIFO behind the unit."""
    out, lanes = units.pe * c.output_bits, units.lanes * c.activation_bits
    needs = np.zeros((len(units.pe), len(RESOURCES)))
    # width converters are shift registers, one LUT per bit (FINN)
    needs[:, _LUT] = out + lanes + fifo_luts(out, FIFO_DEPTH)
    needs[:, _FF] = out + lanes
    return needs


def memory_choices(units: Units, c: Constants, device: Device) -> list[tuple[Array, Array]]:
    """(possible, resources) of every unit's weight memory, one pair per WEIGHT_MEMORIES.

    One memory per PE (per lane where sparse), of SIMD weights per word: whole designs need that to
    match, and lanes advance on their own. LUT memories register the word they read (yosys 0.70,
    xc7: FF = width), blocks hold it.
    """
    width, depth, count = units.simd * c.word_bits, units.words, units.pe
    bits = width * depth
    in_luts, in_bram, in_uram = (np.zeros((len(width), len(RESOURCES))) for _ in range(3))
    in_luts[:, _LUT] = count * lut_rom(width, depth, device)
    in_luts[:, _FF] = count * width
    in_bram[:, _BRAM] = count * weight_bram18(width, depth, device)
    in_uram[:, _URAM] = count * uram(width, depth)
    large = bits > SMALL_MEMORY_BITS
    ultra = (bits > URAM_MIN_BITS) & (device.uram > 0)
    return [(bits <= LUT_ROM_BITS, in_luts), (large, in_bram), (ultra, in_uram)]
