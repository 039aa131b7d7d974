"""Exporter `onnx`: `model.onnx`, integer-exact in onnxruntime for 1 to 16 bits.

Codes travel as int64. ConvInteger and MatMulInteger take bytes only, so wider operands are written
in base 256 and the partial results weighted and added. Unsigned times unsigned, because signed
products may saturate on x86 without VNNI. Div truncates, so a multiple of the divisor is added that
makes the dividend non-negative, and taken off again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_never

import numpy as np

from dse.export._deployment import Deployment, Unavailable, optional, weight_range
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


class Graph:
    """Nodes and constants of an ONNX graph under construction."""

    def __init__(self, onnx: Any) -> None:
        """An empty graph made with the package `onnx`."""
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._count = 0

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append a node and return its output tensor, with a fresh name where none is given."""
        name = output or self._fresh()
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        """A constant tensor."""
        name = self._fresh()
        array = np.array(values, dtype=dtype)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def cast(self, tensor: str, kind: str) -> str:
        """`tensor` as another type, such as UINT8."""
        return self.add("Cast", tensor, to=getattr(self.onnx.TensorProto, kind))

    def _fresh(self) -> str:
        self._count += 1
        return f"/{self._count}"  # no module of torch has a slash in its name


def _emit(graph: Graph, network: IntegerNetwork, node: Node) -> None:
    """The one place that knows which node becomes which operators."""
    if isinstance(node, Layer):
        _layer(graph, network, node)
    elif isinstance(node, MaxPool):
        _max_pool(graph, node)
    elif isinstance(node, Reshape):
        shape = graph.constant([-1, *node.shape])
        graph.add("Reshape", node.source, shape, output=node.name)
    elif isinstance(node, Add | AveragePool | Concat | Upsample):
        raise Unavailable(f"{node.name}: {type(node).__name__} is not written yet")
    else:
        assert_never(node)


def _max_pool(graph: Graph, pool: MaxPool) -> None:
    """onnxruntime pools no int64; double holds every code and every accumulator exactly."""
    (py, px), kernel, stride = pool.padding, list(pool.kernel), list(pool.stride)
    real = graph.cast(pool.source, "DOUBLE")
    most = graph.add("MaxPool", real, kernel_shape=kernel, strides=stride, pads=[py, px, py, px])
    graph.add("Cast", most, output=pool.name, to=graph.onnx.TensorProto.INT64)


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
    bias = graph.constant(_per_row(layer, layer.bias))
    graph.add("Add", total, bias, output=named)
    if layer.requantizer:
        _requantize(graph, network, layer, layer.requantizer)


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


def _per_row(layer: Layer, values: IntArray) -> IntArray:
    """`values` so that they broadcast over (N, rows, ...)."""
    return values.reshape((1, -1) + (1,) * (layer.weights.values.ndim - 2))


def _requantize(
    graph: Graph, network: IntegerNetwork, layer: Layer, requantizer: Requantizer
) -> None:
    """clamp(zero + floor((acc * M0 + 2^(n-1)) / 2^n))."""
    shift = requantizer.shift
    right, left = np.maximum(shift, 0), np.maximum(-shift, 0)
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    least = network.bounds[layer.name].low * requantizer.multiplier + half
    periods = np.maximum(-(least >> right), 0)

    def row(values: IntArray) -> str:
        return graph.constant(_per_row(layer, values))

    product = graph.add("Mul", f"{layer.name}.accumulators", row(requantizer.multiplier))
    shifted = graph.add("Add", product, row(half + (periods << right)))
    quotient = graph.add("Div", shifted, row(np.int64(1) << right))
    scaled = graph.add("Sub", quotient, row(periods))
    if left.any():
        scaled = graph.add("Clip", scaled, graph.constant(-LIMIT), graph.constant(LIMIT))
        scaled = graph.add("Mul", scaled, row(np.int64(1) << left))
    codes = graph.add("Add", scaled, graph.constant(requantizer.grid.zero_point))
    low, high = graph.constant(requantizer.low), graph.constant(requantizer.high)
    graph.add("Clip", codes, low, high, output=layer.name)
