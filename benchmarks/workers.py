"""What a second worker brings on LeNet-5 and all of MNIST, and how much memory workers take.

    python benchmarks/workers.py                 # about ten minutes of two free cores
    python benchmarks/workers.py --trials 6 --rounds 1

One study is prepared, then continued in copies of its folder with one worker and with two, in turn;
all make the same trials. Trials an hour are counted from the first one's start to the last one's
end, so neither preparation nor report counts. On cores that others use too wall-clock says little:
CPU seconds are what the trials' processes took in that time, and two workers can bring no more than
twice one's seconds a trial over theirs. Memory is sampled five times a second from
/proc/PID/smaps_rollup, its largest values of any worker: private is the worker's alone,
proportional adds its share of what several map, resident counts shared pages in full.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dse.study.folder import StudyFolder

STUDY = "studies/lenet5.yml"
SHORT = ("--set", "baseline.epochs=1", "--quiet")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Run:
    """Trials an hour, CPU seconds a trial, and the most memory (MB) of a process by kind."""

    per_hour: float
    cpu_s: float
    memory: Mapping[str, float]


def measured(prepared: StudyFolder, copy: Path, trials: int, workers: int) -> Run:
    """Make `trials` trials in a copy of the prepared study."""
    shutil.copytree(prepared.path, copy, ignore=shutil.ignore_patterns("trials", "study.journal"))
    counts = ("--trials", str(trials), "--workers", str(workers))
    process = subprocess.Popen([*command(copy), *counts])
    memory: Counter[str] = Counter()
    busy: dict[float, dict[int, float]] = {}
    while process.poll() is None:
        pids = working(process.pid, workers)
        for pid in pids:
            memory |= Counter(memory_mb(pid))
        busy[time.time()] = {pid: cpu_s(pid) for pid in pids}
        time.sleep(0.2)
    assert process.returncode == 0
    folder = StudyFolder(copy)
    timings = [timing for n in folder.finished() if (timing := folder.read_timing(n))]
    assert len(timings) == trials
    begin = min(timing.started for timing in timings)
    end = max(timing.started + timing.seconds for timing in timings)
    last = busy[max(moment for moment in busy if moment <= end)]
    first = busy[min(moment for moment in busy if moment >= begin)]
    spent = sum(seconds - first.get(pid, 0.0) for pid, seconds in last.items())
    return Run(3600 * trials / (end - begin), spent / trials, memory)


def command(out: Path) -> list[str]:
    """A run of the study into `out`."""
    return [sys.executable, "-m", "dse.run", STUDY, "--out", str(out), *SHORT]


def working(coordinator: int, workers: int) -> list[int]:
    """Ids of the processes that evaluate trials."""
    if workers == 1:
        return [coordinator]
    children = Path(f"/proc/{coordinator}/task/{coordinator}/children").read_text().split()
    return [int(c) for c in children if b"popen_loky" in Path(f"/proc/{c}/cmdline").read_bytes()]


def cpu_s(pid: int) -> float:
    """CPU seconds so far, 0 for a process that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int) -> dict[str, float]:
    """Memory by kind, empty for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    kb = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    if not kb:
        return {}
    private = kb["Private_Clean"] + kb["Private_Dirty"]
    return {
        "private": private / 1000,
        "proportional": kb["Pss"] / 1000,
        "resident": kb["Rss"] / 1000,
    }


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=12, help="of every run")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    runs: dict[int, list[Run]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        prepared = StudyFolder(scratch / "prepared")
        subprocess.run([*command(prepared.path), "--trials", "1"], check=True)
        for number in range(options.rounds):
            for workers, found in runs.items():
                copy = scratch / f"{number}-{workers}"
                found.append(measured(prepared, copy, options.trials, workers))
                print(workers, found[-1], flush=True)
    table = Table(
        title=f"{STUDY}, {options.trials} trials, {options.rounds} times in turn, medians"
    )
    for column in ("workers", "trials/h", "CPU s/trial", "private, MB", "proportional", "resident"):
        table.add_column(column, justify="right")
    for workers, found in runs.items():
        speed = statistics.median(run.per_hour for run in found)
        seconds = statistics.median(run.cpu_s for run in found)
        most = [max(run.memory[kind] for run in found) for kind in found[0].memory]
        table.add_row(f"{workers}", f"{speed:.0f}", f"{seconds:.1f}", *(f"{m:.0f}" for m in most))
    Console(width=100).print(table)
    ratios = [two.per_hour / one.per_hour for one, two in zip(*runs.values(), strict=True)]
    by_cpu = [2 * one.cpu_s / two.cpu_s for one, two in zip(*runs.values(), strict=True)]
    print("two workers over one, wall-clock:", ", ".join(f"{ratio:.2f}" for ratio in ratios))
    print("two workers over one, by CPU:    ", ", ".join(f"{ratio:.2f}" for ratio in by_cpu))


if __name__ == "__main__":
    main()
