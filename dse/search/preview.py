"""A look ahead: how large a search is, what its extremes cost, how long a trial will take."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

from dse import device_type, fpga, train
from dse.config import Config
from dse.data import Dataset, Split
from dse.integer import IntegerNetwork
from dse.quantize import convert
from dse.search import prepare, workers
from dse.search.guesses import nearest_choice
from dse.search.prepare import Stage
from dse.search.sampler import dimensions
from dse.study.spec import SearchSpace, StudySpec
from dse.trial import Context, compact, preview

T = TypeVar("T")

RATIO_STEP = 0.01
"""Prune ratios are continuous; the size of the space counts them in whole per cents."""
TIMED_IMAGES = 1000
"""Training images of the timed steps: as many as calibration looks at, so that it costs as much."""
EXTREMES = (("widest, unpruned", 0.0, 16), ("uniform 8 bit", 0.0, 8), ("smallest", 1.0, 1))
"""Configs that are estimated: name, prune ratio and bits, or the nearest the space allows."""


@dataclass(frozen=True)
class Estimate:
    """What a config would take with untrained weights: its metrics but accuracy, and whether it
    fits the device."""

    name: str
    config: Config
    metrics: Mapping[str, float]
    verdict: str


@dataclass(frozen=True)
class Preview:
    """A study before it is run. Sizes are decimal logarithms, times of one worker in seconds.

    `step_seconds` is one finetuning step, `trial_seconds` a whole trial: calibration, all steps,
    validation, packing.
    """

    dimensions: int
    log10_configs: float
    estimates: tuple[Estimate, ...]
    step_seconds: float
    trial_seconds: float


def look_ahead(spec: StudySpec, stage: Stage) -> Preview:
    """Estimate the extremes of the search space and time a few steps; nothing is written.

    Raises InputError where a run would before its first trial.
    """
    torch.set_num_threads(1)
    device_type.ready(spec.parallel.device_type)  # refused before the data is loaded
    stage(f"loading {spec.dataset.name}")
    dataset = workers.load_data(spec)
    if dataset.note:
        stage(dataset.note)
    prepare.check_network(spec, dataset)
    context = _untrained(spec, dataset)
    stage("estimating, and timing a few steps")
    estimates = []
    for name, ratio, bits in EXTREMES:
        config = {
            layer: nearest_choice(space, ratio, bits, bits)
            for layer, space in spec.search_space.items()
        }
        outcome = preview(config, context)
        estimates.append(Estimate(name, config, outcome.metrics, outcome.cost.verdict()))
    step, trial = _times(context, estimates[1].config, len(dataset.train.labels))
    space = spec.search_space
    return Preview(dimensions(space), log10_configs(space), tuple(estimates), step, trial)


def log10_configs(space: SearchSpace) -> float:
    """Decimal logarithm of the number of configs, ratios in steps of RATIO_STEP.

    Layers of a group count once.
    """
    different = {layer.group or name: layer for name, layer in space.items()}
    return sum(
        math.log10(1 + round((ratio.high - ratio.low) / RATIO_STEP))
        for layer in different.values()
        for ratio in (layer.prune_ratio, layer.channel_ratio)
    ) + sum(
        math.log10(len(choices.bits))
        for layer in different.values()
        for choices in (layer.weight_bits, layer.activation_bits)
    )


def _untrained(spec: StudySpec, dataset: Dataset) -> Context:
    net = convert(prepare.new_network(spec), dataset.train.images[:2]).eval()
    net.sparse_storage = any(name != "dense" for name in spec.storage)
    few = _first(dataset.train, TIMED_IMAGES)
    teacher = train.logits_of(net, few.images)
    small = dataclasses.replace(dataset, train=few)
    return Context(spec, net, small, teacher, fpga.load_device(spec.device))


def _first(split: Split, count: int) -> Split:
    return Split(split.images[:count], split.labels[:count])


def _times(context: Context, config: Config, train_images: int) -> tuple[float, float]:
    """Seconds of a finetuning step and of a whole trial of `config` on all training images."""
    spec = context.spec
    images = len(context.data.train.labels)
    timed_steps = math.ceil(images / spec.finetune.batch_size)
    batch = _first(context.data.train, spec.finetune.batch_size)
    few = dataclasses.replace(context.data, train=batch)
    warm_up = dataclasses.replace(context, data=few, teacher=context.teacher[: len(batch.labels)])
    _finetuned(
        warm_up, config, epochs=1
    )  # torch's first step takes seconds: it loads its optimizer
    _, start = _timed(lambda: _finetuned(context, config, epochs=0))
    network, with_steps = _timed(lambda: _finetuned(context, config, epochs=1))
    step = max(with_steps - start, 0.0) / timed_steps
    scored = _first(context.data.validation, TIMED_IMAGES)
    share = len(context.data.validation.labels) / len(scored.labels)
    _, scoring = _timed(lambda: train.integer_accuracy(network, scored))
    _, packing = _timed(lambda: preview(config, context))
    steps = spec.finetune.epochs * math.ceil(train_images / spec.finetune.batch_size)
    return step, start + steps * step + share * scoring + 2 * packing


def _finetuned(context: Context, config: Config, epochs: int) -> IntegerNetwork:
    schedule = dataclasses.replace(context.spec.finetune, epochs=epochs)
    net, generator = copy.deepcopy(context.baseline), torch.Generator().manual_seed(0)
    net.to(context.device_type)
    return compact(train.finetune(net, config, context.lessons, schedule, generator))


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    begin = time.monotonic()
    result = work()
    return result, time.monotonic() - begin
