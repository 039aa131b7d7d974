"""Composed HLS builds: parts derived by hand, and what must hold for every layer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.fpga import load_device
from dse.fpga.hls import HlsLayer, compose, dot_lut

DEVICE = load_device("xc7z020")
FC = HlsLayer("fc", False, 1, 1024, 1, 1024, 1, 1, 1, 64, 32)
CONV = HlsLayer("conv", True, 3, 64, 30, 64, 1, 1, 1, 32, 32)


@pytest.mark.parametrize(
    ("terms", "weight_bits", "activation_bits", "luts"),
    [
        # XNOR: a pair's 2-bit sum reads 4 bits, one LUT; then 2 adders of 2 bits, 1 of 3
        (8, 1, 1, 4 * 1 + 2 * 2 + 1 * 3),
        # +-x of 2 bits is 3 bits; a pair's 4-bit sum reads 6 bits, 4 LUTs; then one adder of 4
        (4, 1, 2, 2 * 4 + 1 * 4),
        # 2 x 2 bits: 4 product bits of 4 inputs, 2 LUTs; then adders of 4, 4 and 5 bits
        (4, 2, 2, 4 * 2 + 2 * 4 + 5),
        # one term is its product
        (1, 1, 1, 1),
        # 8 x 8: three multipliers of the table, an adder of 16 bits and one of 17
        (3, 8, 8, 3 * 57 + 16 + 17),
    ],
)
def test_dot_products_by_hand(
    terms: int, weight_bits: int, activation_bits: int, luts: int
) -> None:
    assert dot_lut(terms, weight_bits, activation_bits) == luts


def test_blocks_by_hand() -> None:
    # 64 PEs hold 16 * 32 = 512 words of 32 bits: one block each; 16 thresholds of 16 bits in LUTs
    assert compose([FC], DEVICE).bram18 == 64
    assert compose([FC], DEVICE).lutram == 64 * 16
    # 32 PEs of 36 words x 32 bits: 1152 bits, a block each; 4 line memories of 60 x 32 bits, a
    # block each; a FIFO of 128 x 64 bits, two
    assert compose([CONV], DEVICE).bram18 == 32 + 4 + 2


def test_what_does_not_fit_in_blocks_goes_to_luts() -> None:
    free = compose([FC], DEVICE)
    tight = compose([FC], DEVICE, blocks_taken=DEVICE.bram18 - 60)
    assert (free.bram18, tight.bram18) == (64, 60)
    # 4 memories of 32 bits x 512 words, 8 LUTs a bit and a quarter more for the multiplexer
    assert tight.lutram - free.lutram == pytest.approx(4 * 32 * 8 * 1.24, rel=0.01)


def test_depths_are_packed_before_they_go_to_luts() -> None:
    # 9 * 64 = 576 words of 32 bits: rounded to 1024 they take two blocks, packed two; 18432 words
    # are 64 blocks rounded and 36 packed
    deep = HlsLayer("deep", False, 1, 2304, 1, 256, 1, 1, 0, 1, 32)
    assert compose([deep], DEVICE).bram18 == 64
    assert compose([deep], DEVICE, DEVICE.bram18 - 40).bram18 == 36
    assert compose([deep], DEVICE, DEVICE.bram18 - 40).lutram == compose([deep], DEVICE).lutram


@given(
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([1, 2, 4, 8, 16]),
    st.sampled_from([1, 3, 9, 32]),
)
@settings(deadline=None)
def test_more_bits_and_more_parallel_cost_more(
    weights: int, codes: int, pe: int, simd: int
) -> None:
    layer = replace(CONV, weight_bits=weights, activation_bits=codes, pe=pe, simd=simd)
    luts = compose([layer], DEVICE).lut
    assert compose([replace(layer, pe=2 * pe)], DEVICE).lut > luts
    assert compose([replace(layer, activation_bits=2 * codes)], DEVICE).lut > luts
    assert compose([layer, layer], DEVICE).ff == 2 * compose([layer], DEVICE).ff


@given(st.integers(1, 64), st.integers(1, 8), st.integers(1, 8))
@settings(deadline=None)
def test_a_dot_product_grows_with_its_terms(terms: int, weights: int, codes: int) -> None:
    assert 0 < dot_lut(terms, weights, codes) < dot_lut(terms + 1, weights, codes) + codes + weights
    assert dot_lut(4 * terms, weights, codes) > dot_lut(terms, weights, codes)
