"""What the folding search loses against the exact one: `python benchmarks/folding_gap.py`.

The networks are too large for the exact search in normal use; here it runs all the same, for some
seconds in all. Devices are xc7z020 cut down, without its shell.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))

from rich.console import Console
from rich.table import Table

from dse.fpga import CostReport, Device, NetworkWorkload, describe, estimate, load_device
from tests.fpga.networks import Bits, chain, lenet5, packed

NETWORKS = (
    ("LeNet-5 W4A4", lenet5(Bits(4, 4)), "dense"),
    ("LeNet-5 W8A8, density 0.2", lenet5(Bits(8, 8, 0.2)), "csr"),
    ("6 equal layers W4A4", chain(6, 32, 16, Bits(4, 4)), "dense"),
)
BUDGETS = ((3_000, 20, 20), (5_000, 40, 60), (10_000, 60, 60), (17_600, 80, 120))
"""LUT, DSP, BRAM18."""


def main() -> None:
    """Print intervals and times of both searches."""
    table = Table("network", "LUT, DSP, BRAM18", "cycles found", "exact", "ratio", "ms", "exact ms")
    base = replace(load_device("xc7z020"), shell=None)
    for name, network, form in NETWORKS:
        workload = describe(network, packed(network, form))
        for lut, dsp, bram18 in BUDGETS:
            device = replace(base, lut=lut, dsp=dsp, bram18=bram18)
            found, spent = timed(workload, device, lambda options: False)
            exact, longer = timed(workload, device, lambda options: True)
            cells = [str(r.initiation_interval_cycles) if r.fits else "-" for r in (found, exact)]
            ratio = found.initiation_interval_cycles / exact.initiation_interval_cycles
            budget = f"{lut}, {dsp}, {bram18}"
            table.add_row(name, budget, *cells, f"{ratio:.2f}", f"{spent:.1f}", f"{longer:.0f}")
    Console(width=100).print(table)


def timed(
    workload: NetworkWorkload, device: Device, is_small: Callable[[object], bool]
) -> tuple[CostReport, float]:
    """The report, searched exactly where `is_small` says so, and the CPU time in ms."""
    with mock.patch("dse.fpga.search.is_small", is_small):
        start = time.process_time()
        report = estimate(workload, device)
        return report, 1e3 * (time.process_time() - start)


if __name__ == "__main__":
    main()
