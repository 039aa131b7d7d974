"""Fixed-width fields, gamma codes and unary numbers survive the way through bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.storage.bits import BitReader, BitWriter, ceil_lg, from_bits, interleave, to_bits


@given(st.data())
def test_fields_of_every_width(data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 63))
    values = np.array(data.draw(st.lists(st.integers(0, (1 << width) - 1))), dtype=np.int64)
    bits = to_bits(values, width)
    text = "".join(format(value, f"0{width}b") for value in values.tolist())
    assert [int(bit) for bit in text] == bits.tolist()
    np.testing.assert_array_equal(values, from_bits(bits, width))


def test_more_values_than_one_block() -> None:
    values = np.random.default_rng(0).integers(0, 1 << 11, 20_001)
    np.testing.assert_array_equal(values, from_bits(to_bits(values, 11), 11))


def test_interleaved_fields() -> None:
    bits = interleave([(np.array([1, 2]), 2), (np.array([5, 0]), 3), (np.array([0, 0]), 0)])
    assert bits.tolist() == [0, 1, 1, 0, 1, 1, 0, 0, 0, 0]
    first, second, nothing = BitReader(bits).entries(2, [2, 3, 0])
    assert (first.tolist(), second.tolist(), nothing.tolist()) == ([1, 2], [5, 0], [0, 0])


@given(st.lists(st.integers(1, 2**30)))
def test_gamma_code(values: list[int]) -> None:
    writer = BitWriter()
    for value in values:
        writer.gamma(value)
    assert writer.length == sum(2 * value.bit_length() - 1 for value in values)
    reader = BitReader.of_bytes(writer.to_bytes())
    assert values == [reader.gamma() for _ in values]


def test_unary_numbers_stop_at_the_last_one() -> None:
    reader = BitReader(np.array([0, 0, 1, 1, 0, 1, 0], dtype=np.uint8))
    assert reader.unary(3, limit=7).tolist() == [2, 0, 1]
    assert reader.remaining == 1


def test_ceil_lg() -> None:
    assert [ceil_lg(count) for count in range(10)] == [0, 0, 1, 2, 2, 3, 3, 3, 3, 4]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="8 does not fit 3 bits"):
        BitWriter().integer(8, 3)
    with pytest.raises(ValueError, match="starts at 1, but got 0"):
        BitWriter().gamma(0)
    with pytest.raises(ValueError, match="4 bits expected, but only 3 are left"):
        BitReader(np.zeros(3, dtype=np.uint8)).integer(4)
