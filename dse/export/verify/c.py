"""Reader `c`: gcc compiles the C as strict C99 without a warning and `make test` runs it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from dse.export._deployment import Deployment, Unavailable
from dse.export.c import FOLDER, VECTORS, write_vectors
from dse.export.verify._comparison import Finding, traced_alone
from dse.integer.network import INPUT

TIMEOUT_S = 600
RESULT = re.compile(r"^(\d+) images, (\d+) mismatches$", re.MULTILINE)
DIFFERENCE = re.compile(r"^first difference: (layer (.*), image (\d+), .*)$", re.MULTILINE)


def check(deployment: Deployment, folder: Path) -> Finding:
    """Build in a copy, so that no program is left in the deploy folder; compare logits of all
    images and every accumulator of the traced ones."""
    for program in ("gcc", "make"):
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed")
    version = _run(["gcc", "-dumpfullversion"], Path.cwd()).stdout.strip()
    finding = Finding(f"gcc {version}")
    with tempfile.TemporaryDirectory() as scratch:
        build = Path(scratch) / FOLDER
        shutil.copytree(folder / FOLDER, build)
        if not _build(finding, build):
            return finding
        _test(finding, deployment, build)
    return finding


def _build(finding: Finding, build: Path) -> bool:
    built = _run(["make", "CC=gcc", "test_traced", "test_model"], build)
    if built.returncode:
        errors = [line for line in built.stderr.splitlines() if "error" in line]
        finding.fail(f"does not compile: {(errors or [built.stderr.strip()])[0]}")
    return not built.returncode


def _test(finding: Finding, deployment: Deployment, build: Path) -> None:
    found = _run(["make", "-k", "CC=gcc", "test"], build)
    results = RESULT.findall(found.stdout)
    traced = sum(accumulators.size for _, accumulators in deployment.accumulators)
    finding.images = len(deployment.codes)
    run = [len(deployment.traced[INPUT]), finding.images]
    finding.values = deployment.outputs.size + traced
    difference = DIFFERENCE.search(found.stdout)
    if difference:
        place = difference
        if place[2] == "output":
            place = _trace(deployment, int(place[3]), build) or difference
        finding.fail(place[1], max(int(mismatches) for _, mismatches in results))
    elif found.returncode or [int(images) for images, _ in results] != run:
        finding.fail(f"make test failed: {(found.stdout + found.stderr).strip()[-200:]}")


def _trace(deployment: Deployment, image: int, build: Path) -> re.Match[str] | None:
    """Run one image alone, traced, to name the layer behind wrong logits."""
    write_vectors(traced_alone(deployment, image), build / VECTORS)
    return DIFFERENCE.search(_run(["./test_traced", VECTORS], build).stdout)


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
