"""Exporter `rtl`: the whole network in Verilog, with its memories and a test bench.

`rtl/network.v` chains the modules beside it as the cost model's dataflow design folds them: codes
of an image stream in, what the last layer computes streams out. `rtl/README.md` says how to run it.
"""

from __future__ import annotations

from pathlib import Path

from dse.errors import InputError
from dse.export._deployment import TRACED_IMAGES, Deployment, Unavailable
from dse.fpga.report import CostReport
from dse.fpga.rtl_bench import COMMANDS, TOP, write_bench
from dse.fpga.rtl_network import Pipeline, build_pipeline, plan_of

FOLDER = "rtl"
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


def _readme(deployment: Deployment, pipeline: Pipeline, cost: CostReport, images: int) -> str:
    compile_, execute = (" ".join(command) for command in COMMANDS)
    reads, writes = pipeline.reads, pipeline.writes
    shape = " x ".join(map(str, deployment.network.input_shape))
    units = "".join(
        f"| {layer.name} | {layer.compute} | {layer.pe} | {layer.simd} | {layer.cycles:,} |\n"
        for layer in cost.layers
    )
    return f"""# {deployment.heading} in Verilog

    {compile_} *.v
    {execute}

streams {images} images (`inputs.mem`) through the module `{TOP}` and compares every word that
leaves with `expected.mem`. Add `-Pnetwork_tb.STALL=30` to the first line for random idle cycles.

`{TOP}` has `clk`, `reset` (synchronous, high) and two streams with `valid` and `ready` as in AXI
streams, images one after the other without a gap or a mark:

- in: {reads.count} code(s) of {reads.bits} bits per word, {shape} (channels, y, x), unsigned,
  channels of a pixel first, then pixels in raster order, the first one in the low bits;
- out: {writes.count} integer(s) of {writes.bits} bits per word, in the same order.

| layer | computes | PE or lanes | SIMD | cycles per image (estimated) |
|---|---|---|---|---|
{units}
Estimated for {cost.device}: an image every {cost.initiation_interval_cycles:,} cycles, latency
{cost.latency_cycles:,} cycles. What the simulation measured is in `../verify.json`, reader `rtl`.
Weights are in block RAM and LUTs, set at configuration by `$readmemh` from the `.mem` files here.
"""
