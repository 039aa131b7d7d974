"""Exporter `qonnx`: `model.qonnx.onnx` of Quant nodes, for FINN and hls4ml, zero points folded.

QONNX computes in float32. The file is written only where that is proven to be exact for every
input: all sums below 2^24, and per row a float32 factor and offset whose rounded-down result is the
requantizer's at both sides of each of its steps. Both are monotonic, so they agree everywhere.
Where no such pair exists the layer counts thresholds instead (MultiThreshold, as FINN does), which
are integers and exact, but which hls4ml does not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from dse.export._deployment import Deployment, Unavailable, optional, signed_bits, weight_range
from dse.export._onnx_graph import Graph
from dse.integer import (
    Accumulating,
    AccumulatorBounds,
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
from dse.integer.network import INPUT
from dse.integer.steps import FLOAT32_EXACT, MAX_BITS, in_float32, steps

MODEL = "model.qonnx.onnx"
OPSET, IR_VERSION = 13, 8
DOMAIN = "qonnx.custom_op.general"


def write(deployment: Deployment, folder: Path) -> None:
    """Write the graph for one image at a time: `input` holds code - zero point as float32.

    Raises Unavailable without the packages, and where float32 is not exact.
    """
    onnx = optional("onnx")
    optional("qonnx")
    network = deployment.network
    graph = Graph(onnx)
    zero, high = network.input_grid.zero_point, network.input_grid.max_code
    centred = _quant(graph, INPUT, -zero, high - zero, "ROUND")
    tensors = {INPUT: centred}
    for node in network.nodes:
        sources = [tensors[name] for name in node.inputs]
        tensors[node.name] = _emit(graph, network, node, sources)
    graph.add("Identity", tensors[network.output], output="output")
    shapes = {INPUT: network.input_shape, "output": network.shapes[network.output]}
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, *shape])
        for name, shape in shapes.items()
    ]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "dse", ends[:1], ends[1:], graph.constants),
        opset_imports=[onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, 1)],
        ir_version=IR_VERSION,
        producer_name="dse",
        doc_string=deployment.heading,
    )
    (folder / MODEL).write_bytes(model.SerializeToString())


def _emit(graph: Graph, network: IntegerNetwork, node: Node, sources: list[str]) -> str:
    """The one place that knows which node becomes which operators; returns its tensor."""
    if isinstance(node, Layer):
        return _layer(graph, network, node, sources[0])
    if isinstance(node, Add):
        return _add(graph, network, node, sources)
    if isinstance(node, Concat):
        return _concat(graph, network, node, sources)
    if isinstance(node, AveragePool):
        return _average_pool(graph, network, node, sources[0])
    if isinstance(node, MaxPool):
        (py, px), kernel, stride = node.padding, list(node.kernel), list(node.stride)
        pads = [py, px, py, px]
        return graph.add("MaxPool", sources[0], kernel_shape=kernel, strides=stride, pads=pads)
    if isinstance(node, Upsample):
        scales = graph.constant([1, 1, *node.factor], np.float32)
        return graph.add(
            "Resize",
            sources[0],
            "",
            scales,
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )
    if isinstance(node, Reshape):
        return graph.add("Reshape", sources[0], graph.constant([-1, *node.shape]))
    assert_never(node)


def _add(graph: Graph, network: IntegerNetwork, add: Add, sources: list[str]) -> str:
    _require_float32(network, add)
    sums = ""
    for source, multiplier in zip(sources, add.multipliers, strict=True):
        term = graph.add("Mul", source, graph.constant(multiplier, np.float32))
        sums = graph.add("Add", sums, term) if sums else term
    return _requantized(graph, sums, network.bounds[add.name], Rescale.of(network, add))


def _concat(graph: Graph, network: IntegerNetwork, concat: Concat, sources: list[str]) -> str:
    parts = []
    for tensor, name, held in zip(sources, concat.sources, concat.requantizers, strict=True):
        low, high = network.centred_range(name)
        bounds = AccumulatorBounds(np.array([low]), np.array([high]), max(-low, high))
        rescale = Rescale(concat.name, held, 1 + len(network.shapes[name]))
        parts.append(_requantized(graph, tensor, bounds, rescale))
    return graph.add("Concat", *parts, axis=1)


def _average_pool(graph: Graph, network: IntegerNetwork, pool: AveragePool, source: str) -> str:
    """A depthwise convolution with ones: a mean would be rounded."""
    _require_float32(network, pool)
    channels, (py, px) = network.shapes[pool.source][0], pool.padding
    ones = graph.constant(np.ones((channels, 1, *pool.kernel)), np.float32)
    sums = graph.add(
        "Conv",
        source,
        _quant(graph, ones, 0, 1, "ROUND"),
        kernel_shape=list(pool.kernel),
        strides=list(pool.stride),
        pads=[py, px, py, px],
        group=channels,
    )
    return _requantized(graph, sums, network.bounds[pool.name], Rescale.of(network, pool))


def _require_float32(network: IntegerNetwork, node: Accumulating) -> None:
    if network.bounds[node.name].magnitude > FLOAT32_EXACT:
        raise Unavailable(f"{node.name}: its sums do not fit the 24 bits of float32")


def _quant(graph: Graph, source: str, low: int, high: int, rounding: str) -> str:
    """A Quant node of scale 1 that saturates to `low`..`high`; a Clip first where no width does."""
    bits, signed = (signed_bits(low, high), 1) if low < 0 else (max(high.bit_length(), 1), 0)
    if signed:
        bits = max(bits, 2)  # 1 bit signed means -1 and +1 to qonnx
    least, most = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    if (low, high) != (least, most):
        ends = [graph.constant(end, np.float32) for end in (low, high)]
        source = graph.add("Clip", source, *ends)
    one, zero, width = (graph.constant(value, np.float32) for value in (1, 0, bits))
    inputs = (source, one, zero, width)
    return graph.add(
        "Quant", *inputs, signed=signed, narrow=0, rounding_mode=rounding, domain=DOMAIN
    )


def _layer(graph: Graph, network: IntegerNetwork, layer: Layer, source: str) -> str:
    _require_float32(network, layer)
    values = layer.weights.values.astype(np.float32)
    weights = graph.constant(values if layer.geometry else values.T, np.float32)
    weights = _quant(graph, weights, *weight_range(layer), "ROUND")
    if layer.geometry is None:
        sums = graph.add("MatMul", source, weights)
    else:
        (py, px), geometry = layer.geometry.padding, layer.geometry
        sums = graph.add(
            "Conv",
            source,
            weights,
            kernel_shape=list(layer.weights.shape[2:]),
            strides=list(geometry.stride),
            dilations=list(geometry.dilation),
            pads=[py, px, py, px],
            group=geometry.groups,
        )
    rescale = Rescale.of(network, layer)
    sums = graph.add("Add", sums, graph.constant(rescale.spread(layer.bias), np.float32))
    return _requantized(graph, sums, network.bounds[layer.name], rescale)


@dataclass(frozen=True)
class Rescale:
    """The requantization of a node, None for none, and how many axes its tensor has."""

    name: str
    requantizer: Requantizer | None
    dimensions: int

    @classmethod
    def of(cls, network: IntegerNetwork, node: Accumulating) -> Rescale:
        """That of a node with accumulators."""
        return cls(node.name, node.requantizer, 1 + len(network.shapes[node.name]))

    def spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """`values` (one, or one per row) so that they broadcast over (N, rows, ...)."""
        return values.reshape((1, -1) + (1,) * (self.dimensions - 2))


def _requantized(graph: Graph, sums: str, bounds: AccumulatorBounds, rescale: Rescale) -> str:
    """Codes minus zero point of `sums` within `bounds`."""
    requantizer = rescale.requantizer
    if requantizer is None:
        return sums
    if requantizer.grid.bits > MAX_BITS:
        raise Unavailable(f"{rescale.name}: writes more than {MAX_BITS} bits, too fine for float32")
    pairs = in_float32(requantizer, bounds)
    if pairs is None:
        return _multi_threshold(graph, requantizer, sums)
    factor, offset = (graph.constant(rescale.spread(pair), np.float32) for pair in pairs)
    scaled = graph.add("Add", graph.add("Mul", sums, factor), offset)
    zero = requantizer.grid.zero_point
    return _quant(graph, scaled, requantizer.low - zero, requantizer.high - zero, "FLOOR")


def _multi_threshold(graph: Graph, requantizer: Requantizer, sums: str) -> str:
    """Codes minus zero point: the lowest one plus the number of thresholds reached."""
    zero = requantizer.grid.zero_point
    reached = steps(requantizer, requantizer.low - zero, requantizer.high - zero)
    # sums stay below 2^24: a threshold beyond is never or always reached, wherever it lies
    thresholds = np.clip(reached.astype(np.float64), -2.0 * FLOAT32_EXACT, 2.0 * FLOAT32_EXACT)
    return graph.add(
        "MultiThreshold",
        sums,
        graph.constant(thresholds, np.float32),
        out_bias=float(requantizer.low - zero),
        out_dtype="INT32",
        domain=DOMAIN,
    )
