"""Generated Verilog against numpy, and its cycles against the cost model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from dse.fpga.sparse import lane_words
from tests.fpga.simulation import random_unit, run_dense, run_sparse

pytestmark = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="iverilog is not installed"
)


@pytest.mark.parametrize(
    ("shape", "bits", "folding"),
    [
        ((8, 12), (4, 4), (2, 3)),
        ((8, 12), (1, 1), (4, 6)),
        ((6, 10), (1, 3), (3, 5)),
        ((6, 10), (8, 2), (1, 1)),
        ((4, 8), (2, 8), (4, 8)),
        ((16, 9), (16, 16), (2, 9)),
        ((5, 7), (3, 5), (5, 1)),
    ],
)
def test_dense_units_are_exact_and_take_the_cycles_of_the_model(
    shape: tuple[int, int], bits: tuple[int, int], folding: tuple[int, int], tmp_path: Path
) -> None:
    unit = random_unit(shape, bits)
    found, cycles = run_dense(unit, folding, tmp_path)
    words = shape[0] // folding[0] * shape[1] // folding[1]
    wrapped = (unit.expected + (1 << 23)) % (1 << 24) - (1 << 23)
    assert found.tolist() == wrapped.tolist()
    assert np.diff(cycles).tolist() == [words] * (len(cycles) - 1)


def test_the_first_vector_leaves_two_cycles_after_its_last_word(tmp_path: Path) -> None:
    # 4 * 4 words are read in cycles 0..15; registers of the word and of the sum follow
    _, cycles = run_dense(random_unit((8, 12), (4, 4)), (2, 3), tmp_path)
    assert cycles[0] == 15 + 2


@pytest.mark.parametrize("stall", [2, 3, 7])
def test_dense_units_wait_for_both_sides(stall: int, tmp_path: Path) -> None:
    unit = random_unit((8, 12), (4, 4))
    found, _ = run_dense(unit, (2, 3), tmp_path, stall)
    assert found.tolist() == unit.expected.tolist()


@pytest.mark.parametrize(
    ("shape", "bits", "lanes", "density"),
    [
        ((8, 40), (4, 4), 2, 0.3),
        ((8, 40), (4, 4), 8, 0.3),
        ((16, 36), (8, 8), 4, 0.05),
        ((6, 10), (2, 3), 1, 0.9),
        ((12, 25), (3, 1), 3, 0.5),
    ],
)
def test_sparse_lanes_are_exact_and_take_the_cycles_of_the_model(
    shape: tuple[int, int], bits: tuple[int, int], lanes: int, density: float, tmp_path: Path
) -> None:
    unit = random_unit(shape, bits, density, vectors=5)
    found, done, busiest = run_sparse(unit, lanes, tmp_path)
    assert found.tolist() == unit.expected.tolist()
    layouts = [count for count in range(1, shape[0] + 1) if shape[0] % count == 0]
    nonzeros = np.count_nonzero(unit.weights, axis=1)
    words = lane_words(nonzeros, np.array([1]))[0, layouts.index(lanes)]
    assert busiest == words
    # a code is taken per cycle, so a vector takes its columns at least
    assert np.diff(done).tolist() == [max(words, shape[1])] * (len(done) - 1)
