"""Small random chains with random or automatic foldings: what is simulated against the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dse.fpga import NetworkWorkload, describe, load_device
from dse.fpga.estimate import estimate
from dse.fpga.rtl_network import Compute, Pipeline, UnitChoice, build_pipeline, plan_of
from dse.fpga.sparse import divisors
from dse.integer import (
    RELU,
    ActivationGrid,
    AveragePool,
    IntegerNetwork,
    Layer,
    MaxPool,
    Node,
    Requantizer,
    Reshape,
)
from tests.fpga.networks import Bits, conv, linear, packed

Kind = Literal["dense", "sparse", "mixed", "balanced", "balanced dense"]
KINDS: tuple[Kind, ...] = ("dense", "sparse", "mixed", "balanced", "balanced dense")
"""Foldings at random, of units of one kind or both; or those that the model chooses for speed."""

CODES = ActivationGrid(4, 1.0, 0)


@dataclass(frozen=True)
class Chain:
    """A network, as the model sees it, and in Verilog."""

    network: IntegerNetwork
    workload: NetworkWorkload
    plan: Mapping[str, UnitChoice]
    lanes: Mapping[str, int]

    @property
    def pipeline(self) -> Pipeline:
        """Its Verilog."""
        return build_pipeline(self.network, self.plan, self.lanes)


def random_chain(seed: int, kind: Kind) -> Chain:
    """The chain of `seed`: one to three convolutions, pools, half of them a linear layer."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    dense = kind in ("dense", "balanced dense")
    network = _network(rng, Bits(4, 4, 1.0 if dense else float(rng.choice([0.1, 0.3, 0.6]))))
    workload = describe(network, packed(network, "dense" if dense else "csr"))
    if kind.startswith("balanced"):
        return Chain(network, workload, *plan_of(estimate(workload, load_device("xc7z020"))))
    plan = {}
    for layer in workload.layers:
        pe = int(rng.choice(divisors(layer.out_channels)))
        compute: Compute = "dense" if kind == "dense" or rng.random() < 0.5 else "sparse"
        if kind == "sparse":
            compute = "sparse"
        simd = int(rng.choice(divisors(layer.columns))) if compute == "dense" else 1
        plan[layer.name] = UnitChoice(compute, pe, simd)
    lanes = {pool.name: int(rng.integers(1, pool.channels + 1)) for pool in workload.streams}
    return Chain(network, workload, plan, lanes)


def _network(rng: np.random.Generator, bits: Bits) -> IntegerNetwork:
    shape = (int(rng.integers(1, 4)), int(rng.integers(4, 11)), int(rng.integers(4, 11)))
    nodes = list(_nodes(rng, shape, bits))
    if not any(isinstance(node, Layer) for node in nodes):
        nodes.insert(0, conv("conv", "input", (4, shape[0], 1, 1), bits))
    network = IntegerNetwork(shape, replace(CODES, zero_point=int(rng.integers(4))), tuple(nodes))
    return _spread(network)


def _nodes(rng: np.random.Generator, shape: tuple[int, ...], bits: Bits) -> Iterator[Node]:
    (channels, *size), source = shape, "input"
    for index in range(int(rng.integers(1, 4))):
        kernel = int(rng.choice([1, 2, 3, 3, 3, 5]))
        padding, stride = int(rng.integers(0, (kernel + 1) // 2)), int(rng.choice([1, 1, 1, 2]))
        if min(size) + 2 * padding < kernel:
            continue
        rows = int(rng.choice([2, 3, 4, 6, 8]))
        name, weights = f"conv{index}", (rows, channels, kernel, kernel)
        yield conv(name, source, weights, bits, padding=padding, stride=stride)
        source, channels = name, rows
        size = [(one + 2 * padding - kernel) // stride + 1 for one in size]
        kernel, padding = int(rng.choice([2, 2, 3])), int(rng.choice([0, 0, 0, 1]))
        step = int(rng.choice([1, kernel, kernel]))
        if rng.random() < 0.3 or min(size) + 2 * padding < kernel:
            continue
        name, square = f"pool{index}", ((kernel, kernel), (step, step), (padding, padding))
        mean = Requantizer.from_scales(np.array([1 / kernel**2]), CODES)
        average = rng.random() < 0.4
        yield (
            AveragePool(name, source, *square, mean) if average else MaxPool(name, source, *square)
        )
        source, size = name, [(one + 2 * padding - kernel) // step + 1 for one in size]
    if rng.random() < 0.5 and source != "input":
        codes = channels * size[0] * size[1]
        yield Reshape("flatten", source, (codes,))
        yield linear("fc", "flatten", (int(rng.choice([4, 5, 6, 10])), codes), bits)


def _spread(network: IntegerNetwork) -> IntegerNetwork:
    """Requantizers that spread every layer's sums over its codes."""
    nodes: list[Node] = []
    for node in network.nodes:
        if isinstance(node, Layer):
            most = max(1, int(network.bounds[node.name].high.max()))
            scale = np.array([4 * CODES.max_code / most])
            node = replace(node, requantizer=Requantizer.from_scales(scale, CODES, RELU))
        nodes.append(node)
    return replace(network, nodes=tuple(nodes))
