"""Reader `rtl`: Icarus Verilog streams images through the network, with and without stalls."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from dse.export._deployment import Deployment, Unavailable
from dse.export.rtl import FOLDER, images_of
from dse.export.verify._comparison import Finding
from dse.export.verify._icarus import icarus
from dse.fpga.rtl_bench import TIMEOUT_S, Simulation, simulate

STALL = 30
"""Per cent of random idle cycles on both sides, in a second run."""


def check(deployment: Deployment, folder: Path) -> Finding:
    """Compare all that leaves the pipeline; the note has its cycles beside the estimated ones."""
    cost = deployment.design
    if cost is None or not (folder / FOLDER).exists():
        raise Unavailable(f"{FOLDER}/ was not written")
    finding = Finding(icarus())
    finding.images = images_of(deployment, cost)
    for stall in (0, STALL):
        found = _simulate(folder, stall)
        finding.values += deployment.outputs[: finding.images].size
        if found.wrong:
            finding.fail(f"rtl: {found.difference}", found.wrong)
            break
        if not stall:
            finding.note = (
                f"an image every {found.interval} cycles (estimated "
                f"{cost.initiation_interval_cycles}), latency {found.latency} "
                f"({cost.latency_cycles})"
            )
    return finding


def _simulate(folder: Path, stall: int) -> Simulation:
    """Run in a copy, so that no program is left in the deploy folder."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / FOLDER
        shutil.copytree(folder / FOLDER, copy)
        try:
            return simulate(copy, stall)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"the simulation takes more than {TIMEOUT_S} s") from None
