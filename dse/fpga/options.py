"""Options: every way to build every layer, with cycles and resources, as one numpy table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dse.fpga.device import RESOURCES, Device
from dse.fpga.foldings import Folding, Units, enumerate_foldings
from dse.fpga.memory import Array
from dse.fpga.unit import (
    MULTIPLIERS,
    WEIGHT_MEMORIES,
    constant_rows,
    gather,
    logic_choices,
    memory_choices,
)
from dse.fpga.workload import NetworkWorkload


@dataclass(frozen=True, eq=False)
class Options:
    """Every way to build every layer.

    Row i builds layer `units.layer[unit[i]]` with the folding of unit `unit[i]`; `multiplier[i]`
    and `memory[i]` index `multipliers` and `memories`, the names of what multiplies and of what
    holds the weights, `word_bits` of its unit apiece; `computes` is indexed by `units.sparse`.
    `resources` has one column per entry of RESOURCES; rows are sorted by layer, then cycles.
    """

    units: Units
    unit: Array
    multiplier: Array
    memory: Array
    cycles: Array
    resources: Array
    starts: Array
    word_bits: Array
    computes: tuple[str, ...] = ("dense", "sparse")
    multipliers: tuple[str, ...] = MULTIPLIERS
    memories: tuple[str, ...] = WEIGHT_MEMORIES

    def of_layer(self, index: int) -> slice:
        """The rows of one layer."""
        return slice(int(self.starts[index]), int(self.starts[index + 1]))


def build_options(network: NetworkWorkload, device: Device, folding: Folding | None) -> Options:
    """Options of all layers for `device`; `folding` fixes (PE, SIMD) of the layers it names.

    Raises InputError when `folding` names no layer or does not divide its layer.
    """
    workloads = network.layers
    units = enumerate_foldings(workloads, folding)
    rows = gather(workloads, units, device)
    logic, memories = logic_choices(units, rows, device), memory_choices(units, rows, device)
    bounds = np.searchsorted(units.layer, np.arange(len(workloads) + 1))
    can = np.array([can for can, _ in logic]).T
    fits = np.array([fits for fits, _ in memories]).T
    # units come first, so the options inherit their order: by layer, then cycles
    place = np.flatnonzero(can[:, :, None] & fits[:, None, :])
    unit, way = np.divmod(place, len(logic) * len(memories))
    multiplier, memory = np.divmod(way, len(memories))
    # one row number and `take`: numpy gathers by two of them several times slower
    needs = np.concatenate([needs for _, needs in logic])
    takes = np.concatenate([takes for _, takes in memories])
    resources = needs.take(multiplier * len(units.layer) + unit, axis=0)
    resources += takes.take(memory * len(units.layer) + unit, axis=0)
    if max(network.readers.values()) > 1:
        resources += fork_resources(network, units.layer, units.pe)[unit]
    in_luts = way == 0
    resources[in_luts, 0] -= constant_rows(units, rows)[unit[in_luts]]
    np.ceil(resources, out=resources)
    starts = np.searchsorted(unit, bounds)
    cycles = units.cycles[unit]
    return Options(units, unit, multiplier, memory, cycles, resources, starts, rows.word_bits)


def fork_resources(network: NetworkWorkload, index: Array, lanes: Array) -> Array:
    """Resources of copying what units of the layers `index` write, `lanes` channels a cycle, to
    every reader after the first: a register per bit with its enable."""
    more = [max(0, network.readers[layer.name] - 1) for layer in network.layers]
    bits = [layer.output_bits for layer in network.layers]
    needs = np.zeros((len(index), len(RESOURCES)))
    needs[:, 0] = needs[:, 1] = lanes * (np.array(more) * np.array(bits))[index]
    return needs
