"""Weight grids: zeros stay zero, the zero point is a code, the error is the least tried."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.errors import InputError
from dse.quantize.weights import quantize_weights, wants_mid_rise, weights_on_grid

BITS = st.integers(1, 16)


@st.composite
def float_weights(draw: st.DrawFn) -> np.ndarray:
    """Weights (6, 5) of any magnitude, of both signs or one, some of them zero."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.standard_normal((6, 5)) * 10.0 ** draw(st.integers(-8, 4))
    sign = draw(st.sampled_from([0, 1, -1]))
    values = np.abs(values) * sign if sign else values
    return values * (rng.random((6, 5)) < draw(st.sampled_from([0.0, 0.2, 1.0])))


def squared_error(values: np.ndarray, bits: int, mid_rise: bool) -> float:
    held = quantize_weights(values, bits, mid_rise)
    return float(np.square(values - held.scale * held.values).sum())


@given(values=float_weights(), bits=BITS, mid_rise=st.booleans())
def test_zeros_stay_zero(values: np.ndarray, bits: int, mid_rise: bool) -> None:
    assert (quantize_weights(values, bits, mid_rise).values[values == 0] == 0).all()


@given(values=float_weights(), bits=BITS)
def test_mid_rise_keeps_every_weight_that_is_present_and_its_sign(
    values: np.ndarray, bits: int
) -> None:
    held = quantize_weights(values, bits, mid_rise=True)
    np.testing.assert_array_equal(np.sign(held.values), np.sign(values))


@given(values=float_weights(), bits=BITS)
def test_the_error_is_not_above_that_of_the_full_range(values: np.ndarray, bits: int) -> None:
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    top = (1 << bits) - 1
    scale = (high - low) / top or 1.0
    zero_point = np.clip(np.floor(-low / scale + 0.5), 0, top)
    nearest = np.clip(np.floor(values / scale + 0.5), -zero_point, top - zero_point)
    full = float(np.square(values - scale * nearest).sum())
    assert squared_error(values, bits, mid_rise=False) <= full * (1 + 1e-9)


# 2 bits over one sign: the zero point is the lowest code, or the highest
@pytest.mark.parametrize(("sign", "zero_point", "codes"), [(1, 0, [0, 1, 3]), (-1, 3, [3, 2, 0])])
@pytest.mark.parametrize("bits", [2, 12])
def test_the_zero_point_of_weights_of_one_sign_is_a_limit(
    sign: int, zero_point: int, codes: list[int], bits: int
) -> None:
    held = quantize_weights(sign * np.array([[0.0, 1.0, 3.0]]), bits, mid_rise=False)
    unit = ((1 << bits) - 1) // 3
    assert held.zero_point == zero_point * unit
    assert held.codes().tolist() == [[code * unit for code in codes]]


# mean |w| of 1, 2, 6 is 3; the zero is absent
def test_one_bit_mid_rise_is_the_sign_times_the_mean_magnitude() -> None:
    held = quantize_weights(np.array([[1.0, -2.0], [0.0, 6.0]]), 1, mid_rise=True)
    assert held.scale.tolist() == [3.0]
    assert held.values.tolist() == [[1, -1], [0, 1]]


@pytest.mark.parametrize("mid_rise", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 8, 16])
def test_a_layer_without_weights_is_all_zero(bits: int, mid_rise: bool) -> None:
    held = quantize_weights(np.zeros((2, 3)), bits, mid_rise)
    assert held.nonzeros == 0
    assert held.scale[0] > 0


def test_more_bits_lose_less() -> None:
    values = np.random.default_rng(0).standard_normal((20, 20))
    errors = [squared_error(values, bits, mid_rise=False) for bits in range(2, 17)]
    assert errors == sorted(errors, reverse=True)


# scales 1 and 10 per row, zero point 4 of 3 bits: integers -4..3
def test_a_scale_per_row() -> None:
    values = np.array([[1.0, -9.0, 0.0], [10.0, -16.0, 90.0]])
    held = weights_on_grid(values, 3, 4, np.array([1.0, 10.0]), mid_rise=False)
    assert held.values.tolist() == [[1, -4, 0], [1, -2, 3]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(InputError, match="weights must be finite"):
        quantize_weights(np.array([[1.0, value]]), 8, mid_rise=False)


@pytest.mark.parametrize(
    ("bits", "pruned", "sparse_storage", "expected"),
    [
        (1, 0.0, True, True),
        (1, 0.0, False, True),  # {-1, +1} needs no zero
        (1, 0.9, True, True),
        (1, 0.9, False, False),  # a pruned weight must be stored, so zero must be a code
        (2, 0.0, True, False),
        (2, 0.4, True, False),
        (2, 0.5, True, True),
        (2, 0.9, False, False),
        (3, 0.9, True, False),
    ],
)
def test_the_mid_rise_grid_is_for_few_bits_and_absent_weights(
    bits: int, pruned: float, sparse_storage: bool, expected: bool
) -> None:
    weight = np.ones((10, 10))
    weight.reshape(-1)[: int(100 * pruned)] = 0
    assert wants_mid_rise(weight, bits, sparse_storage) is expected
