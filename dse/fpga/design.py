"""Designs: what every template works out, and the cost report that follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dse.errors import InputError
from dse.fpga.device import RESOURCES, Device
from dse.fpga.foldings import Folding
from dse.fpga.memory import MEMORY_EFFICIENCY, Array
from dse.fpga.report import RECOMMENDED_SHARE, CostReport, LayerCost, MemoryLoad, PartCost


class CannotBuild(InputError):
    """A template cannot build the network on the device, whatever the budget."""


@dataclass(frozen=True)
class Request:
    """What a design is asked for: a frame rate, or the most there is; a folding, or a free one.

    Raises InputError for a rate that no design can have.
    """

    target_fps: float | None = None
    folding: Folding | None = None

    def __post_init__(self) -> None:
        if self.target_fps is not None and not 0 < self.target_fps < math.inf:
            raise InputError(f"target_fps must be positive, but got {self.target_fps}")

    def goal_cycles(self, device: Device) -> int | None:
        """Cycles per image that reach the wanted rate."""
        return None if self.target_fps is None else int(device.clock_hz // self.target_fps)


@dataclass(frozen=True)
class Design:
    """A network built after a template: its layers, what is beside them, and its times in cycles.

    `external_cycles` is how long external memory takes for `bytes_moved`, the bytes of one image.
    """

    template: str
    layers: tuple[LayerCost, ...]
    parts: tuple[PartCost, ...]
    ports: tuple[MemoryLoad, ...]
    interval_cycles: int
    latency_cycles: int
    bytes_moved: int
    bandwidth_binds: bool


def usable_bandwidth(device: Device) -> float | None:
    """Bytes per second of external memory to plan with, None where its peak is unknown."""
    peak = device.memory_bandwidth_bytes_per_s
    return None if peak is None else MEMORY_EFFICIENCY * peak


def external_cycles(bytes_moved: int, device: Device) -> int:
    """Cycles that external memory takes for `bytes_moved`; 1 where its bandwidth is unknown."""
    usable = usable_bandwidth(device)
    return 1 if usable is None else math.ceil(bytes_moved / usable * device.clock_hz)


def counted(resources: Array) -> dict[str, Any]:
    """Resource to count, from an array in the order of RESOURCES."""
    return dict(zip(RESOURCES, (int(count) for count in resources), strict=True))


def report(design: Design, device: Device) -> CostReport:
    """The cost report of `design` on `device`, the device's shell among its parts."""
    design = replace(design, parts=(*design.parts, *_shell(device)))
    fps = device.clock_hz / design.interval_cycles
    latency_s = design.latency_cycles / device.clock_hz
    used = _used(design)
    shares = {name: used[name] / count for name, count in device.available.items()}
    overshoot = {name: share - 1 for name, share in shares.items() if share > 1}
    power, bandwidth = device.board_power_w, design.bytes_moved * fps
    fullest = max(shares, key=lambda name: shares[name])
    source = device.sources.get("board_power_w")
    return CostReport(
        device=device.name,
        template=design.template,
        clock_hz=device.clock_hz,
        layers=design.layers,
        parts=design.parts,
        memories=(MemoryLoad("external", bandwidth, usable_bandwidth(device)), *design.ports),
        **used,
        macs=sum(layer.macs for layer in design.layers),
        nonzeros=sum(layer.nonzeros for layer in design.layers),
        packed_bits=sum(layer.packed_bits for layer in design.layers),
        initiation_interval_cycles=design.interval_cycles,
        latency_cycles=design.latency_cycles,
        latency_s=latency_s,
        fps=fps,
        bytes_per_inference=design.bytes_moved,
        bandwidth_bytes_per_s=bandwidth,
        energy_j=None if power is None else power * latency_s,
        energy_source=None if power is None else f"board power x latency; power: {source}",
        utilization=shares,
        overshoot=overshoot,
        fits=not overshoot,
        recommended=all(shares[name] <= RECOMMENDED_SHARE.get(name, 1) for name in shares),
        binding="memory_bandwidth" if design.bandwidth_binds else fullest,
    )


def _shell(device: Device) -> tuple[PartCost, ...]:
    shell = device.shell
    if shell is None:
        return ()
    return (PartCost("shell", "shell", 0, 0, lut=shell.lut, ff=shell.ff, bram18=shell.bram18),)


def _used(design: Design) -> Mapping[str, int]:
    return {
        name: sum(getattr(one, name) for one in (*design.layers, *design.parts))
        for name in RESOURCES
    }
