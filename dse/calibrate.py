"""The verb `calibrate`: measure the cost model's units with yosys, or fit to vendors' reports."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from dse.errors import InputError
from dse.fpga import measured
from dse.fpga.builds import Build, read_builds
from dse.fpga.calibration import fit_shell, leave_one_out
from dse.fpga.shell import QUANTITIES, write_shell
from dse.fpga.specimens import TABLES
from dse.fpga.synthesis import yosys_program, yosys_version
from dse.fpga.truth import Errors, errors, relative_error

DONE, WRONG_INPUT, INTERRUPTED = 0, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    try:
        if (options.layers is None) != (options.reports is None):
            raise InputError("--layers and --reports go together")
        if options.layers is None:
            _measure(options.out or Path("calibration"), options.tables, console)
        else:
            _fit(options, console)
    except InputError as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", markup=False, highlight=False)
        return WRONG_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dse.calibrate",
        description="Synthesise the cost model's units with yosys and write their tables, or fit "
        "the shell of a board to vendors' reports.",
        epilog="Columns of the CSV files and the use of what is written: docs/cost_model.md.",
    )
    add = parser.add_argument
    add("--out", type=Path, metavar="PATH", help="folder of the tables (calibration), or shell.yml")
    add("--tables", nargs="+", choices=TABLES, default=list(TABLES), help="which ones (all)")
    add("--layers", type=Path, metavar="X.csv", help="networks that were built, with their folding")
    add("--reports", type=Path, metavar="Y.csv", help="what the vendor's tool reported of them")
    return parser


def _measure(folder: Path, names: Iterable[str], console: Console) -> None:
    """Synthesise every table, write it, and print how far the model's formulas are from it."""
    program = yosys_program()
    version = yosys_version(program)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from error
    table = _errors_table("formula / yosys, every line predicted without itself")
    constants = Table("constant", "fit to these tables", "shipped", title="fitted constants")
    for name in names:
        specimens = TABLES[name]()
        label = f"{name}, yosys {version}"
        rows = list(
            track(
                measured.measure(specimens, program),
                label,
                len(specimens),
                console=console,
                transient=True,
            )
        )
        measured.write_rows(folder / f"{name}.csv", rows, f"yosys {version}")
        console.print(f"{folder / name}.csv: {len(rows)} units")
        for what, found in measured.table_errors(name, rows):
            _add(table, what, found)
        for constant, fit, shipped in measured.fitted(name, rows):
            constants.add_row(constant, f"{fit:.4g}", f"{shipped:g}")
    console.print(table)
    if constants.row_count:
        console.print(constants)


def _fit(options: argparse.Namespace, console: Console) -> None:
    """Fit a shell, print every network predicted from the others, write the shell."""
    builds = read_builds(options.layers, options.reports)
    known = [build for build in builds if build.reported]
    source = f"{', '.join(build.net for build in known)} of {options.reports.name}"
    shell = fit_shell(known, source)
    if len(known) > 1:
        _print_left_out(console, known, leave_one_out(known))
    else:
        console.print("one network was reported: there is no other one to predict it from")
    for name in QUANTITIES:
        if getattr(shell, name) == 0 and any(name in build.reported for build in known):
            console.print(f"{name}: the layers alone are estimated at what was reported, or more")
    target = options.out or Path("shell.yml")
    try:
        write_shell(shell, target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from error
    counts = ", ".join(f"{getattr(shell, name)} {name}" for name in QUANTITIES)
    console.print(f"shell: {counts}")
    console.print(f"wrote {target}; a device file uses it as", soft_wrap=True)
    console.print(f"  shell: {{value: {target.name}, source: ...}}", soft_wrap=True)


def _print_left_out(
    console: Console, builds: Sequence[Build], predictions: Sequence[Mapping[str, int]]
) -> None:
    table = Table("network", *QUANTITIES, title="predicted from the other networks")
    for build, found in zip(builds, predictions, strict=True):
        cells = [
            f"{found[name]} ({relative_error(found[name], build.reported[name]):+.1%})"
            if name in build.reported
            else f"{found[name]}"
            for name in QUANTITIES
        ]
        table.add_row(build.net, *cells)
    console.print(table)
    table = _errors_table("errors of these")
    for name in QUANTITIES:
        pairs = [
            (found[name], build.reported[name])
            for build, found in zip(builds, predictions, strict=True)
            if name in build.reported
        ]
        if pairs:
            _add(table, name, errors(pairs))
    console.print(table)


def _errors_table(title: str) -> Table:
    return Table("quantity", "cases", "median", "mean", "worst", title=title)


def _add(table: Table, what: str, found: Errors) -> None:
    shares = (f"{value:.1%}" for value in (found.median, found.mean, found.worst))
    table.add_row(what, str(found.count), *shares)


if __name__ == "__main__":
    sys.exit(main())
