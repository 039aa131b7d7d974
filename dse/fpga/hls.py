"""HLS builds: what a FINN network built with Vivado HLS takes, composed from its folded layers.

Such a build is not our template: its popcounts are adder trees, its windows four line memories, its
inputs a register file, its weights and thresholds memories per PE that can be written at run time.
The parts below follow the public sources of FINN's HLS library and BNN-PYNQ; none is fitted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dse.fpga.arithmetic import WINDOW_CONTROL_LUT, multiplier_lut
from dse.fpga.device import Device
from dse.fpga.memory import SMALL_MEMORY_BITS, Array, bram18, ceil_div, lut_rom, weight_bram18

ACCUMULATOR_BITS = 16
"""Accumulators and thresholds are ap_int<16> (BNN-PYNQ)."""

CONTROL_LUT = 300
"""Counters of a matrix-vector unit: three 32-bit loop counters, each with a comparator (HLS)."""

INPUT_LUT = 1 / 3 + 1 / 2
"""LUTs per bit of the register file that keeps a unit's inputs: a third for the multiplexer that
reads it (64:1 is 23 for one bit, yosys 0.70, xc7) and a half to keep or replace the bit (two 2:1
multiplexers with a common select share a LUT6)."""

LINE_MEMORIES, FIFO_WORDS = 4, 128
"""A 3x3 window keeps kernel + 1 lines, each a memory of its own; a FIFO of 128 whole pixels is
behind every convolution (BNN-PYNQ)."""

FC_STREAM_BITS = 64
"""Width of the streams between linear layers (BNN-PYNQ)."""


@dataclass(frozen=True)
class HlsLayer:
    """A convolution or linear layer and its folding, with integers of at least 1.

    `output_bits` is 0 where no thresholds follow. Rows that PE does not divide are padded, and
    columns that SIMD does not.
    """

    name: str
    convolution: bool
    kernel: int
    in_channels: int
    in_size: int
    out_channels: int
    weight_bits: int
    activation_bits: int
    output_bits: int
    pe: int
    simd: int

    @property
    def columns(self) -> int:
        """Weights of one output channel."""
        return self.in_channels * self.kernel**2

    @property
    def row_steps(self) -> int:
        """Groups of rows that are computed one after the other."""
        return int(ceil_div(self.out_channels, self.pe))

    @property
    def words(self) -> int:
        """Words of a PE's weight memory, and cycles per output pixel."""
        return self.row_steps * int(ceil_div(self.columns, self.simd))


class Memories(NamedTuple):
    """`copies` equal memories of `width` bits x `depth` words."""

    copies: int
    width: int
    depth: int


@dataclass(frozen=True)
class Composition:
    """What the layers of a build take, its shell not included; `lut` includes `lutram`."""

    lut: float
    ff: float
    bram18: int
    lutram: float


def compose(layers: Sequence[HlsLayer], device: Device, blocks_taken: int = 0) -> Composition:
    """Resources of `layers` on `device`, of whose block RAMs something else takes `blocks_taken`.

    Depths are rounded up to powers of two while there are block RAMs for it. Where not, the arrays
    that waste most are packed; what still does not fit goes to LUTs, fewest LUTs per block first.
    """
    memories = [memory for layer in layers for memory in _memories(layer)]
    lutram, blocks = _place(memories, device.bram18 - blocks_taken, device)
    lut = lutram + sum(_logic(layer) for layer in layers)
    return Composition(lut, sum(_registers(layer) for layer in layers), blocks, lutram)


def dot_lut(terms: int, weight_bits: int, activation_bits: int) -> float:
    """LUTs of a dot product as a binary tree; an adder of two n-bit numbers takes n LUTs.

    Narrow operands need no multiplier of their own. Up to six input bits in a pair of products the
    sum of the pair is a LUT6 per bit, and two of its bits share one while they read at most five;
    a product of at most five input bits is two bits per LUT.
    """
    inputs, product = weight_bits + activation_bits, weight_bits + activation_bits
    if weight_bits == 1:
        product = activation_bits + (activation_bits > 1)  # +-x; an XNOR is one bit
    if 2 * inputs <= 6:
        pair = product + 1 if 2 * inputs == 6 else ceil_div(product + 1, 2)
        return terms // 2 * pair + _tree(terms - terms // 2, product, 2) + terms % 2 * product
    multiplier = (
        ceil_div(product, 2) if inputs <= 5 else multiplier_lut(weight_bits, activation_bits)
    )
    return terms * multiplier + _tree(terms, product, 1)


