"""Which training images the search may see, and a fingerprint of data and split."""

from __future__ import annotations

import hashlib

import numpy as np

from dse.data._arrays import Arrays
from dse.errors import InputError


def stratified_split(
    labels: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images to keep and of those to set aside, each ascending.

    `fraction` of all images is set aside, shared among the classes by largest remainder, but of
    each class at least one image is set aside and one kept. Raises InputError for a fraction
    outside (0, 1) or a class of a single image.
    """
    if not 0.0 < fraction < 1.0:
        raise InputError(f"validation_fraction must be above 0 and below 1, but got {fraction}")
    classes, sizes = np.unique(labels, return_counts=True)
    if sizes.min() < 2:
        label = classes[sizes.argmin()]
        raise InputError(f"class {label} has a single training image; two are needed to split")
    generator = np.random.Generator(np.random.PCG64(seed))
    aside = np.zeros(len(labels), dtype=bool)
    for label, count in zip(classes, _shares(sizes, fraction), strict=True):
        members = np.flatnonzero(labels == label)
        aside[generator.permutation(members)[:count]] = True
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def _shares(sizes: np.ndarray, fraction: float) -> np.ndarray:
    exact = fraction * sizes
    shares = np.floor(exact).astype(np.int64)
    rest = round(fraction * int(sizes.sum())) - int(shares.sum())
    shares[np.argsort(shares - exact, kind="stable")[:rest]] += 1
    clipped: np.ndarray = np.clip(shares, 1, sizes - 1)
    return clipped


def fingerprint_of(arrays: Arrays, validation: np.ndarray) -> str:
    """Hexadecimal sha256 over images, labels and the indices set aside for validation.

    Images are hashed as the source gave them: a quarter of the bytes when they are uint8.
    """
    digest = hashlib.sha256()
    parts = (
        arrays.train_images,
        arrays.train_labels,
        arrays.test_images,
        arrays.test_labels,
        validation,
    )
    for part in parts:
        digest.update(f"{part.dtype.str} {part.shape};".encode())
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
