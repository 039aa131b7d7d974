"""The graph as plain data: nodes to JSON types and back, for the manifest and the YAML models."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, assert_never

import numpy as np

from dse.integer import (
    ActivationGrid,
    Add,
    AveragePool,
    Concat,
    ConvGeometry,
    IntegerNetwork,
    Layer,
    MaxPool,
    Node,
    Requantizer,
    Reshape,
    Upsample,
)
from dse.storage.fields import Fields

LAYER_KINDS = ("conv", "linear")
KINDS = (*LAYER_KINDS, "add", "concat", "average_pool", "max_pool", "upsample", "reshape")


def describe_grid(grid: ActivationGrid) -> dict[str, Any]:
    """Bits, zero point and scale."""
    # int() and float(): numpy scalars pass the grid's own checks, but JSON refuses them
    return {
        "bits": int(grid.bits),
        "zero_point": int(grid.zero_point),
        "scale": float(grid.scale),
    }


def describe_requantizer(requantizer: Requantizer | None) -> dict[str, Any] | None:
    """Output grid, clamp, leak, multipliers and shifts; None where there is none."""
    if requantizer is None:
        return None
    return {
        **describe_grid(requantizer.grid),
        "low": int(requantizer.low),
        "high": int(requantizer.high),
        "leak": int(requantizer.leak),
        "multiplier": requantizer.multiplier.tolist(),
        "shift": requantizer.shift.tolist(),
    }


def describe_geometry(geometry: ConvGeometry | None) -> dict[str, Any]:
    """How a convolution slides; nothing for a linear layer."""
    if geometry is None:
        return {}
    return {
        "stride": listed(geometry.stride),
        "padding": listed(geometry.padding),
        "dilation": listed(geometry.dilation),
        "groups": int(geometry.groups),
    }


def describe_node(node: Node) -> dict[str, Any]:
    """Kind, name, what it reads and its parameters; of a layer no more than that."""
    entry: dict[str, Any] = {"kind": kind_of(node), "name": node.name}
    if isinstance(node, Add | Concat):
        entry["sources"] = list(node.sources)
    else:
        entry["source"] = node.source
    if isinstance(node, Add):
        entry["multipliers"] = listed(node.multipliers)
        entry["output"] = describe_requantizer(node.requantizer)
    elif isinstance(node, Concat):
        entry["outputs"] = [describe_requantizer(r) for r in node.requantizers]
    elif isinstance(node, MaxPool | AveragePool):
        entry |= {"kernel": listed(node.kernel), "stride": listed(node.stride)}
        entry["padding"] = listed(node.padding)
        if isinstance(node, AveragePool):
            entry["output"] = describe_requantizer(node.requantizer)
    elif isinstance(node, Upsample):
        entry["factor"] = listed(node.factor)
    elif isinstance(node, Reshape):
        entry["shape"] = listed(node.shape)
    return entry


def describe_network(network: IntegerNetwork) -> dict[str, Any]:
    """Input and nodes, for a file that holds the layers' numbers elsewhere.

    A layer's entry says how it slides, whose weights it shares, and how its output is clamped.
    """
    nodes = []
    for node in network.nodes:
        entry = describe_node(node)
        if isinstance(node, Layer):
            entry |= {"shares": node.shares, **describe_geometry(node.geometry), "clamp": None}
            if node.requantizer:
                held = node.requantizer
                entry["clamp"] = {"low": held.low, "high": held.high, "leak": held.leak}
        nodes.append(entry)
    grid = describe_grid(network.input_grid)
    return {"input": {"shape": listed(network.input_shape), **grid}, "nodes": nodes}


def kind_of(node: Node) -> str:
    """The node's kind, one of `KINDS`."""
    if isinstance(node, Layer):
        return "linear" if node.geometry is None else "conv"
    if isinstance(node, Add):
        return "add"
    if isinstance(node, Concat):
        return "concat"
    if isinstance(node, AveragePool):
        return "average_pool"
    if isinstance(node, MaxPool):
        return "max_pool"
    if isinstance(node, Upsample):
        return "upsample"
    if isinstance(node, Reshape):
        return "reshape"
    assert_never(node)


def build_node(entry: Fields, layer: Callable[[str, str], Layer]) -> Node:
    """Inverse of `describe_node`; a layer is made by `layer` from its name and source.

    Raises InputError for what is no node, ValueError for one that contradicts itself.
    """
    kind, name = entry.choice("kind", KINDS), entry.text("name")
    if kind in LAYER_KINDS:
        return layer(name, entry.text("source"))
    if kind == "add":
        output = build_requantizer(entry.fields("output"))
        return Add(name, entry.texts("sources"), entry.integers("multipliers", low=0), output)
    if kind == "concat":
        requantizers = [
            None if item is None else build_requantizer(Fields.of(item, entry.at("outputs")))
            for item in entry.items("outputs")
        ]
        return Concat(name, entry.texts("sources"), tuple(requantizers))
    source = entry.text("source")
    if kind == "upsample":
        return Upsample(name, source, entry.pair("factor", 1))
    if kind == "reshape":
        return Reshape(name, source, entry.integers("shape", low=1))
    kernel, stride, padding = (entry.pair(key, low) for key, low in _WINDOW)
    if kind == "max_pool":
        return MaxPool(name, source, kernel, stride, padding)
    held = entry.optional("output")
    requantizer = None if held is None else build_requantizer(held)
    return AveragePool(name, source, kernel, stride, padding, requantizer)


_WINDOW = (("kernel", 1), ("stride", 1), ("padding", 0))


def build_requantizer(entry: Fields) -> Requantizer:
    """Inverse of `describe_requantizer`. Raises InputError or ValueError."""
    grid = ActivationGrid(entry.integer("bits"), entry.number("scale"), entry.integer("zero_point"))
    return Requantizer(
        np.array(entry.integers("multiplier", low=0), dtype=np.int64),
        np.array(entry.integers("shift", low=-(1 << 10)), dtype=np.int64),
        grid,
        *(entry.integer(key) for key in ("low", "high", "leak")),
    )


def build_geometry(entry: Fields) -> ConvGeometry:
    """Inverse of `describe_geometry`. Raises InputError."""
    return ConvGeometry(
        stride=entry.pair("stride", 1),
        padding=entry.pair("padding", 0),
        dilation=entry.pair("dilation", 1),
        groups=entry.integer("groups"),
    )


def listed(numbers: Iterable[int]) -> list[int]:
    """`numbers` as a list of Python's own."""
    return [int(number) for number in numbers]
