"""Workloads: what the cost model needs to know about each layer of an integer network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from dse.errors import InputError, nearest
from dse.integer import IntegerNetwork, IntegerWeights, Layer, MaxPool
from dse.integer.grid import IntArray

Size = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """How a kernel slides over an image: all pairs are (y, x), `input_size` is without padding."""

    kernel: Size
    stride: Size
    padding: Size
    dilation: Size
    input_size: Size
    output_size: Size

    @property
    def input_pixels(self) -> int:
        """Pixels read."""
        return self.input_size[0] * self.input_size[1]

    @property
    def output_pixels(self) -> int:
        """Pixels written."""
        return self.output_size[0] * self.output_size[1]


@dataclass(frozen=True)
class Pool:
    """A max pool over codes of `bits` bits in `channels` channels."""

    name: str
    channels: int
    bits: int
    window: Window


@dataclass(frozen=True, eq=False)
class LayerWorkload:
    """One layer as the hardware sees it, with the pools that follow it.

    A linear layer is a 1x1 convolution of one pixel. `row_nonzeros` (int64, shape (rows,)) counts
    the integer weights that are not zero per output channel. `activation_bits` is the width of the
    codes read, `output_bits` of the codes written - of the accumulators where nothing requantizes.
    `dense_bits` is what one weight takes in a dense on-chip memory, `operand_bits` the signed width
    a dense multiplier sees, `sparse_operand_bits` that of a multiplier which gets non-zeros only
    (1 means +-1). `shifts` and `multipliers` count the distinct per-channel values, 0 without a
    requantizer. `packed_bits` is the length of the layer in its `storage_format`.
    """

    name: str
    linear: bool
    out_channels: int
    in_channels: int
    groups: int
    window: Window
    row_nonzeros: IntArray
    weight_bits: int
    mid_rise: bool
    dense_bits: int
    operand_bits: int
    sparse_operand_bits: int
    activation_bits: int
    output_bits: int
    accumulator_bits: int
    multipliers: int
    shifts: int
    storage_format: str
    packed_bits: int
    pools: tuple[Pool, ...] = ()
    input_pools: tuple[Pool, ...] = ()

    @property
    def columns(self) -> int:
        """Weights of one output channel: in_channels / groups * kh * kw."""
        return self.in_channels // self.groups * math.prod(self.window.kernel)

    @property
    def weights(self) -> int:
        """Weights, zeros included."""
        return self.out_channels * self.columns

    @property
    def nonzeros(self) -> int:
        """Integer weights that are not zero."""
        return int(self.row_nonzeros.sum())

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image, dense."""
        return self.weights * self.window.output_pixels

    @property
    def binary(self) -> bool:
        """Whether every multiplier is an XNOR: weights +-1 without holes and 1-bit codes."""
        return self.operand_bits == 1 and self.activation_bits == 1

    @property
    def output_values(self) -> int:
        """Values the layer writes per image, after its pools."""
        window = self.pools[-1].window if self.pools else self.window
        return self.out_channels * window.output_pixels


def describe(
    network: IntegerNetwork, packed: Mapping[str, tuple[str, int]]
) -> tuple[LayerWorkload, ...]:
    """Workloads of the layers of `network`, in order.

    `packed` maps every layer to its storage format's name and its packed weight bits. Raises
    InputError when a layer is missing there, or when the network is not a chain: the dataflow
    template has one stream from the input to the output.
    """
    workloads: list[LayerWorkload] = []
    input_pools: tuple[Pool, ...] = ()
    previous = "input"
    for node in network.nodes:
        if node.inputs != (previous,):
            raise InputError(
                f"{node.name} reads {', '.join(node.inputs)}; the dataflow template needs a chain "
                f"(expected {previous})"
            )
        previous = node.name
        if isinstance(node, Layer):
            if node.name not in packed:
                hint = nearest(node.name, packed)
                raise InputError(f"no packed size for layer {node.name!r}{hint}")
            workloads.append(_workload(network, node, packed[node.name]))
        elif isinstance(node, MaxPool):
            pool = _pool(network, node)
            if workloads:
                last = workloads[-1]
                workloads[-1] = replace(last, pools=(*last.pools, pool))
            else:
                input_pools = (*input_pools, pool)
    if not workloads:
        raise InputError("the network has no layer with weights; there is nothing to fold")
    workloads[0] = replace(workloads[0], input_pools=input_pools)
    return tuple(workloads)


def _workload(network: IntegerNetwork, layer: Layer, packed: tuple[str, int]) -> LayerWorkload:
    weights, requantizer = layer.weights, layer.requantizer
    rows = weights.values.reshape(layer.rows, -1)
    dense_bits, operand_bits, sparse_bits = _widths(weights)
    bits = network.bounds[layer.name].bits
    groups = layer.geometry.groups if layer.geometry else 1
    return LayerWorkload(
        name=layer.name,
        linear=layer.geometry is None,
        out_channels=layer.rows,
        in_channels=weights.shape[1] * groups,
        groups=groups,
        window=_window(network, layer),
        row_nonzeros=np.count_nonzero(rows, axis=1).astype(np.int64),
        weight_bits=weights.bits,
        mid_rise=weights.mid_rise,
        dense_bits=dense_bits,
        operand_bits=operand_bits,
        sparse_operand_bits=sparse_bits,
        activation_bits=network.input_grid_of(layer).bits,
        output_bits=requantizer.grid.bits if requantizer else bits,
        accumulator_bits=bits,
        multipliers=len(np.unique(requantizer.multiplier)) if requantizer else 0,
        shifts=len(np.unique(requantizer.shift)) if requantizer else 0,
        storage_format=packed[0],
        packed_bits=packed[1],
    )


def _widths(weights: IntegerWeights) -> tuple[int, int, int]:
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


def _window(network: IntegerNetwork, layer: Layer) -> Window:
    one = (1, 1)
    if layer.geometry is None:
        return Window(one, one, (0, 0), one, one, one)
    shape, (_, y, x) = network.shapes[layer.name], network.shapes[layer.source]
    kernel = (layer.weights.shape[2], layer.weights.shape[3])
    geometry = layer.geometry
    return Window(
        kernel, geometry.stride, geometry.padding, geometry.dilation, (y, x), (shape[1], shape[2])
    )


def _pool(network: IntegerNetwork, pool: MaxPool) -> Pool:
    (channels, y, x), out = network.shapes[pool.source], network.shapes[pool.name]
    grid = network.grids[pool.source]
    if grid is None:
        raise InputError(f"{pool.name} pools accumulators; the dataflow template pools codes")
    window = Window(pool.kernel, pool.stride, pool.padding, (1, 1), (y, x), (out[1], out[2]))
    return Pool(pool.name, channels, grid.bits, window)
