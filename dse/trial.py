"""One trial: prune, finetune, quantize, pack, cost, accuracy - and what of it lands on disk."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from dse import device_type, fpga, storage, train
from dse.config import Config
from dse.data import Dataset
from dse.errors import InputError
from dse.integer.network import IntegerNetwork
from dse.integer.shrink import shrink
from dse.integer.simplify import simplify
from dse.pareto import wilson
from dse.quantize import QuanNet
from dse.quantize.fake import FakeQuantized
from dse.study.folder import StudyFolder
from dse.study.record import LayerRecord, State, TestScore, Timing, TrialRecord
from dse.study.spec import Constraint, StudySpec
from dse.study.weights import Weights, read_weights, write_weights

FLOAT_BYTES = 4
PREVIEW_IMAGES = 32
"""Images that calibrate the network whose cost is estimated before training. Its activation scales
move no more than a few bits of biases and shifts; the weights and their mask are what counts."""


@dataclass(frozen=True)
class Context:
    """What all trials of a study share; no trial changes it."""

    spec: StudySpec
    baseline: QuanNet
    data: Dataset
    teacher: torch.Tensor
    device: fpga.Device

    @property
    def device_type(self) -> str:
        """What networks are trained on. All else is on the CPU, the integers above all."""
        return device_type.ready(self.spec.parallel.device_type)

    @property
    def lessons(self) -> train.Lessons:
        """What every trial finetunes on."""
        return train.Lessons(self.data.train, self.teacher, self.baseline)


@dataclass(frozen=True)
class Screen:
    """Do not train a config whose pruned network needs `memory_bytes` or more; `reason` is why."""

    memory_bytes: float
    reason: str


@dataclass(frozen=True)
class Task:
    """One trial to evaluate. `origin` is who proposed the config.

    `lineage` are the trials whose weights it goes on with, each from the one before: the last is
    its parent, and without any it starts from the baseline.
    """

    number: int
    origin: str
    config: Config
    screen: Screen | None = None
    lineage: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A trial's values. `densities` are non-zero integer weights over the baseline's weights, by
    layer; `network` is None when the config was refused or skipped before training. `weights` are
    the finetuned float ones, for the trials that may go on with them."""

    metrics: Mapping[str, float]
    densities: Mapping[str, float]
    packed: storage.PackedModel
    cost: fpga.CostReport
    reasons: tuple[str, ...]
    network: IntegerNetwork | None = None
    skipped: str = ""
    weights: Weights = field(default_factory=dict)


def evaluate(
    config: Config,
    context: Context,
    screen: Screen | None = None,
    start: Weights | None = None,
) -> Outcome:
    """Run one trial. The same config in the same study gives the same outcome.

    It is finetuned from `start`, the float weights of another trial, instead of the baseline's.

    A config that breaks a constraint before any training is refused there, with the cost of the
    pruned, not yet finetuned network, and one that `screen` is for is skipped. Raises
    train.Diverged.
    """
    spec, data = context.spec, context.data
    if refused := _refused(config, context, screen):
        return refused

    net = copy.deepcopy(context.baseline).to(context.device_type)
    if start is not None:
        net.load_state_dict(start)
    generator = torch.Generator().manual_seed(_seed(spec.seed, config))
    network = compact(train.finetune(net, config, context.lessons, spec.finetune, generator))
    correct, total = train.integer_accuracy(network, data.validation)
    outcome = _measure(network, context, correct / total)
    return replace(outcome, weights=net.cpu().state_dict()) if spec.finetune.warm_start else outcome


def _refused(config: Config, context: Context, screen: Screen | None) -> Outcome | None:
    """The outcome of a config that is not worth training, else None.

    First judged without the formats that take long to size, where others can hold it: more bytes
    than it will have, at the same cost in hardware. What passes so passes anyway.
    """
    network, allowed = _untrained(config, context), context.spec.storage
    for formats in (storage.quick(network, allowed), allowed):
        outcome = _measure(network, context, formats=formats)
        skip = screen is not None and outcome.metrics["memory_bytes"] >= screen.memory_bytes
        if not outcome.reasons and not skip:
            return None
    return outcome if outcome.reasons or screen is None else replace(outcome, skipped=screen.reason)


def preview(config: Config, context: Context) -> Outcome:
    """Memory, cost and broken constraints before any training; without accuracy."""
    return _measure(_untrained(config, context), context)


def _untrained(config: Config, context: Context) -> IntegerNetwork:
    """The integer network of the pruned, not yet finetuned weights."""
    pruned, images = copy.deepcopy(context.baseline), context.data.train.images
    train.prune_at_once(pruned, config, context.data.train, context.spec.finetune.rule)
    return compact(FakeQuantized(pruned, config, images[:PREVIEW_IMAGES]).to_integers())


def compact(network: IntegerNetwork) -> IntegerNetwork:
    """The same outputs without the weights and channels that cannot change them."""
    return shrink(simplify(network))


