"""A quantized model's state: what a checkpoint says about its layers, checked, in numpy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.errors import InputError

State = Mapping[str, npt.NDArray[Any]]
"""A state dict as numpy arrays: `conv1.quan_weight`, `_ins`, ..."""

REAL_SCALARS = ("ins", "outs", "ws", "bs")
INTEGER_SCALARS = ("inz", "outz", "wz", "bz", "mn", "mqm0", "n_bits")
LAYER_SCALARS = ("ins", "inz", "outs", "outz", "ws", "wz", "bs", "bz", "mn", "mqm0", "n_bits")
OUR_SCALARS = ("weight_bits", "activation_bits", "output_bits", "mid_rise")
"""What we write beside the seed's keys; a file of the seed's has none of them."""

MODEL_SCALARS = ("ins", "inz", "outs", "outz")

_TENSORS = ("weight", "bias", "quan_weight", "quan_bias")


@dataclass(frozen=True)
class LayerState:
    """One quantized layer. `scalars` are 0-d, or one per row where the layer is per-channel.

    A layer without a bias has zeros: `bias` 0.0 and `quan_bias` at its zero point, so that every
    reader of the schema finds one. `extras` are buffers beyond the schema, written as more keys.
    """

    name: str
    weight: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    quan_weight: npt.NDArray[np.int64]
    quan_bias: npt.NDArray[np.int64]
    scalars: Mapping[str, npt.NDArray[Any]]
    extras: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class ModelState:
    """A quantized model: scales and zero points of input and output, and the layers in order."""

    scalars: Mapping[str, npt.NDArray[Any]]
    layers: tuple[LayerState, ...]


def read_state(state: State, place: str) -> ModelState:
    """The quantized model in `state`, found at `place`.

    Raises InputError when it is not quantized, or a value is missing, not finite or, where the
    schema has integers, not one.
    """
    groups = _by_layer(state)
    for name, group in groups.items():
        if "n_bits" not in group and "weight" in group and group["weight"].ndim >= 2:
            raise InputError(f"{place}: layer {name!r} is no quantizable layer (it has no n_bits)")
    found = {name: group for name, group in groups.items() if "n_bits" in group}
    if not found or any((group["n_bits"] <= 0).any() for group in found.values()):
        raise InputError(f"{place}: the network is not quantized; call quantize() before saving it")
    scalars = {name: _number(state, f"_{name}", place) for name in MODEL_SCALARS}
    layers = tuple(_layer(name, group, f"{place}: {name}") for name, group in found.items())
    return ModelState(scalars, layers)


def integers(array: npt.NDArray[Any], place: str) -> npt.NDArray[np.int64]:
    """`array` as int64. Raises InputError when it holds anything but whole numbers."""
    if array.dtype.kind not in "iufb":
        raise InputError(f"{place}: expected integers, but got {array.dtype}")
    whole = array.astype(np.int64) if np.isfinite(array).all() else np.zeros(0, np.int64)
    if whole.shape != array.shape or (whole != array).any():
        raise InputError(f"{place}: expected integers, but some values are not whole numbers")
    return whole


def reals(array: npt.NDArray[Any], place: str) -> npt.NDArray[np.float64]:
    """`array` as float64. Raises InputError when a value is not finite or not a number."""
    if array.dtype.kind not in "iuf":
        raise InputError(f"{place}: expected numbers, but got {array.dtype}")
    wide = array.astype(np.float64)
    if not np.isfinite(wide).all():
        raise InputError(f"{place}: some values are not finite")
    return wide


def _by_layer(state: State) -> dict[str, dict[str, npt.NDArray[Any]]]:
    groups: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for key, array in state.items():
        name, dot, suffix = key.rpartition(".")
        if dot:
            groups.setdefault(name, {})[suffix] = array
    return groups


def _layer(name: str, group: Mapping[str, npt.NDArray[Any]], place: str) -> LayerState:
    weight = reals(_get(group, "weight", place), f"{place}.weight")
    quan_weight = integers(_get(group, "quan_weight", place), f"{place}.quan_weight")
    if quan_weight.shape != weight.shape or weight.ndim < 2:
        raise InputError(f"{place}: quan_weight {quan_weight.shape} is not of shape {weight.shape}")
    rows = weight.shape[:1]
    if "bias" in group:
        _get(group, "quan_bias", place)
        known = group
    else:
        known = {"bs": np.ones(()), "bz": np.zeros((), np.int64), **group}
    scalars = {key: _number(known, key, place) for key in LAYER_SCALARS}
    bias = reals(group["bias"], f"{place}.bias") if "bias" in group else np.zeros(rows)
    codes = known.get("quan_bias", np.broadcast_to(scalars["bz"], rows))
    quan_bias = integers(codes, f"{place}.quan_bias")
    shapes = {"bias": bias.shape, "quan_bias": quan_bias.shape}
    shapes |= {key: array.shape for key, array in scalars.items() if array.ndim}
    if scalars["wz"].ndim:
        raise InputError(f"{place}.wz: expected one zero point, but got {scalars['wz'].shape}")
    for key, shape in shapes.items():
        if shape != rows:
            raise InputError(f"{place}.{key}: expected shape {rows}, but got {shape}")
    extras = {key: group[key] for key in _extra_keys(group)}
    return LayerState(name, weight, bias, quan_weight, quan_bias, scalars, extras)


def _extra_keys(group: Iterable[str]) -> list[str]:
    return [key for key in group if key not in LAYER_SCALARS and key not in _TENSORS]


def _get(group: Mapping[str, npt.NDArray[Any]], key: str, place: str) -> npt.NDArray[Any]:
    if key not in group:
        raise InputError(f"{place}: {key!r} is missing; is this a checkpoint of a QuanNet?")
    return group[key]


def _number(group: Mapping[str, npt.NDArray[Any]], key: str, place: str) -> npt.NDArray[Any]:
    check = reals if key.lstrip("_") in REAL_SCALARS else integers
    return check(_get(group, key, place), f"{place}.{key}")
