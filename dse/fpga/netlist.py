"""Netlists: LUT sites, registers and memories of modules that yosys mapped to a 7-series FPGA."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dse.fpga.memory import ceil_div

LUTRAM_SITES: Mapping[str, int] = {
    **dict.fromkeys(("SRL16E", "SRLC16E", "SRLC32E", "RAM32X1S", "RAM64X1S"), 1),
    **dict.fromkeys(("RAM32X1D", "RAM64X1D", "RAM128X1S"), 2),
    **dict.fromkeys(("RAM32M", "RAM64M", "RAM128X1D", "RAM256X1S"), 4),
}
"""LUT6 sites of a memory primitive (Xilinx UG953)."""

BLOCKS: Mapping[str, int] = {"RAMB18E1": 1, "RAMB36E1": 2}
REGISTERS = ("FDRE", "FDSE", "FDCE", "FDPE")
SHARED_INPUTS = 5
"""Two functions of at most five inputs together share a LUT6, which has two outputs."""


@dataclass(frozen=True)
class Counts:
    """What a module takes, mapped and not placed; `lut` counts sites and includes `lutram`."""

    lut: int
    ff: int
    dsp: int
    bram18: int
    lutram: int


def count(module: Mapping[str, Any]) -> Counts:
    """Resources of one flat module of yosys' JSON.

    A bit of a carry chain takes a site, and with it the LUTs that drive it; other LUTs are two to a
    site where they have at most five inputs. Bits that only pass the carry on are not counted.
    """
    cells = list(module["cells"].values())
    kinds = [cell["type"] for cell in cells]
    luts = {cell["connections"]["O"][0]: cell for cell in cells if cell["type"].startswith("LUT")}
    chain, absorbed = _carry_sites(cells, luts)
    rest = [cell for net, cell in luts.items() if net not in absorbed]
    alone = sum(cell["type"] == "LUT6" for cell in rest)
    lutram = sum(LUTRAM_SITES.get(kind, 0) for kind in kinds)
    return Counts(
        lut=chain + alone + ceil_div(len(rest) - alone, 2) + lutram,
        ff=sum(kind in REGISTERS for kind in kinds),
        dsp=kinds.count("DSP48E1"),
        bram18=sum(BLOCKS.get(kind, 0) for kind in kinds),
        lutram=lutram,
    )


def _carry_sites(
    cells: Iterable[Mapping[str, Any]], luts: Mapping[Any, Mapping[str, Any]]
) -> tuple[int, set[Any]]:
    """(bits of carry chains that need a site, outputs of the LUTs in these sites)."""
    sites, absorbed = 0, set()
    for cell in cells:
        if cell["type"] != "CARRY4":
            continue
        ports = cell["connections"]
        for select, data in zip(ports["S"], ports["DI"], strict=True):
            if isinstance(select, str):  # a constant: the bit only passes the carry on
                continue
            sites += 1
            inputs: set[Any] = set()
            if select in luts:
                absorbed.add(select)
                inputs = _inputs(luts[select])
            if data in luts and len(inputs | _inputs(luts[data])) <= SHARED_INPUTS:
                absorbed.add(data)
    return sites, absorbed


def _inputs(lut: Mapping[str, Any]) -> set[Any]:
    return {net for port, nets in lut["connections"].items() if port != "O" for net in nets}
