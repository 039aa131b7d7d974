"""Estimate: from a workload and a device to a cost report, after the template asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dse.errors import InputError, nearest
from dse.fpga.dataflow import design_dataflow
from dse.fpga.design import Design, Request, report
from dse.fpga.device import Device
from dse.fpga.engine import design_engine
from dse.fpga.foldings import Folding
from dse.fpga.report import CostReport
from dse.fpga.workload import NetworkWorkload

Template = Callable[[NetworkWorkload, Device, Request], Design]

TEMPLATES: Mapping[str, Template] = {"dataflow": design_dataflow, "engine": design_engine}


def estimate(
    network: NetworkWorkload,
    device: Device,
    *,
    template: str = "dataflow",
    target_fps: float | None = None,
    folding: Folding | None = None,
) -> CostReport:
    """Cost of `network` on `device`, built after `template`.

    Built for `target_fps` with the fewest resources, or without a target for the most frames per
    second that fit. A target beyond the budget gives the fastest design that fits; where nothing
    fits, `fits` is False and the report is that of the smallest design. `folding` fixes (PE, SIMD)
    of the layers it names. Raises InputError for a template, target or folding that cannot be.
    """
    request = Request(target_fps, folding)
    if template not in TEMPLATES:
        raise InputError(f"no template {template!r}{nearest(template, TEMPLATES)}")
    return report(TEMPLATES[template](network, device, request), device)
