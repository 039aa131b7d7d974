"""The whole network in Verilog: what is written, what the reader finds, when there is none."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from dse import fpga
from dse.export import Deployment, Unavailable, check
from dse.export.rtl import FOLDER, images_of, write
from dse.integer import ActivationGrid, IntegerNetwork, MaxPool, Node, Reshape
from tests.export.deployments import deployment_of
from tests.fpga.networks import Bits, conv, linear, residual

needs_iverilog = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="iverilog is not installed"
)


def chain() -> IntegerNetwork:
    """A convolution, a pool and a linear layer."""
    bits = Bits(4, 6, 0.4)
    nodes: tuple[Node, ...] = (
        conv("block.conv", "input", (4, 2, 3, 3), bits, padding=1),
        MaxPool("pool", "block.conv", (2, 2), (2, 2)),
        Reshape("flat", "pool", (36,)),
        linear("fc", "flat", (5, 36), bits, last=True),
    )
    return IntegerNetwork((2, 6, 6), ActivationGrid(8, 1.0, 3), nodes)


def designed(network: IntegerNetwork, target_fps: float | None = None) -> Deployment:
    """A deployment with the design of its network for a small board."""
    deployment = deployment_of(network)
    packed = deployment.packed
    workload = fpga.describe(network, packed.stored, packed.sizes)
    design = fpga.estimate(workload, fpga.load_device("xc7z020"), target_fps=target_fps)
    return replace(deployment, design=design)


@needs_iverilog
@pytest.mark.parametrize("target_fps", [None, 20_000])
def test_the_reader_passes_and_says_the_cycles(target_fps: float | None, tmp_path: Path) -> None:
    deployment = designed(chain(), target_fps)
    write(deployment, tmp_path)
    found = check("rtl", deployment, tmp_path)
    assert (found.status, found.first_difference, found.images) == ("passed", "", 8)
    assert found.values == 2 * 8 * 5  # logits, with stalls and without
    assert deployment.design is not None
    measured, estimated = map(
        int, re.findall(r"every (\d+) cycles \(estimated (\d+)\)", found.note)[0]
    )
    assert estimated == deployment.design.initiation_interval_cycles
    # Folded for speed, both layers and the pool take all 36 cycles.
    assert measured == estimated


@needs_iverilog
@pytest.mark.parametrize("damaged", ["n0_block_conv_bias.mem", "n3_fc_000.mem"])
def test_a_changed_memory_is_found(damaged: str, tmp_path: Path) -> None:
    deployment = designed(chain())
    write(deployment, tmp_path)
    path = tmp_path / FOLDER / damaged
    if not path.exists():
        path = path.with_name("n3_fc_000_rows.mem")
    # Every word: the codes that one alone multiplies may be zero in all images.
    words = [f"{int(word, 16) ^ 0x1F:x}" for word in path.read_text().split()]
    path.write_text("\n".join(words) + "\n")
    found = check("rtl", deployment, tmp_path)
    assert found.status == "failed"
    assert re.fullmatch(r"rtl: image \d, word \d: .*", found.first_difference)


@needs_iverilog
def test_the_command_in_the_readme_runs(tmp_path: Path) -> None:
    write(designed(chain()), tmp_path)
    text = (tmp_path / FOLDER / "README.md").read_text()
    commands = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    assert [command.split()[0] for command in commands] == ["iverilog", "vvp"]
    done = subprocess.run(
        " && ".join(commands), shell=True, cwd=tmp_path / FOLDER, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "8 images, 0 words differ"
    assert "| block.conv |" in text


def test_the_readme_describes_the_ports_as_they_are(tmp_path: Path) -> None:
    deployment = designed(chain())
    write(deployment, tmp_path)
    text = (tmp_path / FOLDER / "README.md").read_text()
    verilog = (tmp_path / FOLDER / "network.v").read_text()
    for port in ("in_data", "out_data"):
        (top,) = re.findall(rf"put \[(\d+):0\] {port}", verilog)
        assert f"| `{port}` | {int(top) + 1} |" in text
    assert set(re.findall(r"^    (?:input|output)[^\n]* (\w+),?$", verilog, re.M)) <= set(
        re.findall(r"`(\w+)`", text)
    )
    assert "2 x 6 x 6 (channels, y, x) codes\nin, 5 integers out" in text
    assert "signed integer(s)" in text  # the last layer has no requantizer
    assert "floor(value / 1 + 0.5) + 3, saturated to 0..255" in text
    assert "create_clock -period 10.000" in text  # xc7z020: 100 MHz


def test_without_a_design_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="ask for it with --rtl"):
        write(deployment_of(chain()), tmp_path)
    found = check("rtl", deployment_of(chain()), tmp_path)
    assert (found.status, found.note) == ("not run", "rtl/ was not written")


def test_a_graph_is_left_out_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="the dataflow RTL has no branches: sum0 reads"):
        write(designed(residual(1, 4, 6, Bits())), tmp_path)
    assert not (tmp_path / FOLDER).exists()


def test_long_simulations_have_fewer_images() -> None:
    deployment = designed(chain())
    assert deployment.design is not None
    assert images_of(deployment, replace(deployment.design, initiation_interval_cycles=20_000)) == 3
    assert images_of(deployment, replace(deployment.design, initiation_interval_cycles=10**6)) == 2


@needs_iverilog
def test_lanes_of_several_weights_per_cycle_become_more_lanes() -> None:
    network = chain()
    deployment = designed(network)
    packed = deployment.packed
    workload = fpga.describe(network, packed.stored, packed.sizes)
    device = fpga.load_device("xc7z020")
    for target in (None, 10_000, 100_000, 300_000):
        report = fpga.estimate(workload, device, target_fps=target)
        assert all(one.compute == "dense" or one.simd == 1 for one in report.layers)
