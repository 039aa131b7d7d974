"""Training: fit a network, finetune it under a config with pruned weights kept zero, score it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dse import prune
from dse.config import Config
from dse.data import UNCHANGED, Augmentation, Split
from dse.errors import InputError
from dse.integer.kernels import Evaluator, accuracy_of, quantize_input
from dse.integer.network import IntegerNetwork
from dse.quantize import QuanNet
from dse.quantize.fake import FakeQuantized

CALIBRATION_IMAGES = 1000
"""Post-training grids move by less than a step beyond this many images; finetuning learns on."""

TEMPERATURE = 2.0
"""Softening of the teacher's logits (Hinton et al. 2015, section 2)."""


class Diverged(Exception):
    """Training produced a loss that is not finite."""


@dataclass(frozen=True)
class Schedule:
    """Epochs over the training images in batches, one-cycle learning rate with peak `lr`.

    Every batch's images go through `augmentation`. Finetuning prunes by `rule`; `gradual` is the
    share of its steps over which it gets there, and 0 is one-shot. With `warm_start` a study's
    trials begin with the weights of a finished one instead of the baseline's.
    """

    epochs: int
    lr: float
    batch_size: int = 64
    gradual: float = 0.0
    rule: prune.Rule = prune.MAGNITUDE
    augmentation: Augmentation = UNCHANGED
    warm_start: bool = False


@dataclass(frozen=True, eq=False)
class Lessons:
    """What a network is finetuned on: the training images, and the baseline's logits (N, classes)
    for them.

    `baseline` answers for images that augmentation moved; without one, what is finetuned does, as
    it is before.
    """

    split: Split
    teacher: Tensor
    baseline: QuanNet | None = None


def fit(
    net: nn.Module,
    split: Split,
    schedule: Schedule,
    generator: torch.Generator,
    after_step: Callable[[], None] = lambda: None,
) -> None:
    """Train the float network in place, where it is, with cross-entropy. Raises Diverged."""
    if isinstance(net, QuanNet):
        net.float_mode()
    net.train()
    place = place_of(net)

    def loss(indices: Tensor) -> Tensor:
        images = schedule.augmentation(split.images[indices], generator)
        return F.cross_entropy(net(images.to(place)), split.labels[indices].to(place))

    batches = _batches(len(split.labels), schedule, generator)
    _optimize(net, loss, batches, schedule.lr, after_step)
    net.eval()


def finetune(
    net: QuanNet,
    config: Config,
    lessons: Lessons,
    schedule: Schedule,
    generator: torch.Generator,
) -> IntegerNetwork:
    """Prune and finetune `net` in place with its config's bit widths in the loop.

    Weights that are zero stay zero. It computes where `net` is, and a batch at a time goes there.
    Returns the integer network. Raises Diverged.
    """
    net.float_mode()
    place = place_of(net)
    teacher = _teacher(net, lessons, schedule)
    images, labels = lessons.split.images, lessons.split.labels
    dense = {name: layer.weight.detach().clone() for name, layer in net.layers.items()}
    plan = prune_at_once(net, config, lessons.split, schedule.rule)
    fake = FakeQuantized(net, config, images[:CALIBRATION_IMAGES].to(place))
    steps = schedule.epochs * math.ceil(len(labels) / schedule.batch_size)
    ramp = round(schedule.gradual * steps)
    if ramp:  # the steps above were learned from the weights that will be left
        for name, layer in net.layers.items():
            layer.weight.data.copy_(dense[name])
    pruning = prune.GradualPruning(net, plan, ramp)
    soft = F.softmax(lessons.teacher / TEMPERATURE, dim=1)

    def answers(indices: Tensor, batch: Tensor) -> Tensor:
        if teacher is None:
            return soft[indices].to(place)
        with torch.no_grad():  # of images it has not seen: they have just been moved
            return F.softmax(teacher(batch) / TEMPERATURE, dim=1)

    def loss(indices: Tensor) -> Tensor:
        batch = schedule.augmentation(images[indices], generator).to(place)
        logits = fake(batch)
        right = answers(indices, batch)
        distilled = F.cross_entropy(logits / TEMPERATURE, right) * TEMPERATURE**2
        return distilled + F.cross_entropy(logits, labels[indices].to(place))

    batches = _batches(len(labels), schedule, generator)
    _optimize(fake, loss, batches, schedule.lr, pruning.after_optimizer_step)
    try:
        return fake.to_integers()
    except InputError:
        raise
    except ValueError as error:  # finite in training, but a learned step is none
        raise Diverged(f"the last training step left no network: {error}") from None


