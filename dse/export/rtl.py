"""Exporter `rtl`: the whole network in Verilog, with its memories and a test bench.

`rtl/network.v` chains the modules beside it as the cost model's dataflow design folds them: codes
of an image stream in, what the last layer computes streams out. `rtl/README.md` says how to run it.
"""

from __future__ import annotations

import math
from pathlib import Path

from dse.errors import InputError
from dse.export._deployment import TRACED_IMAGES, Deployment, Unavailable
from dse.fpga.report import CostReport
from dse.fpga.rtl_bench import COMMANDS, TOP, write_bench
from dse.fpga.rtl_network import Pipeline, build_pipeline, plan_of
from dse.integer import IntegerNetwork, Layer

FOLDER = "rtl"
TEMPLATE = Path(__file__).parent / "templates" / "rtl_readme.md"
SIMULATED_CYCLES = 60_000
"""Cycles of the images that the test bench streams; iverilog does a few thousand a second."""


def images_of(deployment: Deployment, cost: CostReport) -> int:
    """Images in the test bench: as many as SIMULATED_CYCLES hold, two at least."""
    fitting = SIMULATED_CYCLES // cost.initiation_interval_cycles
    return min(max(2, fitting), TRACED_IMAGES, len(deployment.codes))


def write(deployment: Deployment, folder: Path) -> None:
    """Write `rtl/`. Raises Unavailable where it was not asked for, or a node has no Verilog."""
    cost = deployment.design
    if cost is None:
        raise Unavailable("ask for it with --rtl")
    try:
        pipeline = build_pipeline(deployment.network, *plan_of(cost))
    except InputError as error:
        raise Unavailable(str(error)) from error
    target = folder / FOLDER
    target.mkdir()
    images = images_of(deployment, cost)
    vectors = deployment.codes[:images], deployment.outputs[:images]
    write_bench(pipeline, vectors, target)
    text = _readme(deployment, pipeline, cost, images)
    (target / "README.md").write_text(text, encoding="utf-8")


def _ends_in_sums(network: IntegerNetwork) -> bool:
    """Whether the outputs are accumulators, two's complement, and not codes."""
    last = network.nodes[-1]
    return isinstance(last, Layer) and last.requantizer is None


def _readme(deployment: Deployment, pipeline: Pipeline, cost: CostReport, images: int) -> str:
    compile_, run = (" ".join(command) for command in COMMANDS)
    network, reads, writes = deployment.network, pipeline.reads, pipeline.writes
    clock_hz = cost.fps * cost.initiation_interval_cycles
    return TEMPLATE.read_text(encoding="utf-8").format(
        heading=deployment.heading,
        compile=compile_,
        run=run,
        top=TOP,
        images=images,
        device=cost.device,
        clock_mhz=clock_hz / 1e6,
        period_ns=1e9 / clock_hz,
        in_count=reads.count,
        in_bits=reads.bits,
        in_width=reads.width,
        shape=" x ".join(map(str, network.input_shape)),
        scale=network.input_grid.scale,
        zero_point=network.input_grid.zero_point,
        max_code=network.input_grid.max_code,
        out_count=writes.count,
        out_bits=writes.bits,
        out_width=writes.width,
        result="signed integer(s)" if _ends_in_sums(network) else "unsigned code(s)",
        outputs=math.prod(network.shapes[network.output]),
        units="".join(
            f"| {layer.name} | {layer.compute} | {layer.pe} | {layer.simd} | {layer.cycles:,} |\n"
            for layer in cost.layers
        ),
        interval=cost.initiation_interval_cycles,
        latency=cost.latency_cycles,
    )
