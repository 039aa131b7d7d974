"""Simulations: a pipeline in Verilog run with Icarus Verilog on vectors whose results are known."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dse.fpga.rtl_network import Pipeline, top_module
from dse.fpga.stage import Words
from dse.fpga.verilog import RTL, joined, sources, words, write_files
from dse.integer.grid import IntArray

BENCH = "network_tb"
TOP = "network"
TIMEOUT_S = 600
COMMANDS = (
    ("iverilog", "-g2005-sv", "-s", BENCH, "-o", f"{TOP}.vvp"),  # and all .v files
    ("vvp", "-n", f"{TOP}.vvp"),
)

_DONE = re.compile(r"^image \d+: cycle (\d+)$", re.MULTILINE)
_RESULT = re.compile(r"^(\d+) images, (\d+) words differ$", re.MULTILINE)
_DIFFERENCE = re.compile(r"^first difference: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Simulation:
    """What a test bench printed: words that differ, and the cycle, counted from the first word
    offered, in which each image's last word left."""

    wrong: int
    difference: str
    cycles: tuple[int, ...]

    @property
    def latency(self) -> int:
        """Cycles from the first code in to the first image's last value out, both included."""
        return self.cycles[0] + 1

    @property
    def interval(self) -> int:
        """Cycles from image to image at the end, where the pipeline is full."""
        return self.cycles[-1] - self.cycles[-2]


def streamed(tensor: IntArray, carried: Words) -> list[str]:
    """Words of images (N, C, y, x) or vectors (N, C), channels of a pixel first."""
    pixels = tensor.transpose(0, *range(2, tensor.ndim), 1).reshape(-1, carried.count)
    return words((joined(group, carried.bits) for group in pixels), carried.width)


def write_bench(pipeline: Pipeline, vectors: tuple[IntArray, IntArray], folder: Path) -> None:
    """Write the Verilog of `pipeline` with its memories and a test bench that feeds `vectors`
    (input codes, outputs; image first) into `folder`. COMMANDS run it there."""
    fed, expected = streamed(vectors[0], pipeline.reads), streamed(vectors[1], pipeline.writes)
    for stage in pipeline.stages:
        write_files(stage.files, folder)
    write_files({"inputs.mem": fed, "expected.mem": expected}, folder)
    (folder / f"{TOP}.v").write_text(top_module(pipeline, TOP), encoding="utf-8")
    for path in (*sources(), RTL / "bench" / f"{BENCH}.v"):
        shutil.copyfile(path, folder / path.name)
    images = len(vectors[0])
    constants = {
        "IN": pipeline.reads.width,
        "OUT": pipeline.writes.width,
        "WORDS_IN": len(fed) // images,
        "WORDS_OUT": len(expected) // images,
        "IMAGES": images,
    }
    lines = [f"localparam {name} = {value};" for name, value in constants.items()]
    write_files({f"{BENCH}.vh": lines}, folder)


def simulate(folder: Path, stall: int = 0, patience: int | None = None) -> Simulation:
    """Compile and run the test bench in `folder`; with `stall` per cent of random idle cycles on
    both sides, and at most `patience` cycles without a word in or out.

    Raises RuntimeError with what the programs say where one fails or the stream stops.
    """
    parameters = {"STALL": stall or None, "PATIENCE": patience}
    options = [f"-P{BENCH}.{name}={value}" for name, value in parameters.items() if value]
    paths = sorted(path.name for path in folder.glob("*.v"))
    compile_, execute = COMMANDS
    _run([*compile_, *options, *paths], folder)
    printed = _run(execute, folder)
    result, difference = _RESULT.search(printed), _DIFFERENCE.search(printed)
    if result is None:
        raise RuntimeError(f"the simulation did not end: {printed.strip()[-300:]}")
    cycles = tuple(int(cycle) for cycle in _DONE.findall(printed))
    return Simulation(int(result[2]), difference[1] if difference else "", cycles)


def _run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(
        list(command), cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {(done.stderr + done.stdout).strip()[-500:]}")
    return done.stdout
