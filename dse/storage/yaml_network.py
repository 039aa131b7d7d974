"""From a YAML model back to the integer network: its graph, and the numbers of its layers."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.errors import InputError
from dse.integer import ActivationGrid, IntegerNetwork, IntegerWeights, Layer, Requantizer
from dse.storage.fields import Fields
from dse.storage.graph import KINDS, LAYER_KINDS, build_geometry, build_node
from dse.storage.model_state import OUR_SCALARS
from dse.storage.yaml_read import LayerFile, load_model


def load_network(path: str | PathLike[str]) -> IntegerNetwork:
    """The network in an integer YAML file, equal in every integer and scale.

    Raises InputError for a file of floats, one without `graph` (the seed wrote none), or one that
    contradicts itself.
    """
    model = load_model(path)
    if model.graph is None:
        raise InputError(f"{path}: has no graph; only integer files of a network hold one")
    graph, layers = model.graph, iter(model.layers)
    entries = iter(
        entry for entry in graph.entries("nodes") if entry.choice("kind", KINDS) in LAYER_KINDS
    )

    def layer(name: str, source: str) -> Layer:
        file = next(layers, None)
        if file is None or file.name != name:
            held = "no more layers" if file is None else f"the layer {file.name!r}"
            raise InputError(f"{path}: the graph has a layer {name!r} where the file holds {held}")
        return _layer(source, next(entries), file)

    try:
        nodes = tuple(build_node(entry, layer) for entry in graph.entries("nodes"))
        entry = graph.fields("input")
        grid = ActivationGrid(
            entry.integer("bits"), entry.number("scale"), entry.integer("zero_point")
        )
        network = IntegerNetwork(entry.integers("shape", low=1), grid, nodes)
    except (ValueError, ArithmeticError, LookupError) as error:
        raise InputError(f"{path}: {error}") from error
    if next(layers, None) is not None:
        raise InputError(f"{path}: holds more layers than its graph")
    for node, file in zip(network.layers, model.layers, strict=True):
        _check_input(str(path), network.input_grid_of(node), file)
    return network


def _layer(source: str, entry: Fields, file: LayerFile) -> Layer:
    scalars = file.scalars
    missing = [key for key in OUR_SCALARS if key not in scalars]
    if missing:
        raise InputError(f"{entry.place}: layer {file.name!r} has no {missing[0]!r} in the file")
    zero, mid_rise = int(scalars["wz"]), bool(scalars["mid_rise"])
    weights = IntegerWeights(
        _int32(file.weight - zero), int(scalars["n_bits"]), zero, _vector(scalars["ws"]), mid_rise
    )
    rows = weights.shape[0]
    bias = np.zeros(rows, np.int64) if file.bias is None else file.bias - scalars["bz"]
    clamp, requantizer = entry.optional("clamp"), None
    if clamp is not None:
        grid = ActivationGrid(
            int(scalars["output_bits"]), float(scalars["outs"]), int(scalars["outz"])
        )
        shift, multiplier = np.broadcast_arrays(
            _vector(scalars["mn"]) + int(scalars["n_bits"]), _vector(scalars["mqm0"])
        )
        ends = (clamp.integer(key) for key in ("low", "high", "leak"))
        requantizer = Requantizer(multiplier, shift, grid, *ends)
    geometry = build_geometry(entry) if weights.values.ndim == 4 else None
    shares = None if entry.get("shares") is None else entry.text("shares")
    return Layer(file.name, source, weights, bias, requantizer, geometry, shares)


def _check_input(path: str, grid: ActivationGrid, file: LayerFile) -> None:
    """A layer's own `ins inz activation_bits` must be those of the tensor it reads."""
    said = tuple(file.scalars[key].item() for key in ("activation_bits", "ins", "inz"))
    if said != (grid.bits, grid.scale, grid.zero_point):
        raise InputError(
            f"{path}: layer {file.name!r} says that it reads codes of bits, scale and zero point "
            f"{said}, but its source has {(grid.bits, grid.scale, grid.zero_point)}"
        )


def _vector(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.reshape(-1)


def _int32(array: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    narrow = array.astype(np.int32)
    if (narrow != array).any():
        raise InputError("integer weights do not fit 32 bits")
    return narrow
