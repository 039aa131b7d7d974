"""Units: resources of matrix-vector units and their weight memories, for all foldings at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dse.fpga import arithmetic, sparse
from dse.fpga.device import RESOURCES, Device
from dse.fpga.foldings import Units, window_plans
from dse.fpga.memory import (
    LUT_ROM_BITS,
    SMALL_MEMORY_BITS,
    URAM_MIN_BITS,
    Array,
    bram18,
    buffer,
    ceil_div,
    constant_luts,
    distinct_bits,
    uram,
)
from dse.fpga.sliding import Plan, window_needs
from dse.fpga.workload import LayerWorkload
from dse.integer.requantize import MULTIPLIER_BITS

MULTIPLIERS = ("lut", "dsp", "packed_dsp")
"""Multipliers in LUTs, one per DSP (tree and accumulator inside too), or several per DSP."""

WEIGHT_MEMORIES = ("lut", "bram", "uram")

FIFO_DEPTH = 32
"""Words of the FIFO behind every layer: one SRL32 holds 32 in the LUT that would hold two."""

FIFO_LUT = 3
"""LUTs of a FIFO in shift registers per bit of its counter, beside one per bit of its word (exact
in 13 FIFOs of LeNet-5, depths 7, 15 and 32; yosys 0.70, xc7)."""

CONVERTER = 4
"""Bits of the counter and the flag of a width converter, and LUTs of its control
(`rtl/widen.v`; 2 to 6 in LeNet-5)."""

_LUT, _FF, _DSP, _BRAM, _URAM, _LUTRAM = range(len(RESOURCES))


class ArrayConstants(NamedTuple):
    """What an array of multipliers needs to know of its operands, as in `Constants`."""

    multiplier_lut: Any
    product_bits: Any
    xnor: Any
    dsps: Any
    per_dsp: Any
    accumulator_bits: Any
    accumulator_lut: Any


class Constants(NamedTuple):
    """What does not depend on the folding, and the window: integers of one layer, or arrays over
    units."""

    rows: Any
    columns: Any
    groups: Any
    operand_bits: Any
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
    accumulator_lut: Any
    output_bits: Any
    requantize_lut: Any
    requantize_dsp: Any
    requantize_ff: Any
    parameter_bits: Any
    scale_bits: Any
    row_ends: Any
    nonzeros: Any
    copied: Any
    waits: Any
    window: Any


def gather(workloads: Sequence[LayerWorkload], units: Units, device: Device) -> Constants:
    """Constants of the layer of every unit."""
    table = [_constants(workload, device, False) for workload in workloads]
    table += [
        _constants(workload, device, True) if sparse.can_skip_zeros(workload) else dense
        for workload, dense in zip(workloads, table, strict=True)
    ]
    index = units.layer + len(workloads) * units.sparse
    plans = [window_plans(workload) for workload in workloads]
    starts = np.cumsum([0, *(one.shape[1] for one in plans[:-1])])
    window = np.concatenate(plans, axis=1).take(starts[units.layer] + units.plan, axis=1)
    constants = np.array(table, dtype=np.int64).T.take(index, axis=1)
    return Constants(*(*constants, Plan(*window)))


def _constants(workload: LayerWorkload, device: Device, skips: bool) -> Sequence[int]:
    """Constants of one layer, computing dense or skipping zeros, without its window."""
    operand = workload.sparse_operand_bits if skips else workload.operand_bits
    activation = workload.activation_bits
    slides = sparse.slides(workload)
    if skips:
        word, copied = sparse.entry_bits(workload), sparse.copy_depth(workload)
        decode_lut, decode_ff = sparse.decoder_cost(workload)
    else:
        word, copied = workload.dense_bits, 0
        # the sign of q - z is a function of the stored code: one LUT tree over its bits
        signless = not workload.mid_rise and operand > word
        decode_lut, decode_ff = int(signless) * ceil_div(word, device.lut_inputs), 0
    requantizes = int(workload.multipliers > 0)
    shift_lut = arithmetic.shift_lut(workload.shifts, workload.output_bits)
    scale_bits = MULTIPLIER_BITS if workload.multipliers > 1 else 0
    shift_bits = max(1, (workload.shifts - 1).bit_length()) if workload.multipliers > 1 else 0
    return Constants(
        rows=workload.out_channels,
        columns=workload.columns,
        groups=workload.groups,
        operand_bits=operand,
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
        accumulator_lut=arithmetic.accumulator_lut(workload.accumulator_bits, skips),
        output_bits=workload.output_bits,
        requantize_lut=requantizes * (arithmetic.requantizer_lut(workload.output_bits) + shift_lut),
        requantize_dsp=requantizes
        * arithmetic.requantizer_dsp(workload.accumulator_bits, device.dsp_ports),
        # the code, and a shift of its own; flags and the count of passes are few
        requantize_ff=requantizes * (workload.output_bits + (workload.shifts > 1)),
        parameter_bits=workload.accumulator_bits,
        scale_bits=scale_bits + shift_bits,
        row_ends=int(skips and sparse.lane_format(workload)[0] == "csr"),
        nonzeros=workload.nonzeros,
        copied=copied,
        waits=int(not slides and not skips),
        window=None,
    )[:-1]


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

    `shape` is (P, Q, tree levels of Q). An array is P (Q mul + tree + accumulator) LUTs, times the
    scale fitted to whole units. One multiplier per DSP also takes in the tree and the
    accumulator: yosys left no LUT in 13 of 13 dot products. Where DSPs are packed, their products
    are added in LUTs.
    """
    pe, simd, levels = shape
    in_luts, per_dsp, packed = (np.zeros((len(pe), len(RESOURCES))) for _ in MULTIPLIERS)
    tree = (simd - 1) * c.product_bits + levels
    dot = np.where(c.xnor, arithmetic.XNOR_LUT * simd, simd * c.multiplier_lut + tree)
    in_luts[:, _LUT] = arithmetic.UNIT_SCALE * pe * (dot + c.accumulator_lut)
    in_luts[:, _FF] = pe * c.accumulator_bits
    per_dsp[:, _DSP] = pe * simd * c.dsps
    packed[:, _LUT] = arithmetic.UNIT_SCALE * pe * (tree + c.accumulator_lut)
    packed[:, _FF] = pe * c.accumulator_bits
    packed[:, _DSP] = ceil_div(pe, c.per_dsp) * simd
    return in_luts, per_dsp, packed


