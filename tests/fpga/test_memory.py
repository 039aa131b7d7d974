"""Memory rules against syntheses and vendor reports."""

from __future__ import annotations

import math

import numpy as np

from dse.fpga import load_device
from dse.fpga.memory import (
    bram18,
    buffer,
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
