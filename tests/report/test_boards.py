"""The boards table: what a reader sees for one network and for a front."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

from rich.console import Console

from dse.fpga import BoardFit
from dse.report.boards import BoardMatrix, board_table, matrix
from dse.report.choices import recommendations
from dse.report.page import page
from dse.report.results import read_results

from .studies import complete_trial, write_study

FITS = BoardFit("3", "big", True, True, "fits", "dataflow", "lut", 0.41, 12345.0, 8.1e-4)
TIGHT = BoardFit("7", "big", True, False, "fits", "dataflow", "lut", 0.05, 999.0, 2.5e-3)
OVER = BoardFit(
    "3", "small", False, False, "does not fit: bram18 131 %", "dataflow", "bram18", -0.31, 20.0, 1.5
)
FURTHER = BoardFit("7", "small", False, False, "does not fit", "dataflow", "lut", -2.0, 20.0, 1.5)
NEVER = BoardFit("3", "odd", False, False, "no external memory")


def _shown(fits: list[BoardFit], accuracies: dict[str, float]) -> dict[str, list[str]]:
    """Cells of every row by device, as printed 80 columns wide."""
    text = StringIO()
    Console(file=text, width=80).print(board_table(fits, accuracies))
    lines = text.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    return {row[0]: row[1:] for row in rows}


def test_one_network() -> None:
    rows = _shown([FITS, OVER, NEVER], {"3": 0.98})
    assert rows["big"] == ["yes", "lut", "41%", "12,345", "810 µs"]
    assert rows["small"] == ["no", "bram18", "-31%", "20.0", "1.50 s"]
    assert rows["odd"] == ["no", "cannot build", "–", "–", "–"]
    text = StringIO()
    Console(file=text, width=80).print(board_table([FITS, NEVER], {}))
    assert "no external memory" in text.getvalue()


def test_a_front_shows_the_most_accurate_that_fits_or_the_nearest_to_fitting() -> None:
    rows = _shown([FITS, TIGHT, OVER, FURTHER], {"3": 0.98, "7": 0.99})
    assert rows["big"] == ["2 of 2", "7", "lut", "5%", "999", "2.50 ms"]
    assert rows["small"] == ["0 of 2", "–", "bram18", "-31%", "20.0", "1.50 s"]


def test_a_board_that_is_too_slow_is_none_to_choose() -> None:
    slow = replace(FITS, reaches_target=False)
    assert _shown([slow], {})["big"][0] == "slow"
    assert _shown([slow, TIGHT], {"3": 0.99, "7": 0.98})["big"][:2] == ["1 of 2", "7"]


def test_tight_is_told_from_recommended() -> None:
    assert _shown([TIGHT], {})["big"][0] == "tight"


def test_the_page_has_a_row_per_device_and_the_marks_of_the_points(tmp_path: Path) -> None:
    trials = [complete_trial(3, 0.95, 4000), complete_trial(7, 0.99, 8000)]
    results = read_results(write_study(tmp_path / "study", trials))
    fits = (FITS, TIGHT, OVER, FURTHER, NEVER, dataclasses.replace(NEVER, network="7"))
    html = page(results, recommendations(results), BoardMatrix(fits))
    section = html[html.index('id="boards"') : html.index('id="search"')]
    assert "A #7 fits" in section
    assert "C #3 fits" in section
    rows = [re.findall(r"<td[^>]*>([^<]*)", row) for row in section.split("<tr>")[2:]]
    assert [row[0] for row in rows] == ["big", "small", "odd"]
    assert rows[0][1:5] == ["tight", "lut 5%", "999", "2.50 ms"]
    assert rows[0][5:] == ["yes", "lut 41%", "12,345", "810 &#181;s"]
    assert rows[2][1:3] == ["no", "no external memory"]


def test_models_that_are_gone_are_said_to_be(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study", [complete_trial(3, 0.95, 4000)])
    results = read_results(folder)
    found = matrix(folder, results, recommendations(results))
    assert found.note.startswith("Not known: trials/3/")
    assert "Not known" in page(results, recommendations(results), found)


def test_without_a_recommended_point_there_is_no_matrix(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study", [])
    assert matrix(folder, read_results(folder), []) == BoardMatrix()
