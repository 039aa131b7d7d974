"""Calibration: ranges, histograms and the grids chosen from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dse.errors import InputError
from dse.quantize import calibrate
from dse.quantize.calibrate import (
    Observation,
    choose_grid,
    choose_input_grid,
    grid_of_range,
    observe,
)
from dse.quantize.clipping import Method

from .nets import SHAPE, SmallNet, images, small_net


def observed(net: SmallNet, batch: Tensor, batch_size: int = 500) -> dict[str, Observation]:
    return dict(observe(net.graph(SHAPE), net.layers, batch, batch_size))


def seen(*values: float) -> Observation:
    """Images of one pixel each, so that lows and highs are the values themselves."""
    ordered = np.sort(np.array(values, dtype=np.float64))
    low, high = min(ordered[0], 0.0), max(ordered[-1], 0.0)
    edges = np.linspace(low, high if high > low else 1.0, 2049)
    return Observation(ordered, ordered, np.histogram(ordered, edges)[0].astype(float), edges)


# The seed sorts the extremes of n images and takes the lows' index int(n * (1 - f)) and the
# highs' index int(n * f). f = 1 is n, one beyond the last, on which the seed crashes.
@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.75, (-2.0, 4.0)), (0.5, (-1.0, 3.0)), (1.0, (-3.0, 4.0))]
)
def test_coverage_takes_the_seeds_images(fraction: float, expected: tuple[float, float]) -> None:
    lows, highs = np.array([-3.0, -2.0, -1.0, 0.0]), np.array([1.0, 2.0, 3.0, 4.0])
    assert Observation(lows, highs, np.zeros(1), np.zeros(2)).covered(fraction) == expected


def test_extremes_are_per_image_and_sorted() -> None:
    net, batch = small_net(), images(20)
    activations = torch.relu(net.conv1(batch)).detach().flatten(1)
    found = observed(net, batch)["conv1"]
    expected = np.sort(activations.amax(1).double().numpy())
    np.testing.assert_allclose(found.highs, expected, rtol=1e-6)


def test_every_layer_and_the_input_are_observed() -> None:
    assert list(observed(small_net(), images(4))) == ["input", "conv1", "conv2", "fc1", "fc2"]


def test_the_histogram_counts_every_value() -> None:
    found = observed(small_net(), images(10))
    sizes = {"input": 64, "conv1": 256, "conv2": 24, "fc1": 8, "fc2": 3}
    assert {name: tensor.counts.sum() for name, tensor in found.items()} == {
        name: 10 * size for name, size in sizes.items()
    }


def test_the_batch_size_changes_nothing() -> None:
    net, batch = small_net(), images(20)
    whole, parts = observed(net, batch), observed(net, batch, batch_size=7)
    for name, found in whole.items():
        np.testing.assert_allclose(parts[name].highs, found.highs, rtol=1e-6)
        assert np.abs(parts[name].counts - found.counts).sum() <= 4  # float rounding at an edge


@pytest.mark.parametrize(("most", "passes"), [(1000, 2), (1 << 24, 1)])
def test_no_layer_sees_more_than_one_batch_at_a_time(
    most: int, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pass for the extremes, one for the histograms unless the tensors were kept."""
    monkeypatch.setattr(calibrate, "KEPT_VALUES", most)
    net, sizes = small_net(), []
    net.conv2.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    graph = net.graph(SHAPE)
    sizes.clear()
    observe(graph, net.layers, images(20), batch_size=8)
    assert sizes == [8, 8, 4] * passes


def test_no_images_are_refused() -> None:
    with pytest.raises(InputError, match="at least one image, but got none"):
        observed(small_net(), images(0))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused_by_tensor(value: float) -> None:
    net = small_net()
    with torch.no_grad():
        net.fc1.bias[0] = value
    with pytest.raises(InputError, match="tensor 'fc1' holds NaN or infinite values"):
        observed(net, images(4))


