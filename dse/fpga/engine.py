"""Template engine: one array of Tm x Tn multipliers computes layer after layer, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dse.errors import InputError
from dse.fpga.design import Design, Request, counted, external_cycles
from dse.fpga.device import RESOURCES, Device
from dse.fpga.engine_cost import EngineCost
from dse.fpga.engine_work import PORT_BITS, EngineWork, require_memory
from dse.fpga.memory import Array, ceil_div
from dse.fpga.report import LayerCost, MemoryLoad, PartCost
from dse.fpga.unit import MULTIPLIERS
from dse.fpga.workload import NetworkWorkload

ARRAY = "array"
"""The name under which a folding fixes (Tm, Tn)."""

_FIRST_CHUNK = 16
"""Arrays evaluated at first; then twice as many at a time, as the first are often the best."""

Key = tuple[float, float, float]
"""By how much the budget is exceeded, cycles beyond the goal, and the sum of shares."""


@dataclass(frozen=True)
class Engine:
    """One engine: its array, the index of its tile size, what multiplies, what holds a tile's
    weights, and whether all packed weights stay on the chip."""

    tm: int
    tn: int
    size: int
    multipliers: int
    weight_buffer: int
    resident: bool


def design_engine(network: NetworkWorkload, device: Device, request: Request) -> Design:
    """The engine that reaches the target with the fewest resources, or the fastest that fits.

    Every Tm x Tn that differs in cycles, every tile size, three kinds of multipliers, two of weight
    buffers, and packed weights in external memory or on the chip are compared. Raises CannotBuild
    where the device has no external memory, InputError for a folding but that of the `array`.
    """
    require_memory(device)
    work = EngineWork(network, device)
    cost = EngineCost(work)
    return _design(work, cost, _search(work, cost, request))


def _search(work: EngineWork, cost: EngineCost, request: Request) -> Engine:
    """The best engine. Arrays come by lower bounds of their keys, so what is left is no better."""
    goal = request.goal_cycles(work.device) or 0
    limits = np.array([work.device.left.get(name, np.inf) for name in RESOURCES])
    best: tuple[Key, Engine] | None = None
    for tm, tn, bound in _by_bound(work, cost, _candidates(work, request), (goal, limits)):
        if best is not None and bound > best[0]:
            break
        found = _best_of(work, cost, (tm, tn), (goal, limits))
        best = found if best is None else min(best, found, key=lambda pair: pair[0])
    assert best is not None, "there is at least the array of one multiplier"
    return best[1]


def _candidates(work: EngineWork, request: Request) -> tuple[Array, Array]:
    """Tm and Tn of all arrays worth a look: the least of every quotient of any layer's channels."""
    for name in request.folding or {}:
        if name != ARRAY:
            raise InputError(f"folding.{name}: an engine has one folding, that of its {ARRAY!r}")
    if request.folding:
        given = request.folding[ARRAY]
        if min(given) < 1:
            raise InputError(f"folding.{ARRAY}: Tm and Tn must be at least 1, but are {given}")
        return np.array([given[0]]), np.array([given[1]])
    layers = {(one.out_channels, one.in_channels, one.groups) for one in work.network.layers}
    down = _sides({(rows, groups) for rows, _, groups in layers})
    across = _sides({(columns, groups) for _, columns, groups in layers})
    tm, tn = np.meshgrid(down, across, indexing="ij")
    return tm.ravel(), tn.ravel()


def _sides(channels: set[tuple[int, int]]) -> Array:
    """Least sides for every quotient of channels per group, and of groups side by side."""
    sides = [np.array([1])]
    for count, groups in channels:
        own = count // groups
        sides.append(ceil_div(own, np.arange(1, own + 1)))
        sides.append(own * ceil_div(groups, np.arange(1, groups + 1)))
    return np.unique(np.concatenate(sides))


def _by_bound(
    work: EngineWork, cost: EngineCost, arrays: tuple[Array, Array], aim: tuple[int, Array]
) -> Iterator[tuple[Array, Array, Key]]:
    """Chunks of arrays with the least key that any of them, or any later one, can have.

    An array alone takes its share, and its layers as long as computing them or moving each input
    and output once.
    """
    goal, limits = aim
    tm, tn = arrays
    possible = list(cost.possible)
    shares = (cost.arrays(tm, tn)[possible] + cost.post) / limits
    overshoot = np.maximum(shares - 1, 0).sum(axis=2).min(axis=0)
    cycles = np.maximum(work.least_cycles(tm, tn), goal)
    least = shares.sum(axis=2).min(axis=0)
    order = np.lexsort((least, cycles, overshoot))
    start, length = 0, _FIRST_CHUNK
    while start < len(order):
        chunk, first = order[start : start + length], order[start]
        bound = (float(overshoot[first]), float(cycles[first]), float(least[first]))
        yield tm[chunk], tn[chunk], bound
        start, length = start + length, 2 * length


def _best_of(
    work: EngineWork, cost: EngineCost, arrays: tuple[Array, Array], aim: tuple[int, Array]
) -> tuple[Key, Engine]:
    """The engine of least key among some arrays."""
    goal, limits = aim
    tm, tn = arrays
    shares = cost.totals(tm, tn)[list(cost.possible)] / limits
    overshoot = np.maximum(shares - 1, 0).sum(axis=-1)
    cycles = np.stack([work.total_cycles(tm, tn, resident) for resident in (False, True)], axis=1)
    late = np.broadcast_to(np.maximum(cycles, goal)[None, None], overshoot.shape)
    total = shares.sum(axis=-1)
    key, first = _least((overshoot, late, total))
    kind, weight_buffer, size, resident, index = np.unravel_index(first, overshoot.shape)
    kinds = [number for number, possible in enumerate(cost.possible) if possible]
    return key, Engine(
        int(tm[index]), int(tn[index]), int(size), kinds[kind], int(weight_buffer), bool(resident)
    )


