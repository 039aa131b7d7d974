"""The seed's names for what an integer network holds: its buffers and its YAML keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.integer.layer import Layer
from dse.integer.network import IntegerNetwork
from dse.integer.nodes import AveragePool, Passing
from dse.integer.requantize import MULTIPLIER_BITS

Array = npt.NDArray[Any]

IDENTITY_SHIFT = MULTIPLIER_BITS - 1
"""An output layer is written with multiplier 2^14 and shift 14: requantization that does nothing,
so that a reader of the seed's schema gets the accumulators."""


def layer_values(network: IntegerNetwork, layer: Layer) -> dict[str, Array]:
    """Everything the schema holds of a layer, one number as a 0-d array.

    The seed shifts by mn + n_bits, so `mn` is our shift less the weight bits. Ours beside its keys:
    `weight_bits activation_bits output_bits` (0 where the output is accumulators), `mid_rise`.
    """
    weights, grid, requantizer = layer.weights, network.input_grid_of(layer), layer.requantizer
    bias_scale = weights.scale * grid.scale
    values: dict[str, Any] = {
        "ins": grid.scale,
        "inz": grid.zero_point,
        "outs": requantizer.grid.scale if requantizer else bias_scale,
        "outz": requantizer.grid.zero_point if requantizer else 0,
        "ws": weights.scale,
        "wz": weights.zero_point,
        "bs": bias_scale,
        "bz": 0,
        "mn": (requantizer.shift if requantizer else IDENTITY_SHIFT) - weights.bits,
        "mqm0": requantizer.multiplier if requantizer else 1 << IDENTITY_SHIFT,
        "n_bits": weights.bits,
        "weight_bits": weights.bits,
        "activation_bits": grid.bits,
        "output_bits": requantizer.grid.bits if requantizer else 0,
        "mid_rise": int(weights.mid_rise),
        "quan_weight": weights.values if weights.mid_rise else weights.codes(),
        "quan_bias": layer.bias,
    }
    tensors = ("quan_weight", "quan_bias")
    return {name: _array(value, name not in tensors) for name, value in values.items()}


def network_state(network: IntegerNetwork) -> dict[str, Array]:
    """The whole network as a checkpoint of the schema would hold it.

    `<layer>.weight` and `<layer>.bias` are the real values the integers stand for: what is
    deployed, not what training last held.
    """
    state: dict[str, Array] = {
        "_ins": np.asarray(network.input_grid.scale),
        "_inz": np.asarray(network.input_grid.zero_point),
        "_outs": _array(_output_scale(network), True),
        "_outz": np.asarray(grid.zero_point if (grid := network.grids[network.output]) else 0),
    }
    for layer in network.layers:
        values = layer_values(network, layer)
        per_row = layer.weights.scale.reshape(-1, *(1,) * (layer.weights.values.ndim - 1))
        state[f"{layer.name}.weight"] = (per_row * layer.weights.values).astype(np.float32)
        state[f"{layer.name}.bias"] = (values["bs"] * layer.bias).astype(np.float32)
        state.update({f"{layer.name}.{name}": value for name, value in values.items()})
    return state


def _output_scale(network: IntegerNetwork) -> Any:
    """What one step of the output stands for: of its grid, or of the accumulators it holds."""
    grid = network.grids[network.output]
    if grid:
        return grid.scale
    made_by = {node.name: node for node in network.nodes}
    node = made_by[network.output]
    while isinstance(node, Passing):
        node = made_by[node.source]
    source = network.grid_of(node.inputs[0])
    if isinstance(node, Layer):
        return node.weights.scale * source.scale
    assert isinstance(node, AveragePool), "adds and concats write codes"
    return source.scale / math.prod(node.kernel)


def _array(value: Any, scalar: bool) -> Array:
    array = np.asarray(value)
    return array.reshape(()) if scalar and array.size == 1 else array
