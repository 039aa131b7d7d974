"""Puts weights, biases and grids together into an integer network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from dse.errors import InputError
from dse.integer import (
    INPUT,
    ActivationGrid,
    Add,
    AveragePool,
    Concat,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    Node,
    Requantizer,
)
from dse.integer.grid import IntArray
from dse.quantize.graph import AddCall, AverageCall, ConcatCall, Graph, LayerCall, Maker
from dse.quantize.layers import QuanLayer


@dataclass(frozen=True)
class QuantizedLayer:
    """Integer weights, and the bias in accumulator units (int64)."""

    weights: IntegerWeights
    bias: IntArray


@dataclass(frozen=True)
class Grids:
    """Grid of the network's input, and of every maker whose tensor holds codes."""

    input: ActivationGrid
    made: Mapping[str, ActivationGrid]

    def of(self, origin: str) -> ActivationGrid:
        """Grid of the input or of a maker's tensor."""
        return self.input if origin == INPUT else self.made[origin]


def bias_integers(
    bias: Tensor | None, weights: IntegerWeights, input_grid: ActivationGrid
) -> IntArray:
    """Bias (rows,) over scale s_w * s_x, rounded half up; zeros for a layer without one."""
    if bias is None:
        return np.zeros(weights.shape[0], dtype=np.int64)
    real = bias.detach().double().cpu().numpy()
    if not np.isfinite(real).all():
        raise InputError("biases must be finite, but hold NaN or infinite values")
    scaled = np.floor(real / (weights.scale * input_grid.scale) + 0.5)
    # too wide for any accumulator, so the network refuses it; int64 would wrap and hide it
    integers: IntArray = np.clip(scaled, -(2.0**60), 2.0**60).astype(np.int64)
    return integers


def assemble(
    graph: Graph,
    modules: Mapping[str, QuanLayer],
    grids: Grids,
    layers: Mapping[str, QuantizedLayer],
) -> IntegerNetwork:
    """The integer network of `graph`; `layers` by call. Multipliers follow from the grids."""
    nodes: list[Node] = []
    for node in graph.nodes:
        if not isinstance(node, Maker):
            nodes.append(node)
            continue
        grid = grids.made.get(node.name) if graph.holds_codes(node) else None
        sources = [grids.of(graph.origin(source)) for source in node.inputs]
        if isinstance(node, LayerCall):
            geometry = modules[node.module].geometry
            nodes.append(_layer(node, layers[node.name], sources[0], grid, geometry))
        else:
            nodes.append(_join(node, sources, grid))
    try:
        return IntegerNetwork(graph.input_shape, grids.input, tuple(nodes))
    except ValueError as error:
        raise InputError(f"this network cannot be computed in integers: {error}") from None


def _layer(
    call: LayerCall,
    layer: QuantizedLayer,
    source: ActivationGrid,
    grid: ActivationGrid | None,
    geometry: ConvGeometry | None,
) -> Layer:
    scale = layer.weights.scale * source.scale
    requantizer = None
    if grid:
        requantizer = Requantizer.from_scales(scale, grid, call.nonlinearity)
    elif scale.size > 1:
        raise InputError(f"{call.name}: an output layer needs one scale")
    return Layer(
        call.name, call.source, layer.weights, layer.bias, requantizer, geometry, call.shares
    )


def _join(
    node: AddCall | ConcatCall | AverageCall,
    sources: Sequence[ActivationGrid],
    grid: ActivationGrid | None,
) -> Node:
    if isinstance(node, AverageCall):
        scale = np.array([sources[0].scale / (node.kernel[0] * node.kernel[1])])
        requantizer = Requantizer.from_scales(scale, grid, node.nonlinearity) if grid else None
        window = (node.kernel, node.stride, node.padding)
        return AveragePool(node.name, node.source, *window, requantizer)
    assert grid is not None, "sums and concatenations always hold codes"
    if isinstance(node, AddCall):
        scales = [source.scale for source in sources]
        return Add.from_scales(node.name, node.inputs, scales, grid, node.nonlinearity)
    return Concat.from_grids(node.name, node.inputs, sources, grid, node.nonlinearity)
