"""LeNet-5's layers, estimated and synthesised: `python benchmarks/lenet5_synthesis.py`.

Needs yosys (`pip install -e ".[calibrate]"`; the first start takes a minute or two). The units are
those that `tests/fpga/test_rtl_layers.py` simulates bit for bit: matrix-vector units with their
weights, biases and kept inputs; whole layers are in `lenet5_rtl.py`. The
estimate is the shipped model's of the same units, nothing refitted. Names of layers as arguments
synthesise these only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rich.console import Console
from rich.table import Table

from dse.errors import InputError, nearest
from dse.fpga import LayerWorkload, describe
from dse.fpga.arithmetic import UNIT_SCALE
from dse.fpga.netlist import Counts
from dse.fpga.specimens import Matrix, dense_unit, sparse_unit
from dse.fpga.synthesis import UnitUnderTest, synthesise, yosys_program, yosys_version
from dse.fpga.truth import errors, relative_error
from dse.fpga.units import UnitParts, matrix_vector, parts_of
from tests.fpga.lenet5_units import (
    CONFIGURATIONS,
    FOLDING,
    LANES,
    layer_matrix,
    lenet5_with_biases,
)
from tests.fpga.networks import Bits, packed

QUANTITIES = ("lut", "ff", "bram18", "dsp")


@dataclass(frozen=True)
class Case:
    """A layer's unit: what it is, its estimate, its Verilog."""

    bits: Bits
    kind: str
    layer: str
    folding: tuple[int, int]
    estimate: UnitParts
    unit: UnitUnderTest

    def estimated(self, quantity: str) -> int:
        """Estimated count; all multipliers are in LUTs."""
        if quantity == "dsp":
            return 0
        if quantity == "lut":
            return round(self.estimate.lut(UNIT_SCALE))
        return round(getattr(self.estimate, quantity))


def cases() -> list[Case]:
    """Every layer of every configuration, dense; with lanes where it was pruned."""
    found = []
    for number, bits in enumerate(CONFIGURATIONS):
        network = lenet5_with_biases(bits)
        kinds = ("dense", "sparse") if bits.density < 1 else ("dense",)
        for kind in kinds:
            workloads = describe(network, packed(network, "csr" if kind == "sparse" else "dense"))
            for layer, workload in zip(network.layers, workloads.layers, strict=True):
                matrix = layer_matrix(network, layer)
                found.append(case(bits, kind, workload, matrix, f"{kind}{number}_{layer.name}"))
    return found


def case(bits: Bits, kind: str, workload: LayerWorkload, matrix: Matrix, files: str) -> Case:
    """One layer as a `kind` of unit; `files` names its memory files."""
    layer, skips = workload.name, kind == "sparse"
    folding = (LANES[layer], 1) if skips else FOLDING[layer]
    estimate = parts_of(matrix_vector(workload), folding, skips, workload.accumulator_bits)
    unit = sparse_unit(files, matrix, folding[0]) if skips else dense_unit(files, matrix, folding)
    return Case(bits, kind, layer, folding, estimate, unit)


def print_layers(console: Console, own: Sequence[Case], counts: Sequence[Counts]) -> None:
    """Estimated / synthesised counts and the error of every layer."""
    titles = (f"{name.upper()} est / syn" for name in QUANTITIES)
    table = Table("W", "A", "unit", "layer", "PE x SIMD", *titles)
    for one, counted in zip(own, counts, strict=True):
        cells = []
        for name in QUANTITIES:
            predicted, measured = one.estimated(name), getattr(counted, name)
            error = relative_error(predicted, measured)
            cells.append(f"{predicted} / {measured}" + (f" {error:+.0%}" if error else ""))
        widths = (str(one.bits.weights), str(one.bits.activations))
        table.add_row(*widths, one.kind, one.layer, "{} x {}".format(*one.folding), *cells)
    console.print(table)


def print_errors(console: Console, own: Sequence[Case], counts: Sequence[Counts]) -> None:
    """Errors by quantity and kind of unit."""
    table = Table("unit", "quantity", "layers", "median", "mean", "worst")
    for kind in ("dense", "sparse"):
        for name in QUANTITIES:
            pairs = [
                (one.estimated(name), getattr(counted, name))
                for one, counted in zip(own, counts, strict=True)
                if one.kind == kind
            ]
            found = errors(pairs)
            shares = (f"{value:.1%}" for value in (found.median, found.mean, found.worst))
            table.add_row(kind, name, str(found.count), *shares)
    console.print(table)


def main() -> int:
    """Synthesise every layer and print it beside its estimate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layers", nargs="*", metavar="LAYER", help=f"of {', '.join(FOLDING)} (all)")
    wanted = parser.parse_args().layers or list(FOLDING)
    console = Console(width=110, highlight=False)
    try:
        for layer in wanted:
            if layer not in FOLDING:
                raise InputError(f"no layer {layer!r}{nearest(layer, list(FOLDING))}")
        program = yosys_program()
        own = [one for one in cases() if one.layer in wanted]
        console.print(f"{len(own)} units, yosys {yosys_version(program)}, mapped, not placed")
        counts = list(synthesise([one.unit for one in own], program))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_layers(console, own, counts)
    print_errors(console, own, counts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
