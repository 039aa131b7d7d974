"""Shrinking: take out the channels that nothing reads, so that layers really get smaller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.integer.layer import Layer
from dse.integer.network import INPUT, IntegerNetwork
from dse.integer.nodes import Add, Concat, Node, Reshape
from dse.integer.simplify import elements_read, sharing

Mask = npt.NDArray[np.bool_]


def shrink(network: IntegerNetwork) -> IntegerNetwork:
    """A network with the same output without the output channels that nothing reads.

    After `simplify` these are the channels whose weights pruning has emptied, or whose readers it
    has. Tensors that are added keep the same channels, those that any of them needs. A tensor that
    is reshaped to anything but a vector, or read by a grouped convolution, keeps its channels, so
    do layers that share weights, and every layer keeps at least one.
    """
    kept = _kept(network)
    nodes: list[Node] = []
    for node in network.nodes:
        if isinstance(node, Layer):
            nodes.append(_smaller(node, kept[node.name], kept[node.source]))
        elif isinstance(node, Reshape) and len(node.shape) == 1:
            nodes.append(replace(node, shape=(int(kept[node.name].sum()),)))
        else:
            nodes.append(node)
    return replace(network, nodes=tuple(nodes))


def _kept(network: IntegerNetwork) -> Mapping[str, Mask]:
    """Which channels of every tensor stay; the elements of a vector are its channels."""
    read, shared = elements_read(network), sharing(network)
    kept: dict[str, Mask] = {
        name: np.logical_or.reduce(mask.reshape(len(mask), -1), axis=1)
        for name, mask in read.items()
    }
    kept[INPUT][:] = True
    for node in network.nodes:
        if isinstance(node, Layer):
            kept[node.name][0] |= not kept[node.name].any()
            if node.name in shared or (node.geometry and node.geometry.groups > 1):
                kept[node.name][:] = kept[node.source][:] = True
    before = -1
    while before != (count := sum(int(mask.sum()) for mask in kept.values())):
        before = count
        for node in network.nodes:
            _tie(node, kept)
    return kept


def _tie(node: Node, kept: dict[str, Mask]) -> None:
    """Let what `node` reads and writes keep the same channels: all that any of them keeps."""
    if isinstance(node, Layer):
        return
    out, sources = kept[node.name], [kept[name] for name in node.inputs]
    if isinstance(node, Concat):
        parts = np.split(out, np.cumsum([len(source) for source in sources])[:-1])
    elif isinstance(node, Reshape):
        if len(node.shape) > 1:
            out[:] = sources[0][:] = True
            return
        blocks = out.reshape(len(sources[0]), -1)
        sources[0] |= blocks.any(axis=1)
        blocks |= sources[0][:, None]
        return
    else:
        parts = [out] * len(sources)
        if isinstance(node, Add):
            out |= np.logical_or.reduce(sources)
    for part, source in zip(parts, sources, strict=True):
        part |= source
        source |= part


def _smaller(layer: Layer, outputs: Mask, inputs: Mask) -> Layer:
    """`layer` with the rows of `outputs` and the columns of `inputs` that stay."""
    rows = outputs
    values = layer.weights.values[rows]
    if layer.geometry is None or layer.geometry.groups == 1:
        values = values[:, inputs]
    weights = replace(
        layer.weights,
        values=np.ascontiguousarray(values),
        scale=_rows_of(layer.weights.scale, rows),
    )
    requantizer = layer.requantizer
    if requantizer:
        requantizer = replace(
            requantizer,
            multiplier=_rows_of(requantizer.multiplier, rows),
            shift=_rows_of(requantizer.shift, rows),
        )
    return replace(layer, weights=weights, bias=layer.bias[rows], requantizer=requantizer)


def _rows_of(values: npt.NDArray[Any], rows: Mask) -> npt.NDArray[Any]:
    """Entries of the rows that stay; a single entry holds for all rows."""
    return values[rows] if len(values) == len(rows) and len(rows) > 1 else values
