"""Grids: real values to codes and back, and which integers a grid refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from dse.integer import ActivationGrid, IntegerWeights

from .strategies import generators, grids, weights_of_shape


@given(grid=grids(), rng=generators())
def test_codes_are_the_nearest_or_the_limit(grid: ActivationGrid, rng: np.random.Generator) -> None:
    values = rng.normal(0, grid.scale * grid.max_code, 50)
    codes = grid.quantize(values)
    real = grid.scale * (codes - grid.zero_point)
    near = np.abs(real - values) <= grid.scale * (0.5 + 1e-9)
    below = (codes == 0) & (values < real)
    above = (codes == grid.max_code) & (values > real)
    assert codes.dtype == np.int64
    assert (near | below | above).all()


@given(grid=grids())
def test_zero_is_exact(grid: ActivationGrid) -> None:
    assert grid.quantize(np.zeros(1))[0] == grid.zero_point


# scale 0.5, zero point 2, 3 bits (codes 0..7): 0.25 is half a step and rounds up to 2 + 1;
# -0.25 rounds up to 2; 9 and -9 saturate.
def test_golden_codes() -> None:
    grid = ActivationGrid(3, 0.5, 2)
    assert grid.quantize(np.array([0.25, -0.25, 1.0, 9.0, -9.0])).tolist() == [3, 2, 4, 7, 0]


def test_nan_has_no_code() -> None:
    with pytest.raises(ValueError, match="cannot quantize NaN"):
        ActivationGrid(8, 1.0, 0).quantize(np.array([0.0, math.nan]))


@pytest.mark.parametrize(
    ("bits", "scale", "zero_point", "message"),
    [
        (0, 1.0, 0, r"bits must be in 1\.\.16, but got 0"),
        (17, 1.0, 0, r"bits must be in 1\.\.16, but got 17"),
        (8, 0.0, 0, "scale must be positive and finite"),
        (8, -1.0, 0, "scale must be positive and finite"),
        (8, math.inf, 0, "scale must be positive and finite"),
        (8, math.nan, 0, "scale must be positive and finite"),
        (4, 1.0, -1, r"zero point must be a code in 0\.\.15, but got -1"),
        (4, 1.0, 16, r"zero point must be a code in 0\.\.15, but got 16"),
    ],
)
def test_bad_activation_grids_are_refused(
    bits: int, scale: float, zero_point: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ActivationGrid(bits, scale, zero_point)


@given(weights=weights_of_shape((3, 4)))
def test_codes_are_unsigned_and_give_the_present_weights_back(weights: IntegerWeights) -> None:
    codes = weights.codes()
    assert codes.min() >= 0
    assert codes.max() < 1 << weights.bits
    back = IntegerWeights.values_of(codes, weights.bits, weights.zero_point, weights.mid_rise)
    present = (weights.values != 0) | (not weights.mid_rise)
    np.testing.assert_array_equal(back[present], weights.values[present])


@given(weights=weights_of_shape((4, 5)))
def test_density_is_the_share_of_nonzeros(weights: IntegerWeights) -> None:
    assert weights.nonzeros == (weights.values != 0).sum()
    assert weights.density == weights.nonzeros / 20


def test_one_bit_mid_rise_is_minus_and_plus_one() -> None:
    weights = IntegerWeights(np.array([[-1, 0, 1]], dtype=np.int32), 1, 0, np.ones(1), True)
    assert weights.codes().tolist() == [[0, 0, 1]]


def weights_with(**changes: Any) -> IntegerWeights:
    arguments: dict[str, Any] = {
        "values": np.zeros((2, 3), dtype=np.int32),
        "bits": 2,
        "zero_point": 0,
        "scale": np.ones(1),
        "mid_rise": False,
    }
    return IntegerWeights(**{**arguments, **changes})


def integers(*values: int) -> np.ndarray:
    return np.array([values], dtype=np.int32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bits": 0}, "bits must be in"),
        ({"bits": 17}, "bits must be in"),
        ({"values": np.zeros((2, 3))}, "must be int32, but got float64"),
        ({"values": np.zeros(3, dtype=np.int32)}, "at least 2 dimensions, but got 1"),
        ({"scale": np.ones(3)}, r"shape \(1,\) or \(2,\), but got \(3,\)"),
        ({"scale": np.ones(())}, r"shape \(1,\) or \(2,\), but got \(\)"),
        ({"scale": np.array([1.0, 0.0])}, "scales must be positive and finite"),
        ({"scale": np.array([math.nan])}, "scales must be positive and finite"),
        ({"zero_point": -1}, r"zero point must be a code in 0\.\.3, but got -1"),
        ({"zero_point": 4}, r"zero point must be a code in 0\.\.3, but got 4"),
        ({"values": integers(-1)}, r"affine weights must lie in 0\.\.3"),
        ({"values": integers(3), "zero_point": 1}, r"affine weights must lie in -1\.\.2"),
        ({"values": integers(2), "mid_rise": True}, r"must be odd and within \+-3"),
        ({"values": integers(-5), "mid_rise": True}, r"must be odd and within \+-3"),
        ({"zero_point": 1, "mid_rise": True}, "mid-rise zero point must be 0, but got 1"),
    ],
)
def test_bad_weights_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weights_with(**changes)
