"""Before and after the trials: the folder, the baseline, the reference points, the test scores."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import io
import os
import platform
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from dse import data, device_type, models, prune, train
from dse.errors import InputError, first_sentence
from dse.quantize import convert
from dse.search import workers
from dse.study.folder import StudyFolder, write_atomically
from dse.study.load import resolved
from dse.study.record import Reference, front_of
from dse.study.spec import StudySpec
from dse.trial import FLOAT_BYTES, Context, score_on_test, test_score, uniform_outcome
from dse.user_code import cause

Stage = Callable[[str], None]

MAY_CHANGE = ("budget", "parallel", "keep")
"""Keys of the study file that a resumed run may change."""

UNIFORM_BITS = 8

RECIPE_RATIO = 0.9
"""The seed's program: 90 % of all weights pruned globally, retrained, then UNIFORM_BITS."""


def prepare(spec: StudySpec, folder: StudyFolder, stage: Stage) -> Context:
    """Load the data, train the baseline unless an earlier run has, note the reference points.

    Raises InputError when the folder holds a study with other settings or other data, when the
    network does not fit the data, and when its training diverges.
    """
    torch.set_num_threads(1)
    stage(f"loading {spec.dataset.name}")
    dataset = workers.load_data(spec)
    if dataset.note:
        stage(dataset.note)
    if not folder.baseline.exists():
        check_network(spec, dataset)
    _write_or_check(spec, folder, dataset)
    if not folder.baseline.exists():
        given = f"from {Path(spec.weights).name}, " if spec.weights else ""
        stage(f"making the baseline, {given}trained {spec.baseline.epochs} epochs")
        _make_baseline(spec, folder, dataset)
    context = workers.load_context(spec, folder, dataset)
    if not folder.references.exists():
        stage("scoring what to compare with: float, uniform 8 bit, 90 % pruned at 8 bit")
        folder.write_references(
            [_float_reference(context), _uniform_reference(context), *_recipe_reference(context)]
        )
    return context


def score_front(context: Context, folder: StudyFolder) -> None:
    """Score the front's trials on the test images, once each."""
    for record in front_of(folder.read_trials()):
        if folder.read_test_score(record.number) is None:
            score = score_on_test(record.number, context.data, folder)
            folder.write_test_score(record.number, score)


def _write_or_check(spec: StudySpec, folder: StudyFolder, dataset: data.Dataset) -> None:
    """Write the resolved study file, or refuse to go on with another study than it describes."""
    content = resolved(spec)
    used = {
        "name": dataset.name,
        "fallback": dataset.fallback,
        "fingerprint": dataset.fingerprint,
    }
    files = _user_files(spec)
    if folder.study.exists():
        before = _read_resolved(folder.study)
        changes = [
            line
            for key in content
            if key not in MAY_CHANGE
            for line in _changes(key, before.get(key), content[key])
        ]
        changes += _changes("data", before.get("dataset_used"), used)
        changes += _changes("user_files", before.get("user_files"), files)
        if changes:
            raise InputError(
                f"{folder.path} holds a study with other settings; use --fresh to start over, or "
                "another name or --out\n  " + "\n  ".join(changes)
            )
    content |= {
        "dataset_used": used,
        "user_files": files,
        "layer_names": list(spec.search_space),
        "versions": versions(),
    }
    folder.path.mkdir(parents=True, exist_ok=True)
    text = yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False, default_flow_style=None)
    write_atomically(folder.study, text)


def _user_files(spec: StudySpec) -> dict[str, str]:
    """sha256 of the user's own files: their code is as much a setting as the study file's."""
    named = [text.rpartition(":")[0] for text in (spec.model, spec.dataset.name) if ":" in text]
    named += [spec.weights] if spec.weights else []
    if spec.device.endswith(".yml"):
        named.append(spec.device)
    return {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in named}


def _read_resolved(path: Path) -> Mapping[str, Any]:
    try:
        before = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(
            f"{path}: cannot be read ({first_sentence(error)}); use --fresh to start over"
        ) from error
    if not isinstance(before, Mapping) or "versions" not in before:
        raise InputError(f"{path}: was not written by a run; give this one another --out")
    return before


def versions() -> dict[str, str]:
    """Versions of what computes the results."""
    packages = ("dse", "torch", "optuna", "numpy")
    return {
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        **{name: version(name) for name in packages},
    }


