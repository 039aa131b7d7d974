"""Exporter `vectors`: `vectors.npz`, the numbers every correct implementation computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dse.export._deployment import Deployment
from dse.integer.grid import IntArray
from dse.integer.network import INPUT

VECTORS = "vectors.npz"


def write(deployment: Deployment, folder: Path) -> None:
    """Write `input` and `logits` of all images, and every tensor of the first ones.

    `<layer>.accumulators` and `<node>` (its output codes) have the first images on their batch
    axis. Arrays have the narrowest integer type that holds them.
    """
    tensors = {name: values for name, values in deployment.traced.items() if name != INPUT}
    arrays = {"input": deployment.codes, "logits": deployment.outputs, **tensors}
    narrow = {name: _narrow(values) for name, values in arrays.items()}
    with (folder / VECTORS).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **narrow)


def _narrow(values: IntArray) -> np.ndarray:
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    return values.astype(np.promote_types(np.min_scalar_type(low), np.min_scalar_type(high)))
