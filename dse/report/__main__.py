"""The verb `python -m dse.report DIR ...`: draw a study's report again, or compare several."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from dse.errors import InputError
from dse.report import front_table, write_report
from dse.report.compare import compare, comparison_table, write_comparison
from dse.report.paper import FORMATS, write_paper_figures
from dse.report.results import read_results
from dse.study.folder import StudyFolder

COMPARISON = Path("reports/comparison")


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 the user's input is wrong."""
    parser = argparse.ArgumentParser(prog="python -m dse.report", description=__doc__)
    add = parser.add_argument
    add("dirs", metavar="DIR", type=Path, nargs="+", help="folder of a study; several to compare")
    add(
        "--format", choices=FORMATS, action="append", default=[],
        help="also write figures of one column's width for papers, into DIR/figures",
    )  # fmt: skip
    add("--out", type=Path, metavar="DIR2", help=f"where a comparison goes ({COMPARISON})")
    options = parser.parse_args(arguments)
    console = Console(soft_wrap=False)
    try:
        if len(options.dirs) > 1:
            return _compare(options.dirs, options.out or COMPARISON, console)
        if options.out is not None:
            raise InputError("--out is for a comparison; a study's report goes into its folder")
        return _report(StudyFolder(options.dirs[0]), options.format, console)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _report(folder: StudyFolder, formats: Sequence[str], console: Console) -> int:
    if folder.study.is_file() and not folder.finished():
        raise InputError(f"{folder.path}: no trial has finished yet")
    write_report(folder)
    figures = [
        path
        for format in formats
        for path in write_paper_figures(folder, read_results(folder), format)
    ]
    console.print(front_table(folder))
    drawn = [folder.figure(name, end) for name in ("pareto", "layers") for end in ("png", "svg")]
    for path in (folder.report, *drawn, folder.trials_csv, folder.pareto_csv, *figures):
        print(path)
    return 0


def _compare(folders: Sequence[Path], out: Path, console: Console) -> int:
    comparison = compare(folders)
    console.print(comparison_table(comparison))
    if comparison.warning:
        console.print(comparison.warning, style="bold yellow")
    for path in write_comparison(comparison, out):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
