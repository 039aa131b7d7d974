"""Cycles of pipelines, estimated and simulated: `python benchmarks/rtl_cycles.py [CHAINS]`.

Simulates CHAINS (20) small random chains of every kind in `tests/fpga/chains.py`, and LeNet-5 with
the foldings that the model chooses, with Icarus Verilog. Prints how far interval and latency are
off, the share that is exact, and how many values are wrong. About half a second for a chain.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from rich.console import Console
from rich.table import Table

from dse.fpga import describe, load_device
from dse.fpga.estimate import estimate
from dse.fpga.rtl_bench import simulate, write_bench
from dse.fpga.rtl_cost import planned_cycles
from dse.fpga.rtl_network import plan_of
from dse.integer.reference import evaluate
from tests.fpga.chains import KINDS, Chain, random_chain
from tests.fpga.lenet5_pipelines import requantized
from tests.fpga.lenet5_units import CONFIGURATIONS, lenet5_with_biases
from tests.fpga.networks import packed

IMAGES = 6


@dataclass(frozen=True)
class Found:
    """Interval and latency of a pipeline, each (estimated, simulated), and its wrong values."""

    interval: tuple[int, float]
    latency: tuple[int, int]
    wrong: int


def simulated(chain: Chain, images: int = IMAGES) -> Found:
    """What the simulation of random images counts. The interval is the mean of the last two."""
    network = chain.network
    high = network.input_grid.max_code + 1
    codes = np.random.default_rng(3).integers(0, high, (images, *network.input_shape))
    with tempfile.TemporaryDirectory() as scratch:
        vectors = codes, evaluate(network, codes)[network.output]
        write_bench(chain.pipeline, vectors, Path(scratch))
        found = simulate(Path(scratch))
    interval, latency = planned_cycles(chain.workload, chain.plan, chain.lanes)
    two = found.cycles[-1] - found.cycles[-3]
    return Found((interval, two / 2), (latency, found.latency), found.wrong)


def print_chains(console: Console, chains: int) -> None:
    """Errors over random chains, kind by kind."""
    columns = ("interval exact", "worst", "latency exact", "worst", "wrong values")
    table = Table("folding", "chains", *columns)
    for kind in KINDS:
        cases = [simulated(random_chain(seed, kind)) for seed in range(chains)]
        cells = []
        for pairs in ([case.interval for case in cases], [case.latency for case in cases]):
            errors = [estimated / measured - 1 for estimated, measured in pairs]
            cells += [f"{np.mean([not error for error in errors]):.0%}"]
            cells += [f"{max(errors, key=abs):+.1%}"]
        table.add_row(kind, str(len(cases)), *cells, str(sum(case.wrong for case in cases)))
    console.print(table)


def lenet5_chains() -> Sequence[tuple[str, Chain]]:
    """LeNet-5 in its configurations, folded by the model for speed and for 5,000 images/s."""
    chains = []
    for bits in CONFIGURATIONS:
        network = requantized(lenet5_with_biases(bits))
        workload = describe(network, packed(network, "csr" if bits.density < 1 else "dense"))
        for target in (None, 5_000.0):
            report = estimate(workload, load_device("xc7z020"), target_fps=target)
            wish = "most frames/s" if target is None else f"{target:,.0f} frames/s"
            name = f"W{bits.weights} A{bits.activations} density {bits.density}, {wish}"
            chains.append((name, Chain(network, workload, *plan_of(report))))
    return chains


def print_lenet5(console: Console) -> None:
    """Interval and latency, estimated / simulated."""
    table = Table("LeNet-5", "units", "interval est / sim", "latency est / sim", "wrong")
    for name, chain in lenet5_chains():
        found = simulated(chain, 3)
        kinds = ", ".join(unit.compute[0] for unit in chain.plan.values())
        cells = (f"{pair[0]:,} / {pair[1]:,.0f}" for pair in (found.interval, found.latency))
        table.add_row(name, kinds, *cells, str(found.wrong))
    console.print(table)


def main() -> None:
    """Print both tables."""
    console = Console(width=110, highlight=False)
    print_chains(console, int(sys.argv[1]) if len(sys.argv) > 1 else 20)
    print_lenet5(console)


if __name__ == "__main__":
    main()
