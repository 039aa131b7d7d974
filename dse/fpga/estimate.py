"""Estimate: from workloads and a device to a cost report, dataflow template."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dse.errors import InputError
from dse.fpga.device import RESOURCES, Device
from dse.fpga.foldings import Folding
from dse.fpga.memory import MEMORY_EFFICIENCY
from dse.fpga.options import Options, build_options
from dse.fpga.report import RECOMMENDED_SHARE, CostReport, LayerCost
from dse.fpga.schedule import latency_cycles
from dse.fpga.search import Choice, choose
from dse.fpga.unit import MULTIPLIERS, WEIGHT_MEMORIES
from dse.fpga.workload import LayerWorkload


def estimate(
    workloads: Sequence[LayerWorkload],
    device: Device,
    *,
    target_fps: float | None = None,
    folding: Folding | None = None,
) -> CostReport:
    """Cost of `workloads` on `device`, one unit per layer.

    Folds to `target_fps` with the fewest resources, or without a target to the most frames per
    second that fit. A target beyond the budget gives the fastest design that fits; where nothing
    fits, `fits` is False and the report is that of the smallest design. `folding` fixes (PE, SIMD)
    of the layers it names. Raises InputError for a target or folding that cannot be.
    """
    if target_fps is not None and not 0 < target_fps < math.inf:
        raise InputError(f"target_fps must be positive, but got {target_fps}")
    options = build_options(workloads, device, folding)
    bytes_moved = boundary_bytes(workloads)
    boundary = _boundary_cycles(bytes_moved, device)
    goal = None if target_fps is None else int(device.clock_hz // target_fps)
    choice = choose(options, device, goal, boundary)
    layers = tuple(
        _layer_cost(workload, options, row)
        for workload, row in zip(workloads, choice.rows.tolist(), strict=True)
    )
    totals = options.resources[choice.rows].sum(axis=0)
    used = dict(zip(RESOURCES, (int(total) for total in totals), strict=True))
    slowest = max(layer.cycles for layer in layers)
    return _report(
        device,
        layers,
        used,
        (bytes_moved, max(slowest, boundary)),
        _latency(workloads, options, choice),
    )


def boundary_bytes(workloads: Sequence[LayerWorkload]) -> int:
    """Bytes per image over the device boundary: input codes and outputs, each packed."""
    first, last = workloads[0], workloads[-1]
    codes = first.in_channels * first.window.input_pixels
    if first.input_pools:
        codes = first.input_pools[0].channels * first.input_pools[0].window.input_pixels
    return -(-codes * first.activation_bits // 8) + -(-last.output_values * last.output_bits // 8)


def _boundary_cycles(bytes_moved: int, device: Device) -> int:
    if device.memory_bandwidth_bytes_per_s is None:
        return 1
    usable = MEMORY_EFFICIENCY * device.memory_bandwidth_bytes_per_s
    return math.ceil(bytes_moved / usable * device.clock_hz)


def _latency(workloads: Sequence[LayerWorkload], options: Options, choice: Choice) -> int:
    units = options.unit[choice.rows]
    words, lanes = options.units.words[units], options.units.lanes[units]
    return latency_cycles(workloads, words.tolist(), lanes.tolist())


def _layer_cost(workload: LayerWorkload, options: Options, row: int) -> LayerCost:
    units, unit = options.units, options.unit[row]
    cycles = int(options.cycles[row])
    lut, ff, dsp, bram, ultra, _ = (int(count) for count in options.resources[row])
    return LayerCost(
        name=workload.name,
        macs=workload.macs,
        nonzeros=workload.nonzeros,
        storage_format=workload.storage_format,
        packed_bits=workload.packed_bits,
        compute="sparse" if units.sparse[unit] else "dense",
        multipliers=MULTIPLIERS[options.multiplier[row]],
        weight_memory=WEIGHT_MEMORIES[options.memory[row]],
        pe=int(units.pe[unit]),
        simd=int(units.simd[unit]),
        cycles=cycles,
        binds="input" if cycles > units.words[unit] * workload.window.output_pixels else "compute",
        lut=lut,
        ff=ff,
        dsp=dsp,
        bram18=bram,
        uram=ultra,
    )


def _report(
    device: Device,
    layers: tuple[LayerCost, ...],
    used: Mapping[str, int],
    traffic: tuple[int, int],
    latency: int,
) -> CostReport:
    bytes_moved, interval = traffic
    fps, latency_s = device.clock_hz / interval, latency / device.clock_hz
    shares = {name: used[name] / count for name, count in device.available.items()}
    overshoot = {name: share - 1 for name, share in shares.items() if share > 1}
    boundary = interval > max(layer.cycles for layer in layers)
    power = device.board_power_w
    return CostReport(
        device=device.name,
        clock_hz=device.clock_hz,
        layers=layers,
        lut=used["lut"],
        ff=used["ff"],
        dsp=used["dsp"],
        bram18=used["bram18"],
        uram=used["uram"],
        macs=sum(layer.macs for layer in layers),
        nonzeros=sum(layer.nonzeros for layer in layers),
        packed_bits=sum(layer.packed_bits for layer in layers),
        initiation_interval_cycles=interval,
        latency_cycles=latency,
        latency_s=latency_s,
        fps=fps,
        bytes_per_inference=bytes_moved,
        bandwidth_bytes_per_s=bytes_moved * fps,
        energy_j=None if power is None else power * latency_s,
        utilization=shares,
        overshoot=overshoot,
        fits=not overshoot,
        recommended=all(shares[name] <= RECOMMENDED_SHARE.get(name, 1) for name in shares),
        binding="memory_bandwidth" if boundary else max(shares, key=lambda name: shares[name]),
    )
