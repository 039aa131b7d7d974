"""Counting sites of a netlist, by hand."""

from __future__ import annotations

from typing import Any

from dse.fpga.netlist import Counts, count


def _cell(kind: str, **ports: list[Any]) -> dict[str, Any]:
    return {"type": kind, "connections": ports}


def _module(*cells: dict[str, Any]) -> dict[str, Any]:
    return {"cells": {f"c{index}": cell for index, cell in enumerate(cells)}}


def _chain(select: list[Any], data: list[Any]) -> dict[str, Any]:
    return _cell("CARRY4", S=select, DI=data, CI=["0"], O=[90, 91, 92, 93], CO=[94, 95, 96, 97])


def test_small_luts_share_a_site_and_large_ones_do_not() -> None:
    small = [_cell("LUT2", I0=[1], I1=[2], O=[10 + index]) for index in range(3)]
    large = _cell("LUT6", **{f"I{port}": [port] for port in range(6)}, O=[20])
    # three small ones take two sites, the large one its own
    assert count(_module(*small, large)).lut == 3


def test_a_carry_bit_takes_in_what_drives_it() -> None:
    xor = _cell("LUT2", I0=[1], I1=[2], O=[10])
    gate = _cell("LUT2", I0=[1], I1=[3], O=[11])
    # bit 0: both LUTs read 1, 2, 3, one site; bit 1 is a plain net; bits 2 and 3 pass the carry
    module = _module(xor, gate, _chain([10, 5, "0", "0"], [11, 6, "0", "0"]))
    assert count(module).lut == 2


def test_a_data_lut_with_too_many_inputs_takes_its_own_site() -> None:
    xor = _cell("LUT4", I0=[1], I1=[2], I2=[3], I3=[4], O=[10])
    gate = _cell("LUT2", I0=[5], I1=[6], O=[11])
    assert count(_module(xor, gate, _chain([10, "0", "0", "0"], [11, "0", "0", "0"]))).lut == 2


def test_memories_registers_and_dsps() -> None:
    module = _module(
        *(_cell(kind) for kind in ("RAM32M", "SRL16E", "RAMB18E1", "RAMB36E1", "FDRE", "FDSE")),
        _cell("DSP48E1"),
        _cell("MUXF7"),
    )
    # a RAM32M is four LUTs, a shift register one; the wide multiplexer behind LUTs is free
    assert count(module) == Counts(lut=5, ff=2, dsp=1, bram18=3, lutram=5)
