"""How far the cost model is from what was measured: `python benchmarks/cost_truth.py`.

`--layers X.csv --reports Y.csv` predicts other networks with the shipped shell, without a refit.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from rich.console import Console
from rich.table import Table

from dse.errors import InputError
from dse.fpga import estimate, load_device
from dse.fpga.builds import Build, read_builds
from dse.fpga.calibration import leave_one_out, predict
from dse.fpga.measured import TABLES_FOLDER, read_rows, table_errors
from dse.fpga.memory import bram18
from dse.fpga.shell import load_shell
from dse.fpga.sparse import divisors, lane_words
from dse.fpga.specimens import TABLES
from dse.fpga.truth import Errors, errors, kendall_tau, relative_error
from tests.fpga.cnv import GOLDEN, cnv_w1a1, golden
from tests.fpga.simulation import random_unit, run_dense, run_sparse

DEVICE = load_device("xc7z020")
LATENCY_CYCLES = 151_178
"""CNV-W1A1 on a PYNQ-Z2 at 100 MHz: 661.5 images per second, one at a time."""
QUANTITIES = ("lut", "ff", "bram18", "lutram")
LIMITS = {
    **dict.fromkeys(("multiplier LUT", "mac LUT", "dot LUT"), "median 6 %, worst 35 %"),
    "unit LUT": "median 8 %, worst 25 %",
}
SIMULATED = (
    # rows, columns, (weight, activation bits), (PE, SIMD), lanes, density
    ((8, 36), (4, 4), (2, 9), 2, 0.3),
    ((16, 25), (1, 1), (8, 5), 8, 0.5),
    ((12, 40), (8, 3), (3, 10), 3, 0.1),
)


def main() -> int:
    """Print the table of errors, or the errors of the networks given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=Path, help="networks and their folding")
    parser.add_argument("--reports", type=Path, help="what the vendor's tool reported of them")
    options = parser.parse_args()
    console = Console()
    try:
        if (options.layers is None) != (options.reports is None):
            raise InputError("--layers and --reports go together")
        if options.layers:
            unseen(console, read_builds(options.layers, options.reports))
        else:
            measured(console)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def measured(console: Console) -> None:
    """Everything this repository can compare itself with."""
    table = Table("quantity", "cases", "median", "mean", "worst", "limit", title="model / measured")
    for name in TABLES:
        for what, found in table_errors(name, read_rows(TABLES_FOLDER / f"{name}.csv")):
            add(table, f"{what}, yosys 0.70", found, LIMITS.get(what, ""))
    for name, rows in (("mac_luts", golden("mac")), ("dot_luts", golden("dot16"))):
        for what, found in table_errors(name, rows):
            add(table, f"{what}, others' Verilog", found, LIMITS.get(what, ""))
    for name, found, limit in (block_rams(), *cycles(), latency()):
        add(table, name, found, limit)
    builds = read_builds(GOLDEN / "bnn_pynq_layers.csv", GOLDEN / "bnn_pynq_reports.csv")
    for name, found, limit in networks(builds):
        add(table, name, found, limit)
    console.print(table)
    networks_table(console, "each predicted from the others", builds, leave_one_out(builds))


def add(table: Table, name: str, found: Errors, limit: str) -> None:
    """One line of the table of errors."""
    shares = [f"{value:.1%}" for value in (found.median, found.mean, found.worst)]
    table.add_row(name, str(found.count), *shares, limit)


def block_rams() -> tuple[str, Errors, str]:
    """Shapes of pure block RAM."""
    rows = golden("rom")
    width, depth = (np.array([int(row[name]) for row in rows]) for name in ("width", "depth"))
    pairs = zip(bram18(width, depth, DEVICE).tolist(), rows, strict=True)
    found = errors([(predicted, int(row["bram18"])) for predicted, row in pairs])
    return "pure block RAMs, yosys 0.70", found, "exact"


def cycles() -> list[tuple[str, Errors, str]]:
    """Cycles from vector to vector, simulated; nothing where iverilog is not installed."""
    if shutil.which("iverilog") is None:
        return []
    dense, sparse = [], []
    for (rows, columns), bits, (pe, simd), lanes, density in SIMULATED:
        with tempfile.TemporaryDirectory() as scratch:
            _, ends = run_dense(random_unit((rows, columns), bits), (pe, simd), Path(scratch))
            words = rows // pe * (columns // simd)
            dense += [(words, step) for step in np.diff(ends).tolist()]
            unit = random_unit((rows, columns), bits, density)
            _, ends, _ = run_sparse(unit, lanes, Path(scratch))
        nonzeros = np.count_nonzero(unit.weights, axis=1)
        busiest = lane_words(nonzeros, np.array([1]))[0, divisors(rows).index(lanes)]
        sparse += [(max(int(busiest), columns), step) for step in np.diff(ends).tolist()]
    return [
        ("cycles of dense units, iverilog", errors(dense), "exact"),
        ("cycles of sparse lanes, iverilog", errors(sparse), "exact"),
    ]


def latency() -> tuple[str, Errors, str]:
    """CNV-W1A1 on the board."""
    network, folding = cnv_w1a1()
    cycles = estimate(network, DEVICE, folding=folding).latency_cycles
    return "latency of CNV-W1A1, PYNQ-Z2", errors([(cycles, LATENCY_CYCLES)]), "12 %"


def networks(builds: tuple[Build, ...]) -> list[tuple[str, Errors, str]]:
    """Whole devices, each predicted with a shell fitted to the others."""
    limits = {"lut": "mean 12 %", "bram18": "20 % each"}
    left_out, lines = leave_one_out(builds), []
    for name in QUANTITIES:
        pairs = [
            (found[name], build.reported[name])
            for build, found in zip(builds, left_out, strict=True)
        ]
        label = f"whole devices, {name}, Vivado 2018.2"
        lines.append((label, errors(pairs), limits.get(name, "")))
    return lines


def unseen(console: Console, builds: tuple[Build, ...]) -> None:
    """Networks of the user's, with the shipped shell."""
    shell = load_shell("bnn-pynq")
    console.print(f"shell: {shell.source}", highlight=False)
    networks_table(console, "predicted, no refit", builds, [predict(b, shell) for b in builds])


def networks_table(
    console: Console, title: str, builds: tuple[Build, ...], predictions: list[dict[str, int]]
) -> None:
    """Predicted and reported counts of every network, mean errors and Kendall's tau."""
    table = Table("network", *(f"{name} (error)" for name in QUANTITIES), title=title)
    for build, found in zip(builds, predictions, strict=True):
        table.add_row(build.net, *(cell(found[name], build, name) for name in QUANTITIES))
    means, taus = ["mean error"], ["Kendall tau"]
    for name in QUANTITIES:
        known = [
            (found[name], build.reported[name])
            for build, found in zip(builds, predictions, strict=True)
            if name in build.reported
        ]
        means.append(f"{fmean(abs(relative_error(*pair)) for pair in known):.1%}" if known else "")
        taus.append(f"{kendall_tau(*zip(*known, strict=True)):.2f}" if len(known) > 1 else "")
    table.add_section()
    table.add_row(*means)
    table.add_row(*taus)
    console.print(table)


def cell(predicted: int, build: Build, name: str) -> str:
    """A count and its error, as far as one was reported."""
    if name not in build.reported:
        return f"{predicted}"
    return f"{predicted} ({relative_error(predicted, build.reported[name]):+.1%})"


if __name__ == "__main__":
    sys.exit(main())
