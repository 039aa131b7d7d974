"""The verb `python -m dse.report DIR`: draw a study's report again and print its front."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from dse.errors import InputError
from dse.report import front_table, write_report
from dse.study.folder import StudyFolder


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 the user's input is wrong."""
    parser = argparse.ArgumentParser(prog="python -m dse.report", description=__doc__)
    parser.add_argument("dir", metavar="DIR", type=Path, help="folder of a study")
    folder = StudyFolder(parser.parse_args(arguments).dir)
    try:
        if folder.study.is_file() and not folder.finished():
            raise InputError(f"{folder.path}: no trial has finished yet")
        write_report(folder)
        table = front_table(folder)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console = Console(soft_wrap=False)
    console.print(table)
    drawn = [folder.figure(name, end) for name in ("pareto", "layers") for end in ("png", "svg")]
    for path in (folder.report, *drawn, folder.trials_csv, folder.pareto_csv):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
