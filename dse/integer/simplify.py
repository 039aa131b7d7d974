"""Simplification: drop weights that cannot change the output, exactly.

In a heavily pruned network some channels end up constant (no weight left), and some are read by
nobody. A constant channel's contribution is folded into the biases behind it; the weights of a
channel nobody reads are dropped. Shapes stay, outputs stay the same on every bit, and the dropped
weights cost no storage in a sparse format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from dse.integer.grid import IntArray
from dse.integer.layer import Layer
from dse.integer.network import INPUT, IntegerNetwork
from dse.integer.nodes import Add, AveragePool, Concat, MaxPool, Node, Reshape, Upsample

Mask = npt.NDArray[np.bool_]


def simplify(network: IntegerNetwork) -> IntegerNetwork:
    """A network with the same output and no more non-zero weights, repeated until none goes."""
    before = -1
    while before != (count := sum(layer.weights.nonzeros for layer in network.layers)):
        before = count
        network = _without_unread(_without_constants(network))
    return network


def sharing(network: IntegerNetwork) -> set[str]:
    """The layers whose weights are those of another layer too: what one drops, the other needs."""
    pairs = [(layer.name, layer.shares) for layer in network.layers if layer.shares is not None]
    return {name for pair in pairs for name in pair}


def _may_drop(layer: Layer, shared: set[str]) -> bool:
    """A full mid-rise layer is stored densely, which cannot leave a weight out."""
    weights = layer.weights
    full = weights.mid_rise and weights.nonzeros == weights.values.size
    return not full and layer.name not in shared


def _without_constants(network: IntegerNetwork) -> IntegerNetwork:
    """Fold what constant channels contribute into the biases of the layers that read them."""
    constants: dict[str, IntArray] = {INPUT: np.full(network.input_shape, _UNKNOWN)}
    nodes: list[Node] = []
    shared = sharing(network)
    for node in network.nodes:
        sources = [constants[name] for name in node.inputs]
        if isinstance(node, Layer) and _may_drop(node, shared):
            node = _folded(node, sources[0], network.input_grid_of(node).zero_point)
        constants[node.name] = _constants(network, node, sources)
        nodes.append(node)
    return replace(network, nodes=tuple(nodes))


def _constants(network: IntegerNetwork, node: Node, sources: list[IntArray]) -> IntArray:
    """The code of each output element of `node` where it is constant, else _UNKNOWN."""
    shape = network.shapes[node.name]
    if isinstance(node, Layer):
        return _constant_outputs(node, shape)
    if isinstance(node, MaxPool):
        return np.broadcast_to(_by_channel(sources[0]), shape)
    if isinstance(node, Upsample):
        return sources[0].repeat(node.factor[0], axis=1).repeat(node.factor[1], axis=2)
    if isinstance(node, Reshape):
        return sources[0].reshape(shape)
    zeros = [network.grid_of(name).zero_point for name in node.inputs]
    centred = [source - zero for source, zero in zip(sources, zeros, strict=True)]
    if isinstance(node, Add):
        known = np.logical_and.reduce([source != _UNKNOWN for source in sources])
        terms = [m * x for m, x in zip(node.multipliers, centred, strict=True)]
        return np.where(known, node.requantizer(sum(terms)[None])[0], _UNKNOWN)  # type: ignore[index]
    if isinstance(node, AveragePool):
        return np.broadcast_to(_constant_means(node, _by_channel(sources[0]), zeros[0]), shape)
    if isinstance(node, Concat):
        parts = [
            source if r is None else np.where(source == _UNKNOWN, source, r(x[None])[0])
            for r, source, x in zip(node.requantizers, sources, centred, strict=True)
        ]
        return np.concatenate(parts)
    assert_never(node)


def _constant_means(pool: AveragePool, source: IntArray, zero_point: int) -> IntArray:
    """Means (C, 1, 1) of constant channels; padding, which counts as the zero point, mixes in."""
    if pool.requantizer is None:
        return np.full_like(source, _UNKNOWN)
    window = pool.kernel[0] * pool.kernel[1]
    means = pool.requantizer((window * (source - zero_point))[None])[0]
    known = source == zero_point if any(pool.padding) else source != _UNKNOWN
    return np.where(known, means, _UNKNOWN)


_UNKNOWN = -1
"""Marks an element that is not constant; codes are never negative."""


def _constant_outputs(layer: Layer, shape: tuple[int, ...]) -> IntArray:
    """The code of each output element where it is constant, else _UNKNOWN."""
    values = np.full(layer.rows, _UNKNOWN)
    if layer.requantizer:
        empty = ~layer.weights.values.reshape(layer.rows, -1).any(axis=1)
        values = np.where(empty, layer.requantizer(layer.bias[None])[0], _UNKNOWN)
    return np.broadcast_to(values.reshape(-1, *(1 for _ in shape[1:])), shape)


def _by_channel(source: IntArray) -> IntArray:
    """The code (C, 1, 1) of each channel that is constant everywhere, else _UNKNOWN: a reshape may
    have put several channels' values into one."""
    first = source[:, :1, :1]
    return np.where((source == first).all(axis=(1, 2), keepdims=True), first, _UNKNOWN)


