"""What the coordinator costs beside its trials: a long study of trials that only sleep.

    python -m dse.run studies/lenet5.yml --trials 12         # a finished study to take costs from
    python benchmarks/coordinator.py reports/lenet5          # an hour, most of it asleep
    python benchmarks/coordinator.py reports/lenet5 --trials 100 --workers 2

Coordinator, journal, sampler, guesses and folder are the real ones. A trial sleeps for a second and
then leaves a `result.json` as a worker does: another trial's cost report, an accuracy and a size
computed from the config. Overhead is what the wall-clock time has beyond that of the sleeping, the
report's included. CPU is the whole process's.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from rich.console import Console
from rich.table import Table

from dse.report import write_report
from dse.search import coordinator, journal, sampler
from dse.search.advice import Advice
from dse.search.dialogue import Dialogue
from dse.search.guesses import first_guesses
from dse.search.workers import InlineExecutor
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.study.record import TrialRecord
from dse.study.spec import SamplerSpec, StudySpec
from dse.trial import Task

SAMPLERS = {
    "refined": SamplerSpec(),  # as in the study file: guesses in turn with TPE
    "tpe": SamplerSpec(refine=0.0, screen=False),
}


class Asleep(Executor):
    """Runs trials that sleep: one worker in this thread, as a real study does, more in others."""

    def __init__(self, workers: int, trial_s: float, template: TrialRecord) -> None:
        self._pool = InlineExecutor() if workers == 1 else ThreadPoolExecutor(workers)
        self._trial_s, self._template = trial_s, template

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[TrialRecord]:
        task, _, folder = args
        return self._pool.submit(self._evaluate, task, folder)

    def _evaluate(self, task: Task, folder: StudyFolder) -> TrialRecord:
        time.sleep(self._trial_s)
        record = simulated(task, self._template)
        with folder.new_trial(task.number) as scratch:
            (scratch / "result.json").write_text(record.to_json())
        return record


def simulated(task: Task, template: TrialRecord) -> TrialRecord:
    """A complete trial, in which every layer loses accuracy and bytes on its own."""
    lost = np.mean(
        [
            c.prune_ratio**6 + 4.0**-c.weight_bits + 4.0**-c.activation_bits
            for c in task.config.values()
        ]
    )
    bits = sum(
        task.config[name].density
        * task.config[name].weight_bits
        / layer.density
        * layer.packed_bits
        for name, layer in template.layers.items()
    )
    metrics = template.metrics | {
        "accuracy": round(0.992 - 0.5 * float(lost), 4),
        "memory_bytes": 200 + round(bits / 64),
    }
    return dataclasses.replace(
        template, number=task.number, origin=task.origin, config=task.config, metrics=metrics
    )


class Unwatched:
    """Shows nothing."""

    def stage(self, text: str) -> None: ...

    def trials(self, finished: Sequence[TrialRecord], total: int | None) -> None: ...


def begun(source: StudyFolder, path: Path) -> StudyFolder:
    """A study with everything that was made before the trials of another."""
    path.mkdir()
    for file in (source.study, source.references, source.sensitivity, source.guesses):
        shutil.copy(file, path)
    return StudyFolder(path)


def searched(spec: StudySpec, folder: StudyFolder, executor: Executor) -> None:
    """Run all trials of the study."""
    first = first_guesses(None, folder, lambda _: None)  # type: ignore[arg-type]  # are kept
    advice = Advice(spec, first, folder.read_sensitivity())
    dimensions = sampler.dimensions(spec.search_space)
    study = journal.open_journal(folder.journal, spec.objectives, dimensions)
    dialogue = Dialogue(spec, study, advice, [], math.inf)
    coordinator._run(dialogue, [], lambda: executor, folder, Unwatched())


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, nargs="?", default=Path("reports/lenet5"))
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a trial")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--sampler", nargs="*", choices=SAMPLERS, default=list(SAMPLERS))
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    source = StudyFolder(options.study)
    template = next(record for record in source.read_trials() if record.state == "complete")
    title = f"{options.trials} trials of {options.seconds:g} s, {len(template.layers)} layers"
    table = Table(title=title)
    for column in ("sampler", "workers", "wall, s", "overhead", "CPU, s", "of it the report"):
        table.add_column(column, justify="right")
    for name in options.sampler:
        for workers in options.workers:
            changes = [f"budget.trials={options.trials}", f"parallel.workers={workers}"]
            spec = dataclasses.replace(
                load_study(Path("studies/lenet5.yml"), changes), sampler=SAMPLERS[name]
            )
            with tempfile.TemporaryDirectory() as scratch:
                folder = begun(source, Path(scratch) / "study")
                wall, busy = time.perf_counter(), time.process_time()
                searched(spec, folder, Asleep(workers, options.seconds, template))
                report = time.process_time()
                write_report(folder)
                wall, end = time.perf_counter() - wall, time.process_time()
            least = options.seconds * math.ceil(options.trials / workers)
            cells = (f"{wall:.0f}", f"{wall / least - 1:.1%}", f"{end - busy:.0f}")
            table.add_row(name, f"{workers}", *cells, f"{end - report:.1f}")
            Console(width=100).print(f"{name}, {workers}: {cells}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
