"""Part of MNIST, for trials of about a second: 8,000 training images and all test images."""

from __future__ import annotations

import numpy as np

from dse.data import mnist

IMAGES = 8000


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The first IMAGES training images with their labels, and the test split."""
    whole = mnist.arrays(None)
    train = whole.train_images[:IMAGES], whole.train_labels[:IMAGES]
    return *train, whole.test_images, whole.test_labels
