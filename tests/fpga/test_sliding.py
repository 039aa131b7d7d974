"""Sliding windows: registers counted by hand, and what a plan must hold for every folding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.fpga import describe
from dse.fpga.foldings import window_plans
from dse.fpga.sliding import Plan, window_block, window_plan
from dse.fpga.sparse import divisors
from dse.fpga.workload import Window
from tests.fpga.networks import Bits, lenet5, packed


def _square(kernel: int, padding: int, size: int) -> Window:
    out = size + 2 * padding - kernel + 1
    both = (size, size), (out, out)
    return Window((kernel, kernel), (1, 1), (padding, padding), (1, 1), *both)


def test_registers_of_a_window_by_hand() -> None:
    # LeNet-5's conv1, five codes a cycle: a word of five pixels of one channel in a row, so five
    # memories, of 6 rows x 6 words. One word per kernel row, so no count of words.
    # Kernel row 3 bits; three columns of 28 + 4 + 5 + 1 states and a sign, 7 each; two rows, 7
    # each; rows ahead 6 + 28 + 5 + 1 states and a sign, 7; five addresses of 36 + 6 + 1 + 1 states
    # and a sign, 7 each; two phases and a bank of 3 bits; a flag, five columns and a row inside.
    control = 3 + 3 * 7 + 2 * 7 + 7 + 5 * 7 + 3 * 3 + 1 + 5 + 1
    found = window_plan(_square(5, 2, 28), 1, 5, 0.5)
    assert found == Plan(5, 5, 36, control, 3, 5 * 7, 0)
    # yosys 0.70 keeps 115 registers with 4 bits a code, 20 of them the word: one less
    assert control + 20 == 116


@pytest.mark.parametrize(
    ("simd", "codes", "wide"),
    [
        (6, 6, 0),  # a pixel, as wanted
        (30, 30, 0),  # a row of five
        (15, 30, 30),  # handed on in two halves
        (75, 150, 150),  # the whole window in two halves
        (25, 30, 150),  # five words of the window are six of the unit
    ],
)
def test_words_behind_a_window_by_hand(simd: int, codes: int, wide: int) -> None:
    found = window_plan(_square(5, 0, 14), 6, simd, 0.5)
    assert (found.codes, found.wide) == (codes, wide)


@given(
    channels=st.integers(1, 12),
    kernel=st.integers(2, 5),
    more=st.integers(0, 6),
    share=st.floats(0, 1),
    draw=st.data(),
)
def test_a_window_holds_what_its_kernel_needs(
    channels: int, kernel: int, more: int, share: float, draw: st.DataObject
) -> None:
    window = _square(kernel, 0, kernel + more)
    simd = draw.draw(st.sampled_from(divisors(channels * kernel * kernel)))
    found = window_plan(window, channels, simd, share)
    together, pixels, lines = window_block(channels, window.kernel, simd)
    assert found.codes == together * pixels * lines >= simd
    assert found.banks == pixels * lines
    # a row more than the kernel has, so that one may come in
    held = found.depth * found.banks * together
    assert held >= (kernel + 1) * window.input_size[1] * channels
    assert found.wide % simd == 0
    assert found.wide % found.codes == 0
    slower = window_plan(window, channels, simd, min(1.0, share + 0.5))
    assert slower.depth >= found.depth


def test_every_folding_has_its_window_and_linear_layers_have_none() -> None:
    network = lenet5(Bits())
    for layer in describe(network, packed(network)).layers:
        plans = window_plans(layer)
        foldings = len(divisors(layer.out_channels)) * len(divisors(layer.columns))
        assert plans.shape == (len(Plan._fields), foldings + 1)
        if layer.linear:
            assert not plans.any()
        else:
            # the last one is that of lanes, a code per cycle
            assert plans[0, -1] == 1
            assert np.all(plans[0, :-1] >= 1)
