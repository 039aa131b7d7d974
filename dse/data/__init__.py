"""Datasets by name, each split into train, validation and test images.

The folder is a registry: `mnist.py` is the dataset `mnist`. Such a file defines `TAKES_PATH` and
`arrays(path) -> Arrays`; files that begin with an underscore are not datasets.

A uint8 pixel p becomes p / 256, not p / 255: the scale of an 8-bit code is then the power of two
2^-8, so the code *is* the pixel, input quantization loses nothing, and the background (p = 0) sits
exactly on code 0 instead of on a rounding tie.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dse.data._arrays import Arrays, Unavailable
from dse.data._augment import UNCHANGED, Augmentation, augment
from dse.data._split import fingerprint_of, stratified_split
from dse.errors import InputError, nearest
from dse.user_code import call, is_reference

__all__ = [
    "UNCHANGED",
    "Augmentation",
    "Dataset",
    "Split",
    "augment",
    "dataset_names",
    "load",
    "takes_path",
]

PIXEL_STEPS = 256


@dataclass(frozen=True, eq=False)
class Split:
    """Images, float32 (N, C, H, W) contiguous, and labels, int64 (N,)."""

    images: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three disjoint splits of one dataset.

    - `name`: the dataset these images really are, so the fallback's when that was used.
    - `classes`: labels are 0..classes-1, and each occurs in `train`.
    - `fingerprint`: sha256 over the images, labels and the split.
    - `fallback`, `note`: whether another dataset stands in for the one asked for, and a
      sentence that says so and why, to be shown wherever results are; empty otherwise.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
    fingerprint: str
    fallback: bool
    note: str


def dataset_names() -> tuple[str, ...]:
    """Names in the registry, sorted."""
    files = Path(__file__).parent.glob("[!_]*.py")
    return tuple(sorted(file.stem for file in files))


def takes_path(name: str) -> bool:
    """Whether a registered dataset is read from a file the user names."""
    return bool(importlib.import_module(f"{__name__}.{name}").TAKES_PATH)


def load(
    name: str,
    *,
    fallback: str | None = None,
    path: str | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Load a registered dataset, or the four arrays a user's `file.py:function` returns.

    `validation_fraction` of the training images, of each class alike, becomes the validation
    split, drawn with `seed`; the test images stay as they are. `fallback` names the dataset to use
    when this one can neither be found nor downloaded. Raises InputError for an unknown name, for
    data that are damaged or wrong, and for data that cannot be had when there is no fallback.
    """
    try:
        return _split(name, _arrays(name, path), "", validation_fraction, seed)
    except Unavailable as reason:
        if fallback is None:
            raise InputError(f"dataset {name!r} cannot be had: {reason}") from reason
        note = f"FALLBACK: these are {fallback!r} images, not {name!r}, which cannot be had: "
        note += str(reason)
    try:
        dataset = _split(fallback, _arrays(fallback, None), note, validation_fraction, seed)
    except Unavailable as reason:
        raise InputError(f"{note}; nor can the fallback {fallback!r}: {reason}") from reason
    return dataset


def _arrays(name: str, path: str | None) -> Arrays:
    if is_reference(name):
        return Arrays.checked(name, call(name))
    if name not in dataset_names():
        raise InputError(f"no dataset {name!r}{nearest(name, dataset_names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    arrays: Arrays = module.arrays(None if path is None else Path(path))
    return arrays


def _split(name: str, arrays: Arrays, note: str, fraction: float, seed: int) -> Dataset:
    train, validation = stratified_split(arrays.train_labels, fraction, seed)
    return Dataset(
        name=name,
        train=_tensors(arrays.train_images[train], arrays.train_labels[train]),
        validation=_tensors(arrays.train_images[validation], arrays.train_labels[validation]),
        test=_tensors(arrays.test_images, arrays.test_labels),
        classes=int(arrays.train_labels.max()) + 1,
        fingerprint=fingerprint_of(arrays, validation),
        fallback=bool(note),
        note=note,
    )


def _tensors(images: np.ndarray, labels: np.ndarray) -> Split:
    pixels = torch.from_numpy(np.array(images, dtype=np.float32, order="C"))
    if images.dtype == np.uint8:
        pixels.div_(PIXEL_STEPS)
    return Split(pixels, torch.from_numpy(labels.astype(np.int64)))
