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
    """One layer, with its buffers.

    `compute` is `dense`, `sparse` (lanes that skip zeros; then `simd` non-zeros per lane and cycle
    and `pe` lanes) or `constant` (hard-wired). `memory_format` is what the weight memory holds, or
    what an engine reads: weights of a pipeline are loaded once, from whatever they are stored in.
    `multipliers` is `lut`, `dsp`, `packed_dsp` or `constant`, `weight_memory` `lut`, `bram`,
    `uram`, `none`, or `array` where all layers share one engine's. `cycles` are those per image;
    `binds` says what sets them: `compute`, the `memory_port` that takes in activations (or decodes
    weights), or external `bandwidth`. On an engine `pe` and `simd` are Tm and Tn, `tile` is (rows,
    columns) of an output tile and `bytes_moved` what external memory moves for the layer.
    """

    name: str
    macs: int
    nonzeros: int
    storage_format: str
    packed_bits: int
    compute: str
    memory_format: str
    multipliers: str
    weight_memory: str
    pe: int
    simd: int
    cycles: int
    binds: str
    tile: tuple[int, int] | None = None
    bytes_moved: int = 0
    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram18: int = 0
    uram: int = 0
    lutram: int = 0


@dataclass(frozen=True)
class PartCost:
    """What is in a design beside its layers: pools, adds, concats, an engine's array and buffers.

    `lanes` channels are taken per cycle, `cycles` per image; `fifo_pixels` are the pixels kept for
    each source of an add or concat, so that its branches arrive together, and behind a pool.
    """

    name: str
    kind: str
    lanes: int
    cycles: int
    fifo_pixels: tuple[int, ...] = ()
    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram18: int = 0
    uram: int = 0
    lutram: int = 0


@dataclass(frozen=True)
class MemoryLoad:
    """Bandwidth that a memory must deliver at the reported rate, and what is there.

    `there_bytes_per_s` is a port's width times the clock, or the usable share of external memory;
    None where it is unknown.
    """

    name: str
    needed_bytes_per_s: float
    there_bytes_per_s: float | None


@dataclass(frozen=True)
class CostReport:
    """A network on a device, built after `template`.

    `initiation_interval_cycles` is the slowest layer's, or that of the device boundary; `fps` its
    rate. `latency_s` is one image through an empty pipeline. `bytes_per_inference` is what crosses
    the device boundary per image: the input codes and the output values, packed, and what an engine
    moves between; weights that stay on the chip are loaded once at start and not counted.
    `energy_j` is board power times latency, `energy_source` where the power is from; both None
    where no power was measured. `utilization` is used / available per resource the device has,
    `overshoot` what is above 1, minus 1; `fits` is no overshoot, `recommended` that every resource
    stays below RECOMMENDED_SHARE. `binding` is `memory_bandwidth` where external memory sets the
    rate, else the fullest resource. Totals are sums over `layers` and `parts`.
    """

    device: str
    template: str
    clock_hz: float
    layers: tuple[LayerCost, ...]
    parts: tuple[PartCost, ...]
    memories: tuple[MemoryLoad, ...]
    lut: int
    ff: int
    dsp: int
    bram18: int
    uram: int
    lutram: int
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
    energy_source: str | None
    utilization: Mapping[str, float]
    overshoot: Mapping[str, float]
    fits: bool
    recommended: bool
    binding: str

    def metrics(self) -> dict[str, float]:
        """What objectives and constraints of a study may name; `fits` is 0 or 1."""
        names = ("lut", "ff", "dsp", "bram18", "latency_s", "fps", "bytes_per_inference", "fits")
        return {name: float(getattr(self, name)) for name in names}

    def verdict(self) -> str:
        """`fits`, or what does not: "does not fit: bram18 131 %"."""
        if self.fits:
            return "fits"
        over = ", ".join(f"{name} {1 + by:.0%}" for name, by in sorted(self.overshoot.items()))
        return f"does not fit: {over}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, keys in a fixed order."""
        content = asdict(self)
        for name in ("layers", "parts", "memories"):
            content[name] = list(content[name])
        for part in content["parts"]:
            part["fifo_pixels"] = list(part["fifo_pixels"])
        for layer in content["layers"]:
            layer["tile"] = layer["tile"] and list(layer["tile"])
        return content