def _teacher(net: QuanNet, lessons: Lessons, schedule: Schedule) -> QuanNet | None:
    """Who answers for moved images; None where the answers are known beforehand."""
    if not schedule.augmentation.changes:
        return None
    asked = copy.deepcopy(net if lessons.baseline is None else lessons.baseline)
    return asked.to(place_of(net))


def prune_at_once(net: QuanNet, config: Config, split: Split, rule: prune.Rule) -> prune.Plan:
    """Prune the float network in place as its config says, and return how."""
    graph = net.graph(tuple(split.images.shape[1:]))
    plan = prune.Plan(config, graph, rule)
    scores = None
    if rule.criterion == "taylor":
        images, labels = split.images[:CALIBRATION_IMAGES], split.labels[:CALIBRATION_IMAGES]
        place = place_of(net)
        scores = prune.taylor_scores(net, images.to(place), labels.to(place))
    plan.apply(net, scores)
    return plan


def place_of(net: nn.Module) -> torch.device:
    """Where a network's parameters are, and so where it computes."""
    return next(net.parameters()).device


def _optimize(
    module: nn.Module,
    loss_of: Callable[[Tensor], Tensor],
    batches: Sequence[Tensor],
    lr: float,
    after_step: Callable[[], None],
) -> None:
    """Adam over `batches` of indices, one-cycle rate with peak `lr` (Smith and Topin 2018)."""
    if not batches:
        return
    optimizer = torch.optim.Adam(module.parameters(), lr=lr, fused=True)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=len(batches))
    for indices in batches:
        optimizer.zero_grad()
        loss = loss_of(indices)
        loss.backward()
        optimizer.step()
        after_step()
        rate.step()
        if not math.isfinite(float(loss.detach())):
            raise Diverged(f"the training loss became {float(loss.detach())}")
    if not all(bool(torch.isfinite(p).all()) for p in module.parameters()):
        raise Diverged("the last training step left parameters that are not finite")


def _batches(count: int, schedule: Schedule, generator: torch.Generator) -> list[Tensor]:
    """Indices of every batch of every epoch, each epoch shuffled anew."""
    return [
        batch
        for _ in range(schedule.epochs)
        for batch in torch.split(torch.randperm(count, generator=generator), schedule.batch_size)
    ]


@torch.no_grad()
def logits_of(net: nn.Module, images: Tensor, batch_size: int = 250) -> Tensor:
    """Float logits (N, classes) of the float network, computed where it is, on the CPU."""
    place = place_of(net)
    return torch.cat([net(batch.to(place)).cpu() for batch in torch.split(images, batch_size)])


def float_accuracy(net: nn.Module, split: Split) -> tuple[int, int]:
    """Right answers and images of the float network."""
    return accuracy_of(logits_of(net, split.images), split.labels)


def integer_accuracy(network: IntegerNetwork, split: Split) -> tuple[int, int]:
    """Right answers and images of the integer network: the accuracy that is reported."""
    evaluator = Evaluator(network)
    outputs = [
        evaluator(quantize_input(network, batch)) for batch in torch.split(split.images, 1000)
    ]
    return accuracy_of(torch.cat(outputs), split.labels)
