"""Every reader computes the same integers as the network, whatever the widths and shapes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dse import export
from dse.export import Deployment, check, reader_names
from dse.export.verify import _comparison
from tests.export.deployments import deployment_of, deployments, lively

FAST = ("binary", "memory", "onnxruntime", "vectors", "yaml")
SLOW = ("c", "iverilog", "qonnx")
ASKED_FOR = ("rtl",)
"""Readers of files that are written on request: tested in files of their own."""
relaxed = settings(deadline=None, suppress_health_check=list(HealthCheck))
quick = settings(relaxed, phases=(Phase.explicit, Phase.reuse, Phase.generate))
"""Shrinking a failure of gcc or iverilog takes minutes; what is found is small enough."""


def written(deployment: Deployment, folder: Path) -> Path:
    """The deploy folder's files, written anew."""
    target = folder / "deploy"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    export.write(deployment, target)
    return target


def assert_agrees(reader: str, deployment: Deployment, folder: Path) -> None:
    found = check(reader, deployment, folder)
    left_out = reader == "qonnx" and found.note == "model.qonnx.onnx was not written"
    if left_out or (found.status == "not run" and "is not installed" in found.note):
        return
    assert (found.status, found.first_difference) == ("passed", "")
    assert found.values > 0


def test_every_reader_is_tested() -> None:
    assert {*FAST, *SLOW, *ASKED_FOR} == set(reader_names())


@given(deployments())
@settings(relaxed, max_examples=25)
@pytest.mark.parametrize("reader", FAST)
def test_random_networks(reader: str, tmp_path: Path, deployment: Deployment) -> None:
    assert_agrees(reader, deployment, written(deployment, tmp_path))


@given(deployments())
@settings(quick, max_examples=8)
@pytest.mark.parametrize("reader", SLOW)
def test_random_networks_slow(reader: str, tmp_path: Path, deployment: Deployment) -> None:
    assert_agrees(reader, deployment, written(deployment, tmp_path))


@pytest.mark.parametrize("mid_rise", [False, True])
@pytest.mark.parametrize("bits", range(1, 17))
def test_every_width(bits: int, mid_rise: bool, tmp_path: Path) -> None:
    deployment = deployment_of(lively(bits, bits, mid_rise))
    folder = written(deployment, tmp_path)
    spread = {len(np.unique(deployment.traced[name])) for name in ("conv1", "conv2", "fc1")}
    assert min(spread) >= (3 if bits > 2 else 2), "the codes must not all saturate"
    for reader in ("memory", "onnxruntime", "c" if bits in (1, 8, 9, 16) else "binary"):
        assert_agrees(reader, deployment, folder)


@pytest.mark.parametrize("bits", [2, 5, 8])
@pytest.mark.parametrize("reader", SLOW)
def test_common_widths(bits: int, reader: str, tmp_path: Path) -> None:
    deployment = deployment_of(lively(7, bits), images=70)
    folder = written(deployment, tmp_path)
    if reader == "qonnx":
        assert (folder / "model.qonnx.onnx").exists(), "float32 is exact at these widths"
    assert_agrees(reader, deployment, folder)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
@settings(relaxed, max_examples=15)
def test_qonnx_is_exact_wherever_it_is_written(tmp_path: Path, seed: int, bits: int) -> None:
    deployment = deployment_of(lively(seed, bits))
    assert_agrees("qonnx", deployment, written(deployment, tmp_path))


def test_a_reader_without_its_program_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = deployment_of(lively(0, 4))
    folder = written(deployment, tmp_path)
    monkeypatch.setattr(shutil, "which", lambda program: None)
    for reader in ("c", "iverilog"):
        found = check(reader, deployment, folder)
        assert found.status == "not run"
        assert "is not installed" in found.note


def test_files_without_their_package_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    deployment = deployment_of(lively(0, 4))
    (tmp_path / "deploy").mkdir()
    left_out = export.write(deployment, tmp_path / "deploy")
    assert left_out["onnx"] == "onnx is not installed (pip install 'dse[export]')"
    assert check("onnxruntime", deployment, tmp_path / "deploy").status == "not run"


@pytest.mark.parametrize("reader", ["binary", "memory", "yaml"])
def test_a_large_network_is_evaluated_on_fewer_images_and_says_so(
    reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = deployment_of(lively(3, 4), images=30)
    folder = written(deployment, tmp_path)
    whole = check(reader, deployment, folder)
    assert (whole.images, whole.note) == (30, "")
    # weights x pixels: conv1 72 x 64, conv2 48 x 14, fc1 8 x 84, fc2 5 x 8
    monkeypatch.setattr(_comparison, "REFERENCE_MACS", 12 * (4608 + 672 + 672 + 40))
    found = check(reader, deployment, folder)
    assert (found.status, found.images) == ("passed", 12)
    assert found.note == "integers equal; logits of the first 12 images, to save time"
    monkeypatch.setattr(_comparison, "REFERENCE_MACS", 1)
    assert check(reader, deployment, folder).images == 8  # the traced ones, at the least
