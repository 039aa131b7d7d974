"""States of quantized models in the seed's schema, as a checkpoint holds them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .strategies import LENET5_SHAPES, random_weights

Array = np.ndarray[Any, Any]
LENET5_LAYERS = ("conv1", "conv2", "conv3", "fc1", "fc2")


def layer_state(shape: tuple[int, ...], seed: int, per_row: bool = False) -> dict[str, Array]:
    """Buffers of one quantized layer, about 90 % of its weights pruned."""
    rng = np.random.default_rng(seed)
    weights = random_weights(shape, 8, rng)
    count = shape[:1] if per_row else ()
    scale = np.exp(rng.normal(-12, 2, count))
    rows = (-1,) + (1,) * (len(shape) - 1)
    real = weights.values * np.reshape(scale, rows if per_row else ())
    bias = rng.integers(-400, 400, shape[0]) * rng.integers(0, 2, shape[0])
    return {
        "weight": real.astype(np.float32),
        "bias": (bias * scale / 128).astype(np.float32),
        "quan_weight": weights.values.astype(np.int64) + weights.zero_point,
        "quan_bias": bias,
        "ins": np.array(2.0**-7),
        "inz": np.array(128),
        "outs": np.array(1e-05),
        "outz": np.array(3),
        "ws": np.asarray(scale),
        "wz": np.array(weights.zero_point),
        "bs": np.asarray(scale / 128),
        "bz": np.array(0),
        "mn": rng.integers(0, 12, count) if per_row else np.array(7),
        "mqm0": rng.integers(1 << 14, 1 << 15, count) if per_row else np.array(20000),
        "n_bits": np.array(8),
        "weight_bits": np.array(8),
        "mid_rise": np.array(0),
    }


def model_state(
    layers: dict[str, tuple[int, ...]] | None = None, per_row: bool = False
) -> dict[str, Array]:
    """The state dict of a model with `layers` (name to weight shape); LeNet-5 unless said."""
    if layers is None:
        layers = dict(zip(LENET5_LAYERS, LENET5_SHAPES, strict=True))
    state = {
        "_ins": np.array(2.0**-7),
        "_inz": np.array(128),
        "_outs": np.array(0.25),
        "_outz": np.array(0),
    }
    for seed, (name, shape) in enumerate(layers.items()):
        for key, value in layer_state(shape, seed, per_row).items():
            state[f"{name}.{key}"] = value
    return state
