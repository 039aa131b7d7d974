"""Specimens: the units that a calibration synthesises, and the names of their tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from dse.fpga.memory import SHALLOW, SMALL_MEMORY_BITS
from dse.fpga.synthesis import UnitUnderTest
from dse.fpga.verilog import dense_files, sparse_files
from dse.integer.grid import IntArray

MULTIPLIER_WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16)
MAC_WIDTHS = (1, 2, 4, 5, 8, 12, 16)
DOT_WIDTHS = (1, 2, 3, 4, 6, 8)
DOT_TERMS = 16
GUARD_BITS = 8
"""Bits of a MAC's accumulator above those of its product."""

Row = Mapping[str, int | float | str]


@dataclass(frozen=True)
class Specimen:
    """A unit and the columns of its table's row, counts apart."""

    row: Row
    unit: UnitUnderTest


def multipliers() -> list[Specimen]:
    """One multiplier per pair of widths."""
    return [
        Specimen(
            {"weight_bits": w, "activation_bits": a},
            UnitUnderTest(
                "multiplier", {"W": w, "A": a}, {"weight": w, "code": a}, {"product": w + a}
            ),
        )
        for w in MULTIPLIER_WIDTHS
        for a in MULTIPLIER_WIDTHS
    ]


def macs() -> list[Specimen]:
    """A multiplier and its accumulator per pair of widths."""
    found = []
    for w in MAC_WIDTHS:
        for a in MAC_WIDTHS:
            acc = w + a + GUARD_BITS
            inputs = {"clk": 1, "clear": 1, "weight": w, "code": a}
            unit = UnitUnderTest("mac", {"W": w, "A": a, "ACC": acc}, inputs, {"acc": acc})
            found.append(Specimen({"weight_bits": w, "activation_bits": a, "acc_bits": acc}, unit))
    return found


def dots() -> list[Specimen]:
    """A dot product of DOT_TERMS terms per pair of widths.

    Binary ones are left out: half of such a unit is a count that all its rows share.
    """
    found = []
    for w in DOT_WIDTHS:
        for a in DOT_WIDTHS:
            if w == a == 1:
                continue
            inputs = {"weights": DOT_TERMS * w, "codes": DOT_TERMS * a}
            out = w + a + (DOT_TERMS - 1).bit_length()
            unit = UnitUnderTest("dot", {"N": DOT_TERMS, "W": w, "A": a}, inputs, {"sum": out})
            row = {"terms": DOT_TERMS, "weight_bits": w, "activation_bits": a}
            found.append(Specimen(row, unit))
    return found


DENSE = (
    # rows, columns, PE, SIMD, weight bits, activation bits
    (64, 144, 4, 8, 1, 1),
    (64, 144, 4, 8, 1, 2),
    (32, 144, 4, 8, 2, 2),
    (32, 144, 8, 4, 3, 4),
    (16, 144, 4, 8, 4, 4),
    (32, 144, 8, 9, 4, 4),
    (16, 144, 2, 4, 4, 8),
    (16, 144, 4, 4, 8, 4),
    (16, 144, 2, 4, 8, 8),
    (16, 150, 2, 5, 6, 6),
    (16, 64, 16, 1, 4, 4),
    (84, 120, 4, 3, 5, 3),
)
SPARSE = (
    # rows, columns, lanes, weight bits, activation bits, density
    (64, 144, 4, 2, 2, 0.25),
    (32, 144, 4, 4, 4, 0.25),
    (64, 144, 8, 4, 4, 0.25),
    (32, 144, 4, 8, 8, 0.25),
    (64, 128, 8, 4, 4, 0.2),
    (84, 120, 4, 6, 6, 0.2),
)


def units() -> list[Specimen]:
    """Whole matrix-vector units, dense and with lanes that skip zeros."""
    return [_dense(*case) for case in DENSE] + [_sparse(*case) for case in SPARSE]


def accumulator_bits(columns: int, weight_bits: int, activation_bits: int) -> int:
    """Bits that hold any sum of `columns` products and a bias of the same size."""
    return weight_bits + activation_bits + (columns - 1).bit_length() + 1


