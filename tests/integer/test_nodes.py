"""The nodes without weights: golden values, rational arithmetic, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.integer import (
    LINEAR,
    RELU,
    ActivationGrid,
    Add,
    AveragePool,
    Concat,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    MaxPool,
    Node,
    Requantizer,
    Upsample,
    reference,
)

from .graphs import Growing, averages
from .strategies import generators, grids, random_codes

GRID = ActivationGrid(8, 0.5, 10)
OTHER = ActivationGrid(8, 0.125, 200)


def rescale(name: str, grid: ActivationGrid) -> Concat:
    """The input brought to `grid`, so that a test has tensors on two grids."""
    return Concat.from_grids(name, ("input",), [GRID], grid)


def outputs(codes: list[object], *nodes: Node) -> list[object]:
    """The output of one image of codes on GRID."""
    x = np.array([codes])
    network = IntegerNetwork(x.shape[1:], GRID, nodes)
    found: list[object] = reference.evaluate(network, x)[network.output][0].tolist()
    return found


def test_golden_add() -> None:
    # The input has scale 1/2 and zero 10; 12, 9 and 255 stand for 1, -1/2, 245/2. At scale 1/8 and
    # zero 200 these are 208, 196 and, saturated, 255 (55/8). Sums 2, -1 and 129.375 on scale 1/4
    # and zero 100: 108, 96 and, saturated, 255.
    grid = ActivationGrid(8, 0.25, 100)
    add = Add.from_scales("sum", ("input", "fine"), [0.5, 0.125], grid)
    assert outputs([12, 9, 255], rescale("fine", OTHER), add) == [108, 96, 255]
    # ratios 2 and 1/2 at one shift: 2 = 16384 * 2^-13, 1/2 = 4096 * 2^-13
    assert (add.multipliers, add.shift) == ((16384, 4096), 13)


def test_an_add_rounds_once_and_half_up() -> None:
    # 1/2 + 1/2 of an input 1 code above zero, twice: on scale 2 that is 0.5, which rounds up to 1;
    # each rounded alone would give 2 * round(0.25) = 0. Below zero -0.5 rounds up to 0.
    grid = ActivationGrid(8, 2.0, 100)
    add = Add.from_scales("sum", ("input", "input"), [0.5, 0.5], grid)
    assert outputs([11, 9, 10], add) == [101, 100, 100]
    relu = Add.from_scales("sum", ("input", "input"), [0.5, 0.5], grid, RELU)
    assert outputs([14, 5], add) == [102, 98]  # -2.5 rounds up to -2
    assert outputs([14, 5], relu) == [102, 100]


@settings(max_examples=200, deadline=None)
@given(
    scales=st.lists(st.floats(2.0**-30, 2.0**30), min_size=2, max_size=4),
    grid=grids(),
    rng=generators(),
)
def test_add_multipliers_are_nearest_at_one_shift(
    scales: list[float], grid: ActivationGrid, rng: np.random.Generator
) -> None:
    sources = tuple("abcd"[: len(scales)])
    add = Add.from_scales("sum", sources, scales, grid)
    assert 1 << 14 <= max(add.multipliers) < 1 << 15
    if -8 < add.requantizer.shift[0] < 62:
        for multiplier, scale in zip(add.multipliers, scales, strict=True):
            exact = Fraction(scale / grid.scale) * Fraction(2) ** add.shift
            assert abs(multiplier - exact) <= Fraction(1, 2)


@settings(max_examples=200, deadline=None)
@given(grid=grids(), out=grids(), rng=generators(), relu=st.booleans())
def test_adds_equal_rational_arithmetic(
    grid: ActivationGrid, out: ActivationGrid, rng: np.random.Generator, relu: bool
) -> None:
    nonlinearity = RELU if relu else LINEAR
    scales = [grid.scale * float(factor) for factor in rng.uniform(0.1, 1, 2)]
    add = Add.from_scales("sum", ("input", "input"), scales, out, nonlinearity)
    network = IntegerNetwork((4,), grid, (add,))
    codes = random_codes(network, 3, rng)
    total = sum(add.multipliers)
    low = out.zero_point if relu else 0
    expected = [
        [
            min(
                out.max_code,
                max(
                    low,
                    out.zero_point
                    + floor(
                        total * (q - grid.zero_point) * Fraction(2) ** -add.shift + Fraction(1, 2)
                    ),
                ),
            )
            for q in row
        ]
        for row in codes.tolist()
    ]
    assert reference.evaluate(network, codes)["sum"].tolist() == expected


def test_golden_concat() -> None:
    # 12 on GRID stands for 1, which is code 208 on OTHER; a source on the grid stays as it is
    concat = Concat.from_grids("both", ("input", "fine"), [GRID, OTHER], OTHER)
    assert concat.requantizers[1] is None
    assert outputs([12, 10], rescale("fine", OTHER), concat) == [208, 200, 208, 200]


@given(grid=grids(), rng=generators())
def test_a_requantizer_between_equal_grids_changes_nothing(
    grid: ActivationGrid, rng: np.random.Generator
) -> None:
    same = Requantizer.from_scales(np.array([grid.scale]), grid)
    network = IntegerNetwork((5,), grid, (Concat("same", ("input",), (same,)),))
    codes = random_codes(network, 2, rng)
    np.testing.assert_array_equal(reference.evaluate(network, codes)["same"], codes)


def test_golden_average_pool() -> None:
    # centred codes 0 2 / 4 7 (zero 10), sum 13 of four on the same scale: 3.25 -> 3, code 13.
    # With padding 1 and stride 2 each corner window holds one of them: 0, .5 -> 1, 1, 1.75 -> 2
    def pool(kernel: int, stride: int, padding: int) -> AveragePool:
        to_grid = Requantizer.from_scales(np.array([0.5 / kernel**2]), GRID)
        pairs = ((kernel, kernel), (stride, stride), (padding, padding))
        return AveragePool("mean", "input", *pairs, to_grid)

    image = [[[10, 12], [14, 17]]]
    assert outputs(image, pool(2, 1, 0)) == [[[13]]]
    assert outputs(image, pool(2, 2, 1)) == [[[10, 11], [11, 12]]]


@settings(max_examples=100, deadline=None)
@given(data=st.data(), rng=generators(), grid=grids())
def test_average_pools_sum_what_torch_averages(
    data: st.DataObject, rng: np.random.Generator, grid: ActivationGrid
) -> None:
    growing = Growing((2, data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7))), grid)
    pool = data.draw(averages(growing, "input"))
    network = IntegerNetwork(growing.shape, grid, (pool,))
    codes = random_codes(network, 2, rng)
    centred = torch.from_numpy(codes - grid.zero_point).double()
    mean = torch.nn.functional.avg_pool2d(
        centred, pool.kernel, pool.stride, pool.padding, count_include_pad=True
    )
    sums = (mean * pool.kernel[0] * pool.kernel[1]).round().long()
    found = reference.evaluate(network, codes)["mean0.accumulators"]
    np.testing.assert_array_equal(found, sums.numpy())


@given(st.integers(1, 4), st.integers(1, 4), generators())
def test_upsampling_is_torchs_nearest(y: int, x: int, rng: np.random.Generator) -> None:
    network = IntegerNetwork((2, 2, 3), GRID, (Upsample("up", "input", (y, x)),))
    codes = random_codes(network, 2, rng)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(codes).double(), scale_factor=(y, x), mode="nearest"
    )
    np.testing.assert_array_equal(reference.evaluate(network, codes)["up"], expected.numpy())


SHIFT = Requantizer(np.array([1 << 14]), np.array([16]), GRID, 0, 255)
WEIGHTS = IntegerWeights(np.ones((1, 1, 1, 1), dtype=np.int32), 4, 8, np.ones(1))


def conv(name: str, source: str = "input", **changes: Any) -> Layer:
    """A 1 x 1 convolution of one channel."""
    arguments = {"weights": WEIGHTS, "requantizer": SHIFT, **changes}
    bias = np.zeros(1, dtype=np.int64)
    return Layer(name, source, bias=bias, geometry=ConvGeometry(), **arguments)


OTHER_WEIGHTS = IntegerWeights(np.full((1, 1, 1, 1), 2, np.int32), 4, 8, np.ones(1))
TWO = np.array([1 << 14] * 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Add("s", ("a",), (1 << 14,), SHIFT), "needs two or more sources"),
        (lambda: Add("s", ("a", "b"), (1 << 14,), SHIFT), "but has 2 and 1"),
        (lambda: Add("s", ("a", "b"), (5, 6), SHIFT), r"largest multiplier must lie in 16384\.\."),
        (lambda: Add("s", ("a", "b"), (1 << 14, 1 << 15), SHIFT), "largest multiplier must"),
        (lambda: Add("s", ("a", "b"), (1 << 14, -1), SHIFT), "none below 0"),
        (
            lambda: Add(
                "s",
                ("a", "b"),
                (1 << 14, 0),
                Requantizer(np.array([20000]), np.array([16]), GRID, 0, 255),
            ),
            "the requantizer of an add has the multiplier 16384",
        ),
        (lambda: Concat("c", (), ()), "needs sources with a requantizer"),
        (lambda: Concat("c", ("a", "b"), (None,)), "but has 2 and 1"),
        (
            lambda: Concat("c", ("a",), (Requantizer(TWO, TWO * 0 + 16, GRID, 0, 255),)),
            "c: needs one multiplier per source",
        ),
        (
            lambda: AveragePool(
                "p",
                "a",
                (1, 1),
                (1, 1),
                (0, 0),
                Requantizer(TWO, TWO * 0 + 16, GRID, 0, 255),
            ),
            "p: needs one multiplier",
        ),
        (lambda: Upsample("u", "a", (0, 1)), r"factors must be at least 1, but are \(0, 1\)"),
    ],
)
def test_nodes_whose_parts_do_not_fit_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


SUM = ("input", "p")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            (MaxPool("p", "input", (2, 2), (1, 1)), Add("s", SUM, (1 << 14, 1), SHIFT)),
            r"s: adds tensors of shapes \(1, 6, 5\) and \(1, 5, 4\)",
        ),
        (
            (MaxPool("p", "input", (2, 2), (1, 1)), Concat("c", SUM, (None, None))),
            r"c: concatenates tensors of shapes \(1, 6, 5\) and \(1, 5, 4\)",
        ),
        (
            (rescale("p", OTHER), Concat("c", SUM, (None, None))),
            "c: its sources are not brought to one grid",
        ),
        (
            (conv("p", requantizer=None), Add("s", SUM, (1 << 14, 1), SHIFT)),
            "s reads accumulators; it needs codes",
        ),
        (
            (conv("p", requantizer=None), AveragePool("m", "p", (1, 1), (1, 1), (0, 0), None)),
            "m reads accumulators; it needs codes",
        ),
        (
            (AveragePool("m", "input", (7, 1), (1, 1), (0, 0), None),),
            r"m: kernel \(7, 1\) is larger than its input",
        ),
        (
            (AveragePool("m", "input", (2, 2), (1, 1), (2, 0), None),),
            r"m: padding \(2, 0\) is above half of \(2, 2\)",
        ),
        (
            (conv("a"), conv("b", shares="c")),
            "b shares the weights of 'c', which is no earlier layer with weights of its own",
        ),
        (
            (conv("a"), conv("b", shares="a"), conv("c", shares="b")),
            "c shares the weights of 'b', which is no earlier layer",
        ),
        (
            (conv("a"), conv("b", weights=OTHER_WEIGHTS, shares="a")),
            "b shares the weights of 'a', but has other ones",
        ),
    ],
)
def test_graphs_that_do_not_fit_are_refused(nodes: tuple[Node, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IntegerNetwork((1, 6, 5), GRID, nodes)