def _shared(units: Units, c: Constants, device: Device) -> Array:
    """Resources that do not depend on the multipliers: requantizers, streams, buffers, decoders."""
    pe, simd, skips = units.pe, units.simd, units.sparse.astype(bool)
    positions = np.where(skips, 1, ceil_div(pe * c.groups, c.rows) * simd)
    width = positions * c.activation_bits
    # rows are computed in several passes over the same inputs, which are kept for them; lanes keep
    # a copy per multiplier
    again = (pe < c.rows) & ~skips
    depth = np.where(skips, c.copied, again * ceil_div(c.columns, simd))
    kept, kept_blocks = buffer(width, depth, device)
    # without a window the next inputs wait meanwhile, in a FIFO for all (`rtl_network._waiting`)
    memories = np.where(skips, pe * simd, 1 + c.waits)
    needs = edges(units, c, device)
    control = _dense_control(units, c)
    if skips.any():
        control[skips] = _lane_control(units, c)[skips]
    needs += control
    needs += _parameters(units, c, device)
    needs += window_needs(c.window, c.activation_bits, positions, device)
    ends = np.where(skips, 1, pe)  # lanes share a requantizer
    needs[:, _LUTRAM] += memories * kept
    needs[:, _LUT] += (
        memories * kept
        + ends * c.requantize_lut
        + pe * simd * c.decode_lut
        # the first pass takes the inputs from the stream, the others what was kept
        + again * width / 2
    )
    # a word in block RAM needs no register of its own
    weight = np.where(skips, c.operand_bits, 0)
    operands = np.where(skips, pe * simd * (weight + (kept > 0) * c.activation_bits), width)
    needs[:, _FF] += operands + pe * simd * c.decode_ff + ends * c.requantize_ff
    needs[:, _DSP] = ends * c.requantize_dsp
    needs[:, _BRAM] += memories * kept_blocks
    return needs


