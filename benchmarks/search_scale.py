"""What a search costs beside its trials as trials, layers and workers grow.

    python benchmarks/search_scale.py              # six minutes of one core
    python benchmarks/search_scale.py --quick      # two minutes: 1,000 trials, 64 workers

Trials are simulated: their results come from a formula. First the coordinator's own costs, in CPU
seconds; `ask` is for one more trial once so many were told. Then the real dialogue with the sampler
in simulated time, with more and more workers: how busy they are when trials take exp(0.3 * normal)
as long as each other and results are told in order, the lag being so many times their number.
"""

from __future__ import annotations

import argparse
import dataclasses
import heapq
import math
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import FloatDistribution, IntDistribution
from rich.console import Console
from rich.table import Table

from dse.config import Config, LayerConfig
from dse.search import journal, sampler
from dse.search.advice import Advice
from dse.search.dialogue import AHEAD, Dialogue
from dse.study.load import load_study
from dse.study.record import TrialRecord
from dse.study.spec import BitChoices, LayerSpace, RatioRange, SamplerSpec, SearchSpace
from dse.trial import Task

OBJECTIVES = {"accuracy": "maximize", "memory_bytes": "minimize"}
ASKS = 3
SAMPLERS = ("tpe", "nsga2", "random")


def space_of(layers: int) -> SearchSpace:
    """A network of equal layers."""
    bits = BitChoices(tuple(range(1, 17)))
    layer = LayerSpace(RatioRange(0.0, 0.98), bits, bits)
    return {f"layer{index}": layer for index in range(layers)}


def metrics(config: Config) -> dict[str, float]:
    """Accuracy and memory of a simulated trial."""
    kept = np.mean([c.density * c.weight_bits for c in config.values()])
    lost = np.mean([c.prune_ratio**4 + 2.0**-c.weight_bits for c in config.values()])
    accuracy = 1 - min(0.02 * math.exp(2 * float(lost)), 1.0)
    return {"accuracy": accuracy, "memory_bytes": 1000 * float(kept)}


def one_more(study: optuna.Study, space: SearchSpace, name: str) -> None:
    """Ask for a trial and tell it, as the dialogue does."""
    number = len(study.get_trials(deepcopy=False))
    study.sampler = sampler.sampler_for(SamplerSpec(name), 0, number)
    with journal.in_one_write(study):
        trial = study.ask()
        config = sampler.suggest(trial, space)
    accuracy, size = metrics(config).values()
    with journal.in_one_write(study):
        study.tell(trial, [accuracy, math.log10(size)])


def cpu_s(study: optuna.Study, space: SearchSpace, name: str, count: int) -> float:
    """CPU seconds to ask for one trial and tell it, the mean of `count` more."""
    begin = time.process_time()
    for _ in range(count):
        one_more(study, space, name)
    return (time.process_time() - begin) / count


def coordinator_costs(layers: int, steps: list[int], table: Table) -> None:
    """Rows of a table, for a journal that grows to so many random trials."""
    space, done = space_of(layers), 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.journal"
        study = journal.open_journal(path, OBJECTIVES, sampler.dimensions(space))
        for trials in steps:
            cpu_s(study, space, "random", trials - done)
            size = path.stat().st_size
            begin = time.process_time()
            journal.open_journal(path, OBJECTIVES, sampler.dimensions(space)).get_trials()
            opened = time.process_time() - begin
            cells = [f"{1000 * cpu_s(study, space, name, ASKS):.0f}" for name in SAMPLERS]
            table.add_row(f"{layers}", f"{trials:,}", *cells, f"{size / 1e6:.1f}", f"{opened:.1f}")
            done = trials + ASKS * len(SAMPLERS)
            print(layers, trials, cells, size, opened, flush=True)


