"""The shell's file, and what a shell does to an estimate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dse.errors import InputError
from dse.fpga import CostReport, Device, describe, estimate, load_device
from dse.fpga.shell import Shell, load_shell, write_shell
from tests.fpga.networks import Bits, lenet5, packed

BARE = replace(load_device("xc7z020"), shell=None)


def _lenet(device: Device) -> CostReport:
    network = lenet5(Bits(4, 4))
    return estimate(describe(network, packed(network)), device, target_fps=1000)


def test_shells_are_read_as_they_were_written(tmp_path: Path) -> None:
    shell = Shell(2000, 3000, 12, "two builds of mine: a, b")
    write_shell(shell, tmp_path / "shell.yml")
    assert load_shell("shell.yml", tmp_path) == shell


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("lut: 1\nff: 1\nbram: 1\nsource: x", "bram: unknown key; did you mean 'bram18'"),
        ("lut: -1\nff: 1\nbram18: 1\nsource: x", "lut must be an integer of at least 0, but is -1"),
        ("lut: 1\nff: 1\nbram18: 1", "source must say what the numbers were fitted to"),
        ("[1]", "must be a mapping of lut, ff, bram18, source"),
        ("{", "cannot read shell file"),
    ],
)
def test_wrong_shell_files_are_input_errors(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "shell.yml").write_text(content)
    with pytest.raises(InputError, match=message):
        load_shell("shell.yml", tmp_path)


def test_an_unknown_shell_is_an_input_error() -> None:
    with pytest.raises(InputError, match="no shell 'bnn-pinq'; did you mean 'bnn-pynq'"):
        load_shell("bnn-pinq")


def test_a_negative_shell_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="ff must be at least 0, but is -1"):
        Shell(1, -1, 1, "x")


def test_a_shell_is_a_part_of_its_own_and_in_the_totals() -> None:
    bare = _lenet(BARE)
    whole = _lenet(replace(BARE, shell=Shell(2000, 3000, 12, "a test")))
    assert bare.layers == whole.layers
    (shell,) = (part for part in whole.parts if part.kind == "shell")
    assert (shell.lut, shell.ff, shell.bram18) == (2000, 3000, 12)
    assert (whole.lut - bare.lut, whole.ff - bare.ff, whole.bram18 - bare.bram18) == (
        2000,
        3000,
        12,
    )


def test_the_layers_get_what_the_shell_leaves() -> None:
    crowded = replace(BARE, shell=Shell(BARE.lut - 8000, 0, 0, "a test"))
    report = _lenet(crowded)
    assert report.fits
    assert report.lut - crowded.shell.lut <= 8000  # type: ignore[union-attr]


def test_a_shell_larger_than_the_device_leaves_nothing() -> None:
    report = _lenet(replace(BARE, shell=Shell(BARE.lut + 1, 0, 0, "a test")))
    assert not report.fits
    assert report.overshoot["lut"] > 0


def test_a_device_file_names_its_shell(tmp_path: Path) -> None:
    shipped = Path("dse/fpga/devices/xc7a35t.yml").read_text()
    (tmp_path / "mine.yml").write_text(
        shipped + "shell: {value: mine-shell.yml, source: a build}\n"
    )
    with pytest.raises(InputError, match=r"cannot read shell file .*mine-shell\.yml"):
        load_device(str(tmp_path / "mine.yml"))
    write_shell(Shell(1, 2, 3, "a build"), tmp_path / "mine-shell.yml")
    assert load_device(str(tmp_path / "mine.yml")).shell == Shell(1, 2, 3, "a build")


def test_the_shipped_board_has_the_fitted_shell() -> None:
    assert load_device("xc7z020").shell == load_shell("bnn-pynq")
