"""Whole networks in Verilog against the integer reference, bit for bit, and their cycles against
the cost model's."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dse import fpga
from dse.errors import InputError
from dse.fpga.rtl_bench import Simulation, simulate, write_bench
from dse.fpga.rtl_cost import planned_cycles
from dse.fpga.rtl_network import UnitChoice, build_pipeline, plan_of
from dse.fpga.workload import INPUT
from dse.integer import (
    RELU,
    ActivationGrid,
    AveragePool,
    ConvGeometry,
    IntegerNetwork,
    Layer,
    MaxPool,
    Node,
    Nonlinearity,
    Requantizer,
    Reshape,
    Upsample,
)
from dse.integer.reference import evaluate
from tests.fpga.networks import Bits, chain, conv, linear, packed, residual

needs_iverilog = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="iverilog is not installed"
)

Plan = Mapping[str, UnitChoice]
DENSE = {
    "conv1": UnitChoice("dense", 2, 3),
    "conv2": UnitChoice("dense", 3, 4),
    "fc": UnitChoice("dense", 5, 8),
}
LANES = {
    "conv1": UnitChoice("sparse", 2),
    "conv2": UnitChoice("sparse", 3),
    "fc": UnitChoice("sparse", 1),
}
MIXED = {**DENSE, "conv2": UnitChoice("sparse", 1)}


def scaled(layer: Layer, bits: int, after: Nonlinearity = RELU, rows: int = 1) -> Layer:
    """`layer` with random biases and a requantizer that spreads its sums over `bits` bits."""
    network = IntegerNetwork(
        (layer.weights.shape[1], 9, 9), ActivationGrid(4, 1.0, 5), (replace(layer, source=INPUT),)
    )
    most = int(network.bounds[layer.name].high.max())
    rng = np.random.default_rng(len(layer.name))
    scales = rng.uniform(4, 8, rows) * (1 << bits) / most
    grid = ActivationGrid(bits, 1.0, 3 if bits > 2 else 0)
    bias = rng.integers(-most // 8, most // 8, layer.rows)
    return replace(layer, bias=bias, requantizer=Requantizer.from_scales(scales, grid, after))


def small(bits: Bits) -> IntegerNetwork:
    """Two convolutions, a pool and a linear layer behind an image, over 8 x 8 pixels of two
    channels whose zero point is 5."""
    nodes: tuple[Node, ...] = (
        scaled(conv("conv1", "input", (4, 2, 3, 3), bits, padding=1), bits.activations, rows=4),
        MaxPool("pool", "conv1", (2, 2), (2, 2)),
        scaled(conv("conv2", "pool", (6, 4, 3, 3), bits), bits.activations),
        Reshape("flatten", "conv2", (24,)),
        linear("fc", "flatten", (5, 24), bits, last=True),
    )
    return IntegerNetwork((2, 8, 8), ActivationGrid(4, 1.0, 5), nodes)


def run(
    network: IntegerNetwork, plan: Plan, folder: Path, stall: int = 0, images: int = 3
) -> Simulation:
    """Random images through the Verilog of `network`, against the reference."""
    pipeline = build_pipeline(network, plan, {"pool": 2})
    shape = (images, *network.input_shape)
    codes = np.random.default_rng(3).integers(0, network.input_grid.max_code + 1, shape)
    expected = evaluate(network, codes)[network.output]
    assert len(np.unique(expected)) > 2, "the network says nothing"
    write_bench(pipeline, (codes, expected), folder)
    found = simulate(folder, stall)
    assert found.wrong == 0, found.difference
    return found


@needs_iverilog
@pytest.mark.parametrize("plan", [DENSE, LANES, MIXED])
@pytest.mark.parametrize(
    "bits", [Bits(4, 4, 0.5), Bits(1, 1, mid_rise=True), Bits(2, 5, 0.3, mid_rise=True), Bits(8, 8)]
)
def test_networks_are_exact_under_stalls(bits: Bits, plan: Plan, tmp_path: Path) -> None:
    network = small(bits)
    for stall in (0, 30):
        run(network, plan, tmp_path, stall)


@needs_iverilog
@pytest.mark.parametrize("plan", [DENSE, LANES])
def test_the_interval_is_the_models_and_the_latency_nearly(plan: Plan, tmp_path: Path) -> None:
    network = small(Bits(4, 4))
    workload = fpga.describe(network, packed(network, "csr"))
    interval, latency = planned_cycles(workload, plan, {"pool": 2})
    found = run(network, plan, tmp_path, images=4)
    # conv1: 64 pixels of 2 passes of 6 words, or of the 36 weights of a lane
    assert interval == (768 if plan is DENSE else 2304)
    assert found.interval == interval
    # lanes copy a window before they start, where the model counts the codes that are new in it
    assert found.latency == pytest.approx(latency, abs=70 if plan is DENSE else 200)


@needs_iverilog
def test_a_report_is_built_as_it_says(tmp_path: Path) -> None:
    network = small(Bits(4, 4))
    workload = fpga.describe(network, packed(network))
    report = fpga.estimate(workload, fpga.load_device("xc7z020"), target_fps=50_000)
    plan, lanes = plan_of(report)
    assert {name: (unit.pe, unit.simd) for name, unit in plan.items()} == {
        layer.name: (layer.pe, layer.simd) for layer in report.layers
    }
    assert lanes["pool"] >= 1
    assert run(network, plan, tmp_path, images=4).interval == report.initiation_interval_cycles


@needs_iverilog
def test_what_else_a_chain_may_hold(tmp_path: Path) -> None:
    # strides, a kernel that is not square, LeakyReLU, a 1x1 convolution, a pool that overlaps and
    # is padded, a mean of all pixels, rows without a weight on one-bit lanes
    bits = Bits(1, 3, 0.4, mid_rise=True)
    first = conv("conv1", "input", (4, 2, 3, 5), bits, padding=1, stride=2)
    leaky = scaled(first, 6, Nonlinearity(leak=2))
    narrow = scaled(conv("conv2", "pool", (6, 4, 1, 1), bits), 3)
    values = narrow.weights.values.copy()
    values[2] = 0
    grid = ActivationGrid(8, 1.0, 9)
    nodes = (
        leaky,
        MaxPool("pool", "conv1", (3, 3), (1, 1), (1, 1)),
        replace(narrow, weights=replace(narrow.weights, values=values)),
        AveragePool(
            "mean", "conv2", (4, 3), (1, 1), (0, 0), Requantizer.from_scales(np.array([1.3]), grid)
        ),
        Reshape("flatten", "mean", (6,)),
        linear("fc", "flatten", (5, 6), Bits(4, 4), last=True),
    )
    network = IntegerNetwork((2, 8, 8), ActivationGrid(4, 1.0, 5), nodes)
    for compute, fc in (("dense", UnitChoice("dense", 1, 6)), ("sparse", UnitChoice("sparse", 5))):
        plan = {
            "conv1": UnitChoice("sparse", 4),
            "conv2": UnitChoice("sparse", 2) if compute == "sparse" else UnitChoice("dense", 6, 4),
            "fc": fc,
        }
        run(network, plan, tmp_path, stall=20)


@needs_iverilog
def test_two_of_four_pixels_are_dropped_by_a_stride(tmp_path: Path) -> None:
    bits = Bits(3, 4)
    nodes = (
        scaled(conv("conv1", "input", (3, 2, 1, 1), bits, stride=2), 4),
        replace(conv("conv2", "conv1", (4, 3, 4, 4), bits), requantizer=None),
    )
    network = IntegerNetwork((2, 8, 8), ActivationGrid(4, 1.0, 5), nodes)
    run(
        network, {"conv1": UnitChoice("dense", 3, 2), "conv2": UnitChoice("dense", 4, 48)}, tmp_path
    )


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (Upsample("up", "conv", (2, 2)), r"has no Upsample \(up\)"),
        (Reshape("turn", "conv", (2, 4, 8)), r"has no reshape to \(2, 4, 8\) \(turn\)"),
        (MaxPool("again", "input", (2, 2), (2, 2)), r"has no branches: again reads \('input',\)"),
    ],
)
def test_nodes_without_verilog_are_refused(node: Node, message: str) -> None:
    network = IntegerNetwork(
        (2, 4, 4),
        ActivationGrid(4, 1.0, 0),
        (conv("conv", "input", (4, 2, 3, 3), Bits(), padding=1), node),
    )
    with pytest.raises(InputError, match=f"the dataflow RTL {message}"):
        build_pipeline(network, {"conv": UnitChoice("dense", 1, 1)}, {})


def test_residual_networks_are_refused() -> None:
    network = residual(1, 4, 4, Bits())
    plan = {layer.name: UnitChoice("dense", 1, 1) for layer in network.layers}
    with pytest.raises(InputError, match="has no branches: sum0 reads"):
        build_pipeline(network, plan, {})


@pytest.mark.parametrize("geometry", [ConvGeometry(groups=2), ConvGeometry(dilation=(1, 2))])
def test_groups_and_dilation_are_refused(geometry: ConvGeometry) -> None:
    layer = replace(
        conv("conv", "input", (4, 2 // geometry.groups, 3, 3), Bits()), geometry=geometry
    )
    network = IntegerNetwork((2, 8, 8), ActivationGrid(4, 1.0, 0), (layer,))
    with pytest.raises(InputError, match=r"has no groups and no dilation \(conv\)"):
        build_pipeline(network, {"conv": UnitChoice("dense", 1, 1)}, {})


def test_a_pool_of_accumulators_is_refused() -> None:
    nodes = (
        replace(conv("conv", "input", (4, 2, 3, 3), Bits()), requantizer=None),
        MaxPool("pool", "conv", (2, 2), (2, 2)),
    )
    network = IntegerNetwork((2, 8, 8), ActivationGrid(4, 1.0, 0), nodes)
    with pytest.raises(InputError, match=r"has no pool of accumulators \(pool\)"):
        build_pipeline(network, {"conv": UnitChoice("dense", 1, 1)}, {})


@pytest.mark.parametrize("choice", [UnitChoice("dense", 3, 1), UnitChoice("dense", 2, 5)])
def test_a_folding_must_divide_its_layer(choice: UnitChoice) -> None:
    with pytest.raises(InputError, match=r"folding.conv0: PE must divide 4 and SIMD 36, but got"):
        build_pipeline(chain(1, 4, 5, Bits()), {"conv0": choice}, {})


def test_other_templates_are_refused() -> None:
    network = chain(2, 4, 8, Bits())
    workload = fpga.describe(network, packed(network))
    report = fpga.estimate(workload, fpga.load_device("xc7z020"), template="hardwired")
    with pytest.raises(InputError, match="has no template 'hardwired'"):
        plan_of(report)


def test_lanes_of_two_weights_per_cycle_are_refused() -> None:
    network = chain(1, 4, 8, Bits(density=0.5))
    workload = fpga.describe(network, packed(network, "csr"))
    report = fpga.estimate(workload, fpga.load_device("xc7z020"))
    layer = replace(report.layers[0], compute="sparse", pe=2, simd=2)
    with pytest.raises(InputError, match=r"has no lanes of 2 weights per cycle \(conv0\)"):
        plan_of(replace(report, layers=(layer,)))
