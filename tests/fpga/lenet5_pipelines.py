"""LeNet-5 as whole pipelines in Verilog: which are simulated and synthesised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from dse.fpga import NetworkWorkload, describe
from dse.fpga.rtl_network import Compute, Pipeline, UnitChoice, build_pipeline
from dse.fpga.stage import Stage
from dse.fpga.synthesis import UnitUnderTest
from dse.integer import RELU, IntegerNetwork, Layer, Requantizer
from tests.fpga.lenet5_units import CONFIGURATIONS, FOLDING, LANES, lenet5_with_biases
from tests.fpga.networks import Bits, packed


@dataclass(frozen=True)
class Case:
    """LeNet-5 in one configuration, computed dense or by lanes: for the model and in Verilog."""

    bits: Bits
    kind: Compute
    network: IntegerNetwork
    workload: NetworkWorkload
    pipeline: Pipeline

    @property
    def heading(self) -> tuple[str, str, str]:
        """Weight bits, activation bits, dense or sparse."""
        return str(self.bits.weights), str(self.bits.activations), self.kind


def cases() -> Iterator[Case]:
    """Every configuration dense; with lanes where it was pruned."""
    for bits in CONFIGURATIONS:
        network = requantized(lenet5_with_biases(bits))
        kinds: tuple[Compute, ...] = ("dense", "sparse") if bits.density < 1 else ("dense",)
        for kind in kinds:
            plan = {
                name: UnitChoice("dense", *FOLDING[name])
                if kind == "dense"
                else UnitChoice("sparse", LANES[name])
                for name in FOLDING
            }
            sizes = packed(network, "csr" if kind == "sparse" else "dense")
            pipeline = build_pipeline(network, plan, {})
            yield Case(bits, kind, network, describe(network, sizes), pipeline)


def requantized(network: IntegerNetwork) -> IntegerNetwork:
    """`network` with multipliers of 15 random bits, as calibration gives: one per layer, or one per
    channel with three-bit weights."""
    rng = np.random.default_rng(11)
    nodes = []
    for node in network.nodes:
        if isinstance(node, Layer) and node.requantizer is not None:
            grid = node.requantizer.grid
            rows = node.rows if node.weights.bits == 3 else 1
            reach = 1 << (network.bounds[node.name].bits - 3)
            scales = rng.uniform(0.7, 1.4, rows) * grid.max_code / reach
            node = replace(node, requantizer=Requantizer.from_scales(scales, grid, RELU))
        nodes.append(node)
    return replace(network, nodes=tuple(nodes))


def under_test(stage: Stage) -> UnitUnderTest:
    """A stage for synthesis, alone."""
    inputs = {"clk": 1, "reset": 1, "in_data": stage.reads.width, "in_valid": 1, "out_ready": 1}
    outputs = {"in_ready": 1, "out_data": stage.writes.width, "out_valid": 1}
    return UnitUnderTest(stage.module, stage.parameters, inputs, outputs, stage.files)
