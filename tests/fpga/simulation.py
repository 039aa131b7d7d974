"""Simulations of generated units with Icarus Verilog."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dse.fpga.verilog import Files, dense_files, joined, sources, sparse_files, words, write_files
from dse.integer.grid import IntArray

BENCHES = Path(__file__).parent / "rtl"


@dataclass(frozen=True)
class Unit:
    """A layer's integers and their widths; `codes` are vectors, shape (vectors, columns)."""

    weights: IntArray
    bias: IntArray
    codes: IntArray
    weight_bits: int
    activation_bits: int
    acc_bits: int = 24

    @property
    def expected(self) -> IntArray:
        """Accumulators, shape (vectors, rows)."""
        accumulators: IntArray = self.codes @ self.weights.T + self.bias
        return accumulators

    @property
    def widths(self) -> tuple[int, int]:
        """Bits of a weight and of an accumulator."""
        return self.weight_bits, self.acc_bits

    def parameters(self) -> dict[str, int]:
        """Verilog parameters that do not depend on the folding."""
        (rows, columns), vectors = self.weights.shape, len(self.codes)
        widths = {"W": self.weight_bits, "A": self.activation_bits, "ACC": self.acc_bits}
        return {"ROWS": rows, "COLUMNS": columns, "VECTORS": vectors, **widths}


def random_unit(
    shape: tuple[int, int], bits: tuple[int, int], density: float = 1.0, vectors: int = 4
) -> Unit:
    """A unit of random integers; one-bit weights are -1 and 1."""
    rng = np.random.default_rng([*shape, *bits])
    (rows, columns), (weight_bits, activation_bits) = shape, bits
    half = 1 << (weight_bits - 1)
    weights = rng.integers(-half, half, shape)
    if weight_bits == 1:
        weights = 2 * rng.integers(0, 2, shape) - 1
    weights = weights * (rng.random(shape) < density)
    codes = rng.integers(0, 1 << activation_bits, (vectors, columns))
    bias = rng.integers(-100, 100, rows)
    return Unit(weights, bias, codes, weight_bits, activation_bits)


def run_dense(
    unit: Unit, folding: tuple[int, int], folder: Path, stall: int = 0
) -> tuple[IntArray, IntArray]:
    """(accumulators (vectors, rows), cycle in which the last of a vector left (vectors,))."""
    pe, simd = folding
    files = dense_files("layer", unit.weights, unit.bias, folding, unit.widths)
    steps = unit.codes.reshape(-1, simd)
    feed = words(
        (joined(step, unit.activation_bits) for step in steps), simd * unit.activation_bits
    )
    parameters = {**unit.parameters(), "PE": pe, "SIMD": simd, "STALL": stall}
    printed = simulate("matvec_tb", {**files, "codes.mem": feed}, parameters, folder)
    table = np.array([list(map(int, line.split())) for line in printed])
    vectors = len(unit.codes)
    return table[:, 1:].reshape(vectors, -1), table[:, 0].reshape(vectors, -1)[:, -1]


def run_sparse(unit: Unit, lanes: int, folder: Path) -> tuple[IntArray, IntArray, int]:
    """(accumulators, cycles in which vectors were done, words of the busiest lane)."""
    files, dealt, depth = sparse_files("layer", unit.weights, unit.bias, lanes, unit.widths)
    feed = words(unit.codes.ravel().tolist(), unit.activation_bits)
    parameters = {**unit.parameters(), "LANES": lanes, "DEPTH": depth}
    printed = simulate("lanes_tb", {**files, "codes.mem": feed}, parameters, folder)
    done = [int(line.split()[1]) for line in printed if line.startswith("done")]
    sums: dict[int, list[int]] = {lane: [] for lane in range(lanes)}
    for line in printed:
        if not line.startswith("done"):
            _, lane, value = map(int, line.split())
            sums[lane].append(value)
    found = np.zeros((len(unit.codes), len(unit.weights)), dtype=np.int64)
    for lane, values in sums.items():
        found[:, dealt[lane]] = np.array(values).reshape(len(unit.codes), -1)
    return found, np.array(done), depth


def simulate(
    bench: str, files: Files, parameters: Mapping[str, int | str], folder: Path
) -> list[str]:
    """Lines that the test bench prints."""
    write_files(files, folder)
    texts = {
        n: f'"{value}"' if isinstance(value, str) else value for n, value in parameters.items()
    }
    options = [f"-P{bench}.{name}={value}" for name, value in texts.items()]
    paths = [str(path) for path in (*sources(), BENCHES / f"{bench}.v")]
    command = ["iverilog", "-g2005-sv", *options, "-s", bench, "-o", "unit.vvp", *paths]
    for step in (command, ["vvp", "-n", "unit.vvp"]):
        done = subprocess.run(step, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout.splitlines()