def _least(keys: tuple[Array, Array, Array]) -> tuple[Key, int]:
    """The least triple, compared in order, and the flat index of the first entry that has it."""
    equal, found = np.ones(keys[0].shape, dtype=bool), []
    for values in keys:
        found.append(float(values[equal].min()))
        equal &= values == found[-1]
    return (found[0], found[1], found[2]), int(equal.argmax())


def _design(work: EngineWork, cost: EngineCost, engine: Engine) -> Design:
    """Layers, parts and times of one engine."""
    layers, compute = _layers(work, engine)
    streams = [(stream, *work.stream_work(stream)) for stream in work.network.streams]
    parts = _parts(work, cost, engine)
    parts += [PartCost(node.name, node.kind, work.lanes, cycles) for node, cycles, _ in streams]
    interval = sum(layer.cycles for layer in layers) + work.stream_cycles
    moved = sum(layer.bytes_moved for layer in layers) + sum(count for _, _, count in streams)
    waiting = sum(layer.cycles for layer in layers if layer.binds == "bandwidth")
    waiting += sum(
        cycles for _, cycles, count in streams if cycles == external_cycles(count, work.device)
    )
    return Design(
        template="engine",
        layers=layers,
        parts=tuple(parts),
        ports=_ports(work, cost, engine, (compute, interval)),
        interval_cycles=interval,
        latency_cycles=interval,
        bytes_moved=moved,
        bandwidth_binds=2 * waiting > interval,
    )


def _layers(work: EngineWork, engine: Engine) -> tuple[tuple[LayerCost, ...], int]:
    """Every layer on the engine, cut the better way, and the cycles in which the array computes."""
    tm, tn = np.array([engine.tm]), np.array([engine.tn])
    table, bits = (a[:, engine.size, :, 0] for a in work.layer_cycles(tm, tn, engine.resident))
    compute, steps = (a[:, 0] for a in work.compute_cycles(tm, tn)[::2])
    ways, index = table.argmin(axis=1), np.arange(len(table))
    layers = tuple(
        LayerCost(
            name=layer.name,
            macs=layer.macs,
            nonzeros=layer.nonzeros,
            storage_format=layer.storage_format,
            packed_bits=layer.packed_bits if layer.shares is None else 0,
            compute="dense",
            memory_format=name,
            multipliers=MULTIPLIERS[engine.multipliers],
            weight_memory=ARRAY,
            pe=engine.tm,
            simd=engine.tn,
            cycles=int(cycles),
            binds=_binds(
                int(cycles),
                (int(own), external_cycles(int(moved), work.device)),
                int(tiles.count[engine.size, way] * passes),
            ),
            tile=(int(tiles.rows[engine.size, way]), int(tiles.columns[engine.size, way])),
            bytes_moved=int(moved),
        )
        for layer, (name, _), tiles, way, cycles, moved, own, passes in zip(
            work.network.layers,
            work.formats,
            work.tiles,
            ways,
            table[index, ways],
            ceil_div(bits[index, ways], 8),
            compute,
            steps,
            strict=True,
        )
    )
    return layers, int(compute.sum())


def _binds(cycles: int, others: tuple[int, int], steps: int) -> str:
    """What sets the cycles of a layer: decoding, where the `others`, computing and moving, of which
    one is hidden behind the other in all of so many `steps` but one, take fewer."""
    compute, external = others
    if cycles > max(others) + ceil_div(min(others), steps):
        return "memory_port"
    return "compute" if compute >= external else "bandwidth"


def _parts(work: EngineWork, cost: EngineCost, engine: Engine) -> list[PartCost]:
    """The pieces of an engine; their sum is its row of `EngineCost.totals`."""
    tm, tn = np.array([engine.tm]), np.array([engine.tn])
    pieces = {
        ARRAY: np.ceil(cost.arrays(tm, tn)[engine.multipliers, 0]),
        "weight_buffer": cost.weight_buffers(tm, tn)[engine.weight_buffer, 0],
        "map_buffers": cost.map_buffers(tm, tn)[engine.size, 0],
        "requantizers": cost.post,
    }
    lanes = {ARRAY: engine.tm, "requantizers": work.lanes}
    if work.decoders:
        pieces["decoders"], lanes["decoders"] = cost.decoding, work.decoders
    if engine.resident:
        pieces["weight_store"] = cost.store
    return [
        PartCost(name, "engine", lanes.get(name, 1), 0, **counted(needs))
        for name, needs in pieces.items()
    ]


def _ports(
    work: EngineWork, cost: EngineCost, engine: Engine, cycles: tuple[int, int]
) -> tuple[MemoryLoad, ...]:
    """Read ports of the buffers, and of packed weights on the chip, while an image takes `cycles`:
    those that compute, and all."""
    compute, interval = cycles
    clock_hz = work.device.clock_hz
    widths = {
        "weight_buffer": engine.tm * engine.tn * cost.weight_bits,
        "input_buffer": engine.tn * cost.code_bits,
    }
    loads = [
        MemoryLoad(name, bits / 8 * clock_hz * compute / interval, bits / 8 * clock_hz)
        for name, bits in widths.items()
    ]
    if engine.resident:
        tiles = [t.count[engine.size].min() for t in work.tiles]
        steps = work.compute_cycles(np.array([engine.tm]), np.array([engine.tn]))[2][:, 0]
        bits = int((work.columns[4] * np.where(steps == 1, 1, tiles)).sum())
        needed, there = bits / 8 * clock_hz / interval, PORT_BITS / 8 * clock_hz
        loads.append(MemoryLoad("weight_store", needed, there))
    return tuple(loads)
