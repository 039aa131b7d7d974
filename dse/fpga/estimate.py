"""Estimate: from a workload and a device to a cost report, after the template asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress

from dse.errors import InputError, nearest
from dse.fpga.dataflow import design_dataflow
from dse.fpga.design import CannotBuild, Design, Request, report
from dse.fpga.device import Device
from dse.fpga.engine import design_engine
from dse.fpga.foldings import Folding
from dse.fpga.hardwired import design_hardwired
from dse.fpga.report import CostReport
from dse.fpga.workload import NetworkWorkload

Template = Callable[[NetworkWorkload, Device, Request], Design]

AUTO = "auto"
"""The template that is whichever of TEMPLATES does best."""

TEMPLATES: Mapping[str, Template] = {
    "dataflow": design_dataflow,
    "engine": design_engine,
    "hardwired": design_hardwired,
}


def estimate(
    network: NetworkWorkload,
    device: Device,
    *,
    template: str = "dataflow",
    target_fps: float | None = None,
    folding: Folding | None = None,
) -> CostReport:
    """Cost of `network` on `device`, built after `template`, or after the best for `auto`.

    Built for `target_fps` with the fewest resources, or without a target for the most frames per
    second that fit. A target beyond the budget gives the fastest design that fits; where nothing
    fits, `fits` is False and the report is that of the smallest design. `folding` fixes (PE, SIMD)
    of the layers it names, or (Tm, Tn) of an engine's `array`. Raises InputError for a template,
    target or folding that cannot be, CannotBuild for a template that the device cannot hold.
    """
    request = Request(target_fps, folding)
    if template == AUTO:
        return _best(network, device, request)
    if template not in TEMPLATES:
        raise InputError(f"no template {template!r}{nearest(template, [*TEMPLATES, AUTO])}")
    return report(TEMPLATES[template](network, device, request), device)


def _best(network: NetworkWorkload, device: Device, request: Request) -> CostReport:
    """The report that fits (or overshoots least), then is fastest up to the target, then smallest.

    Raises InputError for a folding, which belongs to one template.
    """
    if request.folding:
        raise InputError("folding: belongs to one template; name it instead of 'auto'")
    found = []
    for build in TEMPLATES.values():
        with suppress(CannotBuild):
            found.append(report(build(network, device, request), device))
    return min(found, key=lambda cost: _rank(cost, request.target_fps or math.inf))


def _rank(cost: CostReport, target_fps: float) -> tuple[float, float, float]:
    shares = sum(cost.utilization.values())
    return sum(cost.overshoot.values()), -min(cost.fps, target_fps), shares