def _tree(terms: int, product: int, level: int) -> int:
    """LUTs of the adders from `level` on; those of level l add numbers of product + l - 1 bits."""
    total = 0
    while terms > 1:
        total += (terms // 2) * (product + level - 1)
        terms, level = terms - terms // 2, level + 1
    return total


def _thresholds(layer: HlsLayer) -> int:
    return (1 << layer.output_bits) - 1 if layer.output_bits else 0


def _stream_bits(layer: HlsLayer) -> tuple[int, int]:
    """Widths read and written: whole pixels by a convolution."""
    if layer.convolution:
        out = layer.out_channels * (layer.output_bits or ACCUMULATOR_BITS)
        return layer.in_channels * layer.activation_bits, out
    return min(FC_STREAM_BITS, layer.in_channels * layer.activation_bits), FC_STREAM_BITS


def _logic(layer: HlsLayer) -> float:
    """LUTs that are no memories."""
    pe, thresholds = layer.pe, _thresholds(layer)
    dots = pe * dot_lut(layer.simd, layer.weight_bits, layer.activation_bits)
    accumulators = pe * 2 * ACCUMULATOR_BITS  # adder, and reset or feedback
    comparators = pe * thresholds * ACCUMULATOR_BITS / 2
    # inputs are kept in registers while the rows pass; a multiplexer picks the current SIMD
    reused = layer.row_steps > 1
    inputs = reused * layer.columns * layer.activation_bits * INPUT_LUT
    # memories are written at run time: every PE picks its address from two
    addresses = pe * (_address(layer.words) + bool(thresholds) * _address(layer.row_steps))
    window = 0
    if layer.convolution:
        window = WINDOW_CONTROL_LUT + LINE_MEMORIES * layer.simd * layer.activation_bits
    streams = sum(_stream_bits(layer))
    return dots + accumulators + comparators + inputs + addresses + window + streams + CONTROL_LUT


def _address(depth: int) -> int:
    return (depth - 1).bit_length()


def _registers(layer: HlsLayer) -> float:
    """FFs: input registers, streams registered on both sides, accumulators, counters."""
    inputs = layer.columns * layer.activation_bits
    counters = CONTROL_LUT + layer.convolution * WINDOW_CONTROL_LUT
    return inputs + 2 * sum(_stream_bits(layer)) + 2 * layer.pe * ACCUMULATOR_BITS + counters


def _memories(layer: HlsLayer) -> Iterable[Memories]:
    """Weights and thresholds per PE, line memories and the FIFO of a convolution."""
    yield Memories(layer.pe, layer.simd * layer.weight_bits, layer.words)
    thresholds = _thresholds(layer)
    if thresholds and layer.row_steps > 1:
        yield Memories(layer.pe * thresholds, ACCUMULATOR_BITS, layer.row_steps)
    if layer.convolution:
        lanes = math.gcd(layer.simd, layer.in_channels)
        depth = layer.in_size * layer.in_channels // lanes
        yield Memories(LINE_MEMORIES, lanes * layer.activation_bits, depth)
        yield Memories(1, _stream_bits(layer)[1], FIFO_WORDS)


def _place(memories: Sequence[Memories], blocks_left: int, device: Device) -> tuple[float, int]:
    """(LUTs, block RAMs) of `memories`."""
    count, width, depth = (
        np.array(column, dtype=np.int64) for column in zip(*memories, strict=True)
    )
    luts: Array = lut_rom(width, depth, device)
    in_luts = np.where(width * depth <= SMALL_MEMORY_BITS, count, 0)
    blocks: Array = weight_bram18(width, depth, device)
    packed: Array = bram18(width, depth, device)

    def excess() -> int:
        return int(((count - in_luts) * blocks).sum()) - blocks_left

    for index in np.argsort((packed - blocks) * (count - in_luts), kind="stable"):
        if excess() > 0:
            blocks[index] = packed[index]
    for index in np.argsort(luts / blocks, kind="stable"):
        moved = max(0, ceil_div(excess(), int(blocks[index])))
        in_luts[index] = min(int(count[index]), int(in_luts[index]) + moved)
    return float((in_luts * luts).sum()), excess() + blocks_left
