"""The shell: fitted to the golden reports, left out one at a time, written and read back."""

from __future__ import annotations

from statistics import fmean

import pytest

from dse.errors import InputError
from dse.fpga.builds import Build, read_builds
from dse.fpga.calibration import (
    fit_shell,
    leave_one_out,
    predict,
)
from dse.fpga.hls import HlsLayer
from dse.fpga.shell import load_shell
from tests.fpga.cnv import GOLDEN

BUILDS = read_builds(GOLDEN / "bnn_pynq_layers.csv", GOLDEN / "bnn_pynq_reports.csv")


def _errors(name: str) -> list[float]:
    left_out = zip(BUILDS, leave_one_out(BUILDS), strict=True)
    return [found[name] / build.reported[name] - 1 for build, found in left_out]


def test_the_shipped_shell_is_the_fit_to_the_three_networks() -> None:
    shipped = load_shell("bnn-pynq")
    assert fit_shell(BUILDS, shipped.source) == shipped
    assert all(build.net in shipped.source for build in BUILDS)


def test_networks_left_out_are_predicted() -> None:
    assert fmean(map(abs, _errors("lut"))) <= 0.12
    assert fmean(map(abs, _errors("ff"))) <= 0.05
    assert max(map(abs, _errors("bram18"))) <= 0.20


def test_the_order_of_the_networks_is_that_of_the_reports() -> None:
    for name in ("lut", "ff", "bram18"):
        predicted = [predict(build, load_shell("bnn-pynq"))[name] for build in BUILDS]
        reported = [build.reported[name] for build in BUILDS]
        assert sorted(range(3), key=predicted.__getitem__) == sorted(
            range(3), key=reported.__getitem__
        )


def test_a_full_device_says_nothing_about_the_shells_blocks() -> None:
    # cnvW2A2 fills all 280 blocks
    assert fit_shell(BUILDS, "x").bram18 == fit_shell([BUILDS[0], BUILDS[2]], "x").bram18
    assert fit_shell([BUILDS[1]], "x").bram18 == 0


def test_a_fit_needs_luts() -> None:
    layer = HlsLayer("0", False, 1, 8, 1, 8, 1, 1, 1, 1, 1)
    with pytest.raises(InputError, match="a fit needs the reported lut"):
        fit_shell([Build("x", (layer,), reported={"ff": 3})], "x")
