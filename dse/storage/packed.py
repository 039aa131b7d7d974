"""The packed model: an integer network as the bytes a device stores, best format per layer."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dse.errors import InputError
from dse.integer import Add, AveragePool, Concat, IntegerNetwork, Layer
from dse.storage.bits import BitReader, BitWriter
from dse.storage.formats import Format, select, sizes
from dse.storage.layout import Layout
from dse.storage.stored_requantizer import BITS_BITS, write_requantizer
from dse.storage.stream import (
    StoredLayer,
    StoredStream,
    read_record,
    write_bias,
    write_header,
    write_shared_header,
    write_stream,
)

MAGIC = b"DSE"
VERSION = 2
_PREFIX = MAGIC + bytes([VERSION])
_CRC_BYTES = 4


@dataclass(frozen=True)
class PackedLayer:
    """What one layer takes in a packed model, in bits.

    `packed_bits` are its weights with their indices in `format`; `sizes` is the same number for
    every format that was allowed and can represent the layer, in registry order. A layer that
    shares the weights of another has the other's format and takes no bits for them.
    """

    name: str
    format: str
    packed_bits: int
    sizes: Mapping[str, int]
    bias_bits: int
    requantizer_bits: int
    header_bits: int


@dataclass(frozen=True)
class PackedModel:
    """`data` is the file: header, weights with indices, biases, requantization parameters.

    `stream_bits` is what adds, concats and average pools take: their requantization.
    """

    data: bytes
    layers: tuple[PackedLayer, ...]
    stream_bits: int = 0

    @property
    def memory_bytes(self) -> int:
        """Memory of the model: the length of the file."""
        return len(self.data)

    @property
    def stored(self) -> Mapping[str, tuple[str, int]]:
        """Format and packed weight bits of every layer, as the cost model wants them."""
        return {layer.name: (layer.format, layer.packed_bits) for layer in self.layers}

    @property
    def sizes(self) -> Mapping[str, Mapping[str, int]]:
        """Weight bits of every layer in every format that was allowed."""
        return {layer.name: layer.sizes for layer in self.layers}

    @property
    def memory_bits(self) -> Mapping[str, int]:
        """Bits of the file by part; they sum to 8 * `memory_bytes` (the header pads to a byte)."""
        parts = {
            "weights": sum(layer.packed_bits for layer in self.layers),
            "biases": sum(layer.bias_bits for layer in self.layers),
            "requantization": sum(layer.requantizer_bits for layer in self.layers)
            + self.stream_bits,
        }
        return {**parts, "header": 8 * len(self.data) - sum(parts.values())}


@dataclass(frozen=True)
class Unpacked:
    """Everything a packed model holds; `input_zero_point` is what the first layer's padding is."""

    input_bits: int
    input_zero_point: int
    records: tuple[StoredLayer | StoredStream, ...]

    @property
    def layers(self) -> tuple[StoredLayer, ...]:
        """The layers among the records."""
        return tuple(record for record in self.records if isinstance(record, StoredLayer))


def pack(network: IntegerNetwork, formats: Sequence[str]) -> PackedModel:
    """Pack `network`, each layer in the smallest of `formats` (ties: first in registry order).

    Raises InputError for an unknown format, and when none of `formats` can represent a layer.
    """
    allowed = select(formats)
    writer = BitWriter()
    writer.integer(network.input_grid.bits - 1, BITS_BITS)
    writer.integer(network.input_grid.zero_point, network.input_grid.bits)
    nodes = [node for node in network.nodes if isinstance(node, Layer | Add | Concat | AveragePool)]
    writer.gamma(len(nodes) + 1)  # + 1: the code has no zero, a network may
    layers: list[PackedLayer] = []
    stream_bits = 0
    for node in nodes:
        start = writer.length
        if not isinstance(node, Layer):
            write_stream(writer, node)
            stream_bits += writer.length - start
        elif node.shares is None:
            layers.append(_pack_layer(writer, node, allowed))
        else:
            owner = [layer.name for layer in layers].index(node.shares)
            layers.append(_pack_shared(writer, node, owner, layers[owner]))
    stream = writer.to_bytes()
    checksum = zlib.crc32(stream).to_bytes(_CRC_BYTES, "big")
    return PackedModel(_PREFIX + checksum + stream, tuple(layers), stream_bits)


