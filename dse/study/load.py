"""From a study file to a checked study, or to one error that lists every mistake in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from dse import data, models
from dse.errors import InputError, nearest
from dse.fpga.device import load_device
from dse.prune import Rule
from dse.storage import formats
from dse.study import document
from dse.study.goals import constraint_values, constraints, objectives
from dse.study.running import parallel, parallel_values, sampler, sampler_values
from dse.study.section import Bounds, Section
from dse.study.space import group_values, grouped, search_space, space_values
from dse.study.spec import DatasetSpec, StudySpec, TrainingSpec
from dse.study.units import duration_s, shown
from dse.user_code import absolute_reference, find_file, is_reference, load_object

__all__ = ["duration_s", "load_study", "resolved"]

KEYS = (
    "name",
    "seed",
    "model",
    "dataset",
    "baseline",
    "search_space",
    "groups",
    "storage",
    "prune",
    "finetune",
    "device",
    "objectives",
    "constraints",
    "sampler",
    "budget",
    "parallel",
)
RECORDED = ("dataset_used", "layer_names", "user_files", "versions")
"""Keys that a run adds to the resolved study file it writes; not read."""

BASELINE = TrainingSpec(epochs=8, lr=0.003)
FINETUNE = TrainingSpec(epochs=1, lr=0.006, gradual=0.5)
DEFAULT_DEVICE = "xc7z020"
DEFAULT_TRIALS = 100

COUNT = Bounds(1)
SEEDS = Bounds(0, 2**32 - 1)  # what every random generator in use accepts
POSITIVE = Bounds(0, open_low=True)
SHARE = Bounds(0, 1)


def load_study(path: Path, overrides: Sequence[str] = ()) -> StudySpec:
    """Read the study file at `path`, with `--set` `overrides` like "budget.trials=20" applied.

    A user's own files (`mynet.py:Net`, an .npz, a device) are sought from the current directory
    and beside the study file, and named by absolute path in the result. Raises InputError with
    every mistake, each on a line with its path, the value found and what is allowed.
    """
    values, mistakes = document.read(path)
    for assignment in overrides:
        try:
            document.override(values, assignment)
        except InputError as error:
            mistakes.append(str(error))
    study = _study(Section("", values, mistakes), path)
    if mistakes:
        different = dict.fromkeys(mistakes)  # a pattern's is noted for each layer it matches
        raise InputError("\n  ".join([str(path), *map(_indented, different)]))
    return study


def _indented(mistake: str) -> str:
    """One that is itself a list, such as those of a device's file, goes a step to the right."""
    return mistake.replace("\n", "\n  ")


def resolved(spec: StudySpec) -> dict[str, Any]:
    """A study file's content with every default filled in; `load_study` of it equals `spec`."""
    dataset: dict[str, Any] = {
        "name": spec.dataset.name,
        "fallback": spec.dataset.fallback,
        "path": spec.dataset.path,
        "validation_fraction": spec.dataset.validation_fraction,
    }
    budget = {"trials": spec.trials, "timeout": spec.timeout_s}
    return {
        "name": spec.name,
        "seed": spec.seed,
        "model": spec.model,
        "dataset": {key: value for key, value in dataset.items() if value is not None},
        "baseline": _training_values(spec.baseline),
        "search_space": space_values(spec.search_space),
        "groups": group_values(spec.search_space),
        "storage": list(spec.storage),
        "prune": asdict(spec.finetune.rule),
        "finetune": _training_values(spec.finetune, "gradual"),
        "device": spec.device,
        "objectives": dict(spec.objectives),
        "constraints": constraint_values(spec.constraints),
        "sampler": sampler_values(spec.sampler),
        "budget": {key: value for key, value in budget.items() if value is not None},
        "parallel": parallel_values(spec.parallel),
    }


def _study(section: Section, path: Path) -> StudySpec:
    section.known_keys(*KEYS, passed_over=RECORDED)
    folder = path.parent
    model, layers = _model(section, folder)
    trials, timeout_s = _budget(section.section("budget"))
    rule = _prune(section.section("prune"))
    finetune = _training(section.section("finetune"), FINETUNE, Bounds(0), "gradual")
    return StudySpec(
        name=_name(section, path.stem),
        seed=section.integer("seed", 0, SEEDS),
        model=model,
        dataset=_dataset(section, folder),
        baseline=_training(section.section("baseline"), BASELINE, COUNT),
        search_space=grouped(
            section.section("groups"),
            search_space(section.section("search_space"), layers, rule.pattern),
        ),
        storage=_storage(section),
        finetune=replace(finetune, rule=rule),
        device=_device(section, folder),
        objectives=objectives(section.section("objectives")),
        constraints=constraints(section.section("constraints")),
        sampler=sampler(section, folder),
        trials=trials,
        timeout_s=timeout_s,
        parallel=parallel(section.section("parallel")),
    )


def _name(section: Section, stem: str) -> str:
    name = section.text("name", stem)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", name, re.ASCII):
        rule = "must be letters, digits, '.', '_' or '-', because it names the results' folder"
        section.wrong("name", f"{rule}, but got {shown(name)}")
    return name


