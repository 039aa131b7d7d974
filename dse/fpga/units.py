"""Units as their Verilog has them: what the cost model says of a line of the table `unit_luts`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import median

import numpy as np

from dse.fpga import arithmetic, sparse
from dse.fpga.device import RESOURCES, load_device
from dse.fpga.foldings import enumerate_foldings
from dse.fpga.memory import SMALL_MEMORY_BITS
from dse.fpga.unit import (
    constant_rows,
    edges,
    gather,
    logic_choices,
    memory_choices,
    multiplier_arrays,
)
from dse.fpga.workload import LayerWorkload, Window

DEVICE = "xc7z020"
"""Tables are of the 7 series."""

MOST_LUT = 40
"""Beyond what either constant of lanes can be: the smallest sparse unit has 80 LUTs."""


@dataclass(frozen=True)
class UnitParts:
    """A unit without the streams around it. `logic` LUTs are scaled, `other` ones are not."""

    logic: float
    other: float
    ff: float
    lutram: float
    bram18: float

    def lut(self, scale: float) -> float:
        """All LUTs."""
        return scale * self.logic + self.other


def unit_parts(row: Mapping[str, str]) -> UnitParts:
    """The unit of a line of `unit_luts`."""
    workload = _workload(row)
    folding = int(row["pe"]), int(row["simd"])
    return parts_of(workload, folding, row["kind"] == "sparse", int(row["bias_bits"]))


def matrix_vector(workload: LayerWorkload) -> LayerWorkload:
    """What a `matvec` or `lanes` computes of an ungrouped layer: no window, no requantizer."""
    if workload.groups != 1:
        raise ValueError(f"{workload.name}: a unit of {workload.groups} groups has no Verilog")
    return replace(
        workload,
        linear=True,
        in_channels=workload.columns,
        window=Window.pixelwise((1, 1)),
        multipliers=0,
        shifts=0,
    )


def parts_of(
    workload: LayerWorkload, folding: tuple[int, int], skips: bool, bias_bits: int
) -> UnitParts:
    """The unit of `workload`, multipliers and small memories in LUTs, biases of `bias_bits`; with
    lanes where it `skips` zeros, and then `folding` is (lanes, 1)."""
    units = enumerate_foldings((workload,), {workload.name: folding})
    device = load_device(DEVICE)
    c = gather((workload,), units, device)._replace(parameter_bits=bias_bits, waits=0)
    (index,) = np.flatnonzero(units.sparse == skips)
    _, needs = logic_choices(units, c, device)[0]
    scaled = multiplier_arrays((units.pe, units.simd, units.levels), c)[0]
    bits = units.simd[index] * c.word_bits[index] * units.words[index]
    large = bool(bits > SMALL_MEMORY_BITS)
    _, memory = memory_choices(units, c, device)[int(large)]
    if not large:
        scaled[:, RESOURCES.index("lut")] -= constant_rows(units, c)
        needs[:, RESOURCES.index("lut")] -= constant_rows(units, c)
    whole = dict(zip(RESOURCES, (needs + memory - edges(units, c, device))[index], strict=True))
    logic = scaled[index, RESOURCES.index("lut")]
    return UnitParts(
        logic=logic / arithmetic.UNIT_SCALE,
        other=whole["lut"] - logic,
        ff=whole["ff"],
        lutram=whole["lutram"],
        bram18=whole["bram18"],
    )


def fit_scale(parts: Sequence[UnitParts], luts: Sequence[int]) -> float:
    """Scale of the logic: median of what units take beside their other LUTs over their logic."""
    return median((lut - one.other) / one.logic for one, lut in zip(parts, luts, strict=True))


def _workload(row: Mapping[str, str]) -> LayerWorkload:
    """A linear layer without requantizer, with as many non-zeros in every row."""
    rows, columns = int(row["rows"]), int(row["columns"])
    weight_bits, acc = int(row["weight_bits"]), int(row["acc_bits"])
    nonzeros = ceil(float(row["density"]) * columns)
    one, stored = (1, 1), rows * nonzeros
    csr = stored * (weight_bits + (columns - 1).bit_length())
    csr += (rows + 1) * stored.bit_length()
    return LayerWorkload(
        name="unit",
        source="input",
        linear=True,
        out_channels=rows,
        in_channels=columns,
        groups=1,
        window=Window(one, one, (0, 0), one, one, one),
        row_nonzeros=np.full(rows, nonzeros, dtype=np.int64),
        weight_bits=weight_bits,
        mid_rise=weight_bits == 1,
        dense_bits=weight_bits,
        operand_bits=weight_bits,
        sparse_operand_bits=weight_bits,
        activation_bits=int(row["activation_bits"]),
        output_bits=acc,
        accumulator_bits=acc,
        multipliers=0,
        shifts=0,
        storage_format="csr" if row["kind"] == "sparse" else "dense",
        packed_bits=csr if row["kind"] == "sparse" else rows * columns * weight_bits,
    )


def fit_lanes(rows: Sequence[Mapping[str, str]]) -> tuple[int, int]:
    """LUTs of a lane and of what all lanes share, beside what is counted: the whole numbers with
    the least sum of absolute relative errors over sparse units."""
    known = np.array([int(row["lut"]) for row in rows], dtype=float)
    lanes = np.array([int(row["pe"]) for row in rows])
    counted = np.array([unit_parts(row).lut(arithmetic.UNIT_SCALE) for row in rows])
    counted -= lanes * sparse.LANE_LUT + sparse.SHARED_LUT
    choices = itertools.product(range(MOST_LUT), range(MOST_LUT))
    return min(
        choices, key=lambda one: np.abs((counted + lanes * one[0] + one[1]) / known - 1).sum()
    )
