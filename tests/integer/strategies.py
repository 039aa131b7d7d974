"""Hypothesis strategies: random small integer networks and input codes for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from dse.integer import (
    LINEAR,
    RELU,
    ActivationGrid,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    MaxPool,
    Node,
    Requantizer,
    Reshape,
)
from dse.integer.requantize import MAX_LEAK, MAX_SHIFT, MIN_SHIFT

Draw = Any
Shape = tuple[int, ...]


@st.composite
def generators(draw: Draw) -> np.random.Generator:
    """Arrays are filled by numpy from a drawn seed: structure shrinks, numbers are cheap."""
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


@st.composite
def grids(draw: Draw) -> ActivationGrid:
    """Any width, any zero point."""
    bits = draw(st.integers(1, 16))
    return ActivationGrid(bits, draw(st.floats(1e-4, 100)), draw(st.integers(0, (1 << bits) - 1)))


@st.composite
def weights_of_shape(draw: Draw, shape: Shape) -> IntegerWeights:
    """Affine or mid-rise, scale per tensor or per row, sparse, with rows that are all zero."""
    bits, mid_rise = draw(st.integers(1, 16)), draw(st.booleans())
    rng, density = draw(generators()), draw(st.sampled_from([0.0, 0.3, 1.0]))
    zero_point = 0 if mid_rise else draw(st.integers(0, (1 << bits) - 1))
    values = IntegerWeights.values_of(rng.integers(0, 1 << bits, shape), bits, zero_point, mid_rise)
    values *= rng.random(shape) < density
    if draw(st.booleans()):
        values[rng.integers(shape[0])] = 0
    scale = rng.uniform(1e-4, 1, shape[0] if draw(st.booleans()) else 1)
    return IntegerWeights(values, bits, zero_point, scale, mid_rise)


@st.composite
def requantizers(draw: Draw, rows: int, reach: int) -> Requantizer:
    """Multiplier and shift per tensor or per row: mostly those that spread accumulators of
    magnitude `reach` over the output codes, else any, so M >= 1 and M near 0 too."""
    grid, rng = draw(grids()), draw(generators())
    count = draw(st.sampled_from([1, rows]))
    multiplier = rng.integers(1 << 14, 1 << 15, count)
    useful = (reach << 15).bit_length() - grid.bits + rng.integers(-4, 5, count)
    anywhere = rng.integers(MIN_SHIFT, MAX_SHIFT + 1, count)
    shift = np.where(draw(st.sampled_from([True, True, False])), useful, anywhere)
    return Requantizer(multiplier, np.clip(shift, MIN_SHIFT, MAX_SHIFT), grid, *draw(clamps(grid)))


@st.composite
def clamps(draw: Draw, grid: ActivationGrid) -> tuple[int, int, int]:
    """Low and high code and leak: linear, ReLU, or any."""
    kind = draw(st.sampled_from([LINEAR, RELU, None]))
    if kind:
        return (*kind.codes(grid), 0)
    low = draw(st.integers(0, grid.max_code))
    return low, draw(st.integers(low, grid.max_code)), draw(st.integers(0, MAX_LEAK))


@st.composite
def layers(
    draw: Draw, name: str, source: str, shape: Shape, geometry: ConvGeometry | None, last: bool
) -> Layer:
    """A layer with weights of `shape`; its biases are up to 2^4, 2^20 or 2^40 or absent."""
    weights, rng = draw(weights_of_shape(shape)), draw(generators())
    limit = draw(st.sampled_from([0, 1 << 4, 1 << 20, 1 << 40]))
    bias = rng.integers(-limit, limit + 1, shape[0])
    reach = int(np.abs(weights.values).max(initial=1)) * shape[1] * 200 + limit
    requantizer = None if last else draw(requantizers(shape[0], reach))
    return Layer(name, source, weights, bias, requantizer, geometry)


def _pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def convolutions(draw: Draw, name: str, source: str, shape: Shape, last: bool = False) -> Layer:
    """A convolution that fits an input of `shape` (channels, y, x)."""
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if shape[0] % g == 0]))
    dilation, padding = draw(_pairs(1, 2)), draw(_pairs(0, 2))
    kernel = tuple(
        draw(st.integers(1, min(3, 1 + (n + 2 * p - 1) // d)))
        for n, p, d in zip(shape[1:], padding, dilation, strict=True)
    )
    geometry = ConvGeometry(draw(_pairs(1, 2)), padding, dilation, groups)
    rows = groups * draw(st.integers(1, 2))
    weight_shape = (rows, shape[0] // groups, *kernel)
    return draw(layers(name, source, weight_shape, geometry, last))


@st.composite
def pools(draw: Draw, name: str, source: str, shape: Shape) -> MaxPool:
    """A max pool, its windows overlapping or with gaps, that fits an input of `shape`."""
    kernel = tuple(draw(st.integers(1, min(3, n))) for n in shape[1:])
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    return MaxPool(name, source, (kernel[0], kernel[1]), draw(_pairs(1, 3)), padding[:2])


def _shape_after(nodes: list[Node], shape: Shape) -> Shape:
    return IntegerNetwork(shape, ActivationGrid(1, 1.0, 0), tuple(nodes)).shapes[nodes[-1].name]


@st.composite
def networks(draw: Draw) -> IntegerNetwork:
    """Convolutions with pools, then linear layers; ends in accumulators or in codes."""
    first: Shape = (draw(st.integers(1, 3)), *draw(_pairs(3, 6)))
    grid = draw(grids())
    nodes: list[Node] = []
    source, shape = "input", first
    for index in range(draw(st.integers(0, 2))):
        nodes.append(draw(convolutions(f"conv{index}", source, shape)))
        source, shape = nodes[-1].name, _shape_after(nodes, first)
        if draw(st.booleans()):
            nodes.append(draw(pools(f"pool{index}", source, shape)))
            source, shape = nodes[-1].name, _shape_after(nodes, first)
    nodes.append(Reshape("flat", source, (int(np.prod(shape)),)))
    source, columns = "flat", int(np.prod(shape))
    count = draw(st.integers(1, 2))
    for index in range(count):
        rows = draw(st.integers(1, 4))
        last = index == count - 1 and draw(st.booleans())
        nodes.append(draw(layers(f"fc{index}", source, (rows, columns), None, last)))
        source, columns = nodes[-1].name, rows
    return IntegerNetwork(first, grid, tuple(nodes))


def random_codes(network: IntegerNetwork, count: int, rng: np.random.Generator) -> np.ndarray:
    """Codes (count, C, y, x) int64: random ones, of which half are the smallest or the largest."""
    top = network.input_grid.max_code
    shape = (count, *network.input_shape)
    extreme = rng.integers(0, 2, shape) * top
    return np.where(rng.random(shape) < 0.5, extreme, rng.integers(0, top + 1, shape))
