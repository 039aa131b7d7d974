"""LeNet-5 as whole pipelines in Verilog: which are simulated and synthesised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from dse.fpga import LayerWorkload, NetworkWorkload, describe
from dse.fpga.rtl_cost import planned_layer, planned_pool
from dse.fpga.rtl_network import Compute, Pipeline, UnitChoice, build_pipeline
from dse.fpga.stage import Stage
from dse.fpga.synthesis import UnitUnderTest
from dse.integer import RELU, IntegerNetwork, Layer, Requantizer
from tests.fpga.cnv import golden
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


QUANTITIES = ("lut", "ff", "dsp", "bram18")
STAGE_COLUMNS = (
    *("weight_bits", "activation_bits", "kind", "node", "stage"),
    *("lut", "ff", "dsp", "bram18", "lutram"),
)
"""Columns of the golden table `lenet5_stages`: what a stage is, then its counts."""


@dataclass(frozen=True)
class Node:
    """A layer or pool of a case: its counts as estimated, and the sum of its stages'."""

    heading: tuple[str, str, str]
    name: str
    group: str
    estimated: Mapping[str, int]
    synthesised: Mapping[str, int]


def measured_nodes(own: Iterable[Case]) -> list[Node]:
    """The nodes of which every stage was synthesised.

    A converter to smaller words counts with the node before, as in the model, where the reader of
    wide words is not known.
    """
    table = golden("lenet5_stages")
    stages = {tuple(row[name] for name in STAGE_COLUMNS[:5]): row for row in table}
    units = {
        (row["weight_bits"], row["activation_bits"], row["kind"], row["layer"]): row
        for row in golden("lenet5_units")
    }
    found = []
    for case in own:
        for name, parts in _with_converters(case.pipeline):
            rows = [
                units.get((*case.heading, name))
                if part.module == "matvec"
                else stages.get((*case.heading, owner, part.name))
                for owner, part in parts
            ]
            known = [row for row in rows if row is not None]
            if len(known) == len(rows):
                sums = {key: sum(int(row.get(key) or 0) for row in known) for key in QUANTITIES}
                found.append(Node(case.heading, name, *_planned(case, name), sums))
    return found


def _with_converters(pipeline: Pipeline) -> list[tuple[str, list[tuple[str, Stage]]]]:
    """Nodes with (node, stage) of each of their stages, converters to smaller words moved."""
    nodes: list[tuple[str, list[tuple[str, Stage]]]] = []
    for name, stages in pipeline.nodes:
        kept = [(name, stage) for stage in stages]
        while nodes and kept and kept[0][1].module == "narrow":
            nodes[-1][1].append(kept.pop(0))
        nodes.append((name, kept))
    return nodes


def _planned(case: Case, name: str) -> tuple[str, Mapping[str, int]]:
    """What kind of node it is, and what the model says of it."""
    (node,) = (node for node in case.workload.nodes if node.name == name)
    if isinstance(node, LayerWorkload):
        return case.kind, planned_layer(node, case.pipeline.plan[name])
    return "pool", planned_pool(node, 1)
