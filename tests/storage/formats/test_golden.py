"""Bit strings derived by hand for the 3x3 example of docs/formats.md, and sizes from formulas.

        w = [[0, 2, 0],      b = 3 bits, zero point 4: codes are w + 4,
             [0, 0, -3],     so 2 -> 6 = 110, -3 -> 1 = 001, 1 -> 5 = 101, 0 -> 4 = 100
             [1, 0, 0]]
Non-zero weights are at row-major positions 1, 5 and 6; the gaps before them are 1, 3 and 0.
"""

from __future__ import annotations

import numpy as np
import pytest

from dse.integer import IntegerWeights
from dse.storage import formats

from ..strategies import LENET5_SHAPES, random_weights

EXAMPLE = IntegerWeights(
    np.array([[0, 2, 0], [0, 0, -3], [1, 0, 0]], dtype=np.int32), 3, 4, np.ones(1)
)

GOLDEN = {
    # 9 codes
    "dense": ("100 110 100  100 100 001  101 100 100", 0, 0),
    # row and column in 2 bits each, code
    "coo": ("00 01 110  01 10 001  10 00 101", 3, 0),
    # pointers 0 1 2 3 in ceil(lg 4) = 2 bits, then column and code
    "csr": ("00 01 10 11  01 110  10 001  00 101", 3, 0),
    # columns hold one weight each: pointers 0 1 2 3, then row and code: (2,0), (0,1), (1,2)
    "csc": ("00 01 10 11  10 101  00 110  01 001", 3, 0),
    "bitmap": ("010 001 100  110 001 101", 0, 0),
    # r = 1: gap 1 fits, gap 3 = one filler (covers 2) and 1 left, gap 0: 4 entries * 4 = 16 bits;
    # r = 2: all fit, 3 entries * 5 = 15 bits, the best (r = 3: 18). Header holds r - 1 = 1.
    "runlength": ("01 110  11 001  00 101", 3, 1),
    # k = 0: 3 + sum of gaps 4 = 7 bits; k = 1: 6 + (0 + 1 + 0) = 7 bits, no better: k = 0.
    # unary 1, 3, 0 = 01 0001 1, then the codes
    "rice": ("01 0001 1  110 001 101", 3, 0),
}

# The same places on the mid-rise grid of 1 bit: -1 -> 0, +1 -> 1; w = [[0,1,0],[0,0,-1],[1,0,0]]
MID_RISE = IntegerWeights(
    np.array([[0, 1, 0], [0, 0, -1], [1, 0, 0]], dtype=np.int32), 1, 0, np.ones(1), mid_rise=True
)

MID_RISE_GOLDEN = {
    "coo": ("00 01 1  01 10 0  10 00 1", 3, 0),
    "csr": ("00 01 10 11  01 1  10 0  00 1", 3, 0),
    "csc": ("00 01 10 11  10 1  00 1  01 0", 3, 0),
    "bitmap": ("010 001 100  1 0 1", 0, 0),
    # r = 1: gap 1 is the filler's mark and covers 1: gaps 1, 3, 0 need 1 + 3 + 0 fillers,
    # 7 entries * 2 = 14 bits; r = 2: mark 3 covers 3: 0 + 1 + 0 fillers, 4 * 3 = 12; r = 3: 3 * 4
    # = 12, no better.
    "runlength": ("01 1  11 0  00 0  00 1", 4, 1),
    "rice": ("01 0001 1  1 0 1", 3, 0),
}


def _bits(text: str) -> list[int]:
    return [int(bit) for bit in text.replace(" ", "")]


@pytest.mark.parametrize("name", GOLDEN)
def test_affine_example(name: str) -> None:
    text, count, parameter = GOLDEN[name]
    encoded = formats.registry()[name].encode(EXAMPLE)
    assert (_bits(text), count, parameter) == (
        encoded.bits.tolist(),
        encoded.count,
        encoded.parameter,
    )


@pytest.mark.parametrize("name", MID_RISE_GOLDEN)
def test_mid_rise_example(name: str) -> None:
    text, count, parameter = MID_RISE_GOLDEN[name]
    encoded = formats.registry()[name].encode(MID_RISE)
    assert (_bits(text), count, parameter) == (
        encoded.bits.tolist(),
        encoded.count,
        encoded.parameter,
    )


def test_dense_has_no_code_for_an_absent_weight() -> None:
    assert not formats.registry()["dense"].supports(MID_RISE)


def test_a_filler_on_the_affine_grid_is_the_code_of_zero() -> None:
    # One row of 9: gap 8. r = 1: 4 fillers, 5 entries * 17; r = 2: 2 fillers, 3 * 18 = 54;
    # r = 3: 1 filler (covers 8) and gap 0, 2 * 19 = 38; r = 4: 1 * 20, the best.
    values = np.array([[0] * 8 + [1]], dtype=np.int32)
    encoded = formats.registry()["runlength"].encode(IntegerWeights(values, 16, 3, np.ones(1)))
    assert encoded.bits.tolist() == _bits("1000 0000000000000100")
    # At 1 bit, gap 15: r = 4 takes 5 bits, r = 3 takes 1 filler more: 2 * 4 = 8; with gap 1023
    # r = 8: 3 fillers, 4 * 9 = 36; r = 7: 7 fillers, 8 * 8 = 64.
    values = np.array([[0] * 1023 + [1]], dtype=np.int32)
    encoded = formats.registry()["runlength"].encode(IntegerWeights(values, 1, 0, np.ones(1)))
    assert encoded.bits.tolist() == _bits("11111111 0" * 3 + "11111111 1")


@pytest.mark.parametrize("bits", [4, 8])
def test_sizes_of_a_random_lenet5_follow_the_formulas(bits: int) -> None:
    rng = np.random.default_rng(0)
    layers = [random_weights(shape, bits, rng) for shape in LENET5_SHAPES]
    nnz = [layer.nonzeros for layer in layers]
    index_bits = [3 + 0 + 3 + 3, 4 + 3 + 3 + 3, 7 + 4 + 3 + 3, 7 + 7, 4 + 7]
    expected = {
        "dense": 61470 * bits,
        "coo": sum(n * (bits + index) for n, index in zip(nnz, index_bits, strict=True)),
        "bitmap": 61470 + sum(nnz) * bits,
    }
    registry = formats.registry()
    total = {name: sum(registry[name].size_bits(layer) for layer in layers) for name in registry}
    assert expected == {name: total[name] for name in expected}
    best = sum(min(formats.sizes(layer, registry).values()) for layer in layers)
    print(f"\n{bits} bits, random 90 % mask: {total}, best per layer {best}")
    # entropy of the mask: 0.469 bits per weight at density 0.1
    density = sum(nnz) / 61470
    entropy = -density * np.log2(density) - (1 - density) * np.log2(1 - density)
    bound = 61470 * entropy + sum(nnz) * bits
    assert 0.99 * bound < best < 1.03 * bound  # a little less where the codes are not uniform
