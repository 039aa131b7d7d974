"""What the cost model says of a pipeline in Verilog: cycles of all, resources of its nodes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dse.fpga.design import counted
from dse.fpga.device import load_device
from dse.fpga.foldings import Units, enumerate_foldings
from dse.fpga.latency import Pace, latency_cycles, unit_pace
from dse.fpga.memory import SMALL_MEMORY_BITS
from dse.fpga.rtl_network import UnitChoice
from dse.fpga.schedule import burst_pixels
from dse.fpga.sparse import divisors
from dse.fpga.streams import stream_options
from dse.fpga.unit import gather, logic_choices, memory_choices
from dse.fpga.units import DEVICE
from dse.fpga.workload import LayerWorkload, NetworkWorkload, StreamWorkload


def planned_cycles(
    network: NetworkWorkload, plan: Mapping[str, UnitChoice], lanes: Mapping[str, int]
) -> tuple[int, int]:
    """(initiation interval, latency) of the units in `plan` and pools of `lanes` channels."""
    paces: dict[str, Pace] = {}
    cycles = []
    for node in network.nodes:
        if isinstance(node, LayerWorkload):
            units, index = _unit(node, plan[node.name])
            paces[node.name] = unit_pace(units, index)
            cycles.append(int(units.cycles[index]))
        else:
            wished = lanes.get(node.name, 1)
            found = next(n for n in divisors(node.channels) if n >= wished)
            paces[node.name] = Pace(found, found)
            options = stream_options(node, (), 0, load_device(DEVICE))
            cycles.append(int(options.cycles[options.lanes == found][0]))
    return max(cycles), latency_cycles(network, paces)


def planned_layer(layer: LayerWorkload, choice: UnitChoice) -> Mapping[str, int]:
    """Resources of a whole layer - window, unit, requantizers, streams - with its multipliers in
    LUTs, and its weights there too while they are few."""
    units, index = _unit(layer, choice)
    device = load_device(DEVICE)
    constants = gather((layer,), units, device)
    _, needs = logic_choices(units, constants, device)[0]
    bits = units.simd[index] * constants.word_bits[index] * units.words[index]
    _, memory = memory_choices(units, constants, device)[int(bits > SMALL_MEMORY_BITS)]
    return counted(np.ceil((needs + memory)[index]))


def planned_pool(pool: StreamWorkload, lanes: int) -> Mapping[str, int]:
    """Resources of a pool that takes `lanes` channels per cycle, and of the FIFO behind it."""
    options = stream_options(pool, (burst_pixels(pool.window),), 0, load_device(DEVICE))
    index = int(np.flatnonzero(options.lanes <= lanes)[0])
    return counted(options.resources[index])


def _unit(layer: LayerWorkload, choice: UnitChoice) -> tuple[Units, int]:
    """The units of a layer's folding, and which one is meant."""
    units = enumerate_foldings((layer,), {layer.name: (choice.pe, choice.simd)})
    (found,) = np.flatnonzero(units.sparse == (choice.compute == "sparse"))
    return units, int(found)
