"""What a trial of LeNet-5 costs, part by part, beside the Brevitas loop's and beside plain float.

    python benchmarks/trial_cost.py --brevitas PYTHON_WITH_BREVITAS          # 4,000 images
    python benchmarks/trial_cost.py --brevitas PYTHON_WITH_BREVITAS --whole  # 54,000

CPU seconds of one core, mean over random configs. "plain float" is as many steps of torch's float
network on the same batches, in memory: no quantization, no data loader, nothing scored or written.
The Brevitas loop (`brevitas_loop.py`) draws its own configs; its error is of the float simulation.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table

from dse import models, storage, train
from dse.config import Config, LayerConfig
from dse.integer.network import IntegerNetwork
from dse.search import prepare
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.trial import Context, Task, run

HERE = Path(__file__).parent
STUDY = """
model: lenet5
dataset: {name: DATASET}
baseline: {epochs: 1, lr: 0.003, batch_size: 64}
search_space: {layers: {conv1: {prune_ratio: {high: 0.7}}}}
finetune: {epochs: 1, lr: 0.006, batch_size: 64, gradual: 0.5}
"""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--brevitas", metavar="PYTHON", help="of a venv with Brevitas")
    parser.add_argument("--whole", action="store_true", help="all of MNIST, as studies/lenet5.yml")
    parser.add_argument("--trials", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        context = _prepared(Path(name), options.whole)
        configs = _configs(context, options.trials)
        parts = _ours(context, configs, StudyFolder(Path(name) / "trials"))
        floor = _cpu_s(_plain_float, context)
        theirs = _brevitas(options.brevitas, context, Path(name), options.trials)
    images = len(context.data.train.labels)
    table = Table(title=f"LeNet-5, a trial of {images:,} images in batches of 64")
    for column in ("", "CPU s", "times plain float"):
        table.add_column(column, justify="right" if column else "left")
    rows = {"plain float, its steps alone": floor, **parts}
    if theirs is not None:
        rows |= {"Brevitas loop": theirs}
    for row, seconds in rows.items():
        table.add_row(row, f"{seconds:.3f}", f"{seconds / floor:.2f}")
    console = Console(width=80)
    console.print(table)
    if theirs is not None:
        ours = parts["ours, whole trial"]
        console.print(
            f"Brevitas loop / ours: {theirs / ours:.2f}, / plain float {theirs / floor:.2f}"
        )


def _prepared(folder: Path, whole: bool) -> Context:
    subset = "mnist" if whole else f"{HERE / 'mnist_subset.py'}:load"
    (folder / "study.yml").write_text(STUDY.replace("DATASET", subset))
    fraction = 0.1 if whole else 0.5
    spec = load_study(folder / "study.yml", [f"dataset.validation_fraction={fraction}"])
    return prepare.prepare(spec, StudyFolder(folder / "results"), lambda _: None)


def _configs(context: Context, count: int) -> list[Config]:
    """Ratios and widths drawn evenly, from 2 bits on as Brevitas."""
    generator = np.random.default_rng(0)
    return [
        {
            name: LayerConfig(
                float(generator.uniform(layer.prune_ratio.low, layer.prune_ratio.high)),
                int(generator.integers(2, 17)),
                int(generator.integers(2, 17)),
            )
            for name, layer in context.spec.search_space.items()
        }
        for _ in range(count)
    ]


def _cpu_s(work: Callable[..., object], *arguments: object) -> float:
    start = time.process_time()
    work(*arguments)
    return time.process_time() - start


def _ours(context: Context, configs: list[Config], folder: StudyFolder) -> dict[str, float]:
    """Seconds of a trial by part, and of the whole as `dse.run` does it."""
    run(Task(0, "", configs[0]), context, folder)  # torch loads its optimizer
    whole = sum(_cpu_s(run, Task(0, "", c), context, folder) for c in configs)
    spent = dict.fromkeys(("calibration", "steps", "integer accuracy", "packing", "YAML"), 0.0)
    for config in configs:
        spent["calibration"] += (start := _cpu_s(_finetuned, context, config, 0))
        spent["steps"] += _cpu_s(_finetuned, context, config, 1) - start
        network = _finetuned(context, config, 0)
        validation = context.data.validation
        spent["integer accuracy"] += _cpu_s(train.integer_accuracy, network, validation)
        spent["packing"] += _cpu_s(storage.pack, network, context.spec.storage)
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch)
            spent["YAML"] += _cpu_s(storage.write_yaml_models, network, place)
    parts = {f"  {part}": seconds / len(configs) for part, seconds in spent.items()}
    rest = whole / len(configs) - sum(parts.values())
    return {"ours, whole trial": whole / len(configs), **parts, "  check, cost, rest": rest}


def _finetuned(context: Context, config: Config, epochs: int) -> IntegerNetwork:
    schedule = dataclasses.replace(context.spec.finetune, epochs=epochs)
    net, generator = copy.deepcopy(context.baseline), torch.Generator().manual_seed(0)
    return train.finetune(net, config, context.lessons, schedule, generator)


def _plain_float(context: Context) -> None:
    net, split = models.build("lenet5"), context.data.train
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    for indices in torch.split(torch.randperm(len(split.labels)), 64):
        optimizer.zero_grad()
        F.cross_entropy(net(split.images[indices]), split.labels[indices]).backward()
        optimizer.step()


def _brevitas(python: str | None, context: Context, folder: Path, trials: int) -> float | None:
    """Seconds per trial of the Brevitas loop, its baseline not counted; None without it."""
    if python is None:
        return None
    arrays = {
        f"{name}_{part}": getattr(getattr(context.data, name), part).numpy()
        for name in ("train", "validation")
        for part in ("images", "labels")
    }
    np.savez(folder / "images.npz", **arrays)
    command = [python, str(HERE / "brevitas_loop.py"), str(folder / "images.npz"), str(trials), "0"]
    environment = {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "1"], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        sys.exit(f"the Brevitas loop failed: {done.stderr.strip().splitlines()[-1]}")
    return float(json.loads(done.stdout.splitlines()[-1])[0]) / trials


if __name__ == "__main__":
    main()
