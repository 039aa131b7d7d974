"""Tests of the memory files that Verilog reads, beside what the simulations show of them."""

import numpy as np
import pytest

from dse.fpga.verilog import sparse_files

BIAS = np.array([1, -1])


def test_a_row_without_weights_holds_one_zero() -> None:
    """Lane 0 has row 0, whose weight 3 is in column 1; lane 1 has row 1, which has none."""
    files, rows, depth = sparse_files("unit", np.array([[0, 3], [0, 0]]), BIAS, 2, (3, 8))
    assert (rows.tolist(), depth) == ([[0], [1]], 1)
    assert [int(word, 16) for word in files["unit_000.mem"]] == [1 << 3 | 3]
    assert [int(word, 16) for word in files["unit_001.mem"]] == [0]


def test_a_row_without_weights_is_refused_at_one_bit() -> None:
    with pytest.raises(ValueError, match="unit: a row without weights needs a zero"):
        sparse_files("unit", np.array([[1, -1], [0, 0]]), BIAS, 2, (1, 8))
