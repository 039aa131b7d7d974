"""The best accuracy within a byte budget, everything included, beside published points.

    python -m dse.run studies/lenet5-deep.yml && python benchmarks/front_quality.py

Reads the front of a finished study. The point in each budget is the one that is best on validation,
as a user would have to choose it; its accuracy is that on the test images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

BUDGETS = (
    (1520, "99.04 % (MIRACLE, 431k-parameter LeNet-5, float)"),
    (2 * 1024, ""),
    (3 * 1024, ">= 99.0 %"),
    (4 * 1024, ""),
    (int(6.2 * 1024), ">= 99.2 %"),
    (16 * 1024, ">= 98.5 %"),
)
"""Bytes, and what is asked or published there: Havasi et al. 2019 table 1 for MIRACLE; 6.2 KiB is
what the 39x of Han et al. 2016 (Deep Compression) would be for this network."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, nargs="?", default=Path("reports/lenet5-deep"))
    folder = parser.parse_args().study
    front = pd.read_csv(folder / "pareto.csv")
    table = Table(title=f"{folder.name}: {len(front)} points on the front")
    for column in ("within bytes", "asked or published", "test", "95 %", "bytes", "trial"):
        table.add_column(column)
    for budget, asked in BUDGETS:
        small = front[front.memory_bytes <= budget]
        if small.empty:
            table.add_row(f"{budget:,}", asked, "no point")
            continue
        best = small.loc[small.accuracy.idxmax()]
        interval = f"{best.test_accuracy_low:.2%}-{best.test_accuracy_high:.2%}"
        cells = (f"{best.test_accuracy:.2%}", interval, f"{best.memory_bytes:,}", f"{best.trial}")
        table.add_row(f"{budget:,}", asked, *cells)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