# 4 bits, top 15: [-3, 12] has scale 1 and zero point 3; [5, 30] is widened to [0, 30], scale 2;
# [-30, -5] to [-30, 0], zero point 15
@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [(-3.0, 12.0, 1.0, 3), (5.0, 30.0, 2.0, 0), (-30.0, -5.0, 2.0, 15), (0.0, 0.0, 1.0, 0)],
)
def test_golden_ranges(low: float, high: float, scale: float, zero_point: int) -> None:
    grid = grid_of_range(low, high, 4)
    assert (grid.scale, grid.zero_point) == (scale, zero_point)


@given(low=st.floats(-1e6, 1e6), width=st.floats(0, 1e6), bits=st.integers(1, 16))
def test_a_range_is_covered_to_half_a_step(low: float, width: float, bits: int) -> None:
    grid = grid_of_range(low, low + width, bits)
    lowest, highest = (grid.scale * (q - grid.zero_point) for q in (0, grid.max_code))
    slack = 0.5 * grid.scale * (1 + 1e-9)
    assert lowest - slack <= low
    assert low + width <= highest + slack


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0])
@pytest.mark.parametrize("method", ["mse", "minmax", "entropy", 0.75, 1.0])
@pytest.mark.parametrize("bits", [1, 8, 16])
def test_a_constant_tensor_is_held_by_its_grid(value: float, method: Method, bits: int) -> None:
    constant = seen(*[value] * 10)
    grid = choose_grid(constant, bits, method)
    real = grid.scale * (int(grid.quantize(np.array([value]))[0]) - grid.zero_point)
    assert real == pytest.approx(value, abs=2e-3 * abs(value))  # a bin of 2048 and its clipping


def squared_error(found: Observation, scale: float, zero_point: int, top: int) -> float:
    codes = np.clip(np.floor(found.highs / scale + 0.5), -zero_point, top - zero_point)
    return float(np.square(found.highs - scale * codes).sum())


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
def test_least_error_clips_a_long_tail_and_beats_the_full_range(bits: int) -> None:
    values = np.abs(np.random.default_rng(0).standard_normal(5000)) ** 3
    found, top = seen(*values), (1 << bits) - 1
    chosen, full = choose_grid(found, bits, "mse"), choose_grid(found, bits, 1.0)
    assert chosen.scale < full.scale
    errors = [squared_error(found, grid.scale, grid.zero_point, top) for grid in (chosen, full)]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("bits", range(1, 17))
def test_the_inputs_scale_is_a_power_of_two(bits: int) -> None:
    grid = choose_input_grid(observed(small_net(), images())["input"], bits, "mse")
    assert math.frexp(grid.scale)[0] == 0.5


def test_eight_bit_pixels_are_their_own_codes() -> None:
    grid = choose_input_grid(observed(small_net(), images())["input"], 8, "mse")
    assert (grid.scale, grid.zero_point) == (2.0**-8, 0)


def test_centred_pixels_put_the_background_on_a_code() -> None:
    centred = (images() - 0.5) / 0.5  # the seed's Normalize(0.5, 0.5): background -1
    grid = choose_input_grid(observed(small_net(), centred)["input"], 8, "mse")
    assert (grid.scale, grid.zero_point) == (2.0**-7, 128)


@given(
    st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=60),
    st.sampled_from([1.0, 1e-3, 37.0]),
)
def test_histograms_are_torchs(values: list[float], unit: float) -> None:
    data = torch.tensor(values) * unit
    low, high = min(float(data.min()), 0.0), max(float(data.max()), 0.0)
    high = high if high > low else 1.0
    expected = torch.histc(data.double(), calibrate.BINS, low, high).numpy()
    assert np.array_equal(calibrate._histogram(data, low, high), expected)


def test_tensors_too_many_to_keep_are_computed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    net, batch = small_net(), images(20)
    kept = observed(net, batch, batch_size=8)
    monkeypatch.setattr(calibrate, "KEPT_VALUES", 1000)
    for name, again in observed(net, batch, batch_size=8).items():
        assert np.array_equal(kept[name].counts, again.counts)
        assert np.array_equal(kept[name].edges, again.edges)
