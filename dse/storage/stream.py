"""How the nodes of a network stand in a packed model's bit stream: written here, read back here.

A record starts with its kind. Nodes without numbers, such as max pools, have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dse.integer import Add, AveragePool, Concat
from dse.integer.grid import IntArray
from dse.integer.requantize import MULTIPLIER_BITS
from dse.storage.bits import BitReader, BitWriter, ceil_lg
from dse.storage.encoded import Encoded
from dse.storage.formats import Format, registry
from dse.storage.layout import Layout
from dse.storage.stored_requantizer import (
    BITS_BITS,
    StoredRequantizer,
    read_requantizer,
    write_requantizer,
)

IDENTIFIER_BITS = 4
BIAS_WIDTH_BITS = 6

MAX_WEIGHTS = 1 << 30
"""Per layer; a shape beyond is not a network's, and would only exhaust memory."""

LAYER, ADD, SHARED_LAYER, CONCAT, AVERAGE_POOL = 1, 2, 3, 4, 5
"""Kinds of records, in Elias' gamma code: a layer takes one bit."""

Stream = Add | Concat | AveragePool
"""Nodes without weights that have numbers of their own."""


@dataclass(frozen=True)
class StoredLayer:
    """One layer as read from a packed model: every integer, no real scale and no name.

    `owner` is the index of the layer whose weights these are, None for its own.
    """

    layout: Layout
    format: str
    packed_bits: int
    values: npt.NDArray[np.int32]
    bias: IntArray
    requantizer: StoredRequantizer | None
    owner: int | None = None


@dataclass(frozen=True)
class StoredStream:
    """The numbers of a node without weights; `multipliers` are those of an add."""

    kind: int
    multipliers: tuple[int, ...]
    requantizers: tuple[StoredRequantizer | None, ...]

    @classmethod
    def of(cls, node: Stream) -> StoredStream:
        """What is stored of `node`."""
        multipliers = node.multipliers if isinstance(node, Add) else ()
        held = node.requantizers if isinstance(node, Concat) else (node.requantizer,)
        stored = tuple(None if r is None else StoredRequantizer.of(r) for r in held)
        return cls(_kind(node), multipliers, stored)


def write_header(writer: BitWriter, layout: Layout, module: Format, encoded: Encoded) -> None:
    """Shape, grid, format, and what the format needs to be decoded."""
    writer.gamma(LAYER)
    writer.integer(len(layout.shape) == 4, 1)
    for dim in layout.shape:
        writer.gamma(dim)
    writer.integer(layout.bits - 1, BITS_BITS)
    writer.integer(layout.mid_rise, 1)
    if not layout.mid_rise:
        writer.integer(layout.zero_point, layout.bits)
    writer.integer(module.IDENTIFIER, IDENTIFIER_BITS)
    if module.COUNTED:
        writer.integer(encoded.count, ceil_lg(layout.size + 1))
    writer.integer(encoded.parameter, module.PARAMETER_BITS)


def write_shared_header(writer: BitWriter, owner: int) -> None:
    """Which layer's weights these are, counted from 0."""
    writer.gamma(SHARED_LAYER)
    writer.gamma(owner + 1)


def write_bias(writer: BitWriter, bias: IntArray) -> None:
    """The smallest two's complement width that holds every bias, then the biases."""
    highest = int(np.maximum(bias, -bias - 1).max())
    width = 1 + highest.bit_length() if bias.any() else 0
    writer.integer(width, BIAS_WIDTH_BITS)
    writer.integers(bias & ((1 << width) - 1), width)


def write_stream(writer: BitWriter, node: Stream) -> None:
    """Number of sources, an add's multipliers, the requantizers."""
    writer.gamma(_kind(node))
    if isinstance(node, AveragePool):
        write_requantizer(writer, node.requantizer)
        return
    writer.gamma(len(node.sources))
    if isinstance(node, Add):
        writer.integers(np.array(node.multipliers), MULTIPLIER_BITS)
        write_requantizer(writer, node.requantizer)
        return
    for requantizer in node.requantizers:
        write_requantizer(writer, requantizer)


def read_record(reader: BitReader, layers: Sequence[StoredLayer]) -> StoredLayer | StoredStream:
    """The next record; `layers` are those before it. Raises ValueError when there is none."""
    kind = reader.gamma()
    if kind == LAYER:
        return _read_layer(reader)
    if kind == SHARED_LAYER:
        return _read_shared(reader, layers)
    if kind == AVERAGE_POOL:
        return StoredStream(kind, (), (read_requantizer(reader, 1),))
    if kind not in (ADD, CONCAT):
        raise ValueError(f"no kind of node has the number {kind}")
    count = reader.gamma()
    if kind == ADD:
        multipliers = tuple(reader.integers(count, MULTIPLIER_BITS).tolist())
        return StoredStream(kind, multipliers, (read_requantizer(reader, 1),))
    if count > reader.remaining:
        raise ValueError(f"{count} sources expected, but only {reader.remaining} bits are left")
    return StoredStream(kind, (), tuple(read_requantizer(reader, 1) for _ in range(count)))


def _kind(node: Stream) -> int:
    if isinstance(node, Add):
        return ADD
    return CONCAT if isinstance(node, Concat) else AVERAGE_POOL


def _read_layer(reader: BitReader) -> StoredLayer:
    dimensions = 4 if reader.integer(1) else 2
    shape = tuple(reader.gamma() for _ in range(dimensions))
    bits = reader.integer(BITS_BITS) + 1
    mid_rise = bool(reader.integer(1))
    layout = Layout(shape, bits, 0 if mid_rise else reader.integer(bits), mid_rise)
    if layout.size > MAX_WEIGHTS:
        raise ValueError(f"a layer of shape {shape} has more than {MAX_WEIGHTS} weights")
    name, module = _format(reader.integer(IDENTIFIER_BITS))
    count = reader.integer(ceil_lg(layout.size + 1)) if module.COUNTED else 0
    parameter = reader.integer(module.PARAMETER_BITS)
    start = reader.position
    values = module.decode(reader, layout, count, parameter)
    packed_bits = reader.position - start
    bias = _read_bias(reader, layout.rows)
    requantizer = read_requantizer(reader, layout.rows)
    return StoredLayer(layout, name, packed_bits, values, bias, requantizer)


def _read_shared(reader: BitReader, layers: Sequence[StoredLayer]) -> StoredLayer:
    owner = reader.gamma() - 1
    if owner >= len(layers) or layers[owner].owner is not None:
        raise ValueError(f"layer {owner}, whose weights are shared, has none of its own")
    bias = _read_bias(reader, layers[owner].layout.rows)
    requantizer = read_requantizer(reader, layers[owner].layout.rows)
    return replace(layers[owner], packed_bits=0, bias=bias, requantizer=requantizer, owner=owner)


def _format(identifier: int) -> tuple[str, Format]:
    for name, module in registry().items():
        if identifier == module.IDENTIFIER:
            return name, module
    raise ValueError(f"no storage format has the identifier {identifier}")


def _read_bias(reader: BitReader, rows: int) -> IntArray:
    width = reader.integer(BIAS_WIDTH_BITS)
    codes = reader.integers(rows, width)
    sign = (1 << width) >> 1
    return (codes ^ sign) - sign
