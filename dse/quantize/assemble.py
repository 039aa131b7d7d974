"""Puts weights, biases and grids together into an integer network, and keeps it in buffers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dse.errors import InputError
from dse.integer import (
    INPUT,
    LINEAR,
    RELU,
    ActivationGrid,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    Node,
    Requantizer,
)
from dse.integer.grid import IntArray
from dse.integer.schema import layer_values
from dse.quantize.graph import Graph, LayerCall
from dse.quantize.layers import QuanConv2d, QuanLayer


@dataclass(frozen=True)
class QuantizedLayer:
    """Integer weights, the bias in accumulator units (int64) and the grid written to, if any."""

    weights: IntegerWeights
    bias: IntArray
    output: ActivationGrid | None


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
    input_grid: ActivationGrid,
    layers: Mapping[str, QuantizedLayer],
) -> IntegerNetwork:
    """The integer network of `graph`. Multipliers follow from the scales of the grids."""
    grids: dict[str, ActivationGrid] = {INPUT: input_grid}
    nodes: list[Node] = []
    for node in graph.nodes:
        grid = grids.get(node.source)
        if not isinstance(node, LayerCall):
            if grid:
                grids[node.name] = grid
            nodes.append(node)
            continue
        layer = layers[node.name]
        if grid is None:
            raise InputError(f"{node.name} reads {node.source!r}, which has no activation grid")
        requantizer = None
        if layer.output:
            requantizer = Requantizer.from_scales(
                layer.weights.scale * grid.scale, layer.output, RELU if node.relu else LINEAR
            )
            grids[node.name] = layer.output
        elif layer.weights.scale.size > 1 or node.relu:
            raise InputError(f"{node.name}: an output layer needs one scale and no ReLU")
        geometry = _geometry(modules[node.name])
        nodes.append(
            Layer(node.name, node.source, layer.weights, layer.bias, requantizer, geometry)
        )
    try:
        return IntegerNetwork(graph.input_shape, input_grid, tuple(nodes))
    except ValueError as error:
        raise InputError(f"this network cannot be computed in integers: {error}") from None


def _geometry(module: QuanLayer) -> ConvGeometry | None:
    if not isinstance(module, QuanConv2d):
        return None
    assert not isinstance(module.padding, str), "refused when the layer was made"
    (sy, sx), (py, px), (dy, dx) = module.stride, module.padding, module.dilation
    return ConvGeometry((sy, sx), (py, px), (dy, dx), module.groups)


def store(network: IntegerNetwork, modules: Mapping[str, QuanLayer]) -> None:
    """Write the integer network into the layers' buffers."""
    for layer in network.layers:
        module = modules[layer.name]
        for name, value in layer_values(network, layer).items():
            buffer = module._buffers[name]
            if buffer is not None:  # else it is the bias of a layer without one
                module._buffers[name] = torch.as_tensor(value).to(buffer)


def restore(
    graph: Graph, modules: Mapping[str, QuanLayer], input_scale: float, input_zero: int
) -> IntegerNetwork:
    """The integer network held in the layers' buffers.

    Multipliers are computed from the scales, so a network quantized by the seed is evaluated with
    our 15-bit multiplier and rounding. Raises InputError with the reason when the buffers do not
    describe a network that this arithmetic computes.
    """
    grids: dict[str, ActivationGrid] = {}
    layers: dict[str, QuantizedLayer] = {}
    for call in graph.calls:
        module = modules[call.name]
        if not module.quantized:
            raise InputError(f"layer {call.name!r} is not quantized; call quantize() first")
        try:
            source = _buffer_grid(module, "ins", "inz", "activation_bits")
            weights = _buffer_weights(module)
            is_output = not graph.readers(call.name)
            output = None if is_output else _buffer_grid(module, "outs", "outz", "output_bits")
        except ValueError as error:
            raise InputError(
                f"layer {call.name!r} holds an unusable quantization: {error}"
            ) from None
        _check_bias(call.name, module, weights, source)
        bias = module._buffers["quan_bias"]
        zeros = np.zeros(weights.shape[0], dtype=np.int64)
        layers[call.name] = QuantizedLayer(weights, zeros if bias is None else _numpy(bias), output)
        grids[call.name] = source
    first = graph.calls[0]
    try:
        input_grid = ActivationGrid(grids[first.name].bits, input_scale, input_zero)
    except ValueError as error:
        raise InputError(f"_ins and _inz hold an unusable quantization: {error}") from None
    network = assemble(graph, modules, input_grid, layers)
    for layer in network.layers:
        made, read = network.input_grid_of(layer), grids[layer.name]
        if made.zero_point != read.zero_point or not math.isclose(
            made.scale, read.scale, rel_tol=1e-5
        ):
            raise InputError(
                f"layer {layer.name!r} was quantized for inputs with scale {read.scale:.6g} and "
                f"zero point {read.zero_point}, but reads scale {made.scale:.6g} and zero point "
                f"{made.zero_point}; were the layers defined in another order than they run?"
            )
    return network


def _numpy(buffer: Tensor) -> npt.NDArray[Any]:
    return buffer.detach().cpu().numpy()


def _buffer_grid(module: QuanLayer, scale: str, zero: str, bits: str) -> ActivationGrid:
    return ActivationGrid(
        int(module.get_buffer(bits)),
        float(module.get_buffer(scale)),
        int(module.get_buffer(zero)),
    )


def _buffer_weights(module: QuanLayer) -> IntegerWeights:
    codes = _numpy(module.get_buffer("quan_weight"))
    mid_rise, zero = bool(module.get_buffer("mid_rise")), int(module.get_buffer("wz"))
    values = codes if mid_rise else codes - zero
    scale = _numpy(module.get_buffer("ws")).reshape(-1)
    bits = int(module.get_buffer("weight_bits"))
    return IntegerWeights(values.astype(np.int32), bits, zero, scale, mid_rise)


def _check_bias(
    name: str, module: QuanLayer, weights: IntegerWeights, source: ActivationGrid
) -> None:
    if module._buffers["quan_bias"] is None:
        return
    scale = _numpy(module.get_buffer("bs")).reshape(-1)
    if int(module.get_buffer("bz")) != 0 or not np.allclose(
        scale, weights.scale * source.scale, rtol=1e-4, atol=0
    ):
        raise InputError(
            f"layer {name!r}: its bias must have scale ws * ins and zero point 0 to be added to "
            "the accumulators"
        )
