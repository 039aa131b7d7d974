"""Which board: every device against one design or many, as plain values to print or draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dse.fpga.design import CannotBuild
from dse.fpga.device import Device, device_names, load_device
from dse.fpga.estimate import estimate
from dse.fpga.workload import NetworkWorkload


@dataclass(frozen=True)
class BoardFit:
    """One network on one device.

    `network` is the name it was given. `binding` is the fullest resource, or `memory_bandwidth`
    where that sets the frame rate; `headroom` is the share of the fullest resource that is left,
    below 0 where it does not fit. `reaches_target` is False where the wanted frame rate is beyond
    the device. `verdict` is "fits" or says what is wrong: "does not fit: bram18 131%", "too slow:
    900 of 1,000 frames/s". Where the template cannot be built on the device at all, it says why,
    and the numbers are None.
    """

    network: str
    device: str
    fits: bool
    recommended: bool
    verdict: str
    template: str | None = None
    binding: str | None = None
    headroom: float | None = None
    fps: float | None = None
    latency_s: float | None = None
    energy_j: float | None = None
    reaches_target: bool = True

    @property
    def suits(self) -> bool:
        """Whether it fits and is fast enough."""
        return self.fits and self.reaches_target


def boards(
    networks: Mapping[str, NetworkWorkload],
    devices: Iterable[str] | None = None,
    *,
    template: str = "dataflow",
    target_fps: float | None = None,
) -> tuple[BoardFit, ...]:
    """Every network (by its name) on every device, device by device.

    `devices` are names or paths of device files; by default those that ship with dse. Devices are
    ordered by their LUTs. Raises InputError for an unknown device, template or target.
    """
    loaded = [load_device(name) for name in (device_names() if devices is None else devices)]
    return tuple(
        _fit(name, network, device, template, target_fps)
        for device in sorted(loaded, key=lambda device: (device.lut, device.name))
        for name, network in networks.items()
    )


def _fit(
    name: str, network: NetworkWorkload, device: Device, template: str, target_fps: float | None
) -> BoardFit:
    try:
        cost = estimate(network, device, template=template, target_fps=target_fps)
    except CannotBuild as reason:
        return BoardFit(name, device.name, False, False, str(reason))
    reaches = target_fps is None or cost.fps >= target_fps
    verdict = cost.verdict()
    if cost.fits and not reaches:
        verdict = f"too slow: {cost.fps:,.0f} of {target_fps:,.0f} frames/s"
    return BoardFit(
        network=name,
        device=device.name,
        fits=cost.fits,
        recommended=cost.recommended,
        verdict=verdict,
        template=cost.template,
        binding=cost.binding,
        headroom=1 - max(cost.utilization.values()),
        fps=cost.fps,
        latency_s=cost.latency_s,
        energy_j=cost.energy_j,
        reaches_target=reaches,
    )
