"""The manifest beside a packed model: names, graph and real scales; with the data, the network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dse.errors import InputError
from dse.integer import (
    ActivationGrid,
    Add,
    AveragePool,
    Concat,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    Node,
)
from dse.storage.fields import Fields
from dse.storage.graph import (
    build_geometry,
    build_node,
    describe_geometry,
    describe_grid,
    describe_node,
    describe_requantizer,
    kind_of,
    listed,
)
from dse.storage.packed import PackedModel, Unpacked, unpack
from dse.storage.stream import StoredLayer, StoredStream

VERSION = 2


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
        "input": {"shape": listed(network.input_shape), **describe_grid(network.input_grid)},
        "nodes": [describe_node(node) for node in network.nodes],
        "layers": [
            {**_layer(network, layer), "format": name, "packed_bits": bits}
            for layer, (name, bits) in zip(network.layers, stored, strict=True)
        ],
        "output_shape": listed(network.shapes[network.output]),
    }


def _layer(network: IntegerNetwork, layer: Layer) -> dict[str, Any]:
    weights = layer.weights
    return {
        "name": layer.name,
        "kind": kind_of(layer),
        "shape": listed(weights.shape),
        "bits": int(weights.bits),
        "grid": "mid_rise" if weights.mid_rise else "affine",
        "zero_point": int(weights.zero_point),
        "scale": [float(scale) for scale in weights.scale],
        "shares": layer.shares,
        "input": describe_grid(network.input_grid_of(layer)),
        "output": describe_requantizer(layer.requantizer),
        **describe_geometry(layer.geometry),
    }


def _build(top: Fields, unpacked: Unpacked) -> IntegerNetwork:
    entries = top.entries("layers")
    if len(entries) != len(unpacked.layers):
        raise InputError(
            f"manifest.layers: {len(entries)} layers, but the data holds {len(unpacked.layers)}"
        )
    records = iter(unpacked.records)
    layers: list[Layer] = []

    def layer(name: str, source: str) -> Layer:
        stored = next(records, None)
        if not isinstance(stored, StoredLayer):
            raise InputError(f"manifest.nodes: the data holds no layer where {name!r} stands")
        shares = None if stored.owner is None else layers[stored.owner].name
        layers.append(_build_layer((name, source, shares), entries[len(layers)], stored))
        return layers[-1]

    nodes: list[Node] = []
    for entry in top.entries("nodes"):
        node = build_node(entry, layer)
        nodes.append(node)
        if isinstance(node, Add | Concat | AveragePool) and next(records, None) != StoredStream.of(
            node
        ):
            raise InputError(f"{entry.place}: says other numbers than the packed model holds")
    if next(records, None) is not None:
        raise InputError("manifest.nodes: the data holds more nodes")
    entry = top.fields("input")
    grid = ActivationGrid(unpacked.input_bits, entry.number("scale"), unpacked.input_zero_point)
    return IntegerNetwork(entry.integers("shape", low=1), grid, tuple(nodes))


def _build_layer(names: tuple[str, str, str | None], entry: Fields, stored: StoredLayer) -> Layer:
    """The layer with its (name, source, owner of its weights)."""
    layout, output, requantizer = stored.layout, entry.optional("output"), None
    weights = IntegerWeights(
        values=stored.values,
        bits=layout.bits,
        zero_point=layout.zero_point,
        scale=np.array(entry.numbers("scale"), dtype=np.float64),
        mid_rise=layout.mid_rise,
    )
    if stored.requantizer is not None and output is not None:
        requantizer = stored.requantizer.with_scale(output.number("scale"))
    geometry = build_geometry(entry) if len(layout.shape) == 4 else None
    name, source, shares = names
    return Layer(name, source, weights, stored.bias, requantizer, geometry, shares)


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