def _folded(layer: Layer, source: IntArray, zero_point: int) -> Layer:
    """`layer` without the weights on constant inputs, their sum in its bias.

    Next to a padded border a constant channel is not constant unless it is the padding's code.
    """
    if layer.geometry is not None:
        source = _by_channel(source)
    offset = np.where(source == _UNKNOWN, 0, source - zero_point)
    foldable = source != _UNKNOWN
    if layer.geometry is not None and any(layer.geometry.padding):
        foldable &= offset == 0
    columns = _per_weight(layer, foldable)
    weights = layer.weights.values
    contribution = np.where(columns, weights * _per_weight(layer, offset), 0)
    bias = layer.bias + contribution.reshape(layer.rows, -1).sum(axis=1)
    kept = np.where(columns, 0, weights).astype(np.int32)
    return replace(layer, weights=replace(layer.weights, values=kept), bias=bias)


def _per_weight(layer: Layer, inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What belongs to the input each weight multiplies, in the weights' shape."""
    shape = layer.weights.shape
    if layer.geometry is None:
        return np.broadcast_to(inputs, shape)
    groups = layer.geometry.groups
    by_group = inputs[:, 0, 0].reshape(groups, 1, shape[1])
    rows = np.broadcast_to(by_group, (groups, shape[0] // groups, shape[1]))
    return np.broadcast_to(rows.reshape(shape[0], shape[1], 1, 1), shape)


def _without_unread(network: IntegerNetwork) -> IntegerNetwork:
    """Drop the weights and biases of output channels that nothing reads."""
    read, shared = elements_read(network), sharing(network)
    nodes: list[Node] = []
    for node in network.nodes:
        if isinstance(node, Layer) and _may_drop(node, shared):
            alive = read[node.name].reshape(node.rows, -1).any(axis=1)
            values = node.weights.values * alive.reshape(-1, *(1,) * (node.weights.values.ndim - 1))
            weights = replace(node.weights, values=values.astype(np.int32))
            node = replace(node, weights=weights, bias=np.where(alive, node.bias, 0))
        nodes.append(node)
    return replace(network, nodes=tuple(nodes))


def elements_read(network: IntegerNetwork) -> Mapping[str, Mask]:
    """Which elements of every tensor can reach the output."""
    read: dict[str, Mask] = {
        name: np.zeros(shape, dtype=bool) for name, shape in network.shapes.items()
    }
    read[network.output][:] = True
    for node in reversed(network.nodes):
        wanted, start = read[node.name], 0
        for name in node.inputs:
            source = read[name]
            if isinstance(node, Layer):
                source |= _inputs_used(node, wanted, source.shape)
            elif isinstance(node, MaxPool | AveragePool | Upsample):
                source |= wanted.any(axis=(1, 2), keepdims=True)
            elif isinstance(node, Concat):
                source |= wanted[start : start + len(source)]
                start += len(source)
            elif isinstance(node, Add | Reshape):
                source |= wanted.reshape(source.shape)
            else:
                assert_never(node)
    return read


def _inputs_used(layer: Layer, wanted: Mask, shape: tuple[int, ...]) -> Mask:
    """Inputs that a wanted output has a weight on (whole channels for a convolution)."""
    alive = wanted.reshape(layer.rows, -1).max(axis=1, keepdims=True)
    magnitudes = np.abs(layer.weights.values).reshape(*layer.weights.shape[:2], -1).max(axis=2)
    used: Mask = (magnitudes > 0) & alive
    if layer.geometry is None:
        inputs: Mask = np.logical_or.reduce(used, axis=0)
        return inputs
    groups = layer.geometry.groups
    channels = used.reshape(groups, -1, layer.weights.shape[1]).any(axis=1).reshape(-1, 1, 1)
    return np.broadcast_to(channels, shape)
