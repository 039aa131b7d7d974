"""The cost report: what a network takes on a device, per layer and in total, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

RECOMMENDED_SHARE: Mapping[str, float] = {
    "lut": 0.70,
    "ff": 0.50,
    "dsp": 0.80,
    "bram18": 0.80,
    "uram": 0.80,
}
"""Shares above which timing gets hard (published vendor guidance); 92 % LUT has met 100 MHz."""


@dataclass(frozen=True)
class LayerCost:
    """One layer, with its buffers and the pools behind it.

    `compute` is `dense` or `sparse` (lanes that skip zeros); then `simd` non-zeros per lane and
    cycle and `pe` lanes. `multipliers` is `lut`, `dsp` or `packed_dsp`, `weight_memory` `lut`,
    `bram` or `uram`. `cycles` are those per image; `binds` says whether `compute` or taking in the
    `input` sets them.
    """

    name: str
    macs: int
    nonzeros: int
    storage_format: str
    packed_bits: int
    compute: str
    multipliers: str
    weight_memory: str
    pe: int
    simd: int
    cycles: int
    binds: str
    lut: int
    ff: int
    dsp: int
    bram18: int
    uram: int


@dataclass(frozen=True)
class CostReport:
    """A network on a device.

    `initiation_interval_cycles` is the slowest layer's, or that of the device boundary; `fps` its
    rate. `latency_s` is one image through an empty pipeline. `bytes_per_inference` is what crosses
    the device boundary per image: the input codes and the output values, packed; weights are loaded
    once at start and not counted. `energy_j` is board power times latency, None where no power was
    measured. `utilization` is used / available per resource the device has, `overshoot` what is
    above 1, minus 1; `fits` is no overshoot, `recommended` that every resource stays below
    RECOMMENDED_SHARE. `binding` is `memory_bandwidth` where the device boundary
    sets the rate, else the fullest resource.
    """

    device: str
    clock_hz: float
    layers: tuple[LayerCost, ...]
    lut: int
    ff: int
    dsp: int
    bram18: int
    uram: int
    macs: int
    nonzeros: int
    packed_bits: int
    initiation_interval_cycles: int
    latency_cycles: int
    latency_s: float
    fps: float
    bytes_per_inference: int
    bandwidth_bytes_per_s: float
    energy_j: float | None
    utilization: Mapping[str, float]
    overshoot: Mapping[str, float]
    fits: bool
    recommended: bool
    binding: str

    def metrics(self) -> dict[str, float]:
        """What objectives and constraints of a study may name; `fits` is 0 or 1."""
        names = ("lut", "ff", "dsp", "bram18", "latency_s", "fps", "bytes_per_inference", "fits")
        return {name: float(getattr(self, name)) for name in names}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, keys in a fixed order."""
        content = asdict(self)
        content["layers"] = list(content["layers"])
        return content
