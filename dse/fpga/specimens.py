"""Specimens: the units that a calibration synthesises, and the names of their tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from dse.fpga.memory import SHALLOW, SMALL_MEMORY_BITS
from dse.fpga.parts import decoders, requantizers, windows
from dse.fpga.synthesis import Row, Specimen, UnitUnderTest
from dse.fpga.verilog import dense_files, sparse_files
from dse.integer.grid import IntArray

MULTIPLIER_WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16)
MAC_WIDTHS = (1, 2, 4, 5, 8, 12, 16)
DOT_WIDTHS = (1, 2, 3, 4, 6, 8)
DOT_TERMS = 16
GUARD_BITS = 8
"""Bits of a MAC's accumulator above those of its product."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """What a matrix-vector unit computes with: integers (rows, columns) and (rows,), and the bits
    of a weight, of a code and of an accumulator."""

    weights: IntArray
    bias: IntArray
    weight_bits: int
    activation_bits: int
    acc_bits: int

    def __post_init__(self) -> None:
        if self.bias.shape != self.weights.shape[:1]:
            raise ValueError(f"{len(self.bias)} biases for weights {self.weights.shape}")

    @property
    def stored_bits(self) -> tuple[int, int]:
        """Bits of what memory files hold: a weight, a bias."""
        return self.weight_bits, self.acc_bits

    @property
    def widths(self) -> Mapping[str, int]:
        """Verilog parameters."""
        return {"W": self.weight_bits, "A": self.activation_bits, "ACC": self.acc_bits}


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
    # (rows, columns), (PE, SIMD), (weight bits, activation bits)
    ((64, 144), (4, 8), (1, 1)),
    ((64, 144), (4, 8), (1, 2)),
    ((32, 144), (4, 8), (2, 2)),
    ((32, 144), (8, 4), (3, 4)),
    ((16, 144), (4, 8), (4, 4)),
    ((32, 144), (8, 9), (4, 4)),
    ((16, 144), (2, 4), (4, 8)),
    ((16, 144), (4, 4), (8, 4)),
    ((16, 144), (2, 4), (8, 8)),
    ((16, 150), (2, 5), (6, 6)),
    ((16, 64), (16, 1), (4, 4)),
    ((84, 120), (4, 3), (5, 3)),
    ((6, 20), (3, 4), (4, 4)),
    ((10, 64), (5, 8), (3, 5)),
    ((16, 36), (4, 12), (2, 4)),
)
SPARSE = (
    # (rows, columns), lanes, (weight bits, activation bits), density
    ((64, 144), 4, (2, 2), 0.25),
    ((32, 144), 4, (4, 4), 0.25),
    ((64, 144), 8, (4, 4), 0.25),
    ((32, 144), 4, (8, 8), 0.25),
    ((64, 128), 8, (4, 4), 0.2),
    ((84, 120), 4, (6, 6), 0.2),
    ((8, 27), 1, (3, 4), 0.3),
    ((16, 72), 1, (4, 4), 0.15),
    ((32, 144), 1, (2, 6), 0.1),
    ((32, 96), 2, (4, 6), 0.2),
    ((96, 288), 2, (3, 5), 0.15),
    ((24, 128), 2, (8, 8), 0.1),
    ((64, 200), 4, (5, 4), 0.1),
    ((128, 256), 8, (3, 3), 0.1),
    ((10, 64), 1, (4, 5), 0.25),
    ((36, 108), 4, (3, 6), 0.2),
)


def units() -> list[Specimen]:
    """Whole matrix-vector units, dense and with lanes that skip zeros."""
    return [_dense(*case) for case in DENSE] + [_sparse(*case) for case in SPARSE]


BIAS_HEADROOM = 3
"""Biases are random within an eighth of the accumulator's range."""


def accumulator_bits(columns: int, weight_bits: int, activation_bits: int) -> int:
    """Bits that hold any sum of `columns` products and a bias of the same size."""
    return weight_bits + activation_bits + (columns - 1).bit_length() + 1


def random_layer(
    shape: tuple[int, int], bits: tuple[int, int], density: float = 1.0
) -> tuple[IntArray, IntArray]:
    """Random weights, of which ceil(density x columns) per row are kept, and biases, of as many
    `bits` each."""
    weight_bits, bias_bits = bits
    rng = np.random.default_rng([*shape, weight_bits])
    half, most = 1 << (weight_bits - 1), 1 << (bias_bits - 1)
    weights = rng.integers(-half, half, shape)
    weights[weights == 0] = -1
    if weight_bits == 1:
        weights = 2 * rng.integers(0, 2, shape) - 1
    kept = ceil(density * shape[1])
    for row in weights:
        row[rng.permutation(shape[1])[kept:]] = 0
    return weights, rng.integers(-most, most, shape[0])


