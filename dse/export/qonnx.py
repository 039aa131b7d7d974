"""Exporter `qonnx`: `model.qonnx.onnx` of Quant nodes, for FINN and hls4ml, zero points folded.

QONNX computes in float32. The file is written only where that is proven to be exact for every
input: all sums below 2^24, and per row a float32 factor and offset whose rounded-down result is the
requantizer's at both sides of each of its steps. Both are monotonic, so they agree everywhere.
Where no such pair exists the layer counts thresholds instead (MultiThreshold, as FINN does), which
are integers and exact, but which hls4ml does not read.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import assert_never

import numpy as np
import numpy.typing as npt

from dse.export._deployment import Deployment, Unavailable, optional, signed_bits, weight_range
from dse.export.onnx import Graph
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
from dse.integer.kernels import FLOAT32_EXACT
from dse.integer.network import INPUT

MODEL = "model.qonnx.onnx"
OPSET, IR_VERSION = 13, 8
DOMAIN = "qonnx.custom_op.general"
MAX_BITS = 8
"""Above, float32 can hardly tell the sides of all 2^a steps apart, and thresholds get too many."""

Float32Array = npt.NDArray[np.float32]


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
        tensors[node.name] = _emit(graph, network, node, tensors[node.inputs[0]])
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


def _emit(graph: Graph, network: IntegerNetwork, node: Node, source: str) -> str:
    """The one place that knows which node becomes which operators; returns its tensor."""
    if isinstance(node, Layer):
        return _layer(graph, network, node, source)
    if isinstance(node, MaxPool):
        (py, px), kernel, stride = node.padding, list(node.kernel), list(node.stride)
        pads = [py, px, py, px]
        return graph.add("MaxPool", source, kernel_shape=kernel, strides=stride, pads=pads)
    if isinstance(node, Reshape):
        return graph.add("Reshape", source, graph.constant([-1, *node.shape]))
    if isinstance(node, Add | AveragePool | Concat | Upsample):
        raise Unavailable(f"{node.name}: {type(node).__name__} is not written yet")
    assert_never(node)


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
    if network.bounds[layer.name].magnitude > FLOAT32_EXACT:
        raise Unavailable(f"{layer.name}: its sums do not fit the 24 bits of float32")
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
    per_row = (1, -1) + (1,) * (values.ndim - 2)
    sums = graph.add("Add", sums, graph.constant(layer.bias.reshape(per_row), np.float32))
    if layer.requantizer is None:
        return sums
    pairs = _float_requantizer(network, layer, layer.requantizer)
    if pairs is None:
        return _multi_threshold(graph, layer.requantizer, sums)
    factor, offset = (pair.reshape(per_row) for pair in pairs)
    scaled = graph.add("Mul", sums, graph.constant(factor, np.float32))
    scaled = graph.add("Add", scaled, graph.constant(offset, np.float32))
    zero = layer.requantizer.grid.zero_point
    return _quant(
        graph, scaled, layer.requantizer.low - zero, layer.requantizer.high - zero, "FLOOR"
    )


def _multi_threshold(graph: Graph, requantizer: Requantizer, sums: str) -> str:
    """Codes minus zero point: the lowest one plus the number of thresholds reached."""
    zero = requantizer.grid.zero_point
    steps = [
        [
            _step(multiplier, shift, k)
            for k in range(requantizer.low - zero + 1, requantizer.high - zero + 1)
        ]
        for multiplier, shift in zip(
            requantizer.multiplier.tolist(), requantizer.shift.tolist(), strict=True
        )
    ]
    # sums stay below 2^24: a threshold beyond is never or always reached, wherever it lies
    thresholds = np.clip(
        np.array(steps, dtype=np.float64), -2.0 * FLOAT32_EXACT, 2.0 * FLOAT32_EXACT
    )
    return graph.add(
        "MultiThreshold",
        sums,
        graph.constant(thresholds, np.float32),
        out_bias=float(requantizer.low - zero),
        out_dtype="INT32",
        domain=DOMAIN,
    )


def _float_requantizer(
    network: IntegerNetwork, layer: Layer, requantizer: Requantizer
) -> tuple[Float32Array, Float32Array] | None:
    """Factor and offset (rows,) that reproduce `requantizer` on all accumulators of `layer`."""
    if requantizer.grid.bits > MAX_BITS:
        raise Unavailable(f"{layer.name}: writes more than {MAX_BITS} bits, too fine for float32")
    bounds = network.bounds[layer.name]
    found = np.zeros((2, layer.rows), dtype=np.float32)
    for row in range(layer.rows):
        one = slice(row, row + 1) if requantizer.multiplier.size > 1 else slice(0, 1)
        single = replace(
            requantizer, multiplier=requantizer.multiplier[one], shift=requantizer.shift[one]
        )
        pair = _search(single, int(bounds.low[row]), int(bounds.high[row]))
        if pair is None:
            return None
        found[:, row] = pair
    return found[0], found[1]


def _search(requantizer: Requantizer, low: int, high: int) -> tuple[float, float] | None:
    """A factor and offset in float32 that agree with `requantizer` on `low`..`high`, if any."""
    points = _step_sides(requantizer, low, high)
    expected = requantizer(points.reshape(-1, 1))[:, 0] - requantizer.grid.zero_point
    least = requantizer.low - requantizer.grid.zero_point
    most = requantizer.high - requantizer.grid.zero_point
    exact = np.ldexp(np.float64(requantizer.multiplier[0]), -int(requantizer.shift[0]))
    sums = points.astype(np.float32)
    nudges = sorted(range(-12, 13), key=abs)
    for ulps in nudges:
        factor = np.float32(exact * (1 + ulps * 2.0**-24))
        for grain in (2.0 ** (requantizer.grid.bits - 25), 2.0**-24):
            offsets = np.float32(0.5) + np.array(nudges, dtype=np.float32) * np.float32(grain)
            scaled = np.floor((sums * factor)[:, None] + offsets)
            right = (np.clip(scaled, least, most) == expected[:, None]).all(axis=0)
            if right.any():
                return float(factor), float(offsets[np.argmax(right)])
    return None


def _step_sides(requantizer: Requantizer, low: int, high: int) -> IntArray:
    """The accumulators just below and at each step of `requantizer`, and both ends."""
    multiplier, shift = int(requantizer.multiplier[0]), int(requantizer.shift[0])
    zero = requantizer.grid.zero_point
    points = {low, high}
    for k in range(requantizer.low - zero, requantizer.high - zero + 1):
        step = _step(multiplier, shift, k)
        points |= {point for point in (step - 1, step) if low <= point <= high}
    return np.array(sorted(points), dtype=np.int64)


def _step(multiplier: int, shift: int, k: int) -> int:
    """The smallest accumulator whose rescaled value is at least k, in Python's unbounded ints."""
    if shift > 0:
        return -((-(k << shift) + (1 << (shift - 1))) // multiplier)
    return -(-k // (multiplier << -shift))
