"""The four arrays a dataset is made of, with the checks they must pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.errors import InputError

NAMES = ("train_images", "train_labels", "test_images", "test_labels")
CHANNELS = (1, 3, 4)


class Unavailable(Exception):
    """A dataset can neither be found nor downloaded: the one case in which a fallback is used."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images (N, C, H, W), uint8 or float32, and labels (N,), int64, as the source gave them."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    @staticmethod
    def checked(source: str, values: Iterable[Any]) -> Arrays:
        """Check what a user's `source` gave: images (N, H, W) or (N, C, H, W), and labels (N,).

        Raises InputError with every mistake in the four arrays.
        """
        try:
            train_images, train_labels, test_images, test_labels = map(np.asarray, values)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{source}: must give four NumPy arrays ({error})") from error
        mistakes: list[str] = []
        for split, images, labels in (
            ("train", train_images, train_labels),
            ("test", test_images, test_labels),
        ):
            mistakes += _image_mistakes(f"{split}_images", images)
            mistakes += _label_mistakes(f"{split}_labels", labels, _length(images))
        if not mistakes:
            mistakes += _pair_mistakes(train_images, test_images)
            mistakes += _class_mistakes(train_labels, test_labels)
        if mistakes:
            raise InputError("\n  ".join([source, *mistakes]))
        return Arrays(
            _with_channel(train_images),
            train_labels.astype(np.int64),
            _with_channel(test_images),
            test_labels.astype(np.int64),
        )


def _length(array: np.ndarray) -> int:
    """Length of the first axis, 0 for a scalar."""
    return len(array) if array.ndim else 0


def _with_channel(images: np.ndarray) -> np.ndarray:
    return images[:, None] if images.ndim == 3 else images


def _image_mistakes(name: str, images: np.ndarray) -> list[str]:
    found = f"{images.dtype} {images.shape}"
    if images.dtype not in (np.uint8, np.float32):
        return [f"{name}: must be uint8 or float32, but got {found}"]
    if images.ndim in (3, 4) and 0 in images.shape:
        return [f"{name}: must hold images, but is empty: {found}"]
    if images.ndim not in (3, 4):
        return [f"{name}: must have shape (N, H, W) or (N, C, H, W), but got {found}"]
    if images.ndim == 4 and images.shape[3] in CHANNELS and images.shape[1] not in CHANNELS:
        return [
            f"{name}: channels must come first, (N, C, H, W), but got {found}; "
            "np.transpose(images, (0, 3, 1, 2)) puts them there"
        ]
    if images.dtype == np.float32 and not np.isfinite(images).all():
        return [f"{name}: every value must be finite, but some are NaN or infinite"]
    return []


def _label_mistakes(name: str, labels: np.ndarray, images: int) -> list[str]:
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        found = f"{labels.dtype} {labels.shape}"
        return [f"{name}: must be integers of shape (N,), but got {found}"]
    if len(labels) != images:
        return [f"{name}: must be one per image, {images}, but got {len(labels)}"]
    return []


def _pair_mistakes(train: np.ndarray, test: np.ndarray) -> list[str]:
    train, test = _with_channel(train), _with_channel(test)
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        found = f"{test.dtype} {test.shape[1:]}"
        expected = f"{train.dtype} {train.shape[1:]}"
        return [f"test_images: must be {expected} like train_images, but got {found}"]
    return []


def _class_mistakes(train: np.ndarray, test: np.ndarray) -> list[str]:
    found = np.unique(train)
    if found[0] != 0 or found[-1] != len(found) - 1:
        shown = f"{found.tolist()}" if len(found) <= 20 else f"{found[0]}..{found[-1]}"
        return [f"train_labels: must be 0..classes-1 with none left out, but got {shown}"]
    if len(found) == 1:
        return ["train_labels: must be of at least two classes, but all are 0"]
    wrong = np.setdiff1d(test, found)
    if len(wrong):
        return [f"test_labels: must be 0..{found[-1]} like train_labels, but got {wrong[0]}"]
    return []
