"""A convolution in phases equals the convolution and the max pool behind it, on every bit."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dse.integer import (
    ActivationGrid,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    MaxPool,
    phases,
    reference,
)
from dse.integer.kernels import Evaluator

POOL = MaxPool("pool", "conv", (2, 2), (2, 2))


def integers(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randint(-9, 10, shape, generator=generator).float()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(*[st.integers(1, 4)] * 4),
    size=st.tuples(st.integers(5, 9), st.integers(5, 9)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_the_maximum_of_the_phases_is_that_of_the_windows(
    seed: int, shape: tuple[int, ...], size: tuple[int, int], padding: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, weight = integers(generator, 2, shape[1], *size), integers(generator, *shape)
    parts = phases.convolve(x, phases.phases_of(weight), padding)
    sums = F.conv2d(x, weight, padding=padding)
    assert torch.equal(functools.reduce(torch.maximum, parts), F.max_pool2d(sums, 2))
    height, width = sums.shape[2] // 2 * 2, sums.shape[3] // 2 * 2
    for part, (y, x_offset) in zip(parts, phases.PHASES, strict=True):
        assert torch.equal(part, sums[..., y:height:2, x_offset:width:2])


def test_phases_are_the_kernel_at_four_places() -> None:
    expected = [
        [[1, 2, 0], [3, 4, 0], [0, 0, 0]],
        [[0, 1, 2], [0, 3, 4], [0, 0, 0]],
        [[0, 0, 0], [1, 2, 0], [3, 4, 0]],
        [[0, 0, 0], [0, 1, 2], [0, 3, 4]],
    ]
    weight = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert phases.phases_of(weight)[:, 0].tolist() == expected


@given(seed=st.integers(0, 1000), shape=st.tuples(*[st.integers(1, 4)] * 4))
def test_weight_of_is_the_transpose_of_phases_of(seed: int, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = integers(generator, *shape)
    wider = phases.phases_of(weight)
    gradient = integers(generator, *wider.shape)
    # <A w, g> = <w, A' g>, what makes A' the gradient of A; integers, so that sums are exact
    assert float((wider * gradient).sum()) == float((weight * phases.weight_of(gradient)).sum())


@pytest.mark.parametrize(
    ("rows", "side", "expected"),
    [
        (6, 5, True),  # 2 vectors of 16 lanes * 36 pixels, instead of 4 places * 1 * 25
        (16, 5, False),  # 4 * 36 instead of 4 * 1 * 25
        (20, 5, True),  # 5 * 36 instead of 4 * 2 * 25
        (8, 3, True),  # 2 * 16 instead of 4 * 1 * 9
        (9, 3, False),  # 3 * 16 instead of 4 * 1 * 9
    ],
)
def test_it_pays_where_registers_would_be_empty(rows: int, side: int, expected: bool) -> None:
    weight = torch.zeros(rows, 3, side, side)
    assert phases.pays(weight, ConvGeometry(padding=(2, 1)), POOL) is expected


@pytest.mark.parametrize(
    "geometry",
    [
        ConvGeometry(stride=(2, 2)),
        ConvGeometry(stride=(1, 2)),
        ConvGeometry(dilation=(2, 2)),
        ConvGeometry(groups=2),
    ],
)
def test_other_convolutions_are_left_alone(geometry: ConvGeometry) -> None:
    assert not phases.pays(torch.zeros(4, 2, 3, 3), geometry, POOL)


@pytest.mark.parametrize(
    "pool",
    [
        replace(POOL, kernel=(3, 3)),
        replace(POOL, stride=(1, 1)),
        replace(POOL, stride=(2, 1)),
        replace(POOL, padding=(1, 0)),
    ],
)
def test_other_pools_are_left_alone(pool: MaxPool) -> None:
    assert not phases.pays(torch.zeros(4, 2, 3, 3), ConvGeometry(), pool)


@pytest.mark.parametrize("bits", [4, 16], ids=["float32", "float64"])
@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_the_evaluator_uses_it_and_equals_the_reference(bits: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(-(1 << bits - 1), 1 << bits - 1, (6, 2, 5, 5)).astype(np.int32)
    weights = IntegerWeights(values, bits, 1 << bits - 1, np.ones(1))
    geometry = ConvGeometry(padding=(2, 1))
    layer = Layer("conv", "input", weights, rng.integers(-99, 99, 6), None, geometry)
    assert phases.pays(torch.from_numpy(values), geometry, POOL)
    grid = ActivationGrid(bits, 1.0, 3)
    network = IntegerNetwork((2, *size), grid, (layer, POOL))
    codes = rng.integers(0, 1 << bits, (5, 2, *size))
    expected = reference.evaluate(network, codes)["pool"]
    np.testing.assert_array_equal(Evaluator(network)(torch.from_numpy(codes)).numpy(), expected)
