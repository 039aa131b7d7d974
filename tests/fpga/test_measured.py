"""The shipped tables: what the formulas get wrong, and that the constants are the fits to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.fpga.measured import TABLES_FOLDER, Row, fitted, read_rows, table_errors, write_rows
from dse.fpga.parts import REQUANTIZED, SIZES, WINDOWS
from dse.fpga.specimens import TABLES, units
from dse.fpga.truth import Errors
from tests.fpga.cnv import golden

UNITS = read_rows(TABLES_FOLDER / "unit_luts.csv")


def _found(name: str, rows: list[dict[str, str]]) -> dict[str, Errors]:
    return dict(table_errors(name, rows))


@pytest.mark.parametrize(
    ("name", "rows", "count"),
    [
        ("multiplier", read_rows(TABLES_FOLDER / "multiplier_luts.csv"), 121),
        ("mac", read_rows(TABLES_FOLDER / "mac_luts.csv"), 49),
        ("dot", read_rows(TABLES_FOLDER / "dot_luts.csv"), 35),
        # another writer's Verilog, too
        ("mac", golden("mac"), 100),
        ("dot", golden("dot16"), 64),
    ],
)
def test_pairs_of_widths_left_out_are_predicted(
    name: str, rows: list[dict[str, str]], count: int
) -> None:
    found = _found(f"{name}_luts", rows)[f"{name} LUT"]
    assert found.count == count
    assert found.median <= 0.06
    assert found.worst <= 0.35


def test_whole_units_left_out_are_predicted() -> None:
    found = _found("unit_luts", UNITS)
    assert found["unit LUT"].count == len(UNITS) == 31
    assert found["unit LUT"].median <= 0.08
    assert found["unit LUT"].worst <= 0.25
    for exact in ("dense unit lutram", "dense unit bram18"):
        assert found[exact].worst == 0
    assert found["sparse unit bram18"].median == 0
    assert found["dense unit ff"].worst <= 0.06
    assert found["sparse unit ff"].worst <= 0.08


@pytest.mark.parametrize("name", ["unit_luts", "window_luts"])
def test_the_shipped_constants_are_the_fits_to_the_tables(name: str) -> None:
    constants = fitted(name, read_rows(TABLES_FOLDER / f"{name}.csv"))
    assert constants
    for constant, fit, shipped in constants:
        assert fit == pytest.approx(shipped, abs=0.005), constant


def test_other_tables_have_no_fitted_constants() -> None:
    assert fitted("mac_luts", read_rows(TABLES_FOLDER / "mac_luts.csv")) == []


def test_windows_left_out_are_predicted() -> None:
    found = _found("window_luts", read_rows(TABLES_FOLDER / "window_luts.csv"))
    assert found["window LUT"].count == len(WINDOWS)
    assert found["window LUT"].median <= 0.08
    assert found["window LUT"].worst <= 0.29
    assert found["window FF"].median <= 0.05
    assert found["window FF"].worst <= 0.25


def test_the_table_has_the_units_that_are_synthesised() -> None:
    names = list(units()[0].row)
    expected = [{name: str(unit.row[name]) for name in names} for unit in units()]
    assert [{name: row[name] for name in names} for row in UNITS] == expected


def test_parts_are_predicted_from_the_sizes_beside_them() -> None:
    found = _found("decoder_luts", read_rows(TABLES_FOLDER / "decoder_luts.csv"))
    assert {name.split()[0] for name in found} == set(SIZES)
    for name, one in found.items():
        assert one.median <= 0.2, name
        # a 4:1 multiplexer is one LUT, a comparator three to eight
        assert one.worst <= {"mux lut": 2, "coo lut": 0.6}.get(name, 0.12), name


def test_requantizers_are_predicted_without_a_table() -> None:
    found = _found("requantizer_luts", read_rows(TABLES_FOLDER / "requantizer_luts.csv"))
    assert found["requantizer, one shift, lut"].count == len(REQUANTIZED)
    assert found["requantizer, one shift, lut"].worst == 0
    assert found["requantizer, shift per channel, lut"].worst <= 0.27
    assert all(one.worst == 0 for name, one in found.items() if name.endswith("dsp"))


def test_a_part_left_out_by_hand() -> None:
    rows: list[Row] = [
        {"part": "csr", "size": str(size), "lut": str(lut), "ff": "1"}
        for size, lut in ((4, 10), (6, 20), (10, 40))
    ]
    # 6 lies on the line through the others; 4 and 10 on that through the two that are left: all are
    # on one line of 5 per bit
    assert _found("decoder_luts", rows)["csr lut"].worst == 0
    rows[1] = {**rows[1], "lut": "25"}
    # 4: 25 - 2 * 15/4 = 17.5; 6: 20; 10: 25 + 4 * 7.5 = 55
    assert _found("decoder_luts", rows)["csr lut"].worst == pytest.approx(0.75)


def test_the_shipped_tables_name_their_tool_and_date() -> None:
    for name in TABLES:
        first = (TABLES_FOLDER / f"{name}.csv").read_text().splitlines()[0]
        assert first.startswith("# yosys 0.70")
        assert "2026-" in first


def test_tables_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows: list[Row] = [{"weight_bits": "1", "lut": "3"}, {"weight_bits": "2", "lut": "5"}]
    write_rows(tmp_path / "table.csv", rows, "a tool")
    assert read_rows(tmp_path / "table.csv") == rows
