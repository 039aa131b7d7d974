"""Arithmetic formulas against syntheses."""

from __future__ import annotations

import numpy as np
import pytest

from dse.fpga.arithmetic import (
    _multipliers,
    dot_lut,
    dsps_per_product,
    mac_lut,
    multiplier_formula,
    multiplier_lut,
    part_cost,
    products_per_dsp,
    requantizer_dsp,
    shift_lut,
    tree_levels,
)
from tests.fpga.cnv import golden

DSP48E1 = (25, 18)


def test_multiplier_formula_errors_are_those_published() -> None:
    errors = {pair: multiplier_formula(*pair) / lut - 1 for pair, lut in _multipliers().items()}
    assert len(errors) == 121
    assert np.median(np.abs(list(errors.values()))) == 0
    assert max(map(abs, errors.values())) <= 0.20


def test_table_comes_before_the_formula() -> None:
    assert (multiplier_lut(6, 5), multiplier_formula(6, 5)) == (30, 25)
    assert multiplier_lut(7, 7) == 6 * 7 + 1  # not in the table


def test_a_mac_by_hand() -> None:
    # 3 rows of 4 and the lowest bit, 16 bits of sum less its lowest
    assert mac_lut(4, 4, 16) == 3 * 4 + 1 + 15
    # +-x: 12 for the multiplier, 4 of them in the sum
    assert mac_lut(1, 8, 17) == 12 + 17 - 4


def test_dot_product_errors_are_those_published() -> None:
    rows = golden("dot16")
    assert len(rows) == 64
    errors = [
        abs(dot_lut(16, int(r["weight_bits"]), int(r["activation_bits"])) / int(r["lut"]) - 1)
        for r in rows
    ]
    assert np.median(errors) <= 0.08
    assert np.max(errors) <= 0.32


@pytest.mark.parametrize(("terms", "levels"), [(1, 0), (2, 1), (3, 3), (4, 4), (5, 7), (16, 26)])
def test_tree_levels(terms: int, levels: int) -> None:
    # 16: 8*1 + 4*2 + 2*3 + 1*4; 3: one adder at level 1, one at 2; 5: 2*1 + 1*2 + 1*3
    assert tree_levels(terms) == levels


def test_packing_follows_the_widest_operand() -> None:
    assert products_per_dsp(4, 4, DSP48E1) == 4
    assert products_per_dsp(4, 8, DSP48E1) == 2
    assert products_per_dsp(9, 8, DSP48E1) == 1
    assert products_per_dsp(4, 4, (18, 18)) == 1


def test_dsps_of_wide_operands() -> None:
    assert dsps_per_product(17, 16, DSP48E1) == 1
    assert dsps_per_product(17, 16, (16, 16)) == 4
    assert requantizer_dsp(24, DSP48E1) == 1
    assert requantizer_dsp(26, DSP48E1) == 2


def test_decoders_use_the_next_measured_size() -> None:
    assert part_cost("csr", 8) == (14, 16)
    assert part_cost("csr", 9) == (17, 20)
    assert part_cost("bitmap", 64) == (141, 64)
    assert part_cost("csr", 32) == (52, 64)  # twice the 16-bit one


def test_one_shift_costs_nothing_and_more_never_less() -> None:
    costs = [shift_lut(count, 8) for count in range(1, 20)]
    assert costs[0] == 0
    assert costs == sorted(costs)
