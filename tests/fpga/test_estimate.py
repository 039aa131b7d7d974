"""The estimate: golden numbers, measured boards, and what must hold for every network."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import InputError
from dse.fpga import CostReport, Device, describe, estimate, load_device
from tests.fpga.cnv import cnv_w1a1
from tests.fpga.networks import Bits, lenet5, packed

LENET = yaml.safe_load((Path(__file__).parent / "golden" / "lenet5.yml").read_text())
DEVICE = load_device("xc7z020")
SMALLEST = dict.fromkeys(("conv1", "conv2", "conv3", "fc1", "fc2"), (1, 1))

widths = st.integers(1, 10)
densities = st.sampled_from([0.05, 0.2, 0.6, 1.0])
forms = st.sampled_from(["dense", "csr", "bitmap"])


def _lenet(bits: Bits, form: str = "dense", device: Device = DEVICE, **how: object) -> CostReport:
    network = lenet5(bits)
    return estimate(describe(network, packed(network, form)), device, **how)  # type: ignore[arg-type]


def test_cnv_latency_is_within_15_percent_of_the_board() -> None:
    workloads, folding = cnv_w1a1()
    report = estimate(workloads, DEVICE, folding=folding)
    assert abs(report.latency_cycles / 151_178 - 1) <= 0.15
    # the sum of the layers is far off, as measured: +43 %
    assert sum(layer.cycles for layer in report.layers) / 151_178 == pytest.approx(1.43, abs=0.01)
    assert report.initiation_interval_cycles == 32_768


def test_given_folding_is_used_and_cycles_follow_the_formula() -> None:
    workloads, folding = cnv_w1a1()
    report = estimate(workloads, DEVICE, folding=folding)
    for workload, layer in zip(workloads.layers, report.layers, strict=True):
        assert (layer.pe, layer.simd) == folding[layer.name]
        words = workload.out_channels // layer.pe * workload.columns // layer.simd
        assert layer.cycles == words * workload.window.output_pixels


def test_hand_derived_block_rams() -> None:
    report = _lenet(Bits(8, 8), folding=SMALLEST)
    found = {layer.name: layer.bram18 for layer in report.layers if layer.name in LENET["bram18"]}
    assert found == LENET["bram18"]


def test_smallest_folding_takes_one_cycle_per_mac() -> None:
    report = _lenet(Bits(8, 8), folding=SMALLEST)
    assert {layer.name: layer.cycles for layer in report.layers} == LENET["macs"]


def test_totals_are_sums_and_bytes_are_inputs_and_outputs() -> None:
    report = _lenet(Bits(4, 4))
    for name in ("macs", "nonzeros", "packed_bits"):
        assert getattr(report, name) == sum(getattr(layer, name) for layer in report.layers)
    for name in ("lut", "ff", "dsp", "bram18", "uram", "lutram"):
        each = [getattr(one, name) for one in (*report.layers, *report.parts)]
        assert getattr(report, name) == sum(each)
    assert [part.name for part in report.parts] == ["pool1", "pool2", "shell"]
    # 784 codes of 4 bits; 10 accumulators: 84 * 8 * 15 and more need 15 bits
    network = lenet5(Bits(4, 4))
    bits = network.bounds["fc2"].bits
    assert report.bytes_per_inference == 392 + -(-10 * bits // 8)
    assert report.bandwidth_bytes_per_s == pytest.approx(report.bytes_per_inference * report.fps)


def test_energy_is_board_power_times_latency_or_unknown() -> None:
    report = _lenet(Bits())
    assert report.energy_j == pytest.approx(1.67 * report.latency_s)
    assert _lenet(Bits(), device=load_device("xczu3eg")).energy_j is None


def test_an_overfull_device_says_by_how_much() -> None:
    tiny = dataclasses.replace(DEVICE, bram18=20, lut=5000)
    report = _lenet(Bits(16, 16), device=tiny)
    assert not report.fits
    assert not report.recommended
    for name, over in report.overshoot.items():
        assert over == pytest.approx(report.utilization[name] - 1)
    assert report.utilization["bram18"] == pytest.approx(report.bram18 / 20)
    assert report.binding == max(report.utilization, key=report.utilization.__getitem__)
    assert report.metrics()["fits"] == 0.0


def test_sparse_storage_makes_a_network_fit_that_dense_does_not() -> None:
    tiny = dataclasses.replace(DEVICE, bram18=30, lut=12_000)
    bits = Bits(16, 4, density=0.05)
    assert not _lenet(bits, "dense", tiny).fits
    sparse = _lenet(bits, "csr", tiny)
    assert sparse.fits
    assert "sparse" in {layer.compute for layer in sparse.layers}


def test_target_takes_fewer_resources_than_the_fastest() -> None:
    fastest, modest = _lenet(Bits(8, 8)), _lenet(Bits(8, 8), target_fps=1000)
    assert 1000 <= modest.fps < fastest.fps
    shell = DEVICE.shell.lut if DEVICE.shell else 0
    assert modest.lut - shell < (fastest.lut - shell) / 3


def test_a_target_out_of_reach_gives_the_fastest_that_fits() -> None:
    assert _lenet(Bits(8, 8), target_fps=1e8).fps == _lenet(Bits(8, 8)).fps
    assert _lenet(Bits(8, 8), target_fps=1e8).fits


def test_a_slow_target_is_met_by_the_smallest_design() -> None:
    assert _lenet(Bits(8, 8), target_fps=0.001).fits


def test_memory_bandwidth_can_bind() -> None:
    slow = dataclasses.replace(DEVICE, memory_bandwidth_bytes_per_s=1e5)
    report = _lenet(Bits(8, 8), device=slow)
    assert report.binding == "memory_bandwidth"
    assert report.bandwidth_bytes_per_s <= 0.75 * 1e5 * 1.001


def test_wrong_foldings_and_targets_are_input_errors() -> None:
    with pytest.raises(InputError, match=r"folding\.conv1: PE must divide 6 and SIMD 25"):
        _lenet(Bits(), folding={"conv1": (4, 5)})
    with pytest.raises(InputError, match=r"folding\.conv9: no such layer"):
        _lenet(Bits(), folding={"conv9": (1, 1)})
    with pytest.raises(InputError, match="target_fps must be positive, but got 0"):
        _lenet(Bits(), target_fps=0)


def test_json_is_plain_and_complete() -> None:
    report = _lenet(Bits(4, 4, 0.1), "csr")
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert content == report.to_json()
    assert [layer["name"] for layer in content["layers"]] == list(SMALLEST)
    names = "lut ff dsp bram18 latency_s fps bytes_per_inference fits"
    assert " ".join(report.metrics()) == names


@given(widths, widths, densities, forms)
@settings(max_examples=25, deadline=None)
def test_never_faster_than_the_multipliers_allow(
    weights: int, activations: int, density: float, form: str
) -> None:
    report = _lenet(Bits(weights, activations, density, weights == 1), form)
    network = lenet5(Bits(weights, activations, density, weights == 1))
    workloads = describe(network, packed(network)).layers
    for layer, workload in zip(report.layers, workloads, strict=True):
        pixels = workload.window.output_pixels
        work = layer.macs if layer.compute == "dense" else layer.nonzeros * pixels
        assert layer.cycles >= work / (layer.pe * layer.simd)
    assert report.latency_cycles >= report.layers[-1].cycles
    assert report.fps == pytest.approx(report.clock_hz / report.initiation_interval_cycles)


@given(widths, densities, forms, st.sampled_from(["xc7z010", "xczu7ev", "ice40up5k"]), st.data())
@settings(max_examples=25, deadline=None)
def test_more_resources_never_give_fewer_frames(
    bits: int, density: float, form: str, name: str, data: st.DataObject
) -> None:
    small = load_device(name)
    counts = {
        key: int(getattr(small, key) * data.draw(st.floats(1, 5), label=key))
        for key in ("lut", "ff", "dsp", "bram18", "uram")
    }
    large = dataclasses.replace(small, **counts)
    network = lenet5(Bits(bits, bits, density))
    workloads = describe(network, packed(network, form))
    before, after = estimate(workloads, small), estimate(workloads, large)
    if before.fits:
        assert after.fits
        assert after.fps >= before.fps


@given(widths, densities, forms)
@settings(max_examples=10, deadline=None)
def test_the_same_network_gives_the_same_report(bits: int, density: float, form: str) -> None:
    assert _lenet(Bits(bits, bits, density), form) == _lenet(Bits(bits, bits, density), form)


@given(widths, st.floats(1, 1e6))
@settings(max_examples=15, deadline=None)
def test_a_target_within_reach_is_reached(bits: int, target: float) -> None:
    fastest = _lenet(Bits(bits, 4))
    report = _lenet(Bits(bits, 4), target_fps=target)
    assert report.fits
    assert report.fps >= min(target, fastest.fps)


def test_depthwise_and_strided_layers_are_covered() -> None:
    from dse.integer import ActivationGrid, ConvGeometry, IntegerNetwork
    from tests.fpga.networks import conv

    plain = conv("depthwise", "input", (8, 1, 3, 3), Bits())
    geometry = ConvGeometry(stride=(2, 2), padding=(1, 1), groups=8)
    layer = dataclasses.replace(plain, geometry=geometry)
    network = IntegerNetwork((8, 16, 16), ActivationGrid(4, 1.0, 0), (layer,))
    report = estimate(describe(network, packed(network)), DEVICE)
    assert report.macs == 8 * 9 * 64
    # fully parallel, the 256 input pixels bind, not the 64 output pixels
    assert report.initiation_interval_cycles == 256
    assert report.layers[0].binds == "memory_port"


def test_mid_rise_binary_network_is_the_cheapest() -> None:
    binary = _lenet(Bits(1, 1, 1.0, True), target_fps=10_000)
    assert binary.lut < _lenet(Bits(2, 2), target_fps=10_000).lut
    assert np.isfinite(binary.latency_s)
