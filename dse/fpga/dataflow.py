"""Template dataflow: one unit per layer, folded under the budget, codes streamed between units."""

from __future__ import annotations

from dse.fpga import sparse
from dse.fpga.design import Design, Request, counted, external_cycles
from dse.fpga.device import Device
from dse.fpga.latency import Pace, latency_cycles, unit_pace
from dse.fpga.options import Options, build_options
from dse.fpga.report import LayerCost, MemoryLoad, PartCost
from dse.fpga.schedule import fifo_pixels
from dse.fpga.search import choose
from dse.fpga.streams import StreamOptions, stream_options
from dse.fpga.workload import INPUT, LayerWorkload, NetworkWorkload, StreamWorkload


def design_dataflow(network: NetworkWorkload, device: Device, request: Request) -> Design:
    """The folding that reaches the target with the fewest resources, or the most frames that fit.

    Raises InputError for a folding that names no layer or does not divide its layer.
    """
    options = build_options(network, device, request.folding)
    return pipeline("dataflow", network, (options, device), request)


def pipeline(
    template: str, network: NetworkWorkload, table: tuple[Options, Device], request: Request
) -> Design:
    """The best choice among the `options` of every layer, with the streams between them."""
    options, device = table
    depths = fifo_pixels(network)
    streams = [
        stream_options(node, depths.get(node.name, ()), network.readers[node.name] - 1, device)
        for node in network.streams
    ]
    bytes_moved = network.boundary_bytes
    boundary = external_cycles(bytes_moved, device)
    goal = request.goal_cycles(device)
    choice = choose((options, streams), device, goal, boundary)
    rows = choice.rows.tolist()
    layers = tuple(
        _layer_cost(layer, options, row, boundary)
        for layer, row in zip(network.layers, rows, strict=True)
    )
    parts = tuple(
        _part_cost(node, found, index, depths.get(node.name, ()))
        for node, found, index in zip(network.streams, streams, choice.streams, strict=True)
    )
    slowest = max([layer.cycles for layer in layers] + [part.cycles for part in parts])
    interval = max(slowest, boundary)
    paces = {
        layer.name: unit_pace(options.units, options.unit[row])
        for layer, row in zip(network.layers, rows, strict=True)
    }
    paces |= {part.name: Pace(part.lanes, part.lanes) for part in parts}
    return Design(
        template=template,
        layers=layers,
        parts=parts,
        ports=tuple(
            load
            for layer, row in zip(network.layers, rows, strict=True)
            for load in _ports(layer, options, row, (device.clock_hz, interval))
        ),
        interval_cycles=interval,
        latency_cycles=latency_cycles(network, paces),
        bytes_moved=bytes_moved,
        bandwidth_binds=boundary > slowest,
    )


def _layer_cost(layer: LayerWorkload, options: Options, row: int, boundary: int) -> LayerCost:
    units, unit = options.units, options.unit[row]
    cycles = int(options.cycles[row])
    computing = int(units.words[unit]) * layer.window.output_pixels
    compute = options.computes[int(units.sparse[unit])]
    binds = "memory_port" if cycles > computing else "compute"
    if layer.source == INPUT and boundary > cycles:
        binds = "bandwidth"
    return LayerCost(
        name=layer.name,
        macs=layer.macs,
        nonzeros=layer.nonzeros,
        storage_format=layer.storage_format,
        packed_bits=layer.packed_bits if layer.shares is None else 0,
        compute=compute,
        memory_format=sparse.lane_format(layer)[0] if compute == "sparse" else compute,
        multipliers=options.multipliers[options.multiplier[row]],
        weight_memory=options.memories[options.memory[row]],
        pe=int(units.pe[unit]),
        simd=int(units.simd[unit]),
        cycles=cycles,
        binds=binds,
        **counted(options.resources[row]),
    )


def _part_cost(
    node: StreamWorkload, found: StreamOptions, index: int, depths: tuple[int, ...]
) -> PartCost:
    return PartCost(
        name=node.name,
        kind=node.kind,
        lanes=int(found.lanes[index]),
        cycles=int(found.cycles[index]),
        fifo_pixels=depths,
        **counted(found.resources[index]),
    )


def _ports(
    layer: LayerWorkload, options: Options, row: int, pace: tuple[float, int]
) -> tuple[MemoryLoad, ...]:
    """Read port of the weights and write port of the activations of one layer.

    `pace` is the clock and the cycles from image to image.
    """
    clock_hz, interval = pace
    units, unit = options.units, options.unit[row]
    word = int(units.pe[unit] * units.simd[unit] * options.word_bits[unit])
    reads = word * int(units.words[unit]) * layer.window.output_pixels
    lane = int(units.lanes[unit]) * layer.activation_bits
    writes = layer.in_channels * layer.window.input_pixels * layer.activation_bits
    ports = (("weights", reads, word), ("inputs", writes, lane))
    return tuple(
        MemoryLoad(f"{layer.name}.{name}", bits / 8 * clock_hz / interval, width / 8 * clock_hz)
        for name, bits, width in ports
        if width
    )
