"""The manifest beside a packed model: names, graph and real scales; with the data, the network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, assert_never

import numpy as np

from dse.errors import InputError
from dse.integer import (
    ActivationGrid,
    Add,
    AveragePool,
    Concat,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    MaxPool,
    Node,
    Requantizer,
    Reshape,
    Upsample,
)
from dse.storage.fields import Fields
from dse.storage.packed import PackedModel, Unpacked, unpack
from dse.storage.stream import StoredLayer

VERSION = 1

_KINDS = ("conv", "linear", "max_pool", "reshape")


def manifest(network: IntegerNetwork, packed: PackedModel) -> dict[str, Any]:
    """Plain JSON types that describe `packed.data`, the packed `network`.

    `nodes` is the graph; `layers` has shape, geometry, grids, scales, multipliers, shifts, format
    and packed bits of every layer, in the order of the data.
    """
    stored = [(layer.format, layer.packed_bits) for layer in packed.layers]
    return _describe(network, stored, packed.data)


def load(manifest: Mapping[str, Any], data: bytes) -> IntegerNetwork:
    """The network that was packed, equal in every array and field.

    Raises InputError when `data` is damaged or is not what `manifest` describes; a manifest may
    have more keys than `manifest()` wrote, but none of those may differ.
    """
    top = Fields.of(manifest, "manifest")
    if top.integer("version") != VERSION:
        top.refuse("version", str(VERSION))
    if top.fields("data").text("sha256") != hashlib.sha256(data).hexdigest():
        raise InputError("manifest.data.sha256: the packed model is not the one described here")
    stored = unpack(data)
    try:
        network = _build(top, stored)
        written = _describe(network, [(x.format, x.packed_bits) for x in stored.layers], data)
    except (ValueError, ArithmeticError, LookupError) as error:
        raise InputError(f"manifest: {error}") from error
    _require_equal(written, manifest, "manifest")
    return network


def _describe(
    network: IntegerNetwork, stored: Sequence[tuple[str, int]], data: bytes
) -> dict[str, Any]:
    return {
        "version": VERSION,
        "data": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        "input": {"shape": _list(network.input_shape), **_grid(network.input_grid)},
        "nodes": [_node(node) for node in network.nodes],
        "layers": [
            {**_layer(network, layer), "format": name, "packed_bits": bits}
            for layer, (name, bits) in zip(network.layers, stored, strict=True)
        ],
        "output_shape": _list(network.shapes[network.output]),
    }


def _grid(grid: ActivationGrid) -> dict[str, Any]:
    # int() and float(): numpy scalars pass the grid's own checks, but JSON refuses them
    return {
        "bits": int(grid.bits),
        "zero_point": int(grid.zero_point),
        "scale": float(grid.scale),
    }


def _node(node: Node) -> dict[str, Any]:
    if isinstance(node, Add | AveragePool | Concat | Upsample):
        raise InputError(f"{node.name}: {type(node).__name__} is not packed yet")
    entry: dict[str, Any] = {"kind": _kind(node), "name": node.name, "source": node.source}
    if isinstance(node, MaxPool):
        entry |= {"kernel": _list(node.kernel), "stride": _list(node.stride)}
        entry["padding"] = _list(node.padding)
    elif isinstance(node, Reshape):
        entry["shape"] = _list(node.shape)
    return entry


def _list(numbers: Iterable[int]) -> list[int]:
    return [int(number) for number in numbers]


def _kind(node: Layer | MaxPool | Reshape) -> str:
    if isinstance(node, Layer):
        return "linear" if node.geometry is None else "conv"
    if isinstance(node, MaxPool):
        return "max_pool"
    if isinstance(node, Reshape):
        return "reshape"
    assert_never(node)


def _layer(network: IntegerNetwork, layer: Layer) -> dict[str, Any]:
    weights, geometry, requantizer = layer.weights, layer.geometry, layer.requantizer
    entry: dict[str, Any] = {
        "name": layer.name,
        "kind": _kind(layer),
        "shape": _list(weights.shape),
        "bits": int(weights.bits),
        "grid": "mid_rise" if weights.mid_rise else "affine",
        "zero_point": int(weights.zero_point),
        "scale": [float(scale) for scale in weights.scale],
        "input": _grid(network.input_grid_of(layer)),
        "output": None,
    }
    if geometry is not None:
        entry |= {"stride": _list(geometry.stride), "padding": _list(geometry.padding)}
        entry |= {"dilation": _list(geometry.dilation), "groups": int(geometry.groups)}
    if requantizer is not None:
        entry["output"] = {
            **_grid(requantizer.grid),
            "low": int(requantizer.low),
            "high": int(requantizer.high),
            "leak": int(requantizer.leak),
            "multiplier": requantizer.multiplier.tolist(),
            "shift": requantizer.shift.tolist(),
        }
    return entry


def _build(top: Fields, unpacked: Unpacked) -> IntegerNetwork:
    entries = top.entries("layers")
    if len(entries) != len(unpacked.layers):
        raise InputError(
            f"manifest.layers: {len(entries)} layers, but the data holds {len(unpacked.layers)}"
        )
    layers = iter(zip(entries, unpacked.layers, strict=True))
    nodes: list[Node] = []
    for node in top.entries("nodes"):
        kind, name, source = node.choice("kind", _KINDS), node.text("name"), node.text("source")
        if kind == "max_pool":
            kernel, stride = _pair(node, "kernel", 1), _pair(node, "stride", 1)
            nodes.append(MaxPool(name, source, kernel, stride, _pair(node, "padding", 0)))
        elif kind == "reshape":
            nodes.append(Reshape(name, source, node.integers("shape", low=1)))
        else:
            entry, stored = next(layers, (None, None))
            if entry is None or stored is None:
                raise InputError(f"{node.place}: the data holds no more layers")
            nodes.append(_build_layer(name, source, entry, stored))
    entry = top.fields("input")
    grid = ActivationGrid(unpacked.input_bits, entry.number("scale"), unpacked.input_zero_point)
    return IntegerNetwork(entry.integers("shape", low=1), grid, tuple(nodes))


def _build_layer(name: str, source: str, entry: Fields, stored: StoredLayer) -> Layer:
    layout, output, requantizer = stored.layout, entry.optional("output"), None
    weights = IntegerWeights(
        values=stored.values,
        bits=layout.bits,
        zero_point=layout.zero_point,
        scale=np.array(entry.numbers("scale"), dtype=np.float64),
        mid_rise=layout.mid_rise,
    )
    if stored.requantizer is not None and output is not None:
        held = stored.requantizer
        grid = ActivationGrid(held.bits, output.number("scale"), held.zero_point)
        requantizer = Requantizer(held.multiplier, held.shift, grid, held.low, held.high, held.leak)
    geometry = None
    if len(layout.shape) == 4:
        geometry = ConvGeometry(
            stride=_pair(entry, "stride", 1),
            padding=_pair(entry, "padding", 0),
            dilation=_pair(entry, "dilation", 1),
            groups=entry.integer("groups"),
        )
    return Layer(name, source, weights, stored.bias, requantizer, geometry)


def _pair(entry: Fields, key: str, low: int) -> tuple[int, int]:
    y, x = entry.integers(key, low, count=2)
    return y, x


def _require_equal(written: Any, found: Any, place: str) -> None:
    """Raise InputError at the first place where `found` says something else than `written`."""
    if isinstance(written, dict) and isinstance(found, Mapping):
        for key, value in written.items():
            _require_equal(value, found.get(key, "nothing"), f"{place}.{key}")
    elif isinstance(written, list) and isinstance(found, list) and len(written) == len(found):
        for index, (one, other) in enumerate(zip(written, found, strict=True)):
            _require_equal(one, other, f"{place}[{index}]")
    elif written != found:
        raise InputError(f"{place}: says {found}, but the packed model holds {written}")
