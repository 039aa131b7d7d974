"""Shrinking: take out the channels that nothing reads, so that layers really get smaller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.integer.network import INPUT, IntegerNetwork, Layer, Node, Reshape
from dse.integer.simplify import elements_read

Mask = npt.NDArray[np.bool_]


def shrink(network: IntegerNetwork) -> IntegerNetwork:
    """A network with the same output without the output channels that nothing reads.

    After `simplify` these are the channels whose weights pruning has emptied, or whose readers it
    has. A tensor that is reshaped to anything but a vector, or read by a grouped convolution, keeps
    its channels, and so does every layer at least one.
    """
    kept = _kept(network)
    nodes: list[Node] = []
    for node in network.nodes:
        if isinstance(node, Layer):
            nodes.append(_smaller(node, kept[node.name], kept[node.source]))
        elif isinstance(node, Reshape):
            left = kept[node.name]
            nodes.append(replace(node, shape=(int(left.sum()),)) if left.ndim == 1 else node)
        else:
            nodes.append(node)
    return replace(network, nodes=tuple(nodes))


def _kept(network: IntegerNetwork) -> Mapping[str, Mask]:
    """Which elements of every tensor stay, whole channels at a time."""
    read = elements_read(network)
    fixed = _fixed(network)
    kept: dict[str, Mask] = {INPUT: np.ones(network.input_shape, dtype=np.bool_)}
    for node in network.nodes:
        shape = network.shapes[node.name]
        if isinstance(node, Layer):
            channels = read[node.name].reshape(node.rows, -1).max(axis=1)
            channels[0] |= not channels.any()
            if node.name in fixed:
                channels[:] = True
            kept[node.name] = np.broadcast_to(channels.reshape(-1, *(1 for _ in shape[1:])), shape)
        elif isinstance(node, Reshape):
            kept[node.name] = kept[node.source].reshape(shape)
        else:
            kept[node.name] = np.broadcast_to(kept[node.source][:, :1, :1], shape)
    return kept


def _fixed(network: IntegerNetwork) -> set[str]:
    """Tensors whose channels must all stay, because of the nodes that read them."""
    fixed = {network.output}
    for node in reversed(network.nodes):
        grouped = isinstance(node, Layer) and node.geometry is not None and node.geometry.groups > 1
        reshaped = isinstance(node, Reshape) and len(node.shape) > 1
        passed_on = not isinstance(node, Layer) and node.name in fixed
        if grouped or reshaped or passed_on:
            fixed.update(node.inputs)
        if grouped:  # its own channels are counted by group
            fixed.add(node.name)
    return fixed


def _smaller(layer: Layer, outputs: Mask, inputs: Mask) -> Layer:
    """`layer` with the rows of `outputs` and the columns of `inputs` that stay."""
    rows = outputs.reshape(layer.rows, -1)[:, 0]
    values = layer.weights.values[rows]
    if layer.geometry is None:
        values = values[:, inputs]
    elif layer.geometry.groups == 1:
        values = values[:, inputs[:, 0, 0]]
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