def _dense_control(units: Units, c: Constants) -> Array:
    """Counters of steps, passes and addresses, two LUTs and an FF per bit, and the handshake."""
    steps, passes = c.columns // units.simd, c.rows // units.pe
    bits = _counter(steps) + _counter(passes) + _counter(steps * passes)
    needs = np.zeros((len(bits), len(RESOURCES)))
    needs[:, _LUT] = 2 * bits + arithmetic.HANDSHAKE_LUT
    needs[:, _FF] = bits + arithmetic.HANDSHAKE_FF
    return needs


def _lane_control(units: Units, c: Constants) -> Array:
    """What lanes take beside their arithmetic and tables (`rtl/lane.v`, `rtl/lanes.v`).

    A lane counts its non-zeros and its rows; where the row's end is stored, it compares, three bits
    of both sides per LUT6. What all lanes share writes the copies of the activations: an address
    that is counted and then registered, and the code.
    """
    pointer, row = _counter(units.words + 1), _counter(c.rows // units.pe)
    address = _counter(c.copied)
    lane_lut = pointer + row + c.row_ends * ceil_div(pointer, 3) + sparse.LANE_LUT
    needs = np.zeros((len(pointer), len(RESOURCES)))
    needs[:, _LUT] = units.pe * lane_lut + address + sparse.SHARED_LUT
    needs[:, _FF] = units.pe * (pointer + row + sparse.LANE_FF)
    needs[:, _FF] += 2 * address + c.activation_bits + sparse.SHARED_FF
    return needs


def _in_order(lanes: Array, shape: tuple[Array, Array], bits: Array, device: Device) -> Array:
    """What brings the rows of lanes into order (`rtl/sparse.v`): of each lane the sums of two
    vectors, where every row is among them, a multiplexer of the lanes, counters and flags. `shape`
    is (rows, columns), and `bits` the width of a sum."""
    rows, columns = shape
    place = np.maximum(1, _counter(rows // lanes))
    lane, row, column = _counter(lanes), _counter(rows), _counter(columns)
    luts, blocks = buffer(bits, 2 << place, device)
    counters = column + row + lanes * place + sparse.VECTOR_BITS
    needs = np.zeros((len(lanes), len(RESOURCES)))
    needs[:, _LUTRAM] = lanes * luts
    needs[:, _LUT] = lanes * luts + constant_luts(lane + place, rows, device)
    needs[:, _LUT] += ceil_div(lanes - 1, 3) * bits + 2 * counters
    needs[:, _FF] = counters + lane + sparse.ORDER_FF + lanes * (1 + np.where(luts > 0, bits, 0))
    needs[:, _BRAM] = lanes * blocks
    return needs


def _counter(states: Array) -> Array:
    """Bits of a counter of so many states."""
    _, bits = np.frexp(np.maximum(states, 1) - 1.0)
    return bits


def _parameters(units: Units, c: Constants, device: Device) -> Array:
    """Biases, multipliers and shifts, which are constants, and the registers that hold biases.

    One wide table serves all PEs. A lane has its own, with the ends of its rows where they are
    stored; what it has read stays with the row through two more stages. The multipliers and shifts
    of channels are read as they are used, by one requantizer behind lanes.
    """
    skips = units.sparse.astype(bool)
    depth = c.rows // units.pe
    ends = c.row_ends * _counter(units.words + 1)
    tables = np.where(skips, units.pe, 1)
    width = np.where(skips, c.parameter_bits + ends, units.pe * c.parameter_bits)
    small, blocks = buffer(width, depth, device)
    kept = tables * distinct_bits(width, depth)
    needs = np.zeros((len(width), len(RESOURCES)))
    needs[:, _LUT] = (small > 0) * constant_luts(kept, depth, device)
    needs[:, _FF] = kept
    if skips.any():
        needs[skips, _FF] += (2 * kept * c.parameter_bits / width)[skips]
    needs[:, _BRAM] = tables * blocks
    if c.scale_bits.any():
        together = np.where(skips, 1, units.pe)
        bits = distinct_bits(together * c.scale_bits, c.rows // together)
        needs[:, _LUT] += constant_luts(bits, c.rows // together, device)
    return needs


def edges(units: Units, c: Constants, device: Device) -> Array:
    """Resources of the streams on both sides: width converters, the FIFO behind the unit, and what
    brings the rows of lanes into order."""
    # rows of lanes leave one by one
    ends = np.where(units.sparse.astype(bool), 1, units.pe)
    out, taken = ends * c.output_bits, np.where(units.lanes > 1, units.lanes * c.activation_bits, 0)
    counter = (FIFO_DEPTH).bit_length()
    needs = np.zeros((len(units.pe), len(RESOURCES)))
    # words are gathered in a register before, and shifted out of one behind, a LUT per bit
    # the network's own output, which is not requantized, is not
    shifted = np.where((ends > 1) & (c.requantize_ff > 0), out, 0)
    needs[:, _LUT] = shifted + out + FIFO_LUT * counter + CONVERTER * (taken > 0)
    needs[:, _FF] = shifted + taken + counter + CONVERTER * (taken > 0)
    needs[:, _LUTRAM] = out
    skips = units.sparse.astype(bool)
    if skips.any():
        shape = c.rows[skips], c.columns[skips]
        needs[skips] += _in_order(units.pe[skips], shape, c.accumulator_bits[skips], device)
    return needs


def memory_choices(units: Units, c: Constants, device: Device) -> list[tuple[Array, Array]]:
    """(possible, resources) of every unit's weight memory, one pair per WEIGHT_MEMORIES.

    One memory per PE (per lane where sparse), of SIMD weights per word: whole designs need that to
    match, and lanes advance on their own. LUT memories register the word they read (yosys 0.70,
    xc7: FF = width), blocks hold it. PEs read at one address, so bits that are the same in every
    word, in any two PEs, are stored once.
    """
    width, depth, count = units.simd * c.word_bits, units.words, units.pe
    bits = width * depth
    in_luts, in_bram, in_uram = (np.zeros((len(width), len(RESOURCES))) for _ in range(3))
    kept = np.where(
        units.sparse.astype(bool),
        count * width,
        distinct_bits(count * width, depth, _ones(c)),
    )
    in_luts[:, _LUT] = constant_luts(kept, depth, device)
    in_luts[:, _FF] = kept
    in_bram[:, _BRAM] = count * bram18(width, depth, device)
    in_uram[:, _URAM] = count * uram(width, depth)
    large = bits > SMALL_MEMORY_BITS
    ultra = (bits > URAM_MIN_BITS) & (device.uram > 0)
    return [(bits <= LUT_ROM_BITS, in_luts), (large, in_bram), (ultra, in_uram)]


def constant_rows(units: Units, c: Constants) -> Array:
    """LUTs that multipliers do not need where they and the weights are in LUTs: a bit of a weight
    that is zero in every word adds no row."""
    dense = ~units.sparse.astype(bool) & ~c.xnor.astype(bool)
    zero = (1 - _ones(c)) ** units.words
    saved: Array = dense * zero * arithmetic.UNIT_SCALE * units.pe * units.simd * c.multiplier_lut
    return saved


def _ones(c: Constants) -> Array:
    """Share of ones among the stored bits of a dense matrix: half of those of its non-zeros."""
    share: Array = c.nonzeros / (2 * c.rows * c.columns)
    return share
