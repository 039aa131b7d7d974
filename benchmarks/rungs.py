"""Whether a short finetuning tells early which trials of a study will be beaten.

    python -m dse.run studies/lenet5.yml
    python benchmarks/rungs.py reports/lenet5 --every 3

Finished trials are finetuned again, by the same schedule on a share of the training images, and
scored on the validation images: the rung. A regression on the trials before predicts each one's log
error from its rung's and its log bytes. A trial would be stopped where the prediction is that many
standard deviations worse than the best result in no more bytes; "wrongly" counts those that really
were on the front of the trials until then. Rungs save time only if they stop a larger share of
trials than they cost.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from dse import train
from dse.data import Split
from dse.search.workers import load_context
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.study.record import TrialRecord
from dse.trial import Context, compact

LEAST = 8
"""Trials before any prediction."""


@dataclass(frozen=True)
class Climb:
    """Logarithms of one trial's error after the rung, its error in the end, and its bytes."""

    rung: float
    end: float
    size: float


def main() -> None:
    """Measure, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="results of a study")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.25])
    parser.add_argument("--sigmas", type=float, nargs="+", default=[1.0, 2.0])
    parser.add_argument("--every", type=int, default=1, help="take only each so many-th trial")
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = StudyFolder(given.folder)
    context = load_context(load_study(folder.study), folder)
    records = [r for r in folder.read_trials() if r.state == "complete"][:: given.every]
    columns = ("share", "trials", "rank correlation", "sd of log error", "CPU s", "sigmas")
    table = Table(*columns, "stopped", "wrongly")
    whole = _seconds(context, records[0], 1.0)
    for share in given.shares:
        begin = time.process_time()
        climbs = [climb for record in records for climb in _climb(context, record, share)]
        seconds = (time.process_time() - begin) / len(records)
        for sigmas in given.sigmas:
            stopped, wrongly = _stopped(climbs, sigmas)
            row = (f"{share:g}", len(climbs), f"{_ranks(climbs):.2f}", f"{_doubt(climbs):.2f}")
            cost = f"{seconds:.2f} of {whole:.2f}"
            table.add_row(*map(str, row), cost, f"{sigmas:g}", str(stopped), str(wrongly))
    Console(width=100).print(table)


def _seconds(context: Context, record: TrialRecord, share: float) -> float:
    begin = time.process_time()
    list(_climb(context, record, share))
    return time.process_time() - begin


def _climb(context: Context, record: TrialRecord, share: float) -> Iterator[Climb]:
    """Nothing where the short finetuning diverges."""
    lessons = context.lessons
    count = int(len(lessons.split.labels) * share)
    fewer = Split(lessons.split.images[:count], lessons.split.labels[:count])
    short = train.Lessons(fewer, lessons.teacher[:count])
    net, generator = copy.deepcopy(context.baseline), torch.Generator().manual_seed(record.number)
    try:
        trained = train.finetune(net, record.config, short, context.spec.finetune, generator)
    except train.Diverged:
        return
    correct, total = train.integer_accuracy(compact(trained), context.data.validation)
    errors = (1 - correct / total, 1 - record.metrics["accuracy"])
    rung, end = (math.log(max(error, 1 / total)) for error in errors)
    yield Climb(rung, end, math.log(record.metrics["memory_bytes"]))


def _ranks(climbs: list[Climb]) -> float:
    """Spearman's correlation of the errors after the rung with those in the end."""
    frame = pd.DataFrame([(climb.rung, climb.end) for climb in climbs]).rank()
    return float(frame[0].corr(frame[1]))


def _fitted(climbs: list[Climb]) -> tuple[np.ndarray, float]:
    """Coefficients of one, rung and size, and the standard deviation of what they leave."""
    table = np.array([(1.0, climb.rung, climb.size) for climb in climbs])
    ends = np.array([climb.end for climb in climbs])
    coefficients, *_ = np.linalg.lstsq(table, ends, rcond=None)
    left = ends - table @ coefficients
    return coefficients, math.sqrt(float(left @ left) / (len(ends) - 3))


def _doubt(climbs: list[Climb]) -> float:
    return _fitted(climbs)[1]


def _stopped(climbs: list[Climb], sigmas: float) -> tuple[int, int]:
    """How many would have been stopped, and how many of these wrongly."""
    known: list[Climb] = []
    stopped = wrongly = 0
    for climb in climbs:
        best = min((other.end for other in known if other.size <= climb.size), default=math.inf)
        if len(known) >= LEAST:
            coefficients, deviation = _fitted(known)
            expected = float(coefficients @ (1.0, climb.rung, climb.size))
            if expected - sigmas * deviation > best:
                stopped += 1
                wrongly += climb.end < best
                continue
        known.append(climb)
    return stopped, wrongly


if __name__ == "__main__":
    main()
