"""Hypothesis strategy: random small graphs of every kind of node, for every reader of networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from dse.integer import (
    INPUT,
    LINEAR,
    RELU,
    ActivationGrid,
    Add,
    AveragePool,
    Concat,
    IntegerNetwork,
    Layer,
    Node,
    Requantizer,
    Reshape,
    Upsample,
)
from dse.integer.requantize import MAX_SHIFT, MIN_SHIFT

from .strategies import clamps, convolutions, generators, grids, layers, pools

Draw = Any
Shape = tuple[int, ...]
MAX_VALUES = 600
"""Per tensor: an upsampled, concatenated image must stay small."""


class Growing:
    """A graph under construction: the nodes so far, and what their tensors are."""

    def __init__(self, shape: Shape, grid: ActivationGrid) -> None:
        self.shape, self.grid = shape, grid
        self.nodes: list[Node] = []
        self._probe = IntegerNetwork(shape, grid, (Reshape("probe", INPUT, shape),))

    def append(self, node: Node) -> None:
        self.nodes.append(node)
        self._probe = self.network()

    def network(self) -> IntegerNetwork:
        return IntegerNetwork(self.shape, self.grid, tuple(self.nodes))

    def name(self, kind: str) -> str:
        return f"{kind}{len(self.nodes)}"

    def shape_of(self, tensor: str) -> Shape:
        return self._probe.shapes[tensor]

    def grid_of(self, tensor: str) -> ActivationGrid:
        return self._probe.grid_of(tensor)

    def reach(self, tensor: str) -> int:
        low, high = self._probe.centred_range(tensor)
        return max(-low, high)

    def like(self, tensor: str, start: int) -> list[str]:
        """Tensors whose shapes agree from axis `start` on."""
        names = [INPUT, *(node.name for node in self.nodes)]
        wanted = self.shape_of(tensor)
        return [
            n
            for n in names
            if len(self.shape_of(n)) == len(wanted) and self.shape_of(n)[start:] == wanted[start:]
        ]


@st.composite
def spreading(draw: Draw, reach: int) -> Requantizer:
    """One multiplier whose shift spreads accumulators up to `reach` over the codes, or any."""
    grid, rng = draw(grids()), draw(generators())
    shift = (reach << 14).bit_length() - grid.bits + int(rng.integers(-3, 4))
    if draw(st.integers(0, 5)) == 0:
        shift = int(rng.integers(MIN_SHIFT, MAX_SHIFT + 1))
    shift = min(max(shift, MIN_SHIFT), MAX_SHIFT)
    multiplier = rng.integers(1 << 14, 1 << 15, 1)
    return Requantizer(multiplier, np.array([shift]), grid, *draw(clamps(grid)))


@st.composite
def adds(draw: Draw, growing: Growing, source: str) -> Add:
    """A sum of two or three tensors, the same one twice too."""
    others = st.lists(st.sampled_from(growing.like(source, 0)), min_size=1, max_size=2)
    sources = (source, *draw(others))
    grid, nonlinearity = draw(grids()), draw(st.sampled_from([LINEAR, RELU]))
    scales = [growing.grid_of(name).scale for name in sources]
    if draw(st.booleans()):  # so that the sum fills the output's grid
        reach = sum(s * growing.reach(name) for s, name in zip(scales, sources, strict=True))
        grid = replace(grid, scale=max(reach, 1e-3) / grid.max_code)
    made = Add.from_scales(growing.name("add"), sources, scales, grid, nonlinearity)
    low, high, leak = draw(clamps(grid))
    return replace(made, requantizer=replace(made.requantizer, low=low, high=high, leak=leak))


@st.composite
def concats(draw: Draw, growing: Growing, source: str) -> Concat:
    """One to three tensors, some of them already on the output's grid."""
    others = st.lists(st.sampled_from(growing.like(source, 1)), max_size=2)
    sources = (source, *draw(others))
    found = [growing.grid_of(name) for name in sources]
    grid = draw(st.sampled_from([found[0], draw(grids())]))
    nonlinearity = draw(st.sampled_from([LINEAR, RELU]))
    return Concat.from_grids(growing.name("concat"), sources, found, grid, nonlinearity)


@st.composite
def averages(draw: Draw, growing: Growing, source: str, last: bool = False) -> AveragePool:
    """Windows as of max pools, or the whole image."""
    shape, name = growing.shape_of(source), growing.name("mean")
    pool = draw(pools(name, source, shape))
    kernel, stride, padding = pool.kernel, pool.stride, pool.padding
    if draw(st.booleans()):
        kernel, stride, padding = (shape[1], shape[2]), (1, 1), (0, 0)
    reach = math.prod(kernel) * max(growing.reach(source), 1)
    requantizer = None if last else draw(spreading(reach))
    return AveragePool(name, source, kernel, stride, padding, requantizer)


@st.composite
def upsamplings(draw: Draw, growing: Growing, source: str) -> Upsample:
    """Factors 1 to 2."""
    factor = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    return Upsample(growing.name("up"), source, factor)


@st.composite
def calls_again(draw: Draw, growing: Growing, source: str) -> Node:
    """An earlier layer's weights on a tensor that fits, with a bias and requantizer of its own."""
    owners = [n for n in growing.nodes if isinstance(n, Layer) and n.shares is None]
    if not owners:
        return draw(adds(growing, source))
    owner, rng = draw(st.sampled_from(owners)), draw(generators())
    source = draw(st.sampled_from(growing.like(owner.source, 0)))
    bias = rng.integers(-50, 51, owner.rows)
    requantizer = owner.requantizer and draw(spreading(1 << 12))
    return Layer(
        growing.name("again"),
        source,
        owner.weights,
        bias,
        requantizer,
        owner.geometry,
        shares=owner.name,
    )


def _fits(growing: Growing, node: Node) -> bool:
    try:
        shape = node.output_shape([growing.shape_of(name) for name in node.inputs])
    except ValueError:
        return False
    return math.prod(shape) <= MAX_VALUES


KINDS: tuple[Callable[..., st.SearchStrategy[Node]], ...] = (
    lambda g, s: convolutions(g.name("conv"), s, g.shape_of(s)),
    lambda g, s: pools(g.name("pool"), s, g.shape_of(s)),
    adds,
    concats,
    averages,
    upsamplings,
    calls_again,
)


@st.composite
def graphs(draw: Draw, kinds: tuple[Any, ...] = KINDS) -> IntegerNetwork:
    """Up to six nodes over an image, branching and joining, some read by nobody; then perhaps a
    mean and linear layers. Ends in accumulators or in codes."""
    shape: Shape = (draw(st.integers(1, 3)), draw(st.integers(3, 6)), draw(st.integers(3, 6)))
    growing = Growing(shape, draw(grids()))
    latest = INPUT
    for _ in range(draw(st.integers(1, 6))):
        source = draw(st.sampled_from([latest, latest, *growing.like(latest, 3)]))
        node = draw(draw(st.sampled_from(kinds))(growing, source))
        if _fits(growing, node):
            growing.append(node)
            latest = node.name
    if draw(st.booleans()) or not growing.nodes:
        growing.append(draw(averages(growing, latest)))
        latest = growing.nodes[-1].name
    if draw(st.booleans()):
        size = math.prod(growing.shape_of(latest))
        growing.append(Reshape("flat", latest, (size,)))
        rows = draw(st.integers(1, 4))
        growing.append(draw(layers("fc", "flat", (rows, size), None, draw(st.booleans()))))
    return growing.network()
