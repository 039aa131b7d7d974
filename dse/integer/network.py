"""The integer network: a small graph of layers, pools and reshapes over codes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dse.integer.grid import ActivationGrid, IntArray, IntegerWeights
from dse.integer.requantize import MAX_ACCUMULATOR_BITS, Requantizer

INPUT = "input"
"""Name of the network's input tensor. Every other tensor is named after the node that makes it."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ConvGeometry:
    """How a 2-d convolution slides: stride, symmetric padding and dilation, as (y, x)."""

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def output_size(self, size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """Output height and width for an input of `size` pixels."""
        y, x = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(
                size, kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )
        return y, x


@dataclass(frozen=True)
class Layer:
    """A convolution (with `geometry`) or a linear layer (without).

    accumulator = sum w * (x - z_x) + bias, then `requantizer`, or nothing where accumulators are
    the output. `bias` is int64 of shape (rows,), zeros for a layer without one.
    """

    name: str
    source: str
    weights: IntegerWeights
    bias: IntArray
    requantizer: Requantizer | None
    geometry: ConvGeometry | None = None

    def __post_init__(self) -> None:
        dimensions = 2 if self.geometry is None else 4
        if self.weights.values.ndim != dimensions:
            raise ValueError(
                f"{self.name}: weights need {dimensions} dimensions, "
                f"but have {self.weights.values.ndim}"
            )
        if self.bias.shape != (self.rows,) or self.bias.dtype != np.int64:
            raise ValueError(f"{self.name}: bias must be int64 of shape ({self.rows},)")
        if self.requantizer and self.requantizer.multiplier.size not in {1, self.rows}:
            raise ValueError(
                f"{self.name}: needs 1 or {self.rows} multipliers, "
                f"but has {self.requantizer.multiplier.size}"
            )

    @property
    def rows(self) -> int:
        """Output channels."""
        return self.weights.shape[0]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.source,)


@dataclass(frozen=True)
class MaxPool:
    """Largest code of each window; padding never wins."""

    name: str
    source: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.source,)


@dataclass(frozen=True)
class Reshape:
    """The same codes in row-major order under another `shape` (one image, no batch axis)."""

    name: str
    source: str
    shape: Shape

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.source,)


Node = Layer | MaxPool | Reshape


@dataclass(frozen=True)
class AccumulatorBounds:
    """What the accumulators of one layer can reach, from its real weights and input codes.

    `low` and `high` (int64, shape (rows,)) enclose every partial sum in any order of summation;
    `magnitude` bounds the sum of absolute terms, which decides whether a float kernel is exact.
    """

    low: IntArray
    high: IntArray
    magnitude: int

    @property
    def bits(self) -> int:
        """Width of the two's complement register that holds every partial sum."""
        low, high = int(self.low.min()), int(self.high.max())
        return 1 + max((-low - 1).bit_length() if low < 0 else 0, high.bit_length())


