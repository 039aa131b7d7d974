"""The reference: an integer network evaluated in numpy int64, slow and plain."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dse.integer.grid import IntArray
from dse.integer.layer import ConvGeometry, Layer
from dse.integer.network import INPUT, IntegerNetwork
from dse.integer.nodes import Accumulating, Add, Concat, MaxPool, Passing, Upsample


def evaluate(network: IntegerNetwork, codes: IntArray) -> Mapping[str, IntArray]:
    """Every tensor of `network` (int64, batch first) for input `codes` of shape (N, C, y, x).

    The accumulators of a layer, add or average pool are under `<node>.accumulators`. This is the
    definition of what every kernel and exported file must compute.
    """
    tensors: dict[str, IntArray] = {INPUT: codes.astype(np.int64)}
    for node in network.nodes:
        sources = [tensors[name] for name in node.inputs]
        if isinstance(node, Passing):
            tensors[node.name] = _pass_on(node, sources[0])
            continue
        zeros = [network.grid_of(name).zero_point for name in node.inputs]
        centred = [source - zero for source, zero in zip(sources, zeros, strict=True)]
        if isinstance(node, Concat):
            rescaled = [
                source if requantizer is None else requantizer(x)
                for requantizer, source, x in zip(node.requantizers, sources, centred, strict=True)
            ]
            tensors[node.name] = np.concatenate(rescaled, axis=1)
            continue
        accumulators = _accumulators(node, centred)
        tensors[f"{node.name}.accumulators"] = accumulators
        requantizer = node.requantizer
        tensors[node.name] = requantizer(accumulators) if requantizer else accumulators
    return tensors


def _accumulators(node: Accumulating, centred: list[IntArray]) -> IntArray:
    if isinstance(node, Layer):
        return _accumulate(node, centred[0])
    if isinstance(node, Add):
        total = np.zeros_like(centred[0])
        for multiplier, x in zip(node.multipliers, centred, strict=True):
            total += multiplier * x
        return total
    window = ConvGeometry(node.stride, node.padding)
    sums: IntArray = _windows(centred[0], window, node.kernel).sum(axis=(4, 5))
    return sums


def _pass_on(node: Passing, x: IntArray) -> IntArray:
    if isinstance(node, MaxPool):
        return _max_pool(node, x)
    if isinstance(node, Upsample):
        return x.repeat(node.factor[0], axis=2).repeat(node.factor[1], axis=3)
    return x.reshape(len(x), *node.shape)


def _accumulate(layer: Layer, x: IntArray) -> IntArray:
    weights = layer.weights.values.astype(np.int64)
    if layer.geometry is None:
        sums: IntArray = x @ weights.T + layer.bias
        return sums
    groups = layer.geometry.groups
    windows = _windows(x, layer.geometry, (weights.shape[2], weights.shape[3]))
    n, _, height, width = windows.shape[:4]
    # (N, groups, y*x, inputs) @ (groups, inputs, rows)
    columns = windows.reshape(n, groups, -1, height, width, *weights.shape[2:])
    columns = columns.transpose(0, 1, 3, 4, 2, 5, 6).reshape(n, groups, height * width, -1)
    kernels = weights.reshape(groups, layer.rows // groups, -1).transpose(0, 2, 1)
    sums = (columns @ kernels).transpose(0, 1, 3, 2).reshape(n, layer.rows, height, width)
    return sums + layer.bias.reshape(1, -1, 1, 1)


def _windows(x: IntArray, geometry: ConvGeometry, kernel: tuple[int, int]) -> IntArray:
    """Windows (N, C, out_y, out_x, ky, kx) of `x` (zero point already subtracted)."""
    (py, px), (dy, dx), (sy, sx) = geometry.padding, geometry.dilation, geometry.stride
    padded = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px)))
    span = (dy * (kernel[0] - 1) + 1, dx * (kernel[1] - 1) + 1)
    windows: IntArray = sliding_window_view(padded, span, axis=(2, 3))
    return windows[:, :, ::sy, ::sx, ::dy, ::dx]


def _max_pool(pool: MaxPool, x: IntArray) -> IntArray:
    (py, px), (sy, sx) = pool.padding, pool.stride
    lowest = np.iinfo(np.int64).min
    padded = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px)), constant_values=lowest)
    windows: IntArray = sliding_window_view(padded, pool.kernel, axis=(2, 3))
    largest: IntArray = windows[:, :, ::sy, ::sx].max(axis=(4, 5))
    return largest
