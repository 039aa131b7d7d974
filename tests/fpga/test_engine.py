"""The engine: a small layer by hand, search against brute force, and what must always hold."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import InputError
from dse.fpga import (
    CannotBuild,
    CostReport,
    Device,
    NetworkWorkload,
    describe,
    estimate,
    load_device,
)
from dse.fpga.device import RESOURCES
from dse.fpga.engine_cost import EngineCost
from dse.fpga.engine_work import EngineWork
from dse.integer import ActivationGrid, IntegerNetwork, MaxPool, Node
from tests.fpga.networks import Bits, conv, lenet5, linear, packed, residual
from tests.integer.graphs import graphs

DEVICE = dataclasses.replace(load_device("xc7z020"), shell=None)
"""2.1 GB/s at 0.75 and 100 MHz: 15.75 bytes a cycle."""


def _network(size: tuple[int, int, int], *nodes: Node) -> NetworkWorkload:
    network = IntegerNetwork(size, ActivationGrid(4, 1.0, 0), nodes)
    return describe(network, packed(network))


def _engine(workload: NetworkWorkload, device: Device = DEVICE, **how: object) -> CostReport:
    return estimate(workload, device, template="engine", **how)  # type: ignore[arg-type]


def _part(report: CostReport, name: str) -> dict[str, int]:
    (part,) = [part for part in report.parts if part.name == name]
    return {resource: getattr(part, resource) for resource in RESOURCES}


SMALL = _network((4, 8, 8), conv("a", "input", (8, 4, 3, 3), Bits(), padding=1))


def test_a_small_layer_by_hand() -> None:
    report = _engine(SMALL, folding={"array": (4, 2)})
    (layer,) = report.layers
    # ceil(8/4) ceil(4/2) 8 * 8 * 3 * 3 = 2304, and the moves of the first of these 4 steps before:
    # 126 bits a cycle, 33 cycles for all with weights that stay on the chip
    assert report.latency_cycles == report.initiation_interval_cycles == layer.cycles == 2304 + 9
    assert (layer.pe, layer.simd, layer.tile, layer.binds) == (4, 2, (8, 8), "compute")
    # one tile: 64 pixels of 4 channels of 4 bits, read for each of two steps of output channels,
    # 64 pixels of 8 channels of 4 bits written
    assert report.bytes_per_inference == (2 * 64 * 16 + 64 * 32) // 8 == 512
    assert report.fps == pytest.approx(1e8 / 2313)


def test_buffers_of_the_small_layer_by_hand() -> None:
    report = _engine(SMALL, folding={"array": (4, 2)})
    # two input banks of 4 bits x 128 words, 512 bits: in LUTs, two RAM64M of 3 bits x 2 = 16
    # LUTs each.
    # Eight output banks (two per row) of 64 words: sums of 4 + 4 bits and 36 terms, in LUTs, too
    bits = SMALL.layers[0].accumulator_bits
    assert _part(report, "map_buffers")["lut"] == 2 * 16 + 8 * 4 * math.ceil(bits / 3)
    # two tiles of 9 words of 4 * 2 * 5 bits (a weight of +8 needs 5 signed bits): RAM32M of 6 bits
    width = 8 * SMALL.layers[0].operand_bits
    assert _part(report, "weight_buffer")["lut"] == 4 * math.ceil(width / 6)
    # a requantizer for each code that the memory takes per cycle: 126 bits are 31 codes of 4
    assert _part(report, "requantizers")["dsp"] == 31
    for name in RESOURCES:
        assert getattr(report, name) == sum(_part(report, p.name)[name] for p in report.parts)


def test_packed_bytes_drive_the_time_when_bandwidth_binds() -> None:
    slow = dataclasses.replace(DEVICE, memory_bandwidth_bytes_per_s=1e7)  # 0.075 bytes a cycle
    report = _engine(SMALL, slow, folding={"array": (4, 2)})
    # weights are on the chip: 512 bytes, at 0.6 bits a cycle, and the last of 4 steps is computed
    assert report.bytes_per_inference == 512
    assert report.layers[0].cycles == math.ceil(4096 / 0.6) + 2304 // 4
    assert report.layers[0].binds == "bandwidth"
    assert report.binding == "memory_bandwidth"
    assert _part(report, "weight_store")["bram18"] > 0
    loads = {load.name: load for load in report.memories}
    assert loads["external"].needed_bytes_per_s == pytest.approx(512 * report.fps)
    assert loads["external"].there_bytes_per_s == 7.5e6
    assert loads["weight_store"].needed_bytes_per_s == pytest.approx(144 * report.fps)


def test_fewer_packed_bytes_take_less_time() -> None:
    nodes = (linear("fc", "input", (200, 300), Bits(4, 4, 0.1), last=True),)
    network = IntegerNetwork((300,), ActivationGrid(4, 1.0, 0), nodes)
    # too few block RAMs to keep the weights: they cross the boundary
    slow = dataclasses.replace(DEVICE, memory_bandwidth_bytes_per_s=1e8, bram18=1)
    dense, sparse = (_engine(describe(network, packed(network, f)), slow) for f in ("dense", "csr"))
    assert dense.binding == sparse.binding == "memory_bandwidth"
    saved = (dense.packed_bits - sparse.packed_bits) // 8
    assert abs(dense.bytes_per_inference - sparse.bytes_per_inference - saved) <= 1
    assert sparse.fps > 2 * dense.fps


def test_decoding_binds_where_computing_and_moving_are_hidden_behind_it() -> None:
    nodes = (linear("fc", "input", (200, 300), Bits(4, 4, 0.1), last=True),)
    network = IntegerNetwork((300,), ActivationGrid(4, 1.0, 0), nodes)
    fast = dataclasses.replace(DEVICE, memory_bandwidth_bytes_per_s=2.1e10, bram18=1)
    workload = describe(network, packed(network, "csr"))
    report = _engine(workload, fast, folding={"array": (20, 9)})
    (layer,) = report.layers
    # 16 decoders, the most there are, and the first of 340 steps of the 77 cycles that moving takes
    assert layer.cycles == math.ceil(layer.nonzeros / 16) + 1
    computing, moving = 10 * 34, math.ceil(report.bytes_per_inference * 8 / 1260)
    assert max(computing, moving) < layer.cycles < computing + moving
    assert layer.binds == "memory_port"


def test_what_has_no_decoder_is_read_in_another_format() -> None:
    network = lenet5(Bits(4, 4, 0.1))
    csr = packed(network, "csr")
    stored = {name: ("arithmetic", bits // 2) for name, (_, bits) in csr.items()}
    sizes = {name: {"csr": bits, "dense": 10**9} for name, (_, bits) in csr.items()}
    report = _engine(describe(network, stored, sizes))
    assert {layer.memory_format for layer in report.layers} == {"csr"}
    assert {layer.storage_format for layer in report.layers} == {"arithmetic"}
    assert report.latency_cycles == _engine(describe(network, csr)).latency_cycles
    with pytest.raises(CannotBuild, match="conv1: the engine has no decoder for arithmetic; it re"):
        _engine(describe(network, stored))


def test_depthwise_groups_lie_side_by_side() -> None:
    workload = _network((8, 4, 4), conv("d", "input", (8, 1, 3, 3), Bits(), padding=1, groups=8))
    # 4 x 4 holds four groups of 1 x 1 on its diagonal: 2 steps of 16 * 9; 4 x 1 holds one: 8 steps.
    # 1,024 bits move in 9 cycles, of which the first step's are not hidden
    assert _engine(workload, folding={"array": (4, 4)}).latency_cycles == 2 * 144 + 5
    assert _engine(workload, folding={"array": (4, 1)}).latency_cycles == 8 * 144 + 2


def test_a_fused_pool_writes_less_and_costs_no_pass() -> None:
    plain = conv("a", "input", (8, 4, 3, 3), Bits(), padding=1)
    fused = _network((4, 8, 8), plain, MaxPool("p", "a", (2, 2), (2, 2)))
    report = _engine(fused, folding={"array": (4, 2)})
    assert report.bytes_per_inference == 512 - (64 - 16) * 32 // 8
    assert report.latency_cycles == 2304 + 6  # 2,560 bits in 21 cycles, a quarter of it first
    apart = _network((4, 8, 8), plain, MaxPool("p", "a", (3, 3), (1, 1)))
    report = _engine(apart, folding={"array": (4, 2)})
    # read again, 64 pixels, and 36 pixels written, of 8 channels of 4 bits
    assert report.bytes_per_inference == 512 + (64 + 36) * 32 // 8
    # 31 lanes take a pixel of 8 channels per cycle; the memory takes 400 / 15.75 = 25.4
    assert report.latency_cycles == 2313 + 64


def test_an_add_is_a_pass_of_its_own() -> None:
    network = residual(1, 8, 8, Bits())
    report = _engine(describe(network, packed(network)))
    passes = {part.name: part.cycles for part in report.parts if part.kind != "engine"}
    assert set(passes) == {"sum0", "mean"}
    # 64 pixels of 8 channels: 31 lanes take one a cycle; twice read and once written, 768 bytes
    assert passes["sum0"] == max(64, math.ceil(768 / 15.75))
    layers = sum(layer.cycles for layer in report.layers)
    assert report.latency_cycles == layers + sum(passes.values())


def _brute_force(workload: NetworkWorkload, device: Device) -> int:
    """Cycles of the fastest engine that fits, all arrays and tiles tried one by one."""
    work = EngineWork(workload, device)
    cost = EngineCost(work)
    rate = 8 * 0.75 * (device.memory_bandwidth_bytes_per_s or 0) / device.clock_hz
    limits = [device.available.get(name, math.inf) for name in RESOURCES]
    rows = max(layer.out_channels for layer in workload.layers)
    columns = max(layer.in_channels for layer in workload.layers)
    best = 1 << 60
    for tm, tn in itertools.product(range(1, rows + 1), range(1, columns + 1)):
        totals = cost.totals(np.array([tm]), np.array([tn]))[..., 0, :]
        for _, _, size, resident in np.argwhere((totals <= limits).all(axis=-1)):
            cycles = 0
            for layer, tiles in zip(workload.layers, work.tiles, strict=True):
                down, across = -(-layer.out_channels // tm), -(-layer.in_channels // tn)
                window = layer.window
                compute = down * across * window.output_pixels * math.prod(window.kernel)
                ways = []
                for count, read in zip(tiles.count[size], tiles.read[size], strict=True):
                    loads = 1 if down * across == 1 else count
                    inputs = read * layer.in_channels * layer.activation_bits
                    inputs *= down if across > 1 else 1
                    bits = inputs + layer.out_channels * window.output_pixels * layer.output_bits
                    weights = layer.packed_bits * loads
                    port = -(-weights // 72) if resident else 0
                    bits += 0 if resident else weights
                    moving = math.ceil(bits / rate)
                    first = math.ceil(min(compute, moving) / (down * across * count))
                    ways.append(max(compute, moving, port) + first)
                cycles += min(ways)
            best = min(best, cycles)
    return best


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6)),
    st.integers(1, 8),
    st.sampled_from([1e8, 4e8, 2e9]),
    st.integers(1500, 6000),
)
@settings(max_examples=8, deadline=None)
def test_the_search_is_exact(
    channels: tuple[int, int, int], bits: int, bandwidth: float, lut: int
) -> None:
    device = dataclasses.replace(DEVICE, lut=lut, memory_bandwidth_bytes_per_s=bandwidth)
    first, second, third = channels
    widths = Bits(bits, 4)
    workload = _network(
        (first, 10, 10),
        conv("a", "input", (second, first, 3, 3), widths, padding=1),
        conv("b", "a", (third, second, 3, 3), widths),
    )
    report = _engine(workload, device)
    if report.fits:
        assert report.latency_cycles == _brute_force(workload, device)
    else:
        assert _brute_force(workload, device) == 1 << 60


@given(st.integers(2, 8), st.sampled_from([0.1, 1.0]), st.data())
@settings(max_examples=10, deadline=None)
def test_more_resources_never_give_fewer_frames(
    bits: int, density: float, data: st.DataObject
) -> None:
    small = load_device("xc7z010")
    counts = {
        name: int(getattr(small, name) * data.draw(st.floats(1, 5), label=name))
        for name in ("lut", "ff", "dsp", "bram18")
    }
    network = lenet5(Bits(bits, bits, density))
    workload = describe(network, packed(network, "csr"))
    before, after = (
        _engine(workload, small),
        _engine(workload, dataclasses.replace(small, **counts)),
    )
    assert before.fits <= after.fits
    assert after.fps >= before.fps


def test_a_target_takes_fewer_resources_and_is_met() -> None:
    network = lenet5(Bits(8, 8))
    workload = describe(network, packed(network))
    fastest, modest = _engine(workload), _engine(workload, target_fps=200)
    assert 200 <= modest.fps < fastest.fps
    assert max(modest.utilization.values()) < max(fastest.utilization.values())
    beyond = _engine(workload, target_fps=1e6)
    assert beyond.fps == fastest.fps


@given(graphs())
@settings(max_examples=25, deadline=None)
def test_every_graph_runs_on_an_engine(network: IntegerNetwork) -> None:
    if not network.layers:
        return
    workload = describe(network, packed(network))
    report = _engine(workload)
    cycles = [one.cycles for one in (*report.layers, *report.parts)]
    assert report.latency_cycles == sum(cycles)
    for name in RESOURCES:
        each = [getattr(one, name) for one in (*report.layers, *report.parts)]
        assert getattr(report, name) == sum(each)


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(CannotBuild, match="needs external memory; ice40up5k has no memory_band"):
        _engine(SMALL, load_device("ice40up5k"))
    with pytest.raises(InputError, match=r"folding\.a: an engine has one folding"):
        _engine(SMALL, folding={"a": (1, 1)})
    with pytest.raises(InputError, match=r"folding\.array: Tm and Tn must be at least 1"):
        _engine(SMALL, folding={"array": (0, 1)})


def test_an_engine_holds_what_a_pipeline_cannot() -> None:
    network = residual(10, 64, 16, Bits(8, 8))
    workload = describe(network, packed(network))
    assert not estimate(workload, DEVICE).fits
    assert _engine(workload).fits
