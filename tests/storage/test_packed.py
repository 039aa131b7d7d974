"""The packed model: every bit accounted for, everything read back, damage refused."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from dse.errors import InputError
from dse.integer import (
    ActivationGrid,
    Add,
    AveragePool,
    Concat,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    Requantizer,
)
from dse.storage import formats
from dse.storage.packed import pack, quick, unpack

from .strategies import lenet5, networks, random_network

AUTO = formats.names()


def _linear(
    values: list[list[int]], bias: list[int], requantizer: Requantizer | None = None
) -> IntegerNetwork:
    weights = IntegerWeights(np.array(values, dtype=np.int32), 3, 4, np.ones(1))
    layer = Layer("fc", "input", weights, np.array(bias, dtype=np.int64), requantizer)
    return IntegerNetwork((len(values[0]),), ActivationGrid(2, 1.0, 1), (layer,))


@settings(deadline=None)
@given(networks())
def test_parts_sum_to_the_file(network: IntegerNetwork) -> None:
    packed = pack(network, AUTO)
    assert packed.memory_bytes == len(packed.data)
    assert sum(packed.memory_bits.values()) == 8 * packed.memory_bytes
    in_layers = sum(
        layer.packed_bits + layer.bias_bits + layer.requantizer_bits + layer.header_bits
        for layer in packed.layers
    )
    grid = 4 + network.input_grid.bits
    with_numbers = [n for n in network.nodes if isinstance(n, Layer | Add | Concat | AveragePool)]
    count = 2 * (len(with_numbers) + 1).bit_length() - 1
    total = grid + count + in_layers + packed.stream_bits
    assert packed.memory_bytes == 8 + -(-total // 8)


@settings(deadline=None)
@given(networks())
def test_unpack_restores_every_integer(network: IntegerNetwork) -> None:
    packed = pack(network, AUTO)
    unpacked = unpack(packed.data)
    assert network.input_grid.bits == unpacked.input_bits
    assert network.input_grid.zero_point == unpacked.input_zero_point
    for layer, described, stored in zip(
        network.layers, packed.layers, unpacked.layers, strict=True
    ):
        np.testing.assert_array_equal(layer.weights.values, stored.values)
        np.testing.assert_array_equal(layer.bias, stored.bias)
        assert (described.format, described.packed_bits) == (stored.format, stored.packed_bits)


@settings(deadline=None)
@given(networks())
def test_each_layer_takes_its_smallest_format(network: IntegerNetwork) -> None:
    for layer in pack(network, AUTO).layers:
        assert layer.packed_bits == min(layer.sizes.values()) == layer.sizes[layer.format]
        ties = [name for name, bits in layer.sizes.items() if bits == layer.packed_bits]
        assert layer.format == min(ties, key=AUTO.index)


def test_a_file_derived_by_hand() -> None:
    requantizer = Requantizer(np.array([20000]), np.array([9]), ActivationGrid(2, 1.0, 1), 1, 3)
    packed = pack(_linear([[2, 0, 0], [0, 0, -3]], [0, -5], requantizer), ["csr"])
    stream = "".join(
        (
            "0001 01",  # input: 2 bits, zero point 1
            "010",  # one node: gamma code of 2
            "1",  # a layer
            "0 010 011",  # linear, 2 rows, 3 columns
            "0010 0 100",  # 3 bits, affine, zero point 4
            "0010 010",  # csr, 2 entries in ceil(lg 7) = 3 bits
            "00 01 10",  # row pointers 0 1 2 in ceil(lg 3) = 2 bits
            "00 110  10 001",  # column 0 code 6, column 2 code 1
            "000100 0000 1011",  # biases 0, -5 in 4 bits
            "1 0001 01 1 0",  # requantizer, 2 bits, zero point 1, relu, per tensor
            "00111000100000",  # 20000 - 16384 = 3616
            "0010001",  # shift 9 + 8
        )
    ).replace(" ", "")
    padded = stream.ljust(-(-len(stream) // 8) * 8, "0")
    body = int(padded, 2).to_bytes(len(padded) // 8, "big")
    assert b"DSE\x02" + zlib.crc32(body).to_bytes(4, "big") + body == packed.data
    (layer,) = packed.layers
    assert (layer.header_bits, layer.packed_bits) == (23, 16)
    assert (layer.bias_bits, layer.requantizer_bits) == (14, 30)


@pytest.mark.parametrize(
    ("bias", "width"),
    [([0, 0], 0), ([1, 0], 2), ([-1, 0], 1), ([127, -128], 8), ([128, 0], 9), ([-(2**40), 0], 41)],
)
def test_biases_take_the_smallest_width(bias: list[int], width: int) -> None:
    packed = pack(_linear([[1, 0], [0, 1]], bias), AUTO)
    assert packed.layers[0].bias_bits == 6 + 2 * width
    assert unpack(packed.data).layers[0].bias.tolist() == bias


def test_rows_share_the_high_bits_of_their_shifts() -> None:
    grid = ActivationGrid(4, 1.0, 0)
    multiplier = np.array([1 << 14, (1 << 15) - 1])
    per_row = Requantizer(multiplier, np.array([20, 23]), grid, 0, grid.max_code)
    packed = pack(_linear([[1], [2]], [0, 0], per_row), AUTO)
    assert packed.layers[0].requantizer_bits == 1 + 1 + 4 + 4 + 1 + 2 * 14 + 7 + 3 + 2 * 2
    stored = unpack(packed.data).layers[0].requantizer
    assert stored is not None
    assert (stored.multiplier, stored.shift) == (tuple(multiplier.tolist()), (20, 23))


def test_a_joining_graph_derived_by_hand() -> None:
    weights = IntegerWeights(np.array([[[[1]]]], dtype=np.int32), 1, 0, np.ones(1))
    grid = ActivationGrid(2, 1.0, 1)
    halving = Requantizer(np.array([1 << 14]), np.array([15]), grid, 1, 2, leak=3)
    zeros = np.zeros(1, dtype=np.int64)
    first = Layer("a", "input", weights, zeros, halving, ConvGeometry())
    again = replace(first, name="b", source="a", shares="a", requantizer=None)
    add = Add("s", ("input", "a"), (1 << 14, 3), halving)
    concat = Concat("c", ("s", "input"), (None, halving))
    mean = AveragePool("m", "c", (1, 1), (1, 1), (0, 0), None)
    network = IntegerNetwork((1, 1, 1), grid, (first, add, concat, mean, again))
    packed = pack(network, ["dense"])
    numbers = "1 0001 01 01 01 10 0011 0" + "0" * 14 + "0010111"  # clamp 1..2, leak 3, shift 15 + 8
    stream = "".join(
        (
            "0001 01",  # input
            "00110",  # five nodes: gamma code of 6
            "1  1 1 1 1 1  0000 0 0  0000  1  000000",  # layer, 1 bit, zero 0, dense, code 1
            numbers,
            "010 010 100000000000000 000000000000011",  # add, two sources, multipliers 2^14 and 3
            numbers,
            "00100 010 0",  # concat, two sources, the first free
            numbers,
            "00101 0",  # average pool without requantizer
            "011 1 000000 0",  # shared layer, owner 0, no bias, accumulators
        )
    ).replace(" ", "")
    body = int(stream.ljust(-(-len(stream) // 8) * 8, "0"), 2).to_bytes(-(-len(stream) // 8), "big")
    assert body == packed.data[8:]
    shared = packed.layers[1]
    assert (shared.packed_bits, shared.header_bits, shared.bias_bits) == (0, 4, 6)
    assert packed.memory_bits["weights"] == 1


@pytest.mark.parametrize("seed", [1, 2])
def test_every_damaged_byte_is_refused(seed: int) -> None:
    data = pack(random_network(seed), AUTO).data
    rng = np.random.default_rng(seed)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= int(rng.integers(1, 256))
        with pytest.raises(InputError, match="packed model"):
            unpack(bytes(damaged))


@pytest.mark.parametrize("seed", [1, 2])
def test_truncated_and_extended_files_are_refused(seed: int) -> None:
    data = pack(random_network(seed), AUTO).data
    for kept in range(len(data)):
        with pytest.raises(InputError, match="packed model"):
            unpack(data[:kept])
    for more in (b"\0", b"\xff", data):
        with pytest.raises(InputError, match="checksum"):
            unpack(data + more)


def test_nonsense_with_a_valid_checksum_is_refused() -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for size in range(1, 200):
        stream = rng.bytes(size)
        # 11 leading bits: an input grid of 2 bits and one layer; the rest is random
        stream = bytes([0b00010101, 0b00000000 | stream[0] & 31]) + stream[1:]
        with pytest.raises(InputError, match="malformed"):
            unpack(b"DSE\x02" + zlib.crc32(stream).to_bytes(4, "big") + stream)
        refused += 1
    assert refused == 199


def test_unknown_and_missing_formats() -> None:
    network = random_network(0)
    with pytest.raises(InputError, match=r"no storage format 'bitmpa'; did you mean 'bitmap'\?"):
        pack(network, ["coo", "bitmpa"])
    with pytest.raises(InputError, match="no storage format is allowed"):
        pack(network, [])


def test_dense_alone_cannot_hold_absent_mid_rise_weights() -> None:
    values = np.array([[1, 0]], dtype=np.int32)
    weights = IntegerWeights(values, 1, 0, np.ones(1), mid_rise=True)
    layer = Layer("fc", "input", weights, np.zeros(1, dtype=np.int64), None)
    network = IntegerNetwork((2,), ActivationGrid(2, 1.0, 1), (layer,))
    with pytest.raises(InputError, match=r"fc: none of the storage formats dense can hold"):
        pack(network, ["dense"])
    assert "dense" not in pack(network, AUTO).layers[0].sizes


@pytest.mark.parametrize(("bits", "most"), [(4, 7300), (8, 10600)])
def test_overhead_of_a_lenet5_stays_small(bits: int, most: int) -> None:
    packed = pack(lenet5(bits, density=0.1), AUTO)
    parts = packed.memory_bits
    print(f"\n{bits} bits, random 90 % mask: {packed.memory_bytes} bytes, bits {dict(parts)}")
    assert packed.memory_bytes <= most
    assert parts["header"] + parts["requantization"] <= 8 * 80


def test_quick_formats_are_those_without_a_loop_over_the_weights() -> None:
    assert set(quick(lenet5(4, 0.5), AUTO)) == set(AUTO) - {"arithmetic"}


def test_where_the_quick_formats_cannot_hold_a_layer_all_are_needed() -> None:
    """Absent mid-rise weights cannot be dense: only the arithmetic code is left."""
    values = np.array([[1, 0, -1]], dtype=np.int32)
    weights = IntegerWeights(values, 1, 0, np.ones(1), mid_rise=True)
    layer = Layer("fc", "input", weights, np.array([1], dtype=np.int64), None)
    network = IntegerNetwork((3,), ActivationGrid(2, 1.0, 1), (layer,))
    both = ("dense", "arithmetic")
    assert quick(network, both) == both
    assert quick(network, ("dense", "csr", "arithmetic")) == ("dense", "csr")
    assert quick(network, ("arithmetic",)) == ("arithmetic",)