def dense_unit(name: str, matrix: Matrix, folding: tuple[int, int]) -> UnitUnderTest:
    """The dense unit of `matrix` with `folding` (PE, SIMD), which divides it; `name` is that of
    its memory files."""
    (rows, columns), (pe, simd) = matrix.weights.shape, folding
    kept = 0 if columns // simd <= SHALLOW else columns * matrix.activation_bits
    own = {"ROWS": rows, "COLUMNS": columns, "PE": pe, "SIMD": simd}
    styles = _styles(rows * columns // pe * matrix.weight_bits, kept)
    data = {"in_data": simd * matrix.activation_bits, "in_valid": 1, "out_ready": 1}
    return UnitUnderTest(
        "matvec",
        {**own, **matrix.widths, "NAME": name, **styles},
        {"clk": 1, "reset": 1, **data},
        {"in_ready": 1, "out_data": pe * matrix.acc_bits, "out_valid": 1},
        dense_files(name, matrix.weights, matrix.bias, folding, matrix.stored_bits),
    )


def sparse_unit(name: str, matrix: Matrix, count: int) -> UnitUnderTest:
    """The unit of `count` lanes that skip the zeros of `matrix`; `count` divides its rows."""
    rows, columns = matrix.weights.shape
    files, _, depth = sparse_files(name, matrix.weights, matrix.bias, count, matrix.stored_bits)
    own = {"ROWS": rows, "COLUMNS": columns, "LANES": count, "DEPTH": depth}
    weight = depth * (matrix.weight_bits + (columns - 1).bit_length())
    kept = (2 << (columns - 1).bit_length()) * matrix.activation_bits
    styles = _styles(weight, kept)
    return UnitUnderTest(
        "lanes",
        {**own, **matrix.widths, "NAME": name, **styles},
        {"clk": 1, "reset": 1, "in_data": matrix.activation_bits, "in_valid": 1},
        {"in_ready": 1, "row_data": count * matrix.acc_bits, "row_valid": count, "done": 1},
        files,
    )


def _dense(shape: tuple[int, int], folding: tuple[int, int], bits: tuple[int, int]) -> Specimen:
    matrix = _random_matrix(shape, *bits, 1.0)
    name = "_".join(map(str, ("dense", *shape, *folding, *bits)))
    row = _unit_row("dense", matrix, folding, 1.0)
    return Specimen(row, dense_unit(name, matrix, folding))


def _sparse(shape: tuple[int, int], count: int, bits: tuple[int, int], density: float) -> Specimen:
    matrix = _random_matrix(shape, *bits, density)
    name = "_".join(map(str, ("sparse", *shape, count, *bits)))
    row = _unit_row("sparse", matrix, (count, 1), density)
    return Specimen(row, sparse_unit(name, matrix, count))


def _random_matrix(
    shape: tuple[int, int], weight_bits: int, activation_bits: int, density: float
) -> Matrix:
    acc = accumulator_bits(shape[1], weight_bits, activation_bits)
    weights, bias = random_layer(shape, (weight_bits, acc - BIAS_HEADROOM), density)
    return Matrix(weights, bias, weight_bits, activation_bits, acc)


def _styles(weight_bits: int, kept_bits: int) -> Mapping[str, str]:
    """Where memories go: into LUTs while small, which yosys decides alike, else into blocks."""
    weight, kept = (
        "auto" if bits <= SMALL_MEMORY_BITS else "block" for bits in (weight_bits, kept_bits)
    )
    return {"WEIGHT_STYLE": weight, "INPUT_STYLE": kept}


def _unit_row(kind: str, matrix: Matrix, folding: tuple[int, int], density: float) -> Row:
    (rows, columns), (pe, simd) = matrix.weights.shape, folding
    return {
        "kind": kind,
        "rows": rows,
        "columns": columns,
        "pe": pe,
        "simd": simd,
        "weight_bits": matrix.weight_bits,
        "activation_bits": matrix.activation_bits,
        "acc_bits": matrix.acc_bits,
        "bias_bits": matrix.acc_bits - BIAS_HEADROOM,
        "density": density,
    }


TABLES: Mapping[str, Callable[[], list[Specimen]]] = {
    "multiplier_luts": multipliers,
    "mac_luts": macs,
    "dot_luts": dots,
    "unit_luts": units,
    "decoder_luts": decoders,
    "requantizer_luts": requantizers,
    "window_luts": windows,
}
"""Table (a CSV file in `tables/`) to the units in it."""
