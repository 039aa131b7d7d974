"""Requantization equals exact rational arithmetic, for every width and shift."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.integer import LINEAR, RELU, ActivationGrid, Nonlinearity, Requantizer
from dse.integer.requantize import MAX_LEAK, MAX_SHIFT, MIN_SHIFT

from .strategies import grids

WIDEST = 1 << 45  # 46 bits with sign
ACCUMULATORS = st.one_of(
    st.integers(-WIDEST, WIDEST - 1),
    st.integers(-(1 << 20), 1 << 20),
    st.sampled_from([-WIDEST, WIDEST - 1, -1, 0, 1]),
)
MULTIPLIERS = st.one_of(st.integers(1 << 14, (1 << 15) - 1), st.sampled_from([1 << 14, 32767]))
GRID = ActivationGrid(8, 1.0, 100)


def requantizer(multiplier: int, shift: int, grid: ActivationGrid, relu: bool) -> Requantizer:
    ends = (RELU if relu else LINEAR).codes(grid)
    return Requantizer(np.array([multiplier]), np.array([shift]), grid, *ends)


def exact(accumulator: int, multiplier: int, shift: int, grid: ActivationGrid, relu: bool) -> int:
    """z + floor(acc * M0 / 2^n + 1/2), clamped, in rational numbers."""
    real = accumulator * multiplier * Fraction(2) ** -shift
    code = grid.zero_point + floor(real + Fraction(1, 2))
    return max(grid.zero_point if relu else 0, min(grid.max_code, code))


@settings(max_examples=300, deadline=None)
@given(
    accumulators=st.lists(ACCUMULATORS, min_size=1, max_size=20),
    multiplier=MULTIPLIERS,
    grid=grids(),
    relu=st.booleans(),
)
def test_every_shift_equals_rational_arithmetic(
    accumulators: list[int], multiplier: int, grid: ActivationGrid, relu: bool
) -> None:
    for shift in range(MIN_SHIFT, MAX_SHIFT + 1):
        requantize = requantizer(multiplier, shift, grid, relu)
        expected = [exact(a, multiplier, shift, grid, relu) for a in accumulators]
        assert requantize(np.array(accumulators).reshape(-1, 1))[:, 0].tolist() == expected


@settings(max_examples=200, deadline=None)
@given(
    half=st.integers(-(1 << 14), 1 << 14),
    shift=st.integers(1, 14),
    offset=st.integers(-1, 1),
)
def test_ties_round_up(half: int, shift: int, offset: int) -> None:
    # With M0 = 2^14 and n = 14 + shift, y = acc / 2^shift: (2k + 1) * 2^(shift-1) is a tie.
    accumulator = (2 * half + 1) * (1 << (shift - 1)) + offset
    grid = ActivationGrid(16, 1.0, 1 << 15)
    requantize = Requantizer(np.array([1 << 14]), np.array([14 + shift]), grid, *LINEAR.codes(grid))
    expected = exact(accumulator, 1 << 14, 14 + shift, grid, relu=False)
    assert requantize(np.array([[accumulator]])).item() == expected


def test_multipliers_and_shifts_apply_per_row() -> None:
    # row 0: 10 * 2^14 / 2^14 = 10; row 1: 10 * 2^14 / 2^15 = 5; row 2: 10 * 24576 / 2^16 = 3.75
    multiplier, shift = np.array([1 << 14, 1 << 14, 24576]), np.array([14, 15, 16])
    requantize = Requantizer(multiplier, shift, GRID, *LINEAR.codes(GRID))
    accumulators = np.full((2, 3, 1, 2), 10)
    expected = np.broadcast_to(np.array([110, 105, 104]).reshape(1, 3, 1, 1), (2, 3, 1, 2))
    np.testing.assert_array_equal(requantize(accumulators), expected)


@settings(max_examples=200, deadline=None)
@given(
    accumulators=st.lists(ACCUMULATORS, min_size=1, max_size=20),
    shift=st.integers(MIN_SHIFT, MAX_SHIFT),
    multiplier=MULTIPLIERS,
    grid=grids(),
    data=st.data(),
)
def test_leaks_and_clamps_equal_rational_arithmetic(
    accumulators: list[int], shift: int, multiplier: int, grid: ActivationGrid, data: st.DataObject
) -> None:
    leak = data.draw(st.integers(0, MAX_LEAK))
    low = data.draw(st.integers(0, grid.max_code))
    high = data.draw(st.integers(low, grid.max_code))
    made = Requantizer(np.array([multiplier]), np.array([shift]), grid, low, high, leak)
    expected = []
    for accumulator in accumulators:
        real = accumulator * multiplier * Fraction(2) ** -shift
        leaked = real / (1 << leak) if accumulator < 0 else real
        expected.append(max(low, min(high, grid.zero_point + floor(leaked + Fraction(1, 2)))))
    codes = made(np.array(accumulators).reshape(-1, 1))[:, 0]
    assert codes.tolist() == expected
    rising = np.argsort(accumulators)
    assert (np.diff(codes[rising]) >= 0).all(), "max pooling may come first"


# z = 100, scale 0.05: 6 is 120 codes above, so 220; -1 and 1 are codes 80 and 120. 0.025 is half
# a code, which rounds up. A grid that ends before 6 clamps there.
@pytest.mark.parametrize(
    ("low", "high", "codes"),
    [
        (-np.inf, np.inf, (0, 255)),
        (0.0, np.inf, (100, 255)),
        (0.0, 6.0, (100, 220)),
        (-1.0, 1.0, (80, 120)),
        (-0.025, 0.025, (100, 101)),
        (-9.0, 60.0, (0, 255)),
        (1e300, 1e300, (255, 255)),
    ],
)
def test_the_ends_of_a_clamp_are_codes(low: float, high: float, codes: tuple[int, int]) -> None:
    assert Nonlinearity(low, high).codes(ActivationGrid(8, 0.05, 100)) == codes


def test_a_leak_has_the_same_single_rounding() -> None:
    # M = 1/2 and leak 2: 6 -> 3; -6 -> -6/8 = -0.75 -> -1; -4 -> -0.5 -> 0 (half up); -12 -> -1.5
    made = Requantizer(np.array([1 << 14]), np.array([15]), GRID, 0, 255, leak=2)
    found = made(np.array([6, -6, -4, -12, -13]).reshape(-1, 1))[:, 0] - 100
    assert found.tolist() == [3, -1, 0, -1, -2]


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ((5, 4, 0), "0 <= low <= high <= 255 must hold, but low is 5 and high 4"),
        ((-1, 4, 0), "low is -1"),
        ((0, 256, 0), "high 256"),
        ((0, 255, 16), r"leak must lie in 0\.\.15, but got 16"),
        ((0, 255, -1), "but got -1"),
    ],
)
def test_bad_clamps_are_refused(ends: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Requantizer(np.array([1 << 14]), np.array([0]), GRID, *ends)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1.0, 0.0, 0), "low must be at most high"), ((0.0, 1.0, 16), "leak must lie in")],
)
def test_bad_nonlinearities_are_refused(arguments: tuple[float, float, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Nonlinearity(*arguments)


# By hand, z = 100, 8 bits, M0 = 2^14 and n = 15, so y = 100 + floor(acc / 2 + 1/2): -1 gives
# 0, 1 gives +1, -3 gives -1, 309 gives +155 (the top), 311 saturates, -201 gives -100 (code 0).
@pytest.mark.parametrize(
    ("accumulator", "code", "after_relu"),
    [
        (0, 100, 100),
        (-1, 100, 100),
        (1, 101, 101),
        (-2, 99, 100),
        (-3, 99, 100),
        (309, 255, 255),
        (311, 255, 255),
        (-201, 0, 100),
        (-999, 0, 100),
    ],
)
def test_golden_values(accumulator: int, code: int, after_relu: int) -> None:
    for relu, expected in ((False, code), (True, after_relu)):
        requantize = requantizer(1 << 14, 15, GRID, relu)
        assert requantize(np.array([[accumulator]])).item() == expected


@settings(max_examples=300, deadline=None)
@given(ratio=st.floats(2.0**-47, 2.0**22), grid=grids())
def test_the_multiplier_is_within_half_a_unit_of_the_ratio(
    ratio: float, grid: ActivationGrid
) -> None:
    scale = np.array([ratio * grid.scale])
    made = Requantizer.from_scales(scale, grid)
    real = Fraction(float((scale / grid.scale)[0]))
    held = int(made.multiplier[0]) * Fraction(2) ** -int(made.shift[0])
    assert abs(held - real) <= real / (1 << 15)


# mantissa m in [1/2, 1): M0 = floor(m * 2^15 + 1/2). 32767.5 / 32768 is the smallest that
# rounds up to 2^15, which is 2^14 with the shift one less; below it M0 = 32767.
@pytest.mark.parametrize(
    ("mantissa", "multiplier", "shift"),
    [
        (0.5, 16384, 15),
        (np.nextafter(32767.5 / 32768, 0), 32767, 15),
        (32767.5 / 32768, 16384, 14),
        (np.nextafter(1.0, 0), 16384, 14),
        (1.0, 16384, 14),
    ],
)
@pytest.mark.parametrize("exponent", [-20, 0, 5])
def test_a_mantissa_that_rounds_up_carries_into_the_shift(
    mantissa: float, multiplier: int, shift: int, exponent: int
) -> None:
    made = Requantizer.from_scales(np.array([mantissa * 2.0**exponent]), GRID)
    assert (made.multiplier[0], made.shift[0]) == (multiplier, shift - exponent)


@pytest.mark.parametrize(("ratio", "shift"), [(2.0**-100, MAX_SHIFT), (2.0**40, MIN_SHIFT)])
def test_ratios_beyond_the_shifts_change_no_code(ratio: float, shift: int) -> None:
    made = Requantizer.from_scales(np.array([ratio]), GRID)
    assert made.shift[0] == shift
    accumulators = [-WIDEST, -1, 0, 1, WIDEST - 1]
    real = [
        max(0, min(255, 100 + floor(Fraction(ratio) * a + Fraction(1, 2)))) for a in accumulators
    ]
    assert made(np.array(accumulators).reshape(-1, 1))[:, 0].tolist() == real


@pytest.mark.parametrize(
    ("multiplier", "shift", "message"),
    [
        ([(1 << 14) - 1], [0], r"multiplier must lie in 16384\.\.32767"),
        ([1 << 15], [0], r"multiplier must lie in 16384\.\.32767"),
        ([1 << 14], [MIN_SHIFT - 1], r"shift must lie in -8\.\.62"),
        ([1 << 14], [MAX_SHIFT + 1], r"shift must lie in -8\.\.62"),
        ([1 << 14, 1 << 14], [0], "one-dimensional and of equal shape"),
        ([[1 << 14]], [[0]], "one-dimensional and of equal shape"),
    ],
)
def test_bad_multipliers_and_shifts_are_refused(
    multiplier: list[int], shift: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Requantizer(np.array(multiplier), np.array(shift), GRID, *LINEAR.codes(GRID))
