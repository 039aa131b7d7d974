"""How many trials, and how much time, each search needs for the front of LeNet-5 on MNIST.

    python benchmarks/search_efficiency.py               # all methods and seeds, table, plot
    python benchmarks/search_efficiency.py --only ours   # run some; what is in the CSV is kept
    python benchmarks/search_efficiency.py --draw        # table and plot of what is in the CSV
    python benchmarks/search_efficiency.py --brevitas /path/to/python   # of a venv with Brevitas

One fixed cheap trial for all: 4,000 training images, one epoch of finetuning in batches of 64 with
half of it gradual pruning, error on 4,000 validation images, integer network, whole packed model.
Random, NSGA-II and cold TPE are plain Optuna loops over the search space as a study file writes it,
told the error and log10 of the bytes; "ours" is `dse.run` with its defaults. The Brevitas loop is
what a user would write: cold TPE, Brevitas layers, a DataLoader, as many images and epochs; its
bytes are those of the smallest of dense, CSR and bitmap, and its error is of the float simulation.

Seconds are CPU seconds of the one process that does the work, so a busy machine does not change
them. Hypervolume is of (error, log10 bytes) within error < 10 % and less than the network at 8
bits without pruning, as a share of the box down to no error in 1,000 bytes.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from dse import pareto, search
from dse.config import Config, LayerConfig
from dse.search import prepare
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.study.record import TrialRecord
from dse.study.spec import StudySpec
from dse.trial import Context, evaluate

HERE = Path(__file__).parent
PLOT = HERE.parent / "docs" / "search_efficiency.png"
WORST_ERROR, WORST_BYTES, BEST_BYTES = 0.1, 63_000.0, 1_000.0
COLUMNS = ("method", "seed", "trial", "cpu_s", "error", "memory_bytes")
TRIALS = {"ours": 60, "cold TPE": 100, "random": 200, "NSGA-II": 100, "Brevitas loop": 20}
SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "NSGA-II": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=20),
    "cold TPE": lambda seed: optuna.samplers.TPESampler(seed=seed),
}

STUDY = """
model: lenet5
dataset: {name: mnist_subset.py:load, validation_fraction: 0.5}
baseline: {epochs: 8, lr: 0.003, batch_size: 64}
search_space: {layers: {conv1: {prune_ratio: {high: 0.7}}}}
finetune: {epochs: 1, lr: 0.006, batch_size: 64, gradual: 0.5}
"""


@dataclass(frozen=True)
class Point:
    """One finished trial; `error` is None where the trial was not trained."""

    cpu_s: float
    error: float | None
    memory_bytes: float


def main() -> None:
    """Run what is asked for and not in the CSV yet, then print the table and draw the curves."""
    options = _parser().parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    done = pd.read_csv(options.csv) if options.csv.exists() else pd.DataFrame(columns=COLUMNS)
    finished = set(zip(done.method, done.seed, strict=True))
    for seed in range(0 if options.draw else options.seeds):
        for method in options.only or TRIALS:
            if (method, seed) not in finished:
                _run(method, seed, options)
    _report(pd.read_csv(options.csv), options.plot)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--only", action="append", choices=TRIALS, help="methods to run (all)")
    add("--seeds", type=int, default=3)
    add("--csv", type=Path, default=Path("search_efficiency.csv"), help="results, added to")
    add("--plot", type=Path, default=PLOT)
    add("--draw", action="store_true", help="run nothing")
    add("--brevitas", default=sys.executable, metavar="PYTHON", help="of a venv with Brevitas")
    return parser


def _run(method: str, seed: int, options: argparse.Namespace) -> None:
    """All trials of one method, then into the CSV together."""
    trials = TRIALS[method]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "study.yml").write_text(STUDY)
        spec = load_study(folder / "study.yml", [f"seed={seed}", f"dataset.name={_subset()}"])
        if method == "ours":
            points = list(_ours(folder, seed, trials))
        elif method == "Brevitas loop":
            points = _brevitas(options.brevitas, spec, folder, trials)
        else:
            points = list(_plain(SAMPLERS[method](seed), spec, folder, trials))
    new = not options.csv.exists()
    with options.csv.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(COLUMNS)
        for number, p in enumerate(points):
            error = "" if p.error is None else f"{p.error:.6f}"
            writer.writerow([method, seed, number, f"{p.cpu_s:.3f}", error, p.memory_bytes])


def _subset() -> str:
    return f"{HERE / 'mnist_subset.py'}:load"


def _plain(
    sampler: optuna.samplers.BaseSampler, spec: StudySpec, folder: Path, trials: int
) -> Iterator[Point]:
    """An Optuna loop that knows nothing of networks."""
    context = prepare.prepare(spec, StudyFolder(folder / "results"), lambda _: None)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    start = time.process_time()
    for _ in range(trials):
        trial = study.ask()
        point = _evaluated(_suggest(trial, spec), context, start)
        study.tell(trial, [point.error, math.log10(point.memory_bytes)])
        yield point


def _suggest(trial: optuna.Trial, spec: StudySpec) -> Config:
    return {
        name: LayerConfig(
            trial.suggest_float(f"{name}.r", layer.prune_ratio.low, layer.prune_ratio.high),
            trial.suggest_int(f"{name}.w", layer.weight_bits.bits[0], layer.weight_bits.bits[-1]),
            trial.suggest_int(
                f"{name}.a", layer.activation_bits.bits[0], layer.activation_bits.bits[-1]
            ),
        )
        for name, layer in spec.search_space.items()
    }


def _evaluated(config: Config, context: Context, start: float) -> Point:
    metrics = evaluate(config, context).metrics
    return Point(time.process_time() - start, 1 - metrics["accuracy"], metrics["memory_bytes"])


class _Clock:
    """Notes the CPU time at which each trial of a run was told."""

    def __init__(self) -> None:
        self._start = 0.0
        self.points: dict[int, Point] = {}

    def stage(self, text: str) -> None:
        """The clock starts after the baseline, as it does for the other methods."""
        if "sensitivity" in text:
            self._start = time.process_time()

    def trials(self, finished: Sequence[TrialRecord], total: int | None) -> None:
        """Note those not seen before."""
        for record in finished:
            if record.number not in self.points:
                error = 1 - record.metrics["accuracy"] if record.state == "complete" else None
                size = record.metrics.get("memory_bytes", math.nan)
                self.points[record.number] = Point(time.process_time() - self._start, error, size)


def _ours(folder: Path, seed: int, trials: int) -> Iterator[Point]:
    spec = load_study(
        folder / "study.yml",
        [f"seed={seed}", f"budget.trials={trials}", f"dataset.name={_subset()}"],
    )
    clock = _Clock()
    search.optimize(spec, StudyFolder(folder / "results"), clock)
    yield from (clock.points[number] for number in sorted(clock.points))


def _brevitas(python: str, spec: StudySpec, folder: Path, trials: int) -> list[Point]:
    """The plain loop in a Python of its own; no points when Brevitas is not there."""
    context = prepare.prepare(spec, StudyFolder(folder / "results"), lambda _: None)
    split = {
        f"{name}_{part}": getattr(getattr(context.data, name), part).numpy()
        for name in ("train", "validation")
        for part in ("images", "labels")
    }
    np.savez(folder / "images.npz", **split)
    command = [python, str(HERE / "brevitas_loop.py"), str(folder / "images.npz")]
    done = subprocess.run(
        [*command, str(trials), str(spec.seed)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
        check=False,
    )
    if done.returncode:
        Console().print(f"Brevitas loop: not run ({done.stderr.strip().splitlines()[-1]})")
        return []
    return [Point(*json.loads(line)) for line in done.stdout.splitlines()]


def hypervolumes(points: pd.DataFrame) -> np.ndarray:
    """Share of the box dominated after each trial, (trials,)."""
    corner = (WORST_ERROR, math.log10(WORST_BYTES))
    whole = WORST_ERROR * math.log10(WORST_BYTES / BEST_BYTES)
    values = np.column_stack([points.error.fillna(1.0), np.log10(points.memory_bytes.fillna(1e9))])
    return np.array(
        [pareto.hypervolume(values[: end + 1], corner) / whole for end in range(len(values))]
    )


def _report(results: pd.DataFrame, plot: Path) -> None:
    """The table and the curves of what the CSV holds."""
    curves = {
        method: [
            (hypervolumes(run), run.cpu_s.to_numpy())
            for _, run in results[results.method == method].groupby("seed")
        ]
        for method in dict.fromkeys(results.method)
    }
    table = Table(title="LeNet-5 on MNIST, cheap trials: mean over seeds")
    for column in ("method", "seeds", "hv@20", "hv@50", "hv@100", "hv@200", "CPU s/trial"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for method, runs in curves.items():
        cells = [_mean_at(runs, count) for count in (20, 50, 100, 200)]
        pace = np.mean([seconds[-1] / len(seconds) for _, seconds in runs])
        table.add_row(method, str(len(runs)), *cells, f"{pace:.2f}")
    console = Console(width=90)
    console.print(table)
    for target, trials in (("random", 200), ("cold TPE", 100)):
        if "ours" in curves and target in curves:
            console.print(_needed(curves, target, trials))
    _draw(curves, plot)


Curves = dict[str, list[tuple[np.ndarray, np.ndarray]]]


def _mean_at(runs: Sequence[tuple[np.ndarray, np.ndarray]], count: int) -> str:
    reached = [volume[count - 1] for volume, _ in runs if len(volume) >= count]
    return f"{np.mean(reached):.3f}" if reached else ""


def _needed(curves: Curves, other: str, trials: int) -> str:
    """Trials and seconds after which ours has the other's hypervolume, seed by seed."""
    found = []
    for (ours, seconds), (theirs, their_seconds) in zip(
        curves["ours"], curves[other], strict=False
    ):
        end = min(trials, len(theirs)) - 1
        reached = np.flatnonzero(ours >= theirs[end])
        if len(reached):
            first = int(reached[0])
            found.append(
                f"{first + 1} trials, {seconds[first]:.0f} s of {their_seconds[end]:.0f} s"
            )
        else:
            found.append(f"not in {len(ours)} trials")
    return f"ours reaches the hypervolume of {other} after {trials} trials in: {'; '.join(found)}"


def _draw(curves: Curves, plot: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    for index, (method, runs) in enumerate(curves.items()):
        for volume, seconds in runs:
            label = method if volume is runs[0][0] else None
            axes[0].step(
                np.arange(1, len(volume) + 1), volume, f"C{index}", where="post", label=label
            )
            axes[1].step(seconds, volume, f"C{index}", where="post")
    axes[0].set(xlabel="trials", ylabel="hypervolume, share of the box", xscale="log")
    axes[1].set(xlabel="CPU seconds", xscale="log")
    axes[0].legend(frameon=False)
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.savefig(plot, dpi=110)


if __name__ == "__main__":
    main()