def _model(section: Section, folder: Path) -> tuple[str, tuple[str, ...] | None]:
    """The model's reference and its layers' names, None when the model is wrong."""
    if section.get("model") is None:
        choice = ", ".join(models.model_names())
        section.wrong("model", f"is missing; give one of {choice}, or your own 'file.py:Class'")
        return "", None
    model = section.text("model", "")
    if not model:
        return "", None
    try:
        if is_reference(model):
            model = absolute_reference(model, folder)
        with torch.random.fork_rng(devices=[]):  # only its layers' names are wanted
            return model, models.layer_names(models.build(model))
    except InputError as error:
        section.wrong("model", str(error))
        return model, None


def _dataset(section: Section, folder: Path) -> DatasetSpec:
    value = section.get("dataset")
    entry = section.child("dataset", {"name": value} if isinstance(value, str) else value)
    entry.known_keys("name", "fallback", "path", "validation_fraction")
    fraction = entry.number("validation_fraction", 0.1, Bounds(0, 0.9, open_low=True))
    name = entry.text("name", "")
    if value is None or (isinstance(value, dict) and value.get("name") is None):
        choice = ", ".join(data.dataset_names())
        message = f"is missing; give one of {choice}, or your own 'file.py:function'"
        entry.wrong("" if value is None else "name", message)
    elif name and not is_reference(name) and name not in data.dataset_names():
        entry.wrong("name", f"no dataset {shown(name)}{nearest(name, data.dataset_names())}")
    elif is_reference(name):
        try:
            name = absolute_reference(name, folder)
            load_object(name)
        except InputError as error:
            entry.wrong("name", str(error))
    return DatasetSpec(name, _fallback(entry), _data_path(entry, name, folder), fraction)


def _fallback(entry: Section) -> str | None:
    fallback = entry.get("fallback")
    if fallback is None or fallback is False:  # `fallback: no` is false to YAML
        return None
    known = [name for name in data.dataset_names() if not data.takes_path(name)]
    if fallback not in known:
        entry.wrong("fallback", f"no dataset {shown(fallback)}{nearest(shown(fallback), known)}")
        return None
    return str(fallback)


def _data_path(entry: Section, name: str, folder: Path) -> str | None:
    path = entry.text("path", "")
    takes_path = name in data.dataset_names() and data.takes_path(name)
    if takes_path and entry.get("path") is None:
        entry.wrong("path", f"is missing; dataset {name!r} is read from a file")
    unknown = name not in data.dataset_names() and not is_reference(name)
    if not path or unknown:
        return None
    if not takes_path:
        entry.wrong("path", f"dataset {shown(name)} takes no path, but got {shown(path)}")
        return None
    return _existing_file(entry, "path", path, folder, may_be_folder=True)


def _existing_file(
    section: Section, key: str, text: str, folder: Path, may_be_folder: bool = False
) -> str | None:
    file = find_file(text, folder, may_be_folder)
    if file is None:
        section.wrong(key, f"no file {shown(text)} in {Path.cwd()} or {folder.resolve()}")
    return None if file is None else str(file)


def _training(section: Section, default: TrainingSpec, epochs: Bounds, *keys: str) -> TrainingSpec:
    """A training section; `keys` are those it has beside the common ones."""
    section.known_keys("epochs", "lr", "batch_size", *keys)
    return TrainingSpec(
        section.integer("epochs", default.epochs, epochs),
        section.number("lr", default.lr, POSITIVE),
        section.integer("batch_size", default.batch_size, COUNT),
        section.number("gradual", default.gradual, SHARE),
    )


def _training_values(spec: TrainingSpec, *keys: str) -> dict[str, Any]:
    """Inverse of `_training`."""
    return {key: getattr(spec, key) for key in ("epochs", "lr", "batch_size", *keys)}


def _prune(section: Section) -> Rule:
    section.known_keys("criterion", "scope", "structure")
    rule = Rule()
    for key in ("criterion", "structure", "scope"):  # the last must suit the one before
        try:
            rule = replace(rule, **{key: section.text(key, getattr(rule, key))})
        except InputError as error:
            section.wrong(key, str(error))
    return rule


def _storage(section: Section) -> tuple[str, ...]:
    known = formats.names()
    if section.get("storage") in (None, "auto"):
        return known
    chosen = section.names("storage", known, "storage format")
    if section.get("storage") == []:
        section.wrong("storage", "must be 'auto' or a list of at least one format, but got []")
    return chosen


def _device(section: Section, folder: Path) -> str:
    device = section.text("device", DEFAULT_DEVICE)
    if device.endswith((".yml", ".yaml")):
        file = _existing_file(section, "device", device, folder)
        if file is None:
            return device
        device = file
    try:
        load_device(device)
    except InputError as error:
        section.wrong("device", str(error))
    return device


def _budget(section: Section) -> tuple[int | None, float | None]:
    """Trials and seconds; a study given neither makes the default number of trials."""
    section.known_keys("trials", "timeout")
    trials = None if section.get("trials") is None else section.integer("trials", 1, COUNT)
    timeout_s = None
    if section.get("timeout") is not None:
        try:
            timeout_s = duration_s(section.get("timeout"))
        except InputError as error:
            section.wrong("timeout", str(error))
    return (DEFAULT_TRIALS if trials is None and timeout_s is None else trials), timeout_s
