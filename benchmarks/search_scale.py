"""What a search costs beside its trials: asking, telling, the journal, as trials and layers grow.

    python benchmarks/search_scale.py              # about ten minutes of one core
    python benchmarks/search_scale.py --quick      # up to 1,000 trials of 5 layers

Trials are simulated: their results come from a formula and take no time, so all the time measured
is the coordinator's. Seconds are CPU seconds. `ask` is for one more trial once so many were told.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna
from rich.console import Console
from rich.table import Table

from dse.config import Config
from dse.search import journal, sampler
from dse.study.spec import BitChoices, LayerSpace, RatioRange, SamplerSpec, SearchSpace

OBJECTIVES = {"accuracy": "maximize", "memory_bytes": "minimize"}
ASKS = 3


def space_of(layers: int) -> SearchSpace:
    """A network of equal layers."""
    bits = BitChoices(tuple(range(1, 17)))
    layer = LayerSpace(RatioRange(0.0, 0.98), bits, bits)
    return {f"layer{index}": layer for index in range(layers)}


def values(config: Config) -> list[float]:
    """Accuracy and log memory of a simulated trial."""
    kept = np.mean([c.density * c.weight_bits for c in config.values()])
    lost = np.mean([c.prune_ratio**4 + 2.0**-c.weight_bits for c in config.values()])
    return [1 - min(0.02 * math.exp(2 * float(lost)), 1.0), math.log10(1000 * float(kept))]


def filled(path: Path, space: SearchSpace, trials: int) -> tuple[optuna.Study, float]:
    """A journal of that many random trials, and the CPU seconds that writing one took."""
    study = journal.open_journal(path, OBJECTIVES, sampler.dimensions(space))
    begin = time.process_time()
    for number in range(trials):
        study.sampler = sampler.sampler_for(SamplerSpec("random"), 0, number)
        trial = study.ask()
        study.tell(trial, values(sampler.suggest(trial, space)))
    return study, (time.process_time() - begin) / trials


def ask_s(study: optuna.Study, space: SearchSpace, name: str) -> float:
    """CPU seconds to ask for one more trial and tell it."""
    begin = time.process_time()
    for _ in range(ASKS):
        number = len(study.get_trials(deepcopy=False))
        study.sampler = sampler.sampler_for(SamplerSpec(name), 0, number)
        trial = study.ask()
        study.tell(trial, values(sampler.suggest(trial, space)))
    return (time.process_time() - begin) / ASKS


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    sizes = [(5, 100), (5, 1000)]
    if not parser.parse_args().quick:
        sizes += [(5, 10_000), (100, 100), (100, 1000)]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    table = Table(title="The coordinator's costs, simulated trials")
    for column in (
        "layers",
        "trials",
        "ask tpe, s",
        "ask nsga2, s",
        "write, ms",
        "journal, MB",
        "open it, s",
    ):
        table.add_column(column, justify="right")
    console = Console(width=90)
    for layers, trials in sizes:
        space = space_of(layers)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "study.journal"
            study, write_s = filled(path, space, trials)
            size = path.stat().st_size
            begin = time.process_time()
            journal.open_journal(path, OBJECTIVES, sampler.dimensions(space)).get_trials()
            opened = time.process_time() - begin
            cells = [f"{ask_s(study, space, name):.3f}" for name in ("tpe", "nsga2")]
        numbers = (f"{1000 * write_s:.1f}", f"{size / 1e6:.1f}", f"{opened:.2f}")
        table.add_row(f"{layers}", f"{trials:,}", *cells, *numbers)
        console.print(f"{layers} layers, {trials} trials: {cells} {numbers}")
    console.print(table)


if __name__ == "__main__":
    main()
