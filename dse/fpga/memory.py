"""Memory: block RAM, URAM and LUTs that a memory of a given width and depth takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dse.fpga.device import Device

Array = npt.NDArray[Any]

SMALL_MEMORY_BITS = 1024
"""Up to here a memory goes to LUTs: yosys 0.70 for xc7 did so in 51 of 51 syntheses."""

LUT_ROM_BITS = 32_768
"""Largest memory that was measured in LUTs (yosys 0.70 for xc7, 128 x 256)."""

DEEP, DEEP_FACTOR = 256, 1.24
"""Above this depth the output multiplexer no longer fits the MUXF behind a LUT6: median of the 31
deeper syntheses over width * ceil(depth/64), range 1.13-1.39 (yosys 0.70, xc7)."""

LUT_RAM_FACTOR = 4 / 3
"""LUTs of a writable memory with its own read port over those of a ROM, where LUTs have four inputs
(as RAM64M on LUT6)."""

SHORT, SHORT_BITS, LONG, LONG_BITS = 32, 6, 64, 3
"""Four LUTs are a RAM32M, six bits of 32 words, or a RAM64M, three bits of 64, with a read port of
its own (Xilinx UG474, recalled; exact in all dense units of the table unit_luts)."""

SHALLOW = 64
"""A buffer of at most 64 words stays in LUTs: one LUT6 per bit and no output multiplexer."""

_RAREST = 1e-12
"""Share of ones instead of none, whose logarithm is finite."""

URAM_DEPTH, URAM_WIDTH = 4096, 72
"""UltraRAM, 4K x 72 (Xilinx UG573)."""

URAM_MIN_BITS = URAM_DEPTH * URAM_WIDTH // 4
"""Smaller weight memories are not offered a URAM: a few block RAMs hold them."""

MEMORY_EFFICIENCY = 0.75
"""Share of the peak bandwidth of external memory to plan with: what the DDR controller of the
Zynq-7000 was designed to reach at most on patterns worse than those measured, which are 97 %
(sequential reads) to 79 % (random reads and writes); bursts of 4, 8 and 16 words all reach 87 %
(Xilinx UG585, "DDR Efficiency"). Other controllers are taken to be alike."""


def ceil_div(a: Any, b: Any) -> Any:
    """Integers (or integer arrays) a / b rounded up."""
    return -(-a // b)


def bram18(width: Array, depth: Array, device: Device) -> Array:
    """Block RAMs for memories of `width` bits x `depth` words: the least over the block's shapes.

    Exact in 67 of 67 yosys 0.70 syntheses for xc7 that use block RAM only.
    """
    depths, widths = np.array(device.bram_shapes).T[:, :, None]
    least: Array = (ceil_div(width, widths) * ceil_div(depth, depths)).min(axis=0)
    return least


def weight_bram18(width: Array, depth: Array, device: Device) -> Array:
    """Block RAMs of weight arrays, whose depth HLS tools round up to a power of two.

    With one array per PE this comes within -17..+16 % of three Vivado reports (BNN-PYNQ, 12 blocks
    of shell added); without rounding, or with one wide memory for all PEs, it falls 35 % short.
    """
    rounded = np.left_shift(1, np.frexp(depth - 1)[1])
    return bram18(width, rounded, device)


def uram(width: Array, depth: Array) -> Array:
    """UltraRAM blocks for memories of `width` bits x `depth` words."""
    blocks: Array = ceil_div(width, URAM_WIDTH) * ceil_div(depth, URAM_DEPTH)
    return blocks


def lut_rom(width: Array, depth: Array, device: Device) -> Array:
    """LUTs for read-only memories: width * ceil(depth / 2^inputs), and a multiplexer where deep.

    Median error 0 up to 1,024 bits.
    """
    luts: Array = width * ceil_div(depth, 1 << device.lut_inputs)
    luts = np.where(depth > DEEP, np.ceil(DEEP_FACTOR * luts), luts)
    return luts


def constant_luts(width: Array, depth: Array, device: Device) -> Array:
    """LUTs of constants that are read by address: a LUT6 holds two bits of up to 32 words."""
    halves = 2 if device.lut_inputs == 6 else 1
    luts: Array = np.ceil(lut_rom(width, depth, device) / np.where(depth <= SHORT, halves, 1))
    return luts


def distinct_bits(count: Array, depth: Array, ones: Any = 0.5) -> Array:
    """How many of `count` bits of constant words differ from each other and from 0 and 1, if each
    is one with probability `ones` in each of `depth` words, as in synthesis no other bit takes a
    LUT or a register.

    There are 2^depth - 2 such bits at most. Of those that are one in a single word, `depth` at
    most; that more of the others are equal is neglected.
    """
    ones = np.maximum(ones, _RAREST)
    never, always = np.exp2(depth * np.log2(1 - ones)), np.exp2(depth * np.log2(ones))
    single = never * (ones / (1 - ones))
    several = count * (1 - never - depth * single - always)
    alone = depth * (1 - (1 - single) ** count)
    most = np.exp2(np.minimum(depth, 60)) - 2
    found: Array = np.minimum(np.maximum(several, 0) + alone, most)
    return found


def lut_ram(width: Array, depth: Array, device: Device) -> Array:
    """LUTs for writable memories with a read port of their own; 0 where `depth` is 0."""
    if 1 << device.lut_inputs < LONG:
        scaled: Array = np.ceil(LUT_RAM_FACTOR * lut_rom(width, depth, device))
        return scaled
    short = 4 * ceil_div(width, SHORT_BITS) * (depth > 0)
    long = 4 * ceil_div(width, LONG_BITS) * ceil_div(depth, LONG)
    long = np.where(depth > DEEP, np.ceil(DEEP_FACTOR * long), long)
    luts: Array = np.where(depth <= SHORT, short, long)
    return luts


def buffer(width: Array, depth: Array, device: Device) -> tuple[Array, Array]:
    """(LUTs, block RAMs) of writable buffers, in LUTs where small or shallow and else in blocks."""
    in_luts = (width * depth <= SMALL_MEMORY_BITS) | (depth <= SHALLOW)
    luts = np.where(in_luts, lut_ram(width, depth, device), 0)
    blocks = np.zeros(len(width), dtype=np.int64)
    (large,) = np.nonzero(~in_luts)
    if len(large):
        blocks[large] = bram18(width[large], depth[large], device)
    return luts, blocks


def fifo_luts(width: Array, depth: int) -> Array:
    """LUTs of a FIFO in shift registers: 2 ceil(lg depth) + ceil(depth/32) ceil(width/2) (FINN)."""
    luts: Array = 2 * (depth - 1).bit_length() + ceil_div(depth, 32) * ceil_div(width, 2)
    return luts