@dataclass(frozen=True)
class IntegerNetwork:
    """A graph in topological order over one input image of `input_shape` (channels, y, x).

    The last node's tensor is the output. Raises ValueError when a node reads a tensor that is not
    defined before it, a layer does not fit its input, codes are read where accumulators are, or an
    accumulator is too wide for int64 arithmetic.
    """

    input_shape: Shape
    input_grid: ActivationGrid
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ValueError("an integer network needs at least one node")
        seen = {INPUT}
        for node in self.nodes:
            if node.name in seen:
                raise ValueError(f"two tensors are named {node.name!r}")
            missing = [source for source in node.inputs if source not in seen]
            if missing:
                raise ValueError(f"{node.name} reads {missing[0]!r}, which no earlier node makes")
            seen.add(node.name)
        for layer in self.layers:
            if self.grids[layer.source] is None:
                raise ValueError(f"{layer.name} reads accumulators; it needs codes")
        assert self.output in self.shapes, "computing the shapes checks that every node fits"
        for layer in self.layers:
            if self.bounds[layer.name].bits > MAX_ACCUMULATOR_BITS:
                raise ValueError(
                    f"{layer.name}: accumulators need {self.bounds[layer.name].bits} bits, "
                    f"at most {MAX_ACCUMULATOR_BITS} are supported"
                )

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The nodes that hold weights, in order."""
        return tuple(node for node in self.nodes if isinstance(node, Layer))

    @property
    def output(self) -> str:
        """Name of the output tensor."""
        return self.nodes[-1].name

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape of every tensor, one image, without the batch axis."""
        shapes: dict[str, Shape] = {INPUT: self.input_shape}
        for node in self.nodes:
            shapes[node.name] = _output_shape(node, shapes[node.inputs[0]])
        return shapes

    @cached_property
    def grids(self) -> Mapping[str, ActivationGrid | None]:
        """Grid of every tensor; None where a tensor holds accumulators."""
        grids: dict[str, ActivationGrid | None] = {INPUT: self.input_grid}
        for node in self.nodes:
            if isinstance(node, Layer):
                grids[node.name] = node.requantizer.grid if node.requantizer else None
            else:
                grids[node.name] = grids[node.inputs[0]]
        return grids

    @cached_property
    def code_ranges(self) -> Mapping[str, tuple[int, int]]:
        """Smallest and largest code of every tensor that holds codes (tighter after ReLU)."""
        ranges = {INPUT: (0, self.input_grid.max_code)}
        for node in self.nodes:
            if isinstance(node, Layer):
                if node.requantizer:
                    ranges[node.name] = (node.requantizer.low, node.requantizer.high)
            elif node.inputs[0] in ranges:
                ranges[node.name] = ranges[node.inputs[0]]
        return ranges

    @cached_property
    def bounds(self) -> Mapping[str, AccumulatorBounds]:
        """Accumulator bounds of every layer."""
        return {layer.name: self._bounds(layer) for layer in self.layers}

    def input_grid_of(self, layer: Layer) -> ActivationGrid:
        """Grid of the codes `layer` reads."""
        grid = self.grids[layer.source]
        assert grid is not None, "checked on construction"
        return grid

    def macs(self, layer: Layer) -> int:
        """Multiply-accumulates of `layer` for one image, dense."""
        pixels = math.prod(self.shapes[layer.name][1:])
        return layer.weights.values.size * pixels

    def _bounds(self, layer: Layer) -> AccumulatorBounds:
        zero = self.input_grid_of(layer).zero_point
        low, high = (code - zero for code in self.code_ranges[layer.source])
        weights = layer.weights.values.reshape(layer.rows, -1).astype(np.int64)
        positive, negative = np.maximum(weights, 0).sum(1), np.minimum(weights, 0).sum(1)
        least, most = positive * low + negative * high, positive * high + negative * low
        reach = (positive - negative) * max(-low, high) + np.abs(layer.bias)
        return AccumulatorBounds(
            np.minimum(least, least + layer.bias),
            np.maximum(most, most + layer.bias),
            int(reach.max(initial=0)),
        )


def _output_shape(node: Node, shape: Shape) -> Shape:
    if isinstance(node, Reshape):
        if math.prod(node.shape) != math.prod(shape):
            raise ValueError(f"{node.name}: cannot reshape {shape} to {node.shape}")
        return node.shape
    if isinstance(node, MaxPool):
        _require_image(node.name, shape)
        if any(2 * p > k for p, k in zip(node.padding, node.kernel, strict=True)):
            raise ValueError(f"{node.name}: padding {node.padding} is above half of {node.kernel}")
        window = ConvGeometry(node.stride, node.padding)
        return (shape[0], *_window_size(node.name, window, shape, node.kernel))
    weights = node.weights.shape
    if node.geometry is None:
        if shape != (weights[1],):
            raise ValueError(f"{node.name}: expects shape ({weights[1]},), but reads {shape}")
        return (weights[0],)
    _require_image(node.name, shape)
    channels = weights[1] * node.geometry.groups
    if shape[0] != channels or weights[0] % node.geometry.groups:
        raise ValueError(f"{node.name}: expects {channels} channels, but reads {shape[0]}")
    kernel = (weights[2], weights[3])
    return (weights[0], *_window_size(node.name, node.geometry, shape, kernel))


def _window_size(
    name: str, geometry: ConvGeometry, shape: Shape, kernel: tuple[int, int]
) -> tuple[int, int]:
    size = geometry.output_size((shape[1], shape[2]), kernel)
    if min(size) < 1:
        raise ValueError(f"{name}: kernel {kernel} is larger than its input {shape[1:]}")
    return size


def _require_image(name: str, shape: Shape) -> None:
    if len(shape) != 3:
        raise ValueError(f"{name}: expects (channels, y, x), but reads {shape}")
