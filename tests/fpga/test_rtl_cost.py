"""What the model says of whole layers in Verilog, against the golden table of LeNet-5's stages."""

from __future__ import annotations

from math import prod

import pytest

from dse import fpga
from dse.fpga.estimate import estimate
from dse.fpga.rtl_cost import planned_cycles, planned_layer, planned_pool
from dse.fpga.rtl_network import UnitChoice
from dse.fpga.truth import errors
from tests.fpga.lenet5_pipelines import cases, measured_nodes
from tests.fpga.lenet5_units import FOLDING
from tests.fpga.networks import Bits, chain, lenet5, packed

CASES = list(cases())
"""LeNet-5 in four forms."""


def test_whole_layers_are_predicted_as_the_documentation_says() -> None:
    nodes = measured_nodes(CASES)
    dense = [node for node in nodes if node.group == "dense"]
    assert len(dense) == 15
    found = {
        name: errors([(node.estimated[name], node.synthesised[name]) for node in dense])
        for name in ("lut", "dsp", "bram18", "ff")
    }
    assert found["lut"].median <= 0.06
    assert found["lut"].worst <= 0.20
    assert found["dsp"].worst == 0
    assert found["bram18"].worst == 0
    assert found["ff"].median <= 0.05
    # linear layers are charged the converter to smaller words, which this network does not need
    assert found["ff"].worst <= 0.30
    convolutions = [node for node in dense if node.name.startswith("conv")]
    ff = errors([(node.estimated["ff"], node.synthesised["ff"]) for node in convolutions])
    assert ff.worst <= 0.06
    lanes = [node for node in nodes if node.group == "sparse"]
    assert len(lanes) == 5
    for name, worst in (("lut", 0.11), ("ff", 0.08), ("dsp", 0.0), ("bram18", 0.16)):
        counts = [(node.estimated[name], node.synthesised[name]) for node in lanes]
        assert errors(counts).worst <= worst, name
    pools = [node for node in nodes if node.group == "pool"]
    assert len(pools) == 8
    for name, worst in (("lut", 0.12), ("ff", 0.08)):
        counts = [(node.estimated[name], node.synthesised[name]) for node in pools]
        assert errors(counts).worst <= worst, name


def test_every_stage_of_a_measured_case_is_in_the_table_once() -> None:
    nodes = measured_nodes(CASES)
    names = [(node.heading, node.name) for node in nodes]
    assert len(set(names)) == len(names)
    assert {name for _, name in names} >= {"conv1", "pool1", "conv2", "pool2", "conv3"}


def test_cycles_of_a_plan_are_those_of_the_report() -> None:
    network = lenet5(Bits())
    workload = fpga.describe(network, packed(network))
    report = fpga.estimate(workload, fpga.load_device("xc7z020"), folding=FOLDING)
    plan = {name: UnitChoice("dense", *folding) for name, folding in FOLDING.items()}
    lanes = {part.name: part.lanes for part in report.parts}
    assert planned_cycles(workload, plan, lanes) == (
        report.initiation_interval_cycles,
        report.latency_cycles,
    )


def test_a_slow_pool_sets_the_interval() -> None:
    network = lenet5(Bits())
    workload = fpga.describe(network, packed(network))
    plan = {
        layer.name: UnitChoice("dense", layer.out_channels, layer.columns)
        for layer in workload.layers
    }
    # pool1 takes 28 x 28 pixels of 6 channels one by one
    assert planned_cycles(workload, plan, {})[0] == prod((28, 28, 6))


def test_a_layer_with_all_its_multipliers_takes_what_the_report_says() -> None:
    network = chain(1, 4, 8, Bits())
    workload = fpga.describe(network, packed(network))
    report = fpga.estimate(workload, fpga.load_device("xc7z020"), folding={"conv0": (2, 6)})
    (layer,) = report.layers
    planned = planned_layer(workload.layers[0], UnitChoice("dense", 2, 6))
    assert planned["bram18"] == layer.bram18
    assert planned["dsp"] == 2  # requantizers: the multipliers are in LUTs
    assert planned["lut"] >= layer.lut


def test_pools_are_planned_at_their_lanes() -> None:
    network = lenet5(Bits())
    workload = fpga.describe(network, packed(network))
    pool1, _ = workload.streams
    one, six = planned_pool(pool1, 1), planned_pool(pool1, 6)
    assert one["lut"] < six["lut"]
    # lanes that do not differ in cycles are those of the next smaller number
    assert planned_pool(pool1, 4) == planned_pool(pool1, 3)


@pytest.mark.parametrize("target_fps", [None, 5_000])
def test_designs_that_can_be_built_have_lanes_of_one_weight(target_fps: float | None) -> None:
    network = lenet5(Bits(3, 6, density=0.2))
    workload = fpga.describe(network, packed(network, "csr"))
    device = fpga.load_device("xc7z020")
    report = estimate(workload, device, target_fps=target_fps)
    assert all(layer.compute == "dense" or layer.simd == 1 for layer in report.layers)
    if target_fps is not None:
        assert report.fps >= target_fps
