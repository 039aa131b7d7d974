"""From a study file to a checked study, or to one error that lists every mistake in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from dse import fpga
from dse.data import UNCHANGED, Augmentation
from dse.errors import InputError, nearest
from dse.prune import Rule
from dse.storage import formats
from dse.study import document, sources
from dse.study.goals import constraint_values, constraints, objectives
from dse.study.running import parallel, parallel_values, sampler, sampler_values
from dse.study.section import Bounds, Section
from dse.study.space import group_values, grouped, search_space, space_values
from dse.study.spec import Keep, StudySpec, TrainingSpec
from dse.study.start import start_configs, start_values
from dse.study.units import duration_s, shown

__all__ = ["duration_s", "load_study", "resolved"]

KEYS = (
    "name",
    "seed",
    "model",
    "args",
    "weights",
    "dataset",
    "baseline",
    "search_space",
    "groups",
    "start",
    "storage",
    "prune",
    "finetune",
    "device",
    "template",
    "objectives",
    "constraints",
    "sampler",
    "budget",
    "parallel",
    "keep",
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
    budget = {"trials": spec.trials, "timeout": spec.timeout_s}
    return {
        "name": spec.name,
        "seed": spec.seed,
        **sources.values(spec),
        "baseline": _training_values(spec.baseline),
        "search_space": space_values(spec.search_space),
        "groups": group_values(spec.search_space),
        "start": start_values(spec.start),
        "storage": list(spec.storage),
        "prune": asdict(spec.finetune.rule),
        "finetune": _training_values(spec.finetune, "gradual")
        | {"augment": spec.finetune.augmentation.changes}
        | ({"warm_start": True} if spec.finetune.warm_start else {}),
        "device": spec.device,
        "template": spec.template,
        "objectives": dict(spec.objectives),
        "constraints": constraint_values(spec.constraints),
        "sampler": sampler_values(spec.sampler),
        "budget": {key: value for key, value in budget.items() if value is not None},
        "parallel": parallel_values(spec.parallel),
        "keep": spec.keep,
    }


def _study(section: Section, path: Path) -> StudySpec:
    section.known_keys(*KEYS, passed_over=RECORDED)
    folder = path.parent
    network, layers = sources.network(section, folder)
    dataset = sources.dataset(section, folder)
    trials, timeout_s = _budget(section.section("budget"))
    rule = _prune(section.section("prune"))
    device = _device(section, folder)
    space = search_space(section.section("search_space"), layers, rule.pattern)
    space = grouped(section.section("groups"), space)
    return StudySpec(
        name=_name(section, path.stem),
        seed=section.integer("seed", 0, SEEDS),
        model=network.model,
        args=network.args,
        weights=network.weights,
        dataset=dataset,
        baseline=replace(_baseline(section, network), augmentation=dataset.augmentation),
        search_space=space,
        start=start_configs(section, space),
        storage=_storage(section),
        finetune=_finetune(section.section("finetune"), rule, dataset.augmentation),
        device=device,
        template=_template(section, device),
        objectives=objectives(section.section("objectives")),
        constraints=constraints(section.section("constraints")),
        sampler=sampler(section, folder),
        trials=trials,
        timeout_s=timeout_s,
        parallel=parallel(section.section("parallel")),
        keep=_keep(section),
    )


def _keep(section: Section) -> Keep:
    """Whose YAML exports are kept."""
    keep = section.text("keep", "all")
    if keep not in ("all", "front"):
        section.wrong("keep", f"must be 'all' or 'front', but got {shown(keep)}")
    return "front" if keep == "front" else "all"


def _name(section: Section, stem: str) -> str:
    name = section.text("name", stem)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", name, re.ASCII):
        rule = "must be letters, digits, '.', '_' or '-', because it names the results' folder"
        section.wrong("name", f"{rule}, but got {shown(name)}")
    return name


def _baseline(section: Section, network: sources.Network) -> TrainingSpec:
    """A network that comes with its weights is trained no further unless the file says so."""
    default = BASELINE if network.weights is None else replace(BASELINE, epochs=0)
    epochs = COUNT if network.weights is None else Bounds(0)
    return _training(section.section("baseline"), default, epochs)


def _finetune(section: Section, rule: Rule, augmentation: Augmentation) -> TrainingSpec:
    """Augmented like the baseline, unless the file says that it is not."""
    spec = _training(section, FINETUNE, Bounds(0), "gradual", "augment", "warm_start")
    used = augmentation if _flag(section, "augment", True) else UNCHANGED
    warm_start = _flag(section, "warm_start", FINETUNE.warm_start)
    return replace(spec, rule=rule, augmentation=used, warm_start=warm_start)


def _flag(section: Section, key: str, default: bool) -> bool:
    value = section.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        section.wrong(key, f"must be true or false, but got {shown(value)}")
    return bool(value)


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
        file = sources.existing_file(section, "device", device, folder)
        if file is None:
            return device
        device = file
    try:
        fpga.load_device(device)
    except InputError as error:
        section.wrong("device", str(error))
    return device


def _template(section: Section, device: str) -> str:
    """The template's name; a device that it cannot use is noted."""
    template, known = section.text("template", StudySpec.template), (*fpga.TEMPLATES, fpga.AUTO)
    if template not in known:
        section.wrong("template", f"no template {shown(template)}{nearest(template, known)}")
    elif template == "engine":
        try:
            fpga.require_memory(fpga.load_device(device))
        except fpga.CannotBuild as error:
            section.wrong("template", str(error))
        except InputError:
            pass  # a wrong device is noted as such
    return template


def _budget(section: Section) -> tuple[int | None, float | None]:
    """Trials and seconds; a study given neither makes the default number of trials."""
    section.known_keys("trials", "timeout")
    trials = None if section.get("trials") is None else section.integer("trials", 1, COUNT)
    timeout_s = section.duration("timeout")
    return (DEFAULT_TRIALS if trials is None and timeout_s is None else trials), timeout_s
