"""The main job end to end: how long the README's studies take, and what their fronts hold.

    python benchmarks/main_job.py            # MNIST from $DSE_DATA_DIR, cache or download
    python benchmarks/main_job.py --trials 5 # a quick look

Runs `python -m dse.run` as a user would, on MNIST and on the digits fallback, and prints a table of
what was asked and what was measured. Times depend on the machine; the fronts do not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

STUDIES = Path(__file__).parent.parent / "studies"
KIB = 1024


def run(study: str, out: Path, arguments: list[str], environment: dict[str, str]) -> float:
    """Seconds that `python -m dse.run` takes; stops the benchmark when it fails."""
    command = [sys.executable, "-m", "dse.run", str(STUDIES / study), "--out", str(out)]
    start = time.perf_counter()
    subprocess.run([*command, *arguments], env=environment, check=True)
    return time.perf_counter() - start


def best_within(front: pd.DataFrame, kib: float) -> str:
    """The front's best test accuracy within a memory budget."""
    small = front[front.memory_bytes <= kib * KIB]
    if small.empty:
        return "none"
    best = small.loc[small.test_accuracy.idxmax()]
    return f"{best.test_accuracy:.2%} in {best.memory_bytes / KIB:.2f} KiB (trial {best.trial})"


def main() -> None:
    """Run both studies and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, help="trials of each study (default: the study's)")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    arguments = ["--workers", str(options.workers)]
    if options.trials:
        arguments += ["--trials", str(options.trials)]
    # an empty data folder, an empty cache and no proxy to download through: the fallback
    offline = {"DSE_DATA_DIR": "", "XDG_CACHE_HOME": "", "https_proxy": "http://127.0.0.1:9"}
    table = Table(title=f"the main job, {options.workers} workers")
    for column in ("what", "asked", "measured"):
        table.add_column(column)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        seconds = run("lenet5.yml", out / "mnist", arguments, dict(os.environ))
        front = pd.read_csv(out / "mnist" / "pareto.csv")
        empty = {key: value or str(out / "empty") for key, value in offline.items()}
        fallback = run("lenet5.yml", out / "digits", arguments, {**os.environ, **empty})
    table.add_row("studies/lenet5.yml on MNIST", "< 15 min", f"{seconds / 60:.1f} min")
    table.add_row("the same on the digits fallback", "< 4 min", f"{fallback / 60:.1f} min")
    table.add_row("test accuracy within 16 KiB", ">= 98.50%", best_within(front, 16))
    for kib in (8, 6.2, 4, 3, 2):
        table.add_row(f"test accuracy within {kib:g} KiB", "", best_within(front, kib))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
