"""Memory rules against syntheses and vendor reports."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dse.fpga import load_device
from dse.fpga.memory import (
    bram18,
    buffer,
    constant_luts,
    distinct_bits,
    fifo_luts,
    lut_rom,
    uram,
    weight_bram18,
)
from tests.fpga.cnv import golden

DEVICE = load_device("xc7z020")


def _column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([int(row[name]) for row in rows])


def test_bram_rule_is_exact_on_67_syntheses() -> None:
    rows = golden("rom")
    assert len(rows) == 67
    found = bram18(_column(rows, "width"), _column(rows, "depth"), DEVICE)
    assert found.tolist() == _column(rows, "bram18").tolist()


def test_lut_rom_median_error_is_zero_on_small_memories() -> None:
    rows = golden("lut_rom")
    width, depth, measured = (_column(rows, name) for name in ("width", "depth", "lut"))
    assert np.median(lut_rom(width, depth, DEVICE) / measured - 1) == 0


@pytest.mark.parametrize(
    ("count", "depth", "ones"),
    [(60, 10, 0.5), (180, 14, 0.1), (45, 10, 0.1), (24, 2, 0.5), (9, 1, 0.5)],
)
def test_bits_that_differ_are_those_of_random_constants(
    count: int, depth: int, ones: float
) -> None:
    rng, seen = np.random.default_rng(depth), []
    for _ in range(400):
        columns = {tuple(column) for column in rng.random((count, depth)) < ones}
        seen.append(len(columns - {(True,) * depth, (False,) * depth}))
    found = float(distinct_bits(np.array([count]), np.array([depth]), ones)[0])
    # what is neglected, equal bits with several ones, is some per cent where few weights are left
    assert np.mean(seen) <= found <= 1.15 * np.mean(seen) + 0.2


def test_constants_of_two_words_are_two_bits_at_most() -> None:
    # a bit of two words is 0, 1, the address or its complement
    found = distinct_bits(np.array([1, 1000]), np.array([2, 2]))
    assert found[0] == pytest.approx(0.5)
    assert found[1] == 2
    # 30 bits of 20 words, two to a LUT; 65 words need a second LUT
    luts = constant_luts(np.array([30, 30]), np.array([20, 65]), DEVICE)
    assert luts.tolist() == [15, 60]


def test_hand_derived_blocks() -> None:
    # 36 x 512 is one block; 37 bits need a second 512x36; 16K x 1 is one; 513 words need 1024 x 18
    width, depth = np.array([36, 37, 1, 18, 19]), np.array([512, 512, 16384, 513, 513])
    assert bram18(width, depth, DEVICE).tolist() == [1, 2, 1, 1, 2]
    assert weight_bram18(np.array([18]), np.array([600]), DEVICE).tolist() == [1]
    assert weight_bram18(np.array([36]), np.array([513]), DEVICE).tolist() == [2]


def test_uram_is_4k_by_72() -> None:
    assert uram(np.array([72, 73]), np.array([4096, 4097])).tolist() == [1, 4]


def test_small_and_shallow_buffers_stay_in_luts() -> None:
    luts, blocks = buffer(np.array([8, 256, 8]), np.array([128, 64, 200]), DEVICE)
    # RAM64M are 3 bits of 64 words in 4 LUTs: 4 * 3 * 2, 4 * 86; 1600 bits go to a block
    assert luts.tolist() == [24, 344, 0]
    assert blocks.tolist() == [0, 0, 1]


def test_fifo_formula() -> None:
    # 2 lg 32 + 1 * 8/2
    assert fifo_luts(np.array([8]), 32).tolist() == [14]


def test_four_input_luts_hold_a_quarter() -> None:
    ice = load_device("ice40up5k")
    width, depth = np.array([4]), np.array([64])
    assert lut_rom(width, depth, ice)[0] == 4 * lut_rom(width, depth, DEVICE)[0]
    assert math.prod(ice.bram_shapes[0]) == 4096
