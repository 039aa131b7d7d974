"""The graph of a network, traced once, so that every mode computes the same thing.

Some nodes make values and put them on a grid of their own: layers, sums, concatenations, averages.
The others - max pools, upsampling, reshapes - pass codes on as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from dse.config import MAX_BITS
from dse.integer import INPUT, LINEAR, MaxPool, Nonlinearity, Reshape, Upsample
from dse.quantize.layers import QuanLayer
from dse.quantize.pool import max_pool


@dataclass(frozen=True)
class LayerCall:
    """One use of the quantizable layer `module`, which names the first use."""

    name: str
    source: str
    nonlinearity: Nonlinearity = LINEAR
    shares: str | None = None

    @property
    def module(self) -> str:
        """Path of the layer whose weights are used."""
        return self.shares or self.name

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.source,)


@dataclass(frozen=True)
class AddCall:
    """Sum of tensors of one shape."""

    name: str
    inputs: tuple[str, ...]
    nonlinearity: Nonlinearity = LINEAR


@dataclass(frozen=True)
class ConcatCall:
    """Tensors one behind the other along the channels; of one tensor, a nonlinearity by itself."""

    name: str
    inputs: tuple[str, ...]
    nonlinearity: Nonlinearity = LINEAR


@dataclass(frozen=True)
class AverageCall:
    """Mean of each window, padding counted as zeros."""

    name: str
    source: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    nonlinearity: Nonlinearity = LINEAR

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.source,)


Maker = LayerCall | AddCall | ConcatCall | AverageCall
"""Nodes that make values, and put them on a grid where something reads them."""

Passing = MaxPool | Upsample | Reshape
"""Nodes that pass codes on."""

GraphNode = Maker | Passing


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of execution; the last one's tensor is the output."""

    input_shape: tuple[int, ...]
    nodes: tuple[GraphNode, ...]

    @property
    def calls(self) -> tuple[LayerCall, ...]:
        """The layers in the order of execution."""
        return tuple(node for node in self.nodes if isinstance(node, LayerCall))

    @property
    def makers(self) -> tuple[Maker, ...]:
        """The nodes that make values, in the order of execution."""
        return tuple(node for node in self.nodes if isinstance(node, Maker))

    @property
    def output(self) -> str:
        """Name of the output tensor."""
        return self.nodes[-1].name

    def origin(self, name: str) -> str:
        """The maker (or the input) whose codes tensor `name` holds."""
        return self._origins[name]

    def readers(self, name: str) -> tuple[Maker, ...]:
        """The makers that read tensor `name`, directly or through nodes that pass it on."""
        return self._readers.get(name, ())

    @cached_property
    def _origins(self) -> Mapping[str, str]:
        origins = {INPUT: INPUT}
        for node in self.nodes:
            made = isinstance(node, Maker)
            origins[node.name] = node.name if made else origins[node.inputs[0]]
        return origins

    @cached_property
    def _readers(self) -> Mapping[str, tuple[Maker, ...]]:
        readers: dict[str, tuple[Maker, ...]] = {}
        for node in reversed(self.nodes):
            found = (node,) if isinstance(node, Maker) else readers.get(node.name, ())
            for source in node.inputs:
                readers[source] = (*found, *readers.get(source, ()))
        return readers

    def holds_codes(self, maker: Maker) -> bool:
        """Whether a maker's values are put on a grid.

        Not the output's, where it is a layer's accumulators or an average's sums: the largest is
        the answer without a grid.
        """
        plain = isinstance(maker, LayerCall | AverageCall) and maker.nonlinearity == LINEAR
        return bool(self.readers(maker.name)) or not plain

    def widths(self, bits: Mapping[str, int]) -> Mapping[str, int]:
        """Width of the codes of the input and of every maker that has codes.

        `bits` are the activation bits of the layers, by module. A tensor gets the widest of its
        readers': a layer asks for its activation bits, and what is added, concatenated or averaged
        is as wide as the result. Nothing multiplies what no layer reads, the output for one: it has
        the widest.
        """
        widths: dict[str, int] = {}
        for name in (*(maker.name for maker in reversed(self.makers)), INPUT):
            asked = [
                bits[reader.module] if isinstance(reader, LayerCall) else widths[reader.name]
                for reader in self.readers(name)
            ]
            widths[name] = max(asked, default=MAX_BITS)
        return {
            name: widths[name]
            for name in (INPUT, *(maker.name for maker in self.makers if self.holds_codes(maker)))
        }

    def grid_owner(self, name: str) -> str:
        """The maker whose grid a maker's tensor lies on: its own, or that of a concatenation.

        What only a concatenation reads is put on its grid at once, and is not rounded twice.
        """
        readers = self.readers(name)
        alone = readers[0] if len(readers) == 1 and name != INPUT else None
        if isinstance(alone, ConcatCall) and alone.nonlinearity == LINEAR:
            return self.grid_owner(alone.name)
        return name

    def pool_behind(self, maker: Maker) -> MaxPool | None:
        """The max pool that alone reads what a maker makes, if there is one."""
        readers = [node for node in self.nodes if maker.name in node.inputs]
        return readers[0] if len(readers) == 1 and isinstance(readers[0], MaxPool) else None

    def run(
        self,
        x: Tensor,
        make: Callable[[Maker, list[Tensor]], Tensor],
        pooled: Collection[str] = (),
    ) -> Tensor:
        """The output for a batch `x`, with `make` computing each maker, nonlinearity included.

        It has already pooled what it makes for the max pools named in `pooled`.
        """
        tensors = {INPUT: x}
        for node in self.nodes:
            sources = [tensors[name] for name in node.inputs]
            if isinstance(node, Maker):
                tensors[node.name] = make(node, sources)
            elif node.name in pooled:
                tensors[node.name] = sources[0]
            else:
                tensors[node.name] = _passed_on(node, sources[0])
        return tensors[self.output]


def _passed_on(node: Passing, x: Tensor) -> Tensor:
    if isinstance(node, MaxPool):
        return max_pool(x, node)
    if isinstance(node, Upsample):
        y, x_factor = node.factor
        return x.repeat_interleave(y, 2).repeat_interleave(x_factor, 3)
    return x.reshape(len(x), *node.shape)


def joined(node: AddCall | ConcatCall | AverageCall, sources: Sequence[Tensor]) -> Tensor:
    """What a maker without weights makes of its inputs, before its nonlinearity."""
    if isinstance(node, AddCall):
        return torch.stack(list(sources)).sum(0) if len(sources) > 2 else sources[0] + sources[1]
    if isinstance(node, ConcatCall):
        return torch.cat(list(sources), 1)
    return F.avg_pool2d(sources[0], node.kernel, node.stride, node.padding)


def float_value(node: Maker, sources: Sequence[Tensor], layers: Mapping[str, QuanLayer]) -> Tensor:
    """What a maker makes of its inputs in float, before its nonlinearity."""
    if isinstance(node, LayerCall):
        made: Tensor = layers[node.module](sources[0])
        return made
    return joined(node, sources)


def bent(x: Tensor, nonlinearity: Nonlinearity) -> Tensor:
    """`x` after a nonlinearity."""
    if nonlinearity.leak:
        x = F.leaky_relu(x, 2.0**-nonlinearity.leak)
    if (nonlinearity.low, nonlinearity.high) == (0.0, math.inf):
        return x.relu()
    if (nonlinearity.low, nonlinearity.high) == (-math.inf, math.inf):
        return x
    return x.clamp(nonlinearity.low, nonlinearity.high)
