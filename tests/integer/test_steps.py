"""Steps lie where the codes rise; float32 pairs equal the requantizer on every accumulator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.integer import LINEAR, ActivationGrid, Requantizer
from dse.integer.bounds import AccumulatorBounds
from dse.integer.steps import FLOAT32_EXACT, in_float32, steps

from .graphs import spreading
from .strategies import generators, requantizers

GRID = ActivationGrid(4, 1.0, 3)


def bounds_of(low: list[int], high: list[int]) -> AccumulatorBounds:
    magnitude = max(*map(abs, low), *map(abs, high))
    return AccumulatorBounds(np.array(low), np.array(high), magnitude)


def test_golden_steps() -> None:
    # M = 2^14 / 2^15 = 1/2: floor(acc / 2 + 1/2) reaches -1 at -3, 0 at -1, 1 at 1, 2 at 3
    requantizer = Requantizer(np.array([1 << 14]), np.array([15]), GRID, *LINEAR.codes(GRID))
    assert steps(requantizer, -2, 2).tolist() == [[-3, -1, 1, 3]]
    # with a leak of 1, negative sums count a quarter: -1 at -6 (-1.5 rounds up), 0 at -2
    leaky = Requantizer(np.array([1 << 14]), np.array([15]), GRID, *LINEAR.codes(GRID), leak=1)
    assert steps(leaky, -2, 2).tolist() == [[-6, -2, 1, 3]]


@settings(max_examples=200, deadline=None)
@given(data=st.data(), reach=st.integers(1, FLOAT32_EXACT))
def test_codes_rise_exactly_at_the_steps(data: st.DataObject, reach: int) -> None:
    requantizer = data.draw(st.one_of(spreading(reach), requantizers(3, reach)))
    zero = requantizer.grid.zero_point
    low, high = requantizer.low - zero, requantizer.high - zero
    if high - low > 300:
        high = low + 300
    found = steps(requantizer, low, high)
    for row, (multiplier, shift) in enumerate(
        zip(requantizer.multiplier, requantizer.shift, strict=True)
    ):
        one = Requantizer(
            np.array([multiplier]),
            np.array([shift]),
            requantizer.grid,
            requantizer.low,
            requantizer.high,
            requantizer.leak,
        )
        inside = np.abs(found[row]) < FLOAT32_EXACT
        at, k = found[row][inside], np.arange(low + 1, high + 1)[inside]
        assert (one(at[:, None])[:, 0] - zero >= k).all()
        assert (one(at[:, None] - 1)[:, 0] - zero < k).all()


@settings(max_examples=200, deadline=None)
@given(data=st.data(), reach=st.integers(1, 1 << 14), rng=generators())
def test_float32_pairs_equal_the_requantizer_on_every_accumulator(
    data: st.DataObject, reach: int, rng: np.random.Generator
) -> None:
    requantizer = data.draw(st.one_of(spreading(reach), requantizers(2, reach)))
    rows = requantizer.multiplier.size
    low, high = rng.integers(-reach, 1, rows), rng.integers(0, reach + 1, rows)
    pair = in_float32(requantizer, bounds_of(low.tolist(), high.tolist()))
    if pair is None:
        return
    accumulators = np.arange(low.min(), high.max() + 1)
    inside = (accumulators[:, None] >= low) & (accumulators[:, None] <= high)
    every = np.clip(accumulators[:, None], low, high)
    zero = requantizer.grid.zero_point
    factor, offset = map(torch.from_numpy, pair)
    sums = torch.from_numpy(every.astype(np.float32))
    codes = sums.mul(factor).add_(offset).floor_()
    codes.clamp_(requantizer.low - zero, requantizer.high - zero)
    wrong = (codes.numpy() != requantizer(every) - zero) & inside
    assert not wrong.any()


@pytest.mark.parametrize(("top", "found"), [(15, True), (16, True), (22, False)])
def test_there_is_a_pair_while_an_accumulator_is_far_from_float32s_grain(
    top: int, found: bool
) -> None:
    # code 255 stands for sums near 2^top, where float32 is 2^(top - 24) fine: a step, which lies
    # anywhere between two integers, is missed by chance once the grain is no small part of 1
    rng = np.random.default_rng(0)
    grid = ActivationGrid(8, 1.0, 10)
    shift = np.full(50, 14 + top - 8)
    requantizer = Requantizer(rng.integers(1 << 14, 1 << 15, 50), shift, grid, 10, 255)
    ends = np.full(50, 1 << (top + 1))
    pair = in_float32(requantizer, bounds_of((-ends).tolist(), ends.tolist()))
    assert (pair is not None) == found


def test_what_float32_cannot_hold_has_none() -> None:
    wide = ActivationGrid(9, 1.0, 0)
    requantizer = Requantizer(np.array([1 << 14]), np.array([15]), wide, 0, 511)
    assert in_float32(requantizer, bounds_of([-5], [5])) is None
    narrow = Requantizer(np.array([1 << 14]), np.array([15]), GRID, 0, 15)
    assert in_float32(narrow, bounds_of([-5], [FLOAT32_EXACT])) is not None
    assert in_float32(narrow, bounds_of([-5], [FLOAT32_EXACT + 1])) is None
