"""Deployments of random networks, shared by the export tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from dse.export import Deployment
from dse.integer import (
    LINEAR,
    RELU,
    ActivationGrid,
    ConvGeometry,
    IntegerNetwork,
    Layer,
    MaxPool,
    Node,
    Requantizer,
    Reshape,
)
from dse.integer.reference import evaluate
from dse.storage import formats, pack
from tests.storage.strategies import networks, random_weights


def deployment_of(network: IntegerNetwork, images: int = 10, seed: int = 0) -> Deployment:
    """`network` with random input codes."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, network.input_grid.max_code + 1, (images, *network.input_shape))
    return Deployment.of(network, pack(network, formats.names()), codes)


def deployments() -> st.SearchStrategy[Deployment]:
    """Random networks, chains and graphs, with random codes; every shift and width."""
    return networks().filter(lambda network: len(network.layers) > 0).map(deployment_of)


def lively(seed: int, bits: int, mid_rise: bool = False, density: float = 0.6) -> IntegerNetwork:
    """conv, pool, grouped and dilated conv, linear; `bits` everywhere, one multiplier per row, and
    scales measured so that codes spread over their range instead of saturating."""
    rng = np.random.default_rng(seed)
    top = (1 << bits) - 1
    grid = ActivationGrid(bits, 0.5, int(rng.integers(0, top // 2 + 1)))
    codes = rng.integers(0, top + 1, (30, 2, 8, 8))
    nodes: list[Node] = []

    def append(name: str, shape: tuple[int, ...], geometry: ConvGeometry | None = None) -> None:
        weights = random_weights(shape, bits, rng, density, mid_rise)
        source = nodes[-1].name if nodes else "input"
        none = np.zeros(shape[0], dtype=np.int64)
        probe = Layer(name, source, weights, none, None, geometry)
        sums = evaluate(IntegerNetwork((2, 8, 8), grid, (*nodes, probe)), codes)[name]
        per_row = np.moveaxis(sums, 1, 0).reshape(shape[0], -1)
        step = 4 * np.maximum(per_row.std(axis=1), 1) / (top + 1)  # accumulators per code
        bias = np.round((top / 2 - grid.zero_point) * step - per_row.mean(axis=1)).astype(np.int64)
        requantizer = Requantizer.from_scales(
            grid.scale / step, grid, RELU if rng.random() < 0.5 else LINEAR
        )
        last = name == "fc2"
        nodes.append(Layer(name, source, weights, bias, None if last else requantizer, geometry))

    append("conv1", (4, 2, 3, 3), ConvGeometry((1, 1), (1, 1)))
    nodes.append(MaxPool("pool", "conv1", (2, 2), (2, 2), (1, 1)))
    append("conv2", (6, 2, 2, 2), ConvGeometry((2, 1), (0, 2), (1, 2), groups=2))
    nodes.append(Reshape("flat", "conv2", (6 * 2 * 7,)))
    append("fc1", (8, 84))
    append("fc2", (5, 8))
    return IntegerNetwork((2, 8, 8), grid, tuple(nodes))
