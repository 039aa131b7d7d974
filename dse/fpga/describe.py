"""Describe: from an integer network and its packed sizes to the workload the cost model reads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dse.errors import InputError, nearest
from dse.fpga.workload import (
    INPUT,
    LayerWorkload,
    NetworkWorkload,
    Node,
    Size,
    StreamKind,
    StreamWorkload,
    Window,
)
from dse.integer import (
    Add,
    AveragePool,
    Concat,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    MaxPool,
    Requantizer,
    Reshape,
    Upsample,
)
from dse.integer import Node as IntegerNode
from dse.integer.grid import IntArray

_Stream = Add | AveragePool | Concat | MaxPool | Upsample
_KINDS: Mapping[type, StreamKind] = {
    Add: "add",
    AveragePool: "average_pool",
    Concat: "concat",
    MaxPool: "max_pool",
    Upsample: "upsample",
}


def describe(
    network: IntegerNetwork,
    packed: Mapping[str, tuple[str, int]],
    sizes: Mapping[str, Mapping[str, int]] | None = None,
) -> NetworkWorkload:
    """Workload of `network`, reshapes dissolved: they move no code.

    `packed` maps every layer to its storage format's name and its packed weight bits, `sizes` to
    the bits in other formats that hardware may keep it in. Raises InputError when a layer is
    missing there, or the network has none.
    """
    reader = _Reader(network, packed, sizes or {})
    nodes = tuple(reader.node(node) for node in network.nodes if not isinstance(node, Reshape))
    channels, size = reader.image(INPUT)
    return NetworkWorkload(channels, size, network.input_grid.bits, nodes)


class _Reader:
    """What is asked of a network, tensor by tensor."""

    def __init__(
        self,
        network: IntegerNetwork,
        packed: Mapping[str, tuple[str, int]],
        sizes: Mapping[str, Mapping[str, int]],
    ) -> None:
        self.network, self.packed, self.sizes = network, packed, sizes
        self.origins = {INPUT: INPUT}
        self.widths = {INPUT: network.input_grid.bits}
        for node in network.nodes:
            same = isinstance(node, Reshape)
            self.origins[node.name] = self.origins[node.inputs[0]] if same else node.name
            grid = network.grids[node.name]
            if grid is not None:
                self.widths[node.name] = grid.bits
            elif node.name in network.bounds:
                self.widths[node.name] = network.bounds[node.name].bits
            else:
                self.widths[node.name] = self.widths[node.inputs[0]]

    def image(self, tensor: str) -> tuple[int, Size]:
        """(channels, (height, width)); a vector is one pixel."""
        shape = self.network.shapes[tensor]
        return shape[0], ((shape[1], shape[2]) if len(shape) == 3 else (1, 1))

    def node(self, node: IntegerNode) -> Node:
        """The workload of a node that is not a reshape."""
        assert not isinstance(node, Reshape), "dissolved by `describe`"
        return self.layer(node) if isinstance(node, Layer) else self.stream(node)

    def stream(self, node: _Stream) -> StreamWorkload:
        """The workload of a node without weights."""
        (channels, size), sources = self.image(node.name), [self.image(s) for s in node.inputs]
        window = Window.pixelwise(sources[0][1])
        if isinstance(node, MaxPool | AveragePool):
            one = (1, 1)
            window = Window(node.kernel, node.stride, node.padding, one, sources[0][1], size)
        elif isinstance(node, Upsample):
            window = Window.pixelwise(sources[0][1], node.factor)
        bounds = self.network.bounds.get(node.name)
        return StreamWorkload(
            name=node.name,
            kind=_KINDS[type(node)],
            sources=tuple(self.origins[source] for source in node.inputs),
            channels=channels,
            bits=self.widths[node.name],
            source_channels=tuple(count for count, _ in sources),
            source_bits=tuple(self.widths[source] for source in node.inputs),
            window=window,
            rescaled=_rescaled(node),
            accumulator_bits=bounds.bits if bounds else 0,
            requantizes=isinstance(node, AveragePool) and node.requantizer is not None,
        )

    def layer(self, layer: Layer) -> LayerWorkload:
        """The workload of a layer."""
        weights, requantizer = layer.weights, layer.requantizer
        owner = layer.shares or layer.name
        if owner not in self.packed:
            raise InputError(f"no packed size for layer {owner!r}{nearest(owner, self.packed)}")
        dense_bits, dense_operand, sparse_operand = stored_and_operand_bits(weights)
        bits = self.network.bounds[layer.name].bits
        groups = layer.geometry.groups if layer.geometry else 1
        storage_format, packed_bits = self.packed[owner]
        return LayerWorkload(
            name=layer.name,
            source=self.origins[layer.source],
            linear=layer.geometry is None,
            out_channels=layer.rows,
            in_channels=weights.shape[1] * groups,
            groups=groups,
            window=self.window(layer),
            row_nonzeros=_row_nonzeros(weights),
            weight_bits=weights.bits,
            mid_rise=weights.mid_rise,
            dense_bits=dense_bits,
            operand_bits=dense_operand,
            sparse_operand_bits=sparse_operand,
            activation_bits=self.widths[layer.source],
            output_bits=requantizer.grid.bits if requantizer else bits,
            accumulator_bits=bits,
            multipliers=len(np.unique(requantizer.multiplier)) if requantizer else 0,
            shifts=_shifts(requantizer) if requantizer else 0,
            storage_format=storage_format,
            packed_bits=packed_bits,
            sizes=self.sizes.get(owner, {}),
            shares=layer.shares,
            values=weights.values.reshape(layer.rows, -1),
            scales=requantizer.multiplier if requantizer else None,
        )

    def window(self, layer: Layer) -> Window:
        """How a layer slides; a linear layer does not."""
        if layer.geometry is None:
            return Window.pixelwise((1, 1))
        geometry, kernel = layer.geometry, layer.weights.shape[2:]
        (_, size), (_, out) = self.image(layer.source), self.image(layer.name)
        return Window(
            (kernel[0], kernel[1]), geometry.stride, geometry.padding, geometry.dilation, size, out
        )


def _shifts(requantizer: Requantizer) -> int:
    """Distinct shifts; a leak shifts negative sums further."""
    return len(np.union1d(requantizer.shift, requantizer.negative_shift))


def _rescaled(node: _Stream) -> int:
    """Sources that are multiplied on their way in."""
    if isinstance(node, Add):
        return len(node.sources)
    if isinstance(node, Concat):
        return sum(requantizer is not None for requantizer in node.requantizers)
    return 0


def _row_nonzeros(weights: IntegerWeights) -> IntArray:
    counts: IntArray = np.count_nonzero(weights.values.reshape(weights.shape[0], -1), axis=1)
    return counts.astype(np.int64)


def stored_and_operand_bits(weights: IntegerWeights) -> tuple[int, int, int]:
    """(stored bits of a weight, signed operand width dense, the same for non-zeros only).

    Affine: the signed width of the integer weights that occur, at least 2 since width 1 means +-1.
    Mid-rise: odd integers of b + 1 bits, +-1 at b = 1; an absent weight has no code, so a dense
    memory that has holes stores b + 1 bits.
    """
    if weights.mid_rise:
        bits = 1 if weights.bits == 1 else weights.bits + 1
        if weights.nonzeros == weights.values.size:
            return weights.bits, bits, bits
        return weights.bits + 1, weights.bits + 1, bits
    low, high = int(weights.values.min(initial=0)), int(weights.values.max(initial=0))
    bits = max(2, 1 + max((-low - 1).bit_length() if low < 0 else 0, high.bit_length()))
    return weights.bits, bits, bits
