"""Handwritten digits that ship with scikit-learn: 1,797 real 8x8 images, shown at 28x28.

The digit fills its 8x8 frame, so it is scaled to 20x20 and centred, as MNIST's digits are.
Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dse.data._arrays import Arrays
from dse.data._split import stratified_split

TAKES_PATH = False

TEST_FRACTION = 0.2
TEST_SEED = 1797  # fixed: like MNIST's, the test images do not depend on the study's seed
INK = 16  # largest value in the source
DIGIT_SIZE, MARGIN = 20, 4


def arrays(path: Path | None) -> Arrays:
    """About 1,437 training and 360 test images, (N, 1, 28, 28) uint8, ten classes."""
    from sklearn.datasets import load_digits  # a second to import, and only this file needs it

    source = load_digits()
    images = _enlarged(source.images)
    labels = source.target.astype(np.int64)
    train, test = stratified_split(labels, TEST_FRACTION, TEST_SEED)
    return Arrays(images[train], labels[train], images[test], labels[test])


def _enlarged(images: np.ndarray) -> np.ndarray:
    """(N, 8, 8) values 0..16 to (N, 1, 28, 28) uint8 0..255, bilinear."""
    ink = torch.from_numpy(images).float().unsqueeze(1) * (255 / INK)
    size = (DIGIT_SIZE, DIGIT_SIZE)
    digits = torch.nn.functional.interpolate(ink, size, mode="bilinear", align_corners=False)
    pixels: np.ndarray = digits.round().to(torch.uint8).numpy()
    return np.pad(pixels, ((0, 0), (0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