def random_layer(
    shape: tuple[int, int], weight_bits: int, density: float = 1.0
) -> tuple[IntArray, IntArray]:
    """Random weights, of which ceil(density x columns) per row are kept, and biases."""
    rng = np.random.default_rng([*shape, weight_bits])
    half = 1 << (weight_bits - 1)
    weights = rng.integers(-half, half, shape)
    weights[weights == 0] = -1
    if weight_bits == 1:
        weights = 2 * rng.integers(0, 2, shape) - 1
    kept = ceil(density * shape[1])
    for row in weights:
        row[rng.permutation(shape[1])[kept:]] = 0
    return weights, rng.integers(-half, half, shape[0])


def _dense(
    rows: int, columns: int, pe: int, simd: int, weight_bits: int, activation_bits: int
) -> Specimen:
    acc = accumulator_bits(columns, weight_bits, activation_bits)
    weights, bias = random_layer((rows, columns), weight_bits)
    name = f"dense_{rows}_{columns}_{pe}_{simd}_{weight_bits}_{activation_bits}"
    parameters = {"ROWS": rows, "COLUMNS": columns, "PE": pe, "SIMD": simd}
    weight = rows * columns // pe * weight_bits
    kept = 0 if columns // simd <= SHALLOW else columns * activation_bits
    unit = UnitUnderTest(
        "matvec",
        {
            **parameters,
            "W": weight_bits,
            "A": activation_bits,
            "ACC": acc,
            "NAME": name,
            **_styles(weight, kept),
        },
        {"clk": 1, "reset": 1, "in_data": simd * activation_bits, "in_valid": 1, "out_ready": 1},
        {"in_ready": 1, "out_data": pe * acc, "out_valid": 1},
        dense_files(name, weights, bias, (pe, simd), (weight_bits, acc)),
    )
    return Specimen(
        _unit_row("dense", (rows, columns, pe, simd), (weight_bits, activation_bits, acc), 1.0),
        unit,
    )


def _sparse(
    rows: int, columns: int, count: int, weight_bits: int, activation_bits: int, density: float
) -> Specimen:
    acc = accumulator_bits(columns, weight_bits, activation_bits)
    weights, bias = random_layer((rows, columns), weight_bits, density)
    name = f"sparse_{rows}_{columns}_{count}_{weight_bits}_{activation_bits}"
    files, _, depth = sparse_files(name, weights, bias, count, (weight_bits, acc))
    parameters = {"ROWS": rows, "COLUMNS": columns, "LANES": count, "DEPTH": depth}
    weight = depth * (weight_bits + (columns - 1).bit_length())
    kept = 2 * columns * activation_bits
    unit = UnitUnderTest(
        "lanes",
        {
            **parameters,
            "W": weight_bits,
            "A": activation_bits,
            "ACC": acc,
            "NAME": name,
            **_styles(weight, kept),
        },
        {"clk": 1, "reset": 1, "in_data": activation_bits, "in_valid": 1},
        {"in_ready": 1, "row_data": count * acc, "row_valid": count, "done": 1},
        files,
    )
    return Specimen(
        _unit_row(
            "sparse", (rows, columns, count, 1), (weight_bits, activation_bits, acc), density
        ),
        unit,
    )


def _styles(weight_bits: int, kept_bits: int) -> Mapping[str, str]:
    """Where memories go: into LUTs while small, which yosys decides alike, else into blocks."""
    weight, kept = (
        "auto" if bits <= SMALL_MEMORY_BITS else "block" for bits in (weight_bits, kept_bits)
    )
    return {"WEIGHT_STYLE": weight, "INPUT_STYLE": kept}


def _unit_row(
    kind: str, shape: tuple[int, int, int, int], bits: tuple[int, int, int], density: float
) -> Row:
    names = ("rows", "columns", "pe", "simd", "weight_bits", "activation_bits", "acc_bits")
    return {"kind": kind, **dict(zip(names, (*shape, *bits), strict=True)), "density": density}


TABLES: Mapping[str, Callable[[], list[Specimen]]] = {
    "multiplier_luts": multipliers,
    "mac_luts": macs,
    "dot_luts": dots,
    "unit_luts": units,
}
"""Table (a CSV file in `tables/`) to the units in it."""