def quick(network: IntegerNetwork, formats: Sequence[str]) -> tuple[str, ...]:
    """Those of `formats` that take no time to size; all, where these cannot hold every layer."""
    known = {name: module for name, module in select(formats).items() if module.QUICK}
    fits = all(any(m.supports(layer.weights) for m in known.values()) for layer in network.layers)
    return tuple(known) if fits else tuple(formats)


def smallest_format(layer_sizes: Mapping[str, int]) -> str:
    """The format with the fewest bits; the first one of equals."""
    return min(layer_sizes, key=lambda name: layer_sizes[name])


def unpack(data: bytes) -> Unpacked:
    """Inverse of `pack`. Raises InputError for anything but a whole, undamaged packed model."""
    if data[: len(MAGIC)] != MAGIC:
        raise InputError("not a packed model: it does not start with DSE")
    if data[len(MAGIC) : len(_PREFIX)] != bytes([VERSION]):
        raise InputError(f"packed model: only version {VERSION} can be read")
    stream = data[len(_PREFIX) + _CRC_BYTES :]
    if data[len(_PREFIX) : len(_PREFIX) + _CRC_BYTES] != zlib.crc32(stream).to_bytes(4, "big"):
        raise InputError("packed model: damaged or truncated (its checksum does not match)")
    reader = BitReader.of_bytes(stream)
    try:
        bits = reader.integer(BITS_BITS) + 1
        zero_point = reader.integer(bits)
        records: list[StoredLayer | StoredStream] = []
        for _ in range(reader.gamma() - 1):
            before = [record for record in records if isinstance(record, StoredLayer)]
            records.append(read_record(reader, before))
        if reader.remaining > 7 or reader.bits(reader.remaining).any():
            raise ValueError("bits are left over")
    except ValueError as error:
        raise InputError(f"packed model: malformed ({error})") from error
    return Unpacked(bits, zero_point, tuple(records))


def _pack_layer(writer: BitWriter, layer: Layer, allowed: Mapping[str, Format]) -> PackedLayer:
    layer_sizes = sizes(layer.weights, allowed)
    if not layer_sizes:
        raise InputError(
            f"{layer.name}: none of the storage formats {', '.join(allowed)} can hold absent "
            f"mid-rise weights; allow a sparse one"
        )
    name = smallest_format(layer_sizes)
    encoded = allowed[name].encode(layer.weights)
    assert len(encoded.bits) == layer_sizes[name], f"{name}: size_bits is not what is packed"
    marks = [writer.length]
    write_header(writer, Layout.of(layer.weights), allowed[name], encoded)
    marks.append(writer.length)
    writer.bits(encoded.bits)
    marks.append(writer.length)
    write_bias(writer, layer.bias)
    marks.append(writer.length)
    write_requantizer(writer, layer.requantizer)
    marks.append(writer.length)
    header, packed, bias, requantizer = (end - start for start, end in pairwise(marks))
    return PackedLayer(layer.name, name, packed, layer_sizes, bias, requantizer, header)


def _pack_shared(writer: BitWriter, layer: Layer, owner: int, weights: PackedLayer) -> PackedLayer:
    marks = [writer.length]
    write_shared_header(writer, owner)
    marks.append(writer.length)
    write_bias(writer, layer.bias)
    marks.append(writer.length)
    write_requantizer(writer, layer.requantizer)
    marks.append(writer.length)
    header, bias, requantizer = (end - start for start, end in pairwise(marks))
    sizes = {weights.format: 0}
    return PackedLayer(layer.name, weights.format, 0, sizes, bias, requantizer, header)
