"""The integer network: a small graph over codes, checked, with its shapes, grids and bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dse.integer.bounds import AccumulatorBounds
from dse.integer.grid import ActivationGrid, IntegerWeights
from dse.integer.layer import Layer, Range, Shape
from dse.integer.nodes import Accumulating, Node, Passing
from dse.integer.requantize import MAX_ACCUMULATOR_BITS

INPUT = "input"
"""Name of the network's input tensor. Every other tensor is named after the node that makes it."""


@dataclass(frozen=True)
class IntegerNetwork:
    """A graph in topological order over one input image of `input_shape` (channels, y, x).

    The last node's tensor is the output. Raises ValueError when a node reads a tensor that is not
    defined before it, a node does not fit its inputs, codes are read where accumulators are, a
    layer shares weights that are not equal, or an accumulator is too wide for int64 arithmetic.
    """

    input_shape: Shape
    input_grid: ActivationGrid
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ValueError("an integer network needs at least one node")
        self._check_names()
        for node in self.nodes:
            grids = [self.grids[source] for source in node.inputs]
            if None in grids and not isinstance(node, Passing):
                raise ValueError(f"{node.name} reads accumulators; it needs codes")
        self._check_sharing()
        assert self.output in self.shapes, "computing the shapes checks that every node fits"
        for name, bounds in self.bounds.items():
            if bounds.bits > MAX_ACCUMULATOR_BITS:
                raise ValueError(
                    f"{name}: accumulators need {bounds.bits} bits, "
                    f"at most {MAX_ACCUMULATOR_BITS} are supported"
                )

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The nodes that hold weights, in order."""
        return tuple(node for node in self.nodes if isinstance(node, Layer))

    @property
    def accumulating(self) -> tuple[Accumulating, ...]:
        """The nodes with accumulators, in order."""
        return tuple(node for node in self.nodes if isinstance(node, Accumulating))

    @property
    def output(self) -> str:
        """Name of the output tensor."""
        return self.nodes[-1].name

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape of every tensor, one image, without the batch axis."""
        shapes: dict[str, Shape] = {INPUT: self.input_shape}
        for node in self.nodes:
            shapes[node.name] = node.output_shape([shapes[source] for source in node.inputs])
        return shapes

    @cached_property
    def grids(self) -> Mapping[str, ActivationGrid | None]:
        """Grid of every tensor; None where a tensor holds accumulators."""
        grids: dict[str, ActivationGrid | None] = {INPUT: self.input_grid}
        for node in self.nodes:
            grids[node.name] = node.output_grid([grids[source] for source in node.inputs])
        return grids

    @cached_property
    def code_ranges(self) -> Mapping[str, Range]:
        """Smallest and largest code of every tensor that holds codes (tighter after ReLU)."""
        ranges = {INPUT: (0, self.input_grid.max_code)}
        for node in self.nodes:
            found = node.code_range([ranges.get(source) for source in node.inputs])
            if found is not None:
                ranges[node.name] = found
        return ranges

    @cached_property
    def bounds(self) -> Mapping[str, AccumulatorBounds]:
        """Accumulator bounds of every node that has accumulators."""
        return {
            node.name: node.bounds([self.centred_range(source) for source in node.inputs])
            for node in self.accumulating
        }

    def grid_of(self, tensor: str) -> ActivationGrid:
        """Grid of a tensor that holds codes."""
        grid = self.grids[tensor]
        assert grid is not None, "what reads codes was checked on construction"
        return grid

    def input_grid_of(self, layer: Layer) -> ActivationGrid:
        """Grid of the codes `layer` reads."""
        return self.grid_of(layer.source)

    def centred_range(self, tensor: str) -> Range:
        """Smallest and largest code minus zero point of a tensor that holds codes."""
        (low, high), zero = self.code_ranges[tensor], self.grid_of(tensor).zero_point
        return low - zero, high - zero

    def macs(self, layer: Layer) -> int:
        """Multiply-accumulates of `layer` for one image, dense."""
        pixels = math.prod(self.shapes[layer.name][1:])
        return layer.weights.values.size * pixels

    def _check_names(self) -> None:
        seen = {INPUT}
        for node in self.nodes:
            if node.name in seen:
                raise ValueError(f"two tensors are named {node.name!r}")
            missing = [source for source in node.inputs if source not in seen]
            if missing:
                raise ValueError(f"{node.name} reads {missing[0]!r}, which no earlier node makes")
            seen.add(node.name)

    def _check_sharing(self) -> None:
        owners: dict[str, Layer] = {}
        for layer in self.layers:
            if layer.shares is None:
                owners[layer.name] = layer
            elif layer.shares not in owners:
                raise ValueError(
                    f"{layer.name} shares the weights of {layer.shares!r}, which is no earlier "
                    "layer with weights of its own"
                )
            elif not _equal(layer.weights, owners[layer.shares].weights):
                raise ValueError(
                    f"{layer.name} shares the weights of {layer.shares!r}, but has other ones"
                )


def _equal(one: IntegerWeights, two: IntegerWeights) -> bool:
    same = (one.bits, one.zero_point, one.mid_rise) == (two.bits, two.zero_point, two.mid_rise)
    return same and np.array_equal(one.values, two.values) and np.array_equal(one.scale, two.scale)
