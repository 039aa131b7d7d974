"""Bit strings: unsigned integers of a fixed width to bits and back, most significant bit first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dse.integer.grid import IntArray

Bits = npt.NDArray[np.uint8]
"""One-dimensional, every element 0 or 1."""

MAX_WIDTH = 63
"""Fields travel as int64 and are never negative."""

# Converted in blocks: a block's 8-byte words and their bits stay in the cache, which is 3 times
# faster on ten million values than one conversion, and needs no extra gigabyte.
_BLOCK = 1 << 13


def ceil_lg(count: int) -> int:
    """Bits of the widest number below `count`: ceil(lg count), and 0 for a count of 0 or 1."""
    return max(count - 1, 0).bit_length()


def to_bits(values: npt.NDArray[np.integer], width: int) -> Bits:
    """`values` (shape (n,), 0 <= v < 2^width) as n * width bits."""
    assert 0 <= width <= MAX_WIDTH, width
    bits = np.empty((len(values), width), dtype=np.uint8)
    word = _word(width)
    span = 8 * word.itemsize
    for start in range(0, len(values), _BLOCK) if width else ():
        block = values[start : start + _BLOCK].astype(word)
        unpacked = np.unpackbits(block.view(np.uint8)).reshape(-1, span)
        bits[start : start + _BLOCK] = unpacked[:, span - width :]
    return bits.reshape(-1)


def from_bits(bits: Bits, width: int) -> IntArray:
    """Inverse of `to_bits`: int64 of shape (n,) from n * width bits; width must not be 0."""
    rows = bits.reshape(-1, width)
    values = np.empty(len(rows), dtype=np.int64)
    word = _word(width)
    padded = np.zeros((_BLOCK, 8 * word.itemsize), dtype=np.uint8)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        padded[: len(block), -width:] = block
        values[start : start + _BLOCK] = np.packbits(padded[: len(block)]).view(word)
    return values


def interleave(fields: Sequence[tuple[npt.NDArray[np.integer], int]]) -> Bits:
    """Entries side by side: for each index, every field's (values, width) in the order given."""
    word = np.zeros(len(fields[0][0]), dtype=np.int64)
    for values, width in fields:
        word <<= width
        word |= values
    return to_bits(word, sum(width for _, width in fields))


def _word(width: int) -> np.dtype[np.unsignedinteger]:
    size = next(size for size in (1, 2, 4, 8) if width <= 8 * size)
    return np.dtype(f">u{size}")


class BitWriter:
    """Collects fields into one bit string; `length` is the number of bits so far."""

    def __init__(self) -> None:
        self._parts: list[Bits] = []
        self.length = 0

    def bits(self, bits: Bits) -> None:
        """Append `bits` as they are."""
        self._parts.append(bits)
        self.length += len(bits)

    def integer(self, value: int, width: int) -> None:
        """Append one number of `width` bits. Raises ValueError when it does not fit."""
        if not 0 <= value < 1 << width:
            raise ValueError(f"{value} does not fit {width} bits")
        self.integers(np.array([value]), width)

    def integers(self, values: npt.NDArray[np.integer], width: int) -> None:
        """Append `values`, each of `width` bits."""
        self.bits(to_bits(values, width))

    def gamma(self, value: int) -> None:
        """Append a number from 1 up in Elias' gamma code: small ones, like kernels, stay short."""
        if value < 1:
            raise ValueError(f"the gamma code starts at 1, but got {value}")
        self.integer(value, 2 * value.bit_length() - 1)

    def to_bytes(self) -> bytes:
        """All bits, padded with zeros to whole bytes."""
        return np.packbits(np.concatenate([*self._parts, np.empty(0, np.uint8)])).tobytes()


class BitReader:
    """Reads fields from the front of a bit string. Raises ValueError when it ends too early."""

    def __init__(self, bits: Bits) -> None:
        self._bits = bits
        self.position = 0

    @classmethod
    def of_bytes(cls, data: bytes) -> BitReader:
        """A reader of the bits of `data`."""
        return cls(np.unpackbits(np.frombuffer(data, dtype=np.uint8)))

    @property
    def remaining(self) -> int:
        """Bits not yet read."""
        return len(self._bits) - self.position

    def rest(self) -> Bits:
        """All bits not yet read, without reading them."""
        return self._bits[self.position :]

    def bits(self, count: int) -> Bits:
        """The next `count` bits."""
        if count > self.remaining:
            raise ValueError(f"{count} bits expected, but only {self.remaining} are left")
        self.position += count
        return self._bits[self.position - count : self.position]

    def integer(self, width: int) -> int:
        """The next number of `width` bits."""
        return int(self.integers(1, width)[0])

    def integers(self, count: int, width: int) -> IntArray:
        """The next `count` numbers (int64) of `width` bits each; zeros when the width is 0."""
        if width == 0:
            return np.zeros(count, dtype=np.int64)
        return from_bits(self.bits(count * width), width)

    def entries(self, count: int, widths: Sequence[int]) -> list[IntArray]:
        """Inverse of `interleave`: one array (int64, shape (count,)) per field."""
        words = self.integers(count, sum(widths))
        fields = []
        for width in reversed(widths):
            fields.append(words & ((1 << width) - 1))
            words = words >> width
        return fields[::-1]

    def gamma(self) -> int:
        """The next number in Elias' gamma code."""
        zeros = 0
        while self.integer(1) == 0:
            zeros += 1
            if zeros > MAX_WIDTH:
                raise ValueError(f"a gamma code of more than {MAX_WIDTH} bits")
        return (1 << zeros) | self.integer(zeros)

    def unary(self, count: int, limit: int) -> IntArray:
        """The next `count` numbers, each as that many zeros and a one, in at most `limit` bits."""
        window = self._bits[self.position : self.position + limit]
        ones = np.flatnonzero(window)[:count]
        if len(ones) < count:
            raise ValueError(f"{count} unary numbers expected, but only {len(ones)} are there")
        if count:
            self.position += int(ones[-1]) + 1
        return np.diff(ones, prepend=-1) - 1
