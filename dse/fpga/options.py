"""Options: every way to build every layer, with cycles and resources, as one numpy table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.fpga.device import RESOURCES, Device
from dse.fpga.foldings import Folding, Units, enumerate_foldings
from dse.fpga.memory import Array
from dse.fpga.pool import input_pool_resources, pool_resources
from dse.fpga.unit import gather, logic_choices, memory_choices
from dse.fpga.workload import LayerWorkload


@dataclass(frozen=True, eq=False)
class Options:
    """Every way to build every layer.

    Row i builds layer `units.layer[unit[i]]` with the folding of unit `unit[i]`, multipliers
    MULTIPLIERS[multiplier[i]] and its weights in WEIGHT_MEMORIES[memory[i]]. `resources` has one
    column per entry of RESOURCES; rows are sorted by layer, then cycles.
    """

    units: Units
    unit: Array
    multiplier: Array
    memory: Array
    cycles: Array
    resources: Array
    starts: Array

    def of_layer(self, index: int) -> slice:
        """The rows of one layer."""
        return slice(int(self.starts[index]), int(self.starts[index + 1]))


def build_options(
    workloads: Sequence[LayerWorkload], device: Device, folding: Folding | None
) -> Options:
    """Options of all layers for `device`; `folding` fixes (PE, SIMD) of the layers it names.

    Raises InputError when `folding` names no layer or does not divide its layer.
    """
    units = enumerate_foldings(workloads, folding)
    rows = gather(workloads, units, device)
    logic, memories = logic_choices(units, rows, device), memory_choices(units, rows, device)
    bounds = np.searchsorted(units.layer, np.arange(len(workloads) + 1))
    pools = np.zeros((len(units.layer), len(RESOURCES)))
    for index, workload in enumerate(workloads):
        own = slice(bounds[index], bounds[index + 1])
        for pool in workload.pools:
            pools[own] += pool_resources(pool, units.pe[own], device)
        for pool in workload.input_pools:
            pools[own] += input_pool_resources(pool, device)
    possible = [[can & fits for fits, _ in memories] for can, _ in logic]
    # units come first, so the options inherit their order: by layer, then cycles
    unit, multiplier, memory = np.nonzero(np.moveaxis(np.array(possible), 2, 0))
    needs = np.array([needs + pools for _, needs in logic])
    takes = np.array([takes for _, takes in memories])
    resources = np.ceil(needs[multiplier, unit] + takes[memory, unit])
    starts = np.searchsorted(unit, bounds)
    return Options(units, unit, multiplier, memory, units.cycles[unit], resources, starts)
