"""How long the report of a large study takes to write, how large it is, how soon it can be used.

    python benchmarks/report_speed.py reports/lenet5

Repeats the trials of a finished study under new numbers until there are 500 (--trials), with their
memory and accuracy moved a little, writes that study's report and opens it in headless Chromium.
The second time is wall-clock of the verb in a process of its own, with its imports.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dse.report import write_report
from dse.study.folder import StudyFolder
from dse.study.record import TrialRecord

READY = """
const [entry] = performance.getEntriesByType("navigation");
return [entry.domInteractive, entry.loadEventEnd];
"""
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run")


def enlarged(source: StudyFolder, target: StudyFolder, count: int) -> None:
    """A study of `count` trials made of those of another."""
    target.path.mkdir()
    for path in (source.study, source.references, source.sensitivity):
        if path.exists():
            shutil.copy(path, target.path)
    generator = random.Random(0)
    trials = source.read_trials()
    for number in range(count):
        record = moved(trials[number % len(trials)], number, generator)
        with target.new_trial(number) as scratch:
            (scratch / "result.json").write_text(record.to_json())


def moved(record: TrialRecord, number: int, generator: random.Random) -> TrialRecord:
    """The same trial under another number, up to 5 % smaller or larger and worse."""
    metrics = dict(record.metrics)
    if "memory_bytes" in metrics:
        metrics["memory_bytes"] = round(metrics["memory_bytes"] * generator.uniform(0.95, 1.05))
    if "accuracy" in metrics:
        metrics["accuracy"] *= generator.uniform(0.95, 1.0)
    return dataclasses.replace(record, number=number, metrics=metrics)


def opened(page: Path) -> tuple[float, float] | None:
    """Seconds until the page can be used and until all is drawn; None without a browser."""
    try:
        from selenium import webdriver
    except ImportError:
        return None
    driver_path, browser = shutil.which("chromedriver"), shutil.which("chromium")
    if driver_path is None or browser is None:
        return None
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ARGUMENTS:
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(driver_path))
    try:
        driver.get(page.resolve().as_uri())
        interactive, loaded = driver.execute_script(READY)
        return interactive / 1000, loaded / 1000
    finally:
        driver.quit()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, nargs="?", default=Path("reports/lenet5"))
    parser.add_argument("--trials", type=int, default=500)
    options = parser.parse_args()
    table = Table(title=f"report of {options.trials} trials like those of {options.study}")
    for heading in ("what", "measured", "asked"):
        table.add_column(heading)
    with tempfile.TemporaryDirectory() as scratch:
        folder = StudyFolder(Path(scratch) / "study")
        enlarged(StudyFolder(options.study), folder, options.trials)
        begin = time.perf_counter()
        write_report(folder)
        table.add_row("written", f"{time.perf_counter() - begin:.1f} s", "< 10 s")
        begin = time.perf_counter()
        command = [sys.executable, "-m", "dse.report", str(folder.path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        table.add_row("python -m dse.report", f"{time.perf_counter() - begin:.1f} s", "< 10 s")
        table.add_row("report.html", f"{folder.report.stat().st_size / 1e6:.2f} MB", "< 1.5 MB")
        seen = opened(folder.report)
        interactive, loaded = ("no chromium",) * 2 if seen is None else (f"{s:.2f} s" for s in seen)
        table.add_row("interactive in Chromium", interactive, "< 1 s")
        table.add_row("all drawn", loaded, "")
    Console(width=90).print(table)


if __name__ == "__main__":
    main()
