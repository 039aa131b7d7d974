"""Arithmetic: LUTs and DSPs of multipliers, adder trees, decoders and requantizers."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from math import ceil
from pathlib import Path

from dse.fpga.memory import ceil_div

_TABLES = Path(__file__).parent / "tables"

UNIT_SCALE = 1.0
"""LUTs of dot products and accumulators over the sum of their parts, fitted to the dense units of
the table unit_luts (yosys 0.70, xc7)."""

ACCUMULATOR_LUT = 1.5
"""LUTs per bit of an accumulator: the adder, and a choice between bias and sum, two bits a LUT."""

LANE_ACCUMULATOR_LUT = 1
"""The same in a lane that adds one product a cycle: bias or sum, and the product, are four inputs
of the LUT in front of the carry chain (`rtl/lane.v`, yosys 0.70, xc7)."""

HANDSHAKE_LUT, HANDSHAKE_FF = 8, 5
"""Valid, ready and the flags of first and last step in a matrix-vector unit (`rtl/matvec.v`)."""

XNOR_LUT = 1.25
"""LUTs per term of a +-1 x 1-bit dot product, XNOR and popcount together (yosys 0.70, xc7)."""

REQUANTIZER_LUT = 3
"""LUTs of one requantizer beside its DSP and one per bit of its code: half up, and both limits
(exact in 18 of 18 lines of the table requantizer_luts, yosys 0.70, xc7)."""

WINDOW_CONTROL_LUT = 300
"""Counters and addresses of a sliding-window unit (constant of FINN's lut_estimation)."""


@cache
def _rows(name: str) -> tuple[Mapping[str, str], ...]:
    lines = (_TABLES / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    return tuple(csv.DictReader(line for line in lines if not line.startswith("#")))


@cache
def _multipliers() -> Mapping[tuple[int, int], int]:
    return {
        (int(row["weight_bits"]), int(row["activation_bits"])): int(row["lut"])
        for row in _rows("multiplier_luts")
    }


@cache
def _decoders() -> Mapping[str, tuple[tuple[int, int, int], ...]]:
    parts: dict[str, list[tuple[int, int, int]]] = {}
    for row in _rows("decoder_luts"):
        entry = (int(row["size"]), int(row["lut"]), int(row["ff"]))
        parts.setdefault(row["part"], []).append(entry)
    return {part: tuple(sorted(sizes)) for part, sizes in parts.items()}


def multiplier_formula(weight_bits: int, activation_bits: int) -> int:
    """LUTs of one multiplier where the table has no entry: (m-1) n + 1, m <= n the two widths.

    m - 1 rows add n bits each, and one LUT is left for the lowest bit. With one-bit weights the
    code is negated (n) or not (n / 2 more), with one-bit codes two bits share a LUT.
    """
    if weight_bits == 1 and activation_bits == 1:
        return 1
    if weight_bits == 1:
        return int(ceil_div(3 * activation_bits, 2))
    if activation_bits == 1:
        return int(ceil_div(weight_bits, 2))
    narrow, wide = sorted((weight_bits, activation_bits))
    return (narrow - 1) * wide + 1


def multiplier_lut(weight_bits: int, activation_bits: int) -> int:
    """LUTs of a signed `weight_bits` x unsigned `activation_bits` multiplier (1 bit means +-1)."""
    found = _multipliers().get((weight_bits, activation_bits))
    return multiplier_formula(weight_bits, activation_bits) if found is None else found


def product_bits(weight_bits: int, activation_bits: int) -> int:
    """Width of a product in a dot product; a weight under a one-bit code gets no wider."""
    if activation_bits == 1 and weight_bits > 1:
        return weight_bits
    return weight_bits + activation_bits


def term_lut(weight_bits: int, activation_bits: int) -> int:
    """LUTs of a multiplier in a dot product; half of a gate for one-bit codes is in its adder."""
    if activation_bits == 1 and weight_bits > 1:
        return term_formula(weight_bits, activation_bits)
    return multiplier_lut(weight_bits, activation_bits)


def term_formula(weight_bits: int, activation_bits: int) -> int:
    """`term_lut` where the table has no entry."""
    lut = multiplier_formula(weight_bits, activation_bits)
    return int(ceil_div(lut, 2)) if activation_bits == 1 and weight_bits > 1 else lut


@cache
def tree_levels(terms: int) -> int:
    """Sum over the adders of a tree of `terms` inputs of the adder's level (1 next the inputs)."""
    total, level = 0, 1
    while terms > 1:
        total += (terms // 2) * level
        terms -= terms // 2
        level += 1
    return total


def dot_lut(
    terms: int, weight_bits: int, activation_bits: int, multiplier: int | None = None
) -> float:
    """LUTs of a dot product: `terms` multipliers and a tree whose level l adds as many bits as a
    product has, and l more but in the first one.

    `multiplier` is what one takes, from the table where it is not given.
    """
    if weight_bits == 1 and activation_bits == 1:
        return XNOR_LUT * terms
    bits = product_bits(weight_bits, activation_bits)
    tree = (terms - 1) * bits + tree_levels(terms) - terms // 2
    each = term_lut(weight_bits, activation_bits) if multiplier is None else multiplier
    return terms * each + tree


def mac_lut(weight_bits: int, activation_bits: int, accumulator_bits: int) -> int:
    """LUTs of a multiplier and its accumulator, from the formula.

    The sum takes its width less the lowest bit; with a one-bit operand it also takes in half of the
    multiplier.
    """
    shared = 1
    if min(weight_bits, activation_bits) == 1:
        shared = int(ceil_div(max(weight_bits, activation_bits), 2))
    return multiplier_formula(weight_bits, activation_bits) + accumulator_bits - shared


def accumulator_lut(bits: int, skips: bool) -> int:
    """LUTs of an accumulator, in a lane that `skips` zeros or behind the tree of a dense unit."""
    return ceil((LANE_ACCUMULATOR_LUT if skips else ACCUMULATOR_LUT) * bits)


def products_per_dsp(weight_bits: int, activation_bits: int, ports: tuple[int, int]) -> int:
    """Products that share an operand in one DSP: 4 up to 4 bits, 2 up to 8 bits, else 1.

    The packing of FINN's RTL unit; it needs the 25-bit port of a DSP48.
    """
    widest = max(weight_bits, activation_bits)
    if ports[0] < 25:
        return 1
    return 4 if widest <= 4 else 2 if widest <= 8 else 1


def dsps_per_product(weight_bits: int, activation_bits: int, ports: tuple[int, int]) -> int:
    """DSPs of one product: ceil over both signed ports; an unsigned activation needs a sign bit."""
    return int(ceil_div(weight_bits, ports[0]) * ceil_div(activation_bits + 1, ports[1]))


def requantizer_dsp(accumulator_bits: int, ports: tuple[int, int]) -> int:
    """DSPs that multiply an accumulator by the 15-bit multiplier."""
    return int(ceil_div(accumulator_bits, ports[0]))


def part_cost(part: str, size: int) -> tuple[int, int]:
    """(LUTs, FFs) of a measured decoder part: the next size of the table that holds `size`.

    Beyond the table the largest entry is scaled in proportion.
    """
    sizes = _decoders()[part]
    for entry, lut, ff in sizes:
        if entry >= size:
            return lut, ff
    entry, lut, ff = sizes[-1]
    return ceil_div(lut * size, entry), ceil_div(ff * size, entry)


def requantizer_lut(output_bits: int) -> int:
    """LUTs of one requantizer to codes of `output_bits`, with one shift for all channels."""
    return output_bits + REQUANTIZER_LUT


def shift_lut(shifts: int, output_bits: int) -> int:
    """LUTs that pick one of `shifts` per-channel shifts; the rounding bit is one more output."""
    if shifts <= 1:
        return 0
    return (output_bits + 1) * (1 if shifts <= 3 else part_cost("mux", shifts)[0])
