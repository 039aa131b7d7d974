"""The reference evaluator against golden values, python's integers and scipy's correlation."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from dse.integer import (
    LINEAR,
    ActivationGrid,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    MaxPool,
    Requantizer,
    reference,
)

from .strategies import convolutions, generators, grids, layers, pools, random_codes


def weights_of(values: list[object]) -> IntegerWeights:
    array = np.array(values, dtype=np.int32)
    return IntegerWeights(array, 4, 8, np.ones(1))


def test_golden_convolution() -> None:
    # codes 0 1 2 / 3 4 5 / 6 7 8 with zero point 4 are -4 -3 -2 / -1 0 1 / 2 3 4. With padding 1
    # and stride 2, a 3x3 kernel of row sums sees at (0, 0) the window 0 0 0 / 0 -4 -3 / 0 -1 0.
    # Kernel: centre 2, right 1, below -1, bias 10:
    # (0, 0): 2*-4 + -3 - -1 + 10 = 0      (0, 1): 2*-2 + 0 - 1 + 10 = 5
    # (1, 0): 2*2 + 3 - 0 + 10 = 17        (1, 1): 2*4 + 0 - 0 + 10 = 18
    weights = weights_of([[[[0, 0, 0], [0, 2, 1], [0, -1, 0]]]])
    geometry = ConvGeometry((2, 2), (1, 1))
    # M0 = 2^14, n = 15 halves, rounding half up: 0, 2.5 -> 3, 8.5 -> 9, 9; plus zero point 1
    grid = ActivationGrid(4, 1.0, 1)
    requantizer = Requantizer(np.array([1 << 14]), np.array([15]), grid, *LINEAR.codes(grid))
    conv = Layer("conv", "input", weights, np.array([10]), requantizer, geometry)
    pool = MaxPool("pool", "conv", (2, 1), (1, 1))
    network = IntegerNetwork((1, 3, 3), ActivationGrid(4, 1.0, 4), (conv, pool))
    tensors = reference.evaluate(network, np.arange(9).reshape(1, 1, 3, 3))
    assert tensors["conv.accumulators"].tolist() == [[[[0, 5], [17, 18]]]]
    assert tensors["conv"].tolist() == [[[[1, 4], [10, 10]]]]
    assert tensors["pool"].tolist() == [[[[10, 10]]]]


def test_golden_linear() -> None:
    # codes 3 0 7 with zero point 2 are 1 -2 5: 3*1 - 2*-2 + 0*5 - 1 = 6; -8*1 + 7*-2 + 5 + 0 = -17
    layer = Layer(
        "fc", "input", weights_of([[3, -2, 0], [-8, 7, 1]]), np.array([-1, 0]), requantizer=None
    )
    network = IntegerNetwork((3,), ActivationGrid(3, 1.0, 2), (layer,))
    assert reference.evaluate(network, np.array([[3, 0, 7]]))["fc"].tolist() == [[6, -17]]


@st.composite
def single_convolutions(draw: st.DrawFn) -> IntegerNetwork:
    """One convolution whose output is its accumulators."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(2, 7)), draw(st.integers(2, 7)))
    conv = draw(convolutions("conv", "input", shape, last=True))
    return IntegerNetwork(shape, draw(grids()), (conv,))


def correlate(conv: Layer, x: np.ndarray) -> np.ndarray:
    """Accumulators (rows, y, x) of one image of codes minus zero point, by scipy in int64."""
    geometry = conv.geometry
    assert geometry is not None
    (py, px), (dy, dx), (sy, sx) = geometry.padding, geometry.dilation, geometry.stride
    padded = np.pad(x, ((0, 0), (py, py), (px, px)))
    rows, channels, ky, kx = conv.weights.shape
    kernel = np.zeros((rows, channels, dy * (ky - 1) + 1, dx * (kx - 1) + 1), dtype=np.int64)
    kernel[:, :, ::dy, ::dx] = conv.weights.values
    first = np.arange(rows) // (rows // geometry.groups) * channels
    sums = [
        signal.correlate(padded[start : start + channels], row, mode="valid", method="direct")[0]
        + bias
        for start, row, bias in zip(first, kernel, conv.bias, strict=True)
    ]
    return np.array(sums)[:, ::sy, ::sx]


@settings(max_examples=100, deadline=None)
@given(network=single_convolutions(), rng=generators())
def test_convolutions_equal_scipys_correlation(
    network: IntegerNetwork, rng: np.random.Generator
) -> None:
    codes = random_codes(network, 2, rng)
    expected = [correlate(network.layers[0], x - network.input_grid.zero_point) for x in codes]
    np.testing.assert_array_equal(reference.evaluate(network, codes)["conv"], expected)


@settings(max_examples=50, deadline=None)
@given(data=st.data(), rng=generators(), grid=grids())
def test_linear_layers_equal_pythons_integers(
    data: st.DataObject, rng: np.random.Generator, grid: ActivationGrid
) -> None:
    layer = data.draw(layers("fc", "input", (3, 5), None, last=True))
    network = IntegerNetwork((5,), grid, (layer,))
    codes = random_codes(network, 2, rng)
    rows = list(zip(layer.weights.values.tolist(), layer.bias.tolist(), strict=True))
    expected = [
        [sum(w * (q - grid.zero_point) for w, q in zip(row, x, strict=True)) + b for row, b in rows]
        for x in codes.tolist()
    ]
    assert reference.evaluate(network, codes)["fc"].tolist() == expected


def window_max(image: np.ndarray, pool: MaxPool, y: int, x: int) -> float:
    """Largest code under the window of output pixel (y, x); -inf where there is only padding."""
    top, left = (i * s - p for i, s, p in zip((y, x), pool.stride, pool.padding, strict=True))
    return max(
        image[i, j] if 0 <= i < image.shape[0] and 0 <= j < image.shape[1] else -math.inf
        for i in range(top, top + pool.kernel[0])
        for j in range(left, left + pool.kernel[1])
    )


@settings(max_examples=50, deadline=None)
@given(data=st.data(), rng=generators(), grid=grids())
def test_pools_take_the_largest_code_of_each_window(
    data: st.DataObject, rng: np.random.Generator, grid: ActivationGrid
) -> None:
    shape = (1, data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7)))
    pool = data.draw(pools("pool", "input", shape))
    network = IntegerNetwork(shape, grid, (pool,))
    codes = random_codes(network, 1, rng)
    _, height, width = network.shapes["pool"]
    expected = [[window_max(codes[0, 0], pool, y, x) for x in range(width)] for y in range(height)]
    assert reference.evaluate(network, codes)["pool"][0, 0].tolist() == expected
