"""Exporter `onnx`: `model.onnx`, integer-exact in onnxruntime for 1 to 16 bits.

Codes travel as int64. ConvInteger and MatMulInteger take bytes only, so wider operands are written
in base 256 and the partial results weighted and added. Unsigned times unsigned, because signed
products may saturate on x86 without VNNI. Div truncates, so a multiple of the divisor is added that
makes the dividend non-negative, and taken off again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

import numpy as np

from dse.export._deployment import Deployment, Unavailable, optional, weight_range
from dse.export._onnx_graph import Graph
from dse.integer import (
    Add,
    AveragePool,
    Concat,
    IntegerNetwork,
    Layer,
    MaxPool,
    Node,
    Requantizer,
    Reshape,
    Upsample,
)
from dse.integer.grid import IntArray
from dse.integer.network import INPUT

MODEL = "model.onnx"
OPSET, IR_VERSION = 18, 8
LIMIT = 1 << 40
"""Beyond every code: the clip changes no result and keeps a left shift from overflowing."""


def write(deployment: Deployment, folder: Path) -> None:
    """Write the graph: `input` (int64 codes, batch first) to the output tensor by its name.

    Raises Unavailable without the package `onnx`, and for a layer whose sums of byte products
    would overflow the 32 bits of ConvInteger.
    """
    onnx = optional("onnx")
    graph = Graph(onnx)
    network = deployment.network
    for node in network.nodes:
        _emit(graph, network, node)
    int64 = onnx.TensorProto.INT64
    shapes = {INPUT: network.input_shape, network.output: network.shapes[network.output]}
    ends = [
        onnx.helper.make_tensor_value_info(name, int64, ["N", *shape])
        for name, shape in shapes.items()
    ]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "dse", ends[:1], ends[1:], graph.constants),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="dse",
        doc_string=deployment.heading,
    )
    onnx.checker.check_model(model)
    (folder / MODEL).write_bytes(model.SerializeToString())


@dataclass(frozen=True)
class Rows:
    """Numbers (int64, shape (rows,) or (1,)) of a tensor with `dimensions` axes, batch first."""

    values: IntArray
    dimensions: int

    def spread(self, values: IntArray) -> IntArray:
        """`values` so that they broadcast over (N, rows, ...)."""
        return values.reshape((1, -1) + (1,) * (self.dimensions - 2))


def _emit(graph: Graph, network: IntegerNetwork, node: Node) -> None:
    """The one place that knows which node becomes which operators."""
    if isinstance(node, Layer):
        _layer(graph, network, node)
    elif isinstance(node, MaxPool):
        _max_pool(graph, node)
    elif isinstance(node, Reshape):
        shape = graph.constant([-1, *node.shape])
        graph.add("Reshape", node.source, shape, output=node.name)
    elif isinstance(node, Add):
        _add(graph, network, node)
    elif isinstance(node, Concat):
        _concat(graph, network, node)
    elif isinstance(node, AveragePool):
        _average_pool(graph, network, node)
    elif isinstance(node, Upsample):
        _upsample(graph, network, node)
    else:
        assert_never(node)


def _max_pool(graph: Graph, pool: MaxPool) -> None:
    """onnxruntime pools no int64; double holds every code and every accumulator exactly."""
    (py, px), kernel, stride = pool.padding, list(pool.kernel), list(pool.stride)
    real = graph.cast(pool.source, "DOUBLE")
    most = graph.add("MaxPool", real, kernel_shape=kernel, strides=stride, pads=[py, px, py, px])
    graph.add("Cast", most, output=pool.name, to=graph.onnx.TensorProto.INT64)


def _add(graph: Graph, network: IntegerNetwork, add: Add) -> None:
    terms = [
        graph.add("Mul", _centred(graph, network, source), graph.constant(multiplier))
        for source, multiplier in zip(add.sources, add.multipliers, strict=True)
    ]
    sums = terms[0]
    for index, term in enumerate(terms[1:], start=2):
        output = f"{add.name}.accumulators" if index == len(terms) else ""
        sums = graph.add("Add", sums, term, output=output)
    _requantize(graph, sums, add.name, add.requantizer, _low(network, add.name))


def _concat(graph: Graph, network: IntegerNetwork, concat: Concat) -> None:
    parts = []
    for source, requantizer in zip(concat.sources, concat.requantizers, strict=True):
        if requantizer is not None:
            low = Rows(
                np.array([network.centred_range(source)[0]]), 1 + len(network.shapes[source])
            )
            centred, source = _centred(graph, network, source), graph.fresh()
            _requantize(graph, centred, source, requantizer, low)
        parts.append(source)
    graph.add("Concat", *parts, output=concat.name, axis=1)


def _average_pool(graph: Graph, network: IntegerNetwork, pool: AveragePool) -> None:
    """A depthwise convolution with ones; onnxruntime averages no integers."""
    grid, source = network.grid_of(pool.source), pool.source
    channels = network.shapes[source][0]
    if any(pool.padding):
        source = _padded(graph, pool.padding, source, grid.zero_point)
    ones = graph.constant(np.ones((channels, 1, *pool.kernel)), np.uint8)
    sums = ""
    for i, (codes, zero) in enumerate(_code_bytes(graph, source, grid.bits, grid.zero_point)):
        partial = graph.add(
            "ConvInteger",
            codes,
            ones,
            graph.constant(zero, np.uint8),
            kernel_shape=list(pool.kernel),
            strides=list(pool.stride),
            group=channels,
        )
        partial = graph.add("Mul", graph.cast(partial, "INT64"), graph.constant(256**i))
        sums = graph.add("Add", sums, partial) if sums else partial
    named = f"{pool.name}.accumulators" if pool.requantizer else pool.name
    graph.add("Identity", sums, output=named)
    if pool.requantizer:
        _requantize(graph, named, pool.name, pool.requantizer, _low(network, pool.name))


def _upsample(graph: Graph, network: IntegerNetwork, node: Upsample) -> None:
    """Rows, then columns, gathered `factor` times each; onnxruntime resizes no int64."""
    _, y, x = network.shapes[node.source]
    fy, fx = node.factor
    rows = graph.add("Gather", node.source, graph.constant(np.arange(y).repeat(fy)), axis=2)
    columns = graph.constant(np.arange(x).repeat(fx))
    graph.add("Gather", rows, columns, output=node.name, axis=3)


def _centred(graph: Graph, network: IntegerNetwork, tensor: str) -> str:
    zero = network.grid_of(tensor).zero_point
    return graph.add("Sub", tensor, graph.constant(zero)) if zero else tensor


def _low(network: IntegerNetwork, node: str) -> Rows:
    """The smallest accumulators of `node`."""
    return Rows(network.bounds[node].low, 1 + len(network.shapes[node]))


def _layer(graph: Graph, network: IntegerNetwork, layer: Layer) -> None:
    columns = layer.weights.values[0].size
    if columns * 255 * 255 >= 1 << 31:
        raise Unavailable(f"{layer.name} sums {columns} byte products, too many for 32 bits")
    grid = network.input_grid_of(layer)
    source = layer.source
    if layer.geometry and any(layer.geometry.padding):
        source = _padded(graph, layer.geometry.padding, source, grid.zero_point)
    total = ""
    for i, (codes, code_zero) in enumerate(_code_bytes(graph, source, grid.bits, grid.zero_point)):
        for j, (weights, weight_zero) in enumerate(_weight_bytes(layer)):
            partial = _multiply(graph, layer, (codes, code_zero), (weights, weight_zero))
            if i + j:
                partial = graph.add("Mul", partial, graph.constant(256 ** (i + j)))
            total = graph.add("Add", total, partial) if total else partial
    named = f"{layer.name}.accumulators" if layer.requantizer else layer.name
    low = _low(network, layer.name)
    graph.add("Add", total, graph.constant(low.spread(layer.bias)), output=named)
    if layer.requantizer:
        _requantize(graph, named, layer.name, layer.requantizer, low)


def _padded(graph: Graph, padding: tuple[int, int], source: str, zero: int) -> str:
    (y, x) = padding
    pads = graph.constant([0, 0, y, x, 0, 0, y, x])
    return graph.add("Pad", source, pads, graph.constant(zero))


def _code_bytes(graph: Graph, source: str, bits: int, zero: int) -> list[tuple[str, int]]:
    """uint8 tensors and zero points whose differences, times 256^i, sum to code - zero point."""
    if bits <= 8:
        return [(graph.cast(source, "UINT8"), zero)]
    base = graph.constant(256)
    high = graph.add("Div", source, base)
    low = graph.add("Sub", source, graph.add("Mul", high, base))
    return [
        (graph.cast(low, "UINT8"), zero % 256),
        (graph.cast(high, "UINT8"), zero // 256),
    ]


def _weight_bytes(layer: Layer) -> list[tuple[IntArray, int]]:
    """Byte arrays and zero points whose differences, times 256^j, sum to the integer weights."""
    low, high = weight_range(layer)
    values, offset = layer.weights.values.astype(np.int64) - low, -low
    found = []
    for shift in range(0, max((high - low).bit_length(), offset.bit_length(), 1), 8):
        found.append(((values >> shift) & 255, (offset >> shift) & 255))
    return found


def _multiply(
    graph: Graph, layer: Layer, codes: tuple[str, int], weights: tuple[IntArray, int]
) -> str:
    zeros = [graph.constant(zero, np.uint8) for zero in (codes[1], weights[1])]
    if layer.geometry is None:
        matrix = graph.constant(weights[0].T, np.uint8)
        product = graph.add("MatMulInteger", codes[0], matrix, *zeros)
    else:
        product = graph.add(
            "ConvInteger",
            codes[0],
            graph.constant(weights[0], np.uint8),
            *zeros,
            kernel_shape=list(layer.weights.shape[2:]),
            strides=list(layer.geometry.stride),
            dilations=list(layer.geometry.dilation),
            group=layer.geometry.groups,
        )
    return graph.cast(product, "INT64")


def _requantize(graph: Graph, sums: str, output: str, requantizer: Requantizer, low: Rows) -> None:
    """clamp(zero + floor((acc * M0 + 2^(n-1)) / 2^n)) of accumulators that are at least `low`."""
    product = graph.add("Mul", sums, graph.constant(low.spread(requantizer.multiplier)))
    least = low.values * requantizer.multiplier
    scaled = _shifted(graph, product, requantizer.shift, replace(low, values=least))
    if requantizer.leak:
        shift = requantizer.negative_shift
        leaked = _shifted(graph, product, shift, replace(low, values=least))
        negative = graph.add("Less", product, graph.constant(0))
        scaled = graph.add("Where", negative, leaked, scaled)
    codes = graph.add("Add", scaled, graph.constant(requantizer.grid.zero_point))
    ends = [graph.constant(end) for end in (requantizer.low, requantizer.high)]
    graph.add("Clip", codes, *ends, output=output)


def _shifted(graph: Graph, product: str, shift: IntArray, least: Rows) -> str:
    """floor(product / 2^n + 1/2) of products that are at least `least`."""
    right, left = np.maximum(shift, 0), np.maximum(-shift, 0)
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    periods = np.maximum(-((least.values + half) >> right), 0)

    def row(values: IntArray) -> str:
        return graph.constant(least.spread(values))

    raised = graph.add("Add", product, row(half + (periods << right)))
    quotient = graph.add("Div", raised, row(np.int64(1) << right))
    scaled = graph.add("Sub", quotient, row(periods))
    if left.any():
        scaled = graph.add("Clip", scaled, graph.constant(-LIMIT), graph.constant(LIMIT))
        scaled = graph.add("Mul", scaled, row(np.int64(1) << left))
    return scaled
