"""What a study is about: its network and its images, read from the study file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from dse import data, models
from dse.errors import InputError, nearest
from dse.study.section import Bounds, Section
from dse.study.spec import DatasetSpec, StudySpec
from dse.study.units import shown
from dse.user_code import absolute_reference, find_file, is_reference, load_object, where_sought

MAX_SHIFT = 256
"""Pixels an image may be moved by augmentation: beyond it, a slip of the pen."""


@dataclass(frozen=True)
class Network:
    """Which network: its reference, its constructor's arguments, and a file with its weights."""

    model: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None


def network(section: Section, folder: Path) -> tuple[Network, tuple[str, ...] | None]:
    """The network and its layers' names, None when the model is wrong; mistakes are noted."""
    if section.get("model") is None:
        choice = ", ".join(models.model_names())
        section.wrong("model", f"is missing; give one of {choice}, or your own 'file.py:Class'")
    args = section.section("args")
    args.known_keys(*(key for key in args.values if isinstance(key, str)))
    weights = section.text("weights", "")
    file = existing_file(section, "weights", weights, folder) if weights else None
    model = section.text("model", "")
    if not model:
        return Network(weights=file), None
    values = {key: value for key, value in args.values.items() if isinstance(key, str)}
    try:
        if is_reference(model):
            model = absolute_reference(model, folder)
        with torch.random.fork_rng(devices=[]):  # only its layers' names are wanted
            names = models.layer_names(models.build(model, values))
    except InputError as error:
        section.wrong("model", str(error))
        return Network(model, values, file), None
    return Network(model, values, file), names


def values(spec: StudySpec) -> dict[str, Any]:
    """The sections of a study file that say exactly this network and these images."""
    source = spec.dataset
    images = {
        "name": source.name,
        "fallback": source.fallback,
        "path": source.path,
        "validation_fraction": source.validation_fraction,
    }
    augment = {"shift": source.augmentation.shift, "flip": source.augmentation.flip}
    return {
        "model": spec.model,
        **({"args": dict(spec.args)} if spec.args else {}),
        **({"weights": spec.weights} if spec.weights else {}),
        "dataset": {
            **{key: value for key, value in images.items() if value is not None},
            **({"augment": augment} if any(augment.values()) else {}),
        },
    }


def dataset(section: Section, folder: Path) -> DatasetSpec:
    """The images a study is about; mistakes are noted."""
    value = section.get("dataset")
    entry = section.child("dataset", {"name": value} if isinstance(value, str) else value)
    entry.known_keys("name", "fallback", "path", "validation_fraction", "augment")
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
    path = _data_path(entry, name, folder)
    augmentation = _augmentation(entry.section("augment"))
    return DatasetSpec(name, _fallback(entry), path, fraction, augmentation)


def _augmentation(section: Section) -> data.Augmentation:
    section.known_keys("shift", "flip")
    flip = section.get("flip")
    if not isinstance(flip, bool | None):
        section.wrong("flip", f"must be true or false, but got {shown(flip)}")
    return data.Augmentation(section.integer("shift", 0, Bounds(0, MAX_SHIFT)), flip is True)


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
    return existing_file(entry, "path", path, folder, may_be_folder=True)


def existing_file(
    section: Section, key: str, text: str, folder: Path, may_be_folder: bool = False
) -> str | None:
    """Absolute path of a user's file, sought as `find_file` does; None, noted, without one."""
    file = find_file(text, folder, may_be_folder)
    if file is None:
        section.wrong(key, f"no file {shown(text)} {where_sought(folder)}")
    return None if file is None else str(file)