def _measure(
    network: IntegerNetwork,
    context: Context,
    accuracy: float | None = None,
    formats: tuple[str, ...] = (),
) -> Outcome:
    """Memory, cost and broken constraints of an integer network; trained if it has an accuracy.

    Packed in the study's formats unless others are given.
    """
    packed = storage.pack(network, formats or context.spec.storage)
    workload, template = fpga.describe(network, packed.stored, packed.sizes), context.spec.template
    target = context.spec.target_fps
    cost = fpga.estimate(workload, context.device, template=template, target_fps=target)
    dense = FLOAT_BYTES * sum(p.numel() for p in context.baseline.parameters())
    metrics = {
        "memory_bytes": len(packed.data),
        "compression": dense / len(packed.data),
        **cost.metrics(),
        **({} if accuracy is None else {"accuracy": accuracy}),
    }
    reasons = tuple(
        text for item in context.spec.constraints if (text := _broken(item, metrics, cost))
    )
    trained = None if accuracy is None else network
    all_weights = {n: layer.weight.numel() for n, layer in context.baseline.layers.items()}
    left = {layer.name: layer.weights.nonzeros for layer in network.layers}
    densities = {name: left[name] / count for name, count in all_weights.items()}
    return Outcome(metrics, densities, packed, cost, reasons, trained)


def violation(constraint: Constraint, metrics: Mapping[str, float]) -> float:
    """By how much a constraint is broken, as a share of its bound; <= 0 where it holds.

    A metric that is not known yet breaks nothing.
    """
    if constraint.metric not in metrics:
        return 0.0
    value, bound = metrics[constraint.metric], constraint.bound
    unit = abs(bound) or 1.0
    if constraint.operator == ">=":
        return (bound - value) / unit
    if constraint.operator == "<=":
        return (value - bound) / unit
    return abs(value - bound) / unit


def _broken(
    constraint: Constraint, metrics: Mapping[str, float], cost: fpga.CostReport
) -> str | None:
    if violation(constraint, metrics) <= 0:
        return None
    if constraint.metric == "fits":
        return cost.verdict()
    value = metrics[constraint.metric]
    return f"{constraint.metric} is {value:g}, wanted {constraint.operator} {constraint.bound:g}"


def run(task: Task, context: Context, folder: StudyFolder) -> TrialRecord:
    """Evaluate a config and leave its folder, moved into place whole, with its record."""
    started, begin = time.time(), time.monotonic()
    start = read_weights(folder, task.lineage[-1]) if task.lineage else None
    with folder.new_trial(task.number) as scratch:
        try:
            outcome = evaluate(task.config, context, task.screen, start)
            record = _written(task, outcome, context.device_type, scratch)
        except (train.Diverged, InputError) as error:
            record = TrialRecord(task.number, "failed", str(error), task.origin, task.config)
        (scratch / "result.json").write_text(record.to_json())
        timing = Timing(round(started, 3), round(time.monotonic() - begin, 3))
        (scratch / "timing.json").write_text(json.dumps(asdict(timing)) + "\n")
    return record


def _written(task: Task, outcome: Outcome, trained_on: str, scratch: Path) -> TrialRecord:
    """The record of an outcome, its artefacts written into `scratch`."""
    packed = outcome.packed
    if outcome.network:
        storage.write_yaml_models(outcome.network, scratch)
        (scratch / "model.bin").write_bytes(packed.data)
        manifest = storage.manifest(outcome.network, packed)
        (scratch / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        if outcome.weights:
            write_weights(outcome.weights, scratch)
    layers = {
        layer.name: LayerRecord(
            outcome.densities[layer.name], layer.format, layer.packed_bits, layer.sizes
        )
        for layer in packed.layers
    }
    state: State = "infeasible" if outcome.reasons else "skipped" if outcome.skipped else "complete"
    return TrialRecord(
        task.number,
        state,
        "; ".join(outcome.reasons) or outcome.skipped,
        task.origin,
        task.config,
        outcome.metrics,
        layers,
        packed.memory_bits,
        outcome.cost.to_json(),
        task.lineage,
        trained_on if outcome.network else None,
    )


def score_on_test(number: int, data: Dataset, folder: StudyFolder) -> TestScore:
    """Integer accuracy of a written trial on the test split, read back from its packed file."""
    path = folder.trial(number)
    manifest = json.loads((path / "manifest.json").read_text())
    network = storage.load(manifest, (path / "model.bin").read_bytes())
    return test_score(*train.integer_accuracy(network, data.test))


def test_score(correct: int, total: int) -> TestScore:
    """Accuracy with its 95 % Wilson interval."""
    return TestScore(correct / total, *wilson(correct, total), total)


test_score.__test__ = False  # type: ignore[attr-defined]  # not a pytest function


def uniform_outcome(bits: int, context: Context) -> tuple[IntegerNetwork, int]:
    """The baseline at `bits` everywhere without pruning or finetuning, and its memory in bytes."""
    net = copy.deepcopy(context.baseline)
    net.quantize(
        context.data.train.images[: train.CALIBRATION_IMAGES],
        weight_bits=bits,
        activation_bits=bits,
    )
    network = net.integer_network(tuple(context.data.train.images.shape[1:]))
    return network, len(storage.pack(network, context.spec.storage).data)


def _seed(seed: int, config: Config) -> int:
    """Seed of a trial's generator: from the study's seed and the config, not from its number."""
    text = json.dumps([seed, {name: asdict(choice) for name, choice in config.items()}])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