def _changes(path: str, before: Any, now: Any) -> list[str]:
    """Lines that name each value that differs."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = [*before, *(key for key in now if key not in before)]
        return [
            line
            for key in keys
            for line in _changes(f"{path}.{key}", before.get(key), now.get(key))
        ]
    return [] if before == now else [f"{path}: was {before!r}, is {now!r}"]


def check_network(spec: StudySpec, dataset: data.Dataset) -> None:
    """Before minutes of training: the network takes these images and tells their classes apart."""
    place = device_type.ready(spec.parallel.device_type)
    net, images = new_network(spec).eval().to(place), dataset.train.images[:2]
    try:
        with torch.no_grad():
            output = net(images.to(place))
    except Exception as error:  # the user's code may raise anything
        where = "" if place == "cpu" else f" on {place}"
        raise InputError(
            f"{spec.model} cannot take images of shape {tuple(images.shape[1:])}{where}: "
            f"{cause(error)}"
        ) from error
    if not isinstance(output, torch.Tensor):
        raise InputError(f"{spec.model} must return one tensor, but gave {type(output).__name__}")
    outputs = tuple(output.shape)
    if len(outputs) != 2 or outputs[1] < dataset.classes:
        raise InputError(
            f"{spec.model} gives an output of shape {outputs} for two images, "
            f"but {dataset.name} has {dataset.classes} classes"
        )
    try:
        used = convert(net.cpu(), images).layers
        unused = [name for name in models.layer_names(net) if name not in used]
        if unused:
            raise InputError(f"its output does not depend on layer {', '.join(unused)}")
    except InputError as error:
        raise InputError(f"{spec.model}: {error}") from error


def new_network(spec: StudySpec) -> nn.Module:
    """The network before any training by this study, the same for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)  # torch's layers draw their first weights from the global one
        net = models.build(spec.model, spec.args)
    if spec.weights:
        models.load_weights(net, Path(spec.weights))
    return net


def _make_baseline(spec: StudySpec, folder: StudyFolder, dataset: data.Dataset) -> None:
    """Train the network as the user wrote it, batch normalization live; keep its converted form."""
    net = new_network(spec).to(device_type.ready(spec.parallel.device_type))
    generator = torch.Generator().manual_seed(spec.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)  # dropout draws from the global generator
        try:
            train.fit(net, dataset.train, spec.baseline, generator)
        except train.Diverged as error:
            raise InputError(
                f"baseline: {error}; baseline.lr is {spec.baseline.lr:g}, try a smaller one"
            ) from error
    baseline = convert(net.cpu(), dataset.train.images[:2])
    scratch = folder.baseline.with_suffix(".pt.part")
    packed = io.BytesIO()  # a full disk is an OSError from us, but not from torch
    torch.save(baseline.state_dict(), packed)
    scratch.write_bytes(packed.getvalue())
    os.replace(scratch, folder.baseline)


def _float_reference(context: Context) -> Reference:
    net, dataset = context.baseline, context.data
    correct, total = train.float_accuracy(net, dataset.validation)
    size = FLOAT_BYTES * sum(parameter.numel() for parameter in net.parameters())
    score = test_score(*train.float_accuracy(net, dataset.test))
    return Reference("dense float", correct / total, size, score)


def _recipe_reference(context: Context) -> list[Reference]:
    """The seed's recipe with the study's finetuning schedule; nothing where that diverges."""
    net, schedule = copy.deepcopy(context.baseline), context.spec.finetune
    net.to(context.device_type)
    prune.prune_globally(net, RECIPE_RATIO)
    frozen = prune.PruningTrainPlugin()
    frozen.set_net_named_parameters(net.named_parameters())
    generator = torch.Generator().manual_seed(context.spec.seed)
    try:
        train.fit(net, context.data.train, schedule, generator, frozen.after_optimizer_step)
    except train.Diverged:
        return []
    name = f"global {RECIPE_RATIO:.0%} at {UNIFORM_BITS} bit"
    return [_uniform_reference(dataclasses.replace(context, baseline=net.cpu()), name)]


def _uniform_reference(context: Context, name: str = f"uniform {UNIFORM_BITS} bit") -> Reference:
    network, size = uniform_outcome(UNIFORM_BITS, context)
    correct, total = train.integer_accuracy(network, context.data.validation)
    score = test_score(*train.integer_accuracy(network, context.data.test))
    return Reference(name, correct / total, size, score)