def asks_in_memory(layers: int, trials: int, table: Table) -> None:
    """A row of the table without a journal, which is not made for so many trials of that size."""
    space, generator = space_of(layers), np.random.default_rng(0)
    study = optuna.create_study(directions=list(OBJECTIVES.values()))
    ratio, bits = FloatDistribution(0.0, 0.98), IntDistribution(1, 16)
    told = []
    for _ in range(trials):
        config = {
            name: LayerConfig(
                float(generator.uniform(0, 0.98)), *generator.integers(1, 17, 2).tolist()
            )
            for name in space
        }
        values = {
            f"{name}.{key}": value
            for name, choice in config.items()
            for key, value in dataclasses.asdict(choice).items()
            if key != sampler.CHANNEL_RATIO
        }
        kinds = {key: ratio if key.endswith(sampler.RATIO) else bits for key in values}
        accuracy, size = metrics(config).values()
        told.append(
            optuna.trial.create_trial(
                params=values, distributions=kinds, values=[accuracy, math.log10(size)]
            )
        )
    study.add_trials(told)
    cells = [f"{1000 * cpu_s(study, space, name, 1):.0f}" for name in SAMPLERS]
    table.add_row(f"{layers}", f"{trials:,}", *cells, "in memory", "")
    print(layers, trials, cells, flush=True)


def busy(workers: int, ahead: int, trials: int) -> tuple[float, float, int]:
    """Share of the workers' time that they work, CPU seconds a trial, most trials pending."""
    changes = [f"budget.trials={trials}", f"parallel.workers={workers}"]
    spec = load_study(Path("studies/lenet5.yml"), changes)
    spec = dataclasses.replace(spec, sampler=SamplerSpec("random", (), refine=0.0, screen=False))
    durations = random.Random(0)
    running: list[tuple[float, int, Task]] = []
    now = work = 0.0
    most = 0
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        study = journal.open_journal(
            Path(folder) / "study.journal", OBJECTIVES, sampler.dimensions(spec.search_space)
        )
        talk = Dialogue(spec, study, Advice(spec, [], {}), [], math.inf)
        talk._lag = ahead * workers
        while True:
            while talk.step():
                pass
            while talk.queue and len(running) < workers:
                task, duration = talk.queue.popleft(), durations.lognormvariate(0.0, 0.3)
                heapq.heappush(running, (now + duration, task.number, task))
                work += duration
            most = max(most, len(running))
            if not running:
                break
            now, number, task = heapq.heappop(running)
            values = metrics(task.config)
            talk.take(TrialRecord(number, "complete", "", task.origin, task.config, values))
    return work / (workers * now), (time.process_time() - begin) / trials, most


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    costs = Table(title="The coordinator's costs, simulated trials")
    for column in ("layers", "trials", *(f"ask {name}, ms" for name in SAMPLERS), "journal, MB"):
        costs.add_column(column, justify="right")
    costs.add_column("open it, s", justify="right")
    coordinator_costs(5, [100, 1000] if quick else [100, 1000, 3000, 10_000], costs)
    coordinator_costs(100, [100] if quick else [100, 1000, 3000], costs)
    if not quick:
        asks_in_memory(100, 10_000, costs)
    waiting = Table(title=f"Workers kept busy, lag {AHEAD} times their number unless said")
    for column in ("workers", "lag", "pending at most", "busy", "CPU ms/trial"):
        waiting.add_column(column, justify="right")
    cases = [(64, ahead, 640) for ahead in (1, 2, 4)]
    for workers, ahead, trials in cases if quick else [*cases, (1000, 1, 3000), (1000, 2, 3000)]:
        share, seconds, most = busy(workers, ahead, trials)
        cells = (f"{ahead * workers:,}", f"{most:,}", f"{share:.0%}", f"{1000 * seconds:.0f}")
        waiting.add_row(f"{workers:,}", *cells)
        print(workers, cells, flush=True)
    for table in (costs, waiting):
        Console(width=100).print(table)


if __name__ == "__main__":
    main()
