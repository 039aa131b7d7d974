"""LeNet-5 as whole pipelines, estimated, simulated, synthesised: `python benchmarks/lenet5_rtl.py`.

Prints every node - window, unit, requantizer, FIFO, width converters; pools - as estimated and as
the golden table has it (yosys 0.70). `--cycles` simulates the pipelines with Icarus Verilog on
three random images, compares every logit, and prints the cycles (minutes). `--synthesise FILE.csv`
measures the stages anew (an hour or so; stages that the file already has are left), dense
matrix-vector units apart, which `benchmarks/lenet5_synthesis.py` measures.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from rich.console import Console
from rich.table import Table

from dse.errors import InputError
from dse.fpga.rtl_bench import simulate, write_bench
from dse.fpga.rtl_cost import planned_cycles
from dse.fpga.synthesis import synthesise, yosys_program, yosys_version
from dse.fpga.truth import errors, relative_error
from dse.integer.reference import evaluate
from tests.fpga.lenet5_pipelines import (
    QUANTITIES,
    STAGE_COLUMNS,
    Case,
    Node,
    cases,
    measured_nodes,
    under_test,
)

TOGETHER = 4
"""Stages per run of yosys; the file is written after each."""


def print_nodes(console: Console, nodes: Sequence[Node]) -> None:
    """Estimated / synthesised counts of every node, and the errors of layers and pools."""
    titles = (f"{name.upper()} est / syn" for name in QUANTITIES)
    table = Table("W", "A", "unit", "node", *titles)
    for node in nodes:
        cells = []
        for name in QUANTITIES:
            predicted, measured = node.estimated[name], node.synthesised[name]
            error = relative_error(predicted, measured)
            cells.append(f"{predicted:,} / {measured:,}" + (f" {error:+.0%}" if error else ""))
        table.add_row(*node.heading, node.name, *cells)
    console.print(table)
    table = Table("nodes", "quantity", "cases", "median", "mean", "worst")
    for group in ("dense", "sparse", "pool"):
        own = [node for node in nodes if node.group == group]
        for name in QUANTITIES if own else ():
            found = errors([(node.estimated[name], node.synthesised[name]) for node in own])
            shares = (f"{value:.0%}" for value in (found.median, found.mean, found.worst))
            table.add_row(group, name, str(found.count), *shares)
    console.print(table)


def print_cycles(console: Console, own: Sequence[Case]) -> None:
    """Initiation interval and latency, estimated / simulated."""
    table = Table("W", "A", "unit", "interval est / sim", "latency est / sim", "logits", "wrong")
    for case in own:
        codes = np.random.default_rng(7).integers(0, 1 << case.bits.activations, (3, 1, 28, 28))
        logits = evaluate(case.network, codes)[case.network.output]
        with tempfile.TemporaryDirectory() as scratch:
            write_bench(case.pipeline, (codes, logits), Path(scratch))
            found = simulate(Path(scratch))
        interval, latency = planned_cycles(case.workload, case.pipeline.plan, {})
        table.add_row(
            *case.heading,
            f"{interval:,} / {found.interval:,}",
            f"{latency:,} / {found.latency:,}",
            str(logits.size),
            str(found.wrong),
        )
    console.print(table)


def measure(console: Console, own: Sequence[Case], path: Path) -> None:
    """Synthesise the stages that `path` lacks and append them."""
    program = yosys_program()
    console.print(f"yosys {yosys_version(program)}, mapped, not placed")
    if not path.exists():
        path.write_text(",".join(STAGE_COLUMNS) + "\n", encoding="utf-8")
    with path.open(encoding="utf-8") as file:
        lines = csv.DictReader(line for line in file if not line.startswith("#"))
        there = {tuple(row[name] for name in STAGE_COLUMNS[:5]) for row in lines}
    todo = [
        ((*case.heading, name, stage.name), stage)
        for case in own
        for name, stages in case.pipeline.nodes
        for stage in stages
        if stage.module != "matvec" and (*case.heading, name, stage.name) not in there
    ]
    for start in range(0, len(todo), TOGETHER):
        group = todo[start : start + TOGETHER]
        counts = synthesise([under_test(stage) for _, stage in group], program)
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            for (key, _), found in zip(group, counts, strict=True):
                writer.writerow([*key, *(asdict(found)[name] for name in STAGE_COLUMNS[5:])])
        console.print(f"{start + len(group)} of {len(todo)}: {group[-1][1].name}")


def main() -> int:
    """Print the golden table beside the estimates, or measure anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", action="store_true", help="simulate the pipelines")
    parser.add_argument("--synthesise", type=Path, metavar="FILE.csv", help="measure the stages")
    options = parser.parse_args()
    console = Console(width=110, highlight=False)
    own = list(cases())
    try:
        if options.synthesise:
            measure(console, own, options.synthesise)
        elif options.cycles:
            print_cycles(console, own)
        else:
            print_nodes(console, measured_nodes(own))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
