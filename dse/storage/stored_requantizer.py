"""How a requantizer stands in a packed model's bit stream: written here, read back here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dse.integer import LINEAR, RELU, ActivationGrid, Requantizer
from dse.integer.requantize import MIN_SHIFT, MULTIPLIER_BITS
from dse.storage.bits import BitReader, BitWriter

LEAK_BITS = 4
BITS_BITS = 4  # a width of 1..16 bits, stored less one
SHIFT_BITS = 7  # MIN_SHIFT..MAX_SHIFT, stored less MIN_SHIFT
SHIFT_SPREAD_BITS = 3

_LEADING = 1 << (MULTIPLIER_BITS - 1)  # the top bit of every multiplier is set: not stored


@dataclass(frozen=True)
class StoredRequantizer:
    """A requantizer without its output's real scale; one multiplier and shift, or one per row."""

    multiplier: tuple[int, ...]
    shift: tuple[int, ...]
    bits: int
    zero_point: int
    low: int
    high: int
    leak: int

    @classmethod
    def of(cls, requantizer: Requantizer) -> StoredRequantizer:
        """What is stored of `requantizer`."""
        return cls(
            tuple(requantizer.multiplier.tolist()),
            tuple(requantizer.shift.tolist()),
            int(requantizer.grid.bits),
            int(requantizer.grid.zero_point),
            int(requantizer.low),
            int(requantizer.high),
            int(requantizer.leak),
        )

    def with_scale(self, scale: float) -> Requantizer:
        """The requantizer onto a grid of `scale`. Raises ValueError when it is none."""
        return Requantizer(
            np.array(self.multiplier, dtype=np.int64),
            np.array(self.shift, dtype=np.int64),
            ActivationGrid(self.bits, scale, self.zero_point),
            self.low,
            self.high,
            self.leak,
        )


def write_requantizer(writer: BitWriter, requantizer: Requantizer | None) -> None:
    """Output grid, then multiplier and shift per tensor or per row; one 0 bit where there is none.

    Shifts of the rows of one layer lie close together, so rows store their distance to the
    smallest: 2-3 bits instead of 7.
    """
    writer.integer(requantizer is not None, 1)
    if requantizer is None:
        return
    writer.integer(requantizer.grid.bits - 1, BITS_BITS)
    writer.integer(requantizer.grid.zero_point, requantizer.grid.bits)
    _write_clamp(writer, requantizer)
    per_row = len(requantizer.multiplier) > 1
    writer.integer(per_row, 1)
    writer.integers(requantizer.multiplier - _LEADING, MULTIPLIER_BITS - 1)
    smallest = int(requantizer.shift.min())
    writer.integer(smallest - MIN_SHIFT, SHIFT_BITS)
    if per_row:
        width = int(requantizer.shift.max() - smallest).bit_length()
        writer.integer(width, SHIFT_SPREAD_BITS)
        writer.integers(requantizer.shift - smallest, width)


def read_requantizer(reader: BitReader, rows: int) -> StoredRequantizer | None:
    """The next requantizer, of a node with `rows` rows."""
    if not reader.integer(1):
        return None
    bits = reader.integer(BITS_BITS) + 1
    zero_point = reader.integer(bits)
    clamp = _read_clamp(reader, bits, zero_point)
    per_row = bool(reader.integer(1))
    count = rows if per_row else 1
    multiplier = reader.integers(count, MULTIPLIER_BITS - 1) + _LEADING
    smallest = reader.integer(SHIFT_BITS) + MIN_SHIFT
    width = reader.integer(SHIFT_SPREAD_BITS) if per_row else 0
    shift = reader.integers(count, width) + smallest
    return StoredRequantizer(
        tuple(multiplier.tolist()), tuple(shift.tolist()), bits, zero_point, *clamp
    )


def _write_clamp(writer: BitWriter, requantizer: Requantizer) -> None:
    """1 for ReLU, 00 for no nonlinearity, else 01, the ends of the clamp and the leak."""
    grid, ends = requantizer.grid, (requantizer.low, requantizer.high)
    if (*ends, requantizer.leak) == (*RELU.codes(grid), 0):
        writer.integer(1, 1)
    elif (*ends, requantizer.leak) == (*LINEAR.codes(grid), 0):
        writer.integer(0, 2)
    else:
        writer.integer(1, 2)
        writer.integers(np.array(ends), grid.bits)
        writer.integer(requantizer.leak, LEAK_BITS)


def _read_clamp(reader: BitReader, bits: int, zero_point: int) -> tuple[int, int, int]:
    top = (1 << bits) - 1
    if reader.integer(1):
        return zero_point, top, 0
    if not reader.integer(1):
        return 0, top, 0
    return reader.integer(bits), reader.integer(bits), reader.integer(LEAK_BITS)
