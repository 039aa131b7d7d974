"""Templates: one interface for all, and what `auto` chooses."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import InputError
from dse.fpga import TEMPLATES, CostReport, NetworkWorkload, describe, estimate, load_device
from dse.fpga.device import RESOURCES
from tests.fpga.networks import Bits, lenet5, packed, residual

DEVICE = load_device("xc7z020")


def _lenet(bits: Bits, form: str = "dense") -> NetworkWorkload:
    network = lenet5(bits)
    return describe(network, packed(network, form))


def _all(workload: NetworkWorkload, target: float | None = None) -> dict[str, CostReport]:
    return {
        name: estimate(workload, DEVICE, template=name, target_fps=target) for name in TEMPLATES
    }


@pytest.mark.parametrize("template", [*TEMPLATES, "auto"])
def test_every_template_gives_the_same_fields(template: str) -> None:
    report = estimate(_lenet(Bits(4, 4, 0.1), "csr"), DEVICE, template=template)
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert content == report.to_json()
    assert report.template == template or template == "auto"
    assert [layer.name for layer in report.layers] == ["conv1", "conv2", "conv3", "fc1", "fc2"]
    for name in RESOURCES:
        each = [getattr(one, name) for one in (*report.layers, *report.parts)]
        assert getattr(report, name) == sum(each)
    assert {layer.binds for layer in report.layers} <= {"compute", "memory_port", "bandwidth"}
    external = report.memories[0]
    assert external.name == "external"
    assert external.needed_bytes_per_s == pytest.approx(report.bytes_per_inference * report.fps)
    for load in report.memories:
        assert load.there_bytes_per_s is not None
        assert load.needed_bytes_per_s <= load.there_bytes_per_s * 1.0001, load.name
    assert report.energy_source is not None
    assert "MLPerf" in report.energy_source


@given(st.integers(1, 8), st.sampled_from([0.05, 0.3, 1.0]), st.sampled_from([None, 100.0, 1e5]))
@settings(max_examples=8, deadline=None)
def test_auto_is_the_best_of_all(bits: int, density: float, target: float | None) -> None:
    workload = _lenet(Bits(bits, bits, density), "csr")
    reports = _all(workload, target)
    chosen = estimate(workload, DEVICE, template="auto", target_fps=target)
    assert chosen == reports[chosen.template]
    fitting = [report for report in reports.values() if report.fits]
    assert chosen.fits == bool(fitting)
    enough = target or float("inf")
    if fitting:
        assert min(chosen.fps, enough) == max(min(report.fps, enough) for report in fitting)


@pytest.mark.parametrize("template", [*TEMPLATES, "auto"])
@given(st.integers(1, 8), st.sampled_from([0.05, 0.3, 1.0]), st.data())
@settings(max_examples=6, deadline=None)
def test_a_larger_device_is_never_slower(
    template: str, bits: int, density: float, data: st.DataObject
) -> None:
    small = load_device("xc7z010")
    counts = {
        name: int(getattr(small, name) * data.draw(st.floats(1, 20), label=name))
        for name in ("lut", "ff", "dsp", "bram18")
    }
    workload = _lenet(Bits(bits, bits, density), "csr")
    before = estimate(workload, small, template=template)
    after = estimate(workload, replace(small, **counts), template=template)
    assert after.fits >= before.fits
    assert not before.fits or after.fps >= before.fps


def test_a_network_too_large_for_a_pipeline_shares_an_engine() -> None:
    network = residual(10, 64, 16, Bits(8, 8))
    large = estimate(describe(network, packed(network)), DEVICE, template="auto")
    assert (large.template, large.fits) == ("engine", True)


def test_unknown_templates_and_foldings_of_none_are_refused() -> None:
    workload = _lenet(Bits(2, 2))
    with pytest.raises(InputError, match="no template 'engin'; did you mean 'engine'"):
        estimate(workload, DEVICE, template="engin")
    with pytest.raises(InputError, match="belongs to one template; name it instead of 'auto'"):
        estimate(workload, DEVICE, template="auto", folding={"conv1": (1, 1)})
