"""How one layer stands in a packed model's bit stream: written here, read back here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.integer import Layer, Requantizer
from dse.integer.grid import IntArray
from dse.integer.requantize import MIN_SHIFT, MULTIPLIER_BITS
from dse.storage.bits import BitReader, BitWriter, ceil_lg
from dse.storage.encoded import Encoded
from dse.storage.formats import Format, registry
from dse.storage.layout import Layout

IDENTIFIER_BITS = 4
LEAK_BITS = 4
BITS_BITS = 4  # a width of 1..16 bits, stored less one
BIAS_WIDTH_BITS = 6
SHIFT_BITS = 7  # MIN_SHIFT..MAX_SHIFT, stored less MIN_SHIFT
SHIFT_SPREAD_BITS = 3

MAX_WEIGHTS = 1 << 30
"""Per layer; a shape beyond is not a network's, and would only exhaust memory."""

_LEADING = 1 << (MULTIPLIER_BITS - 1)  # the top bit of every multiplier is set: not stored


@dataclass(frozen=True)
class StoredRequantizer:
    """A requantizer without its output's real scale. Shapes as in `Requantizer`."""

    multiplier: IntArray
    shift: IntArray
    bits: int
    zero_point: int
    low: int
    high: int
    leak: int


@dataclass(frozen=True)
class StoredLayer:
    """One layer as read from a packed model: every integer, no real scale and no name."""

    layout: Layout
    format: str
    packed_bits: int
    values: npt.NDArray[np.int32]
    bias: IntArray
    requantizer: StoredRequantizer | None


def write_header(writer: BitWriter, layout: Layout, module: Format, encoded: Encoded) -> None:
    """Shape, grid, format, and what the format needs to be decoded."""
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


def write_bias(writer: BitWriter, bias: IntArray) -> None:
    """The smallest two's complement width that holds every bias, then the biases."""
    highest = int(np.maximum(bias, -bias - 1).max())
    width = 1 + highest.bit_length() if bias.any() else 0
    writer.integer(width, BIAS_WIDTH_BITS)
    writer.integers(bias & ((1 << width) - 1), width)


def write_requantizer(writer: BitWriter, layer: Layer) -> None:
    """Output grid, then multiplier and shift per tensor or per row; one 0 bit where there is none.

    Shifts of the rows of one layer lie close together, so rows store their distance to the
    smallest: 2-3 bits instead of 7.
    """
    requantizer = layer.requantizer
    writer.integer(requantizer is not None, 1)
    if requantizer is None:
        return
    per_row = len(requantizer.multiplier) > 1
    if per_row and len(requantizer.multiplier) != layer.rows:
        raise ValueError(
            f"{layer.name}: {len(requantizer.multiplier)} multipliers, not {layer.rows}"
        )
    writer.integer(requantizer.grid.bits - 1, BITS_BITS)
    writer.integer(requantizer.grid.zero_point, requantizer.grid.bits)
    _write_clamp(writer, requantizer)
    writer.integer(per_row, 1)
    writer.integers(requantizer.multiplier - _LEADING, MULTIPLIER_BITS - 1)
    smallest = int(requantizer.shift.min())
    writer.integer(smallest - MIN_SHIFT, SHIFT_BITS)
    if per_row:
        width = int(requantizer.shift.max() - smallest).bit_length()
        writer.integer(width, SHIFT_SPREAD_BITS)
        writer.integers(requantizer.shift - smallest, width)


def _write_clamp(writer: BitWriter, requantizer: Requantizer) -> None:
    """1 for ReLU, 00 for no nonlinearity, else 01, the ends of the clamp and the leak."""
    bits, zero_point = requantizer.grid.bits, requantizer.grid.zero_point
    ends = (requantizer.low, requantizer.high, requantizer.leak)
    if ends == _clamp_of(True, bits, zero_point):
        writer.integer(1, 1)
    elif ends == _clamp_of(False, bits, zero_point):
        writer.integer(0, 2)
    else:
        writer.integer(1, 2)
        writer.integer(requantizer.low, bits)
        writer.integer(requantizer.high, bits)
        writer.integer(requantizer.leak, LEAK_BITS)


def _read_clamp(reader: BitReader, bits: int, zero_point: int) -> tuple[int, int, int]:
    relu = bool(reader.integer(1))
    if relu or not reader.integer(1):
        return _clamp_of(relu, bits, zero_point)
    return reader.integer(bits), reader.integer(bits), reader.integer(LEAK_BITS)


def _clamp_of(relu: bool, bits: int, zero_point: int) -> tuple[int, int, int]:
    return (zero_point if relu else 0, (1 << bits) - 1, 0)


def read_layer(reader: BitReader) -> StoredLayer:
    """The next layer. Raises ValueError when the bits are not a layer."""
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
    return StoredLayer(layout, name, packed_bits, values, bias, _read_requantizer(reader, layout))


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


def _read_requantizer(reader: BitReader, layout: Layout) -> StoredRequantizer | None:
    if not reader.integer(1):
        return None
    bits = reader.integer(BITS_BITS) + 1
    zero_point = reader.integer(bits)
    clamp = _read_clamp(reader, bits, zero_point)
    per_row = bool(reader.integer(1))
    count = layout.rows if per_row else 1
    multiplier = reader.integers(count, MULTIPLIER_BITS - 1) + _LEADING
    smallest = reader.integer(SHIFT_BITS) + MIN_SHIFT
    width = reader.integer(SHIFT_SPREAD_BITS) if per_row else 0
    shift = reader.integers(count, width) + smallest
    return StoredRequantizer(multiplier, shift, bits, zero_point, *clamp)
