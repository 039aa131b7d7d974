"""Boards: every device against networks, and what is said where one does not fit."""

from __future__ import annotations

import re

import pytest

from dse.errors import InputError
from dse.fpga import NetworkWorkload, boards, describe, device_names, estimate, load_device
from tests.fpga.networks import Bits, chain, lenet5, packed


def _workload(bits: Bits) -> NetworkWorkload:
    network = lenet5(bits)
    return describe(network, packed(network))


SMALL, LARGE = _workload(Bits(2, 2)), _workload(Bits(8, 8))


def test_every_network_on_every_device_by_size() -> None:
    fits = boards({"small": SMALL, "large": LARGE})
    assert [fit.network for fit in fits] == ["small", "large"] * len(device_names())
    luts = [load_device(fit.device).lut for fit in fits]
    assert luts == sorted(luts)


def test_the_numbers_are_those_of_the_estimate() -> None:
    (fit,) = boards({"a": LARGE}, ["xc7z020"], target_fps=500)
    cost = estimate(LARGE, load_device("xc7z020"), target_fps=500)
    assert (fit.fps, fit.latency_s, fit.binding) == (cost.fps, cost.latency_s, cost.binding)
    assert (fit.fits, fit.recommended, fit.verdict) == (cost.fits, cost.recommended, "fits")
    assert fit.headroom == pytest.approx(1 - max(cost.utilization.values()))
    assert fit.template == "dataflow"
    assert fit.energy_j == pytest.approx(1.67 * cost.latency_s)


def test_what_does_not_fit_says_by_how_much() -> None:
    (fit,) = boards({"large": LARGE}, ["ice40up5k"])
    assert not fit.fits
    assert not fit.recommended
    assert fit.headroom is not None
    assert fit.headroom < 0
    assert re.search(rf"does not fit: .*{fit.binding} {1 - fit.headroom:.0%}", fit.verdict)


def test_a_rate_beyond_the_device_is_said() -> None:
    slow, fast = boards({"small": SMALL}, ["xc7z020", "xczu9eg"], target_fps=200_000)
    assert (slow.fits, slow.reaches_target, slow.suits) == (True, False, False)
    assert slow.verdict == f"too slow: {slow.fps:,.0f} of 200,000 frames/s"
    assert (fast.reaches_target, fast.suits, fast.verdict) == (True, True, "fits")


def test_a_network_that_fits_nowhere_is_still_a_full_matrix() -> None:
    network = chain(2, 512, 32, Bits(16, 16))
    fits = boards({"huge": describe(network, packed(network))}, ["ecp5-85", "xc7z010", "xc7a100t"])
    assert [fit.device for fit in fits] == ["xc7z010", "xc7a100t", "ecp5-85"]
    assert not any(fit.fits for fit in fits)
    assert all(fit.verdict.startswith("does not fit: ") for fit in fits)


def test_a_device_that_a_template_cannot_use_says_why() -> None:
    (fit,) = boards({"small": SMALL}, ["ice40up5k"], template="engine")
    assert (fit.fits, fit.fps, fit.headroom) == (False, None, None)
    assert fit.verdict.startswith("the engine needs external memory")
    (fit,) = boards({"small": SMALL}, ["ice40up5k"], template="auto")
    assert fit.template in {"dataflow", "hardwired"}


def test_wrong_devices_and_targets_are_input_errors() -> None:
    with pytest.raises(InputError, match="no device 'xc7z02'; did you mean"):
        boards({"small": SMALL}, ["xc7z02"])
    with pytest.raises(InputError, match="target_fps must be positive, but got -1"):
        boards({"small": SMALL}, ["xc7z020"], target_fps=-1)
    with pytest.raises(InputError, match="no template 'dataflo'; did you mean 'dataflow'"):
        boards({"small": SMALL}, ["xc7z020"], template="dataflo")
