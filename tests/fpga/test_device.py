"""Devices: every shipped file holds the contract, and wrong files are answered in full."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.errors import InputError
from dse.fpga import Device, describe, device_names, estimate, load_device
from dse.fpga.device import RESOURCES
from tests.fpga.networks import Bits, lenet5, packed

XC7Z020 = Path(__file__).parents[2] / "dse" / "fpga" / "devices" / "xc7z020.yml"


def test_ships_the_promised_devices() -> None:
    xilinx7 = {"xc7z010", "xc7z020", "xc7a35t", "xc7a100t", "xc7z045"}
    ultrascale = {"xczu3eg", "xczu7ev", "xczu9eg", "xck26", "alveo-u50", "alveo-u250"}
    assert xilinx7 | ultrascale | {"ecp5-85", "ice40up5k"} <= set(device_names())


@pytest.mark.parametrize("name", device_names())
def test_device_holds_the_contract(name: str) -> None:
    device = load_device(name)
    assert isinstance(device, Device)
    assert device.name == name
    assert set(device.available) <= set(RESOURCES)
    assert {"lut", "ff", "dsp", "bram18"} <= set(device.available)
    # every configuration of a block holds at most its bits, 18 Kb (4 Kb on iCE40)
    sizes = {depth * width for depth, width in device.bram_shapes}
    assert max(sizes) <= 18 * 1024
    assert 1e6 <= device.clock_hz <= 1e9


@pytest.mark.parametrize("name", device_names())
def test_every_device_gives_a_complete_report(name: str) -> None:
    network = lenet5(Bits(2, 2))
    report = estimate(describe(network, packed(network)), load_device(name))
    assert report.fits == (not report.overshoot)
    assert set(report.utilization) == set(load_device(name).available)
    assert report.fps > 0
    assert report.fits == all(share <= 1 for share in report.utilization.values())


def test_known_numbers() -> None:
    device = load_device("xc7z020")
    assert (device.lut, device.ff, device.dsp, device.bram18) == (53200, 106400, 220, 280)
    assert device.available["lutram"] == 17400
    assert "uram" not in device.available


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no device 'xc7z02'; did you mean 'xc7z0.0'"):
        load_device("xc7z02")


def test_a_users_own_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(XC7Z020.read_text().replace("53200", "1000"))
    device = load_device(str(path))
    assert (device.name, device.lut) == ("mine", 1000)


def test_missing_file() -> None:
    with pytest.raises(InputError, match=r"cannot read device file nowhere\.yml"):
        load_device("nowhere.yml")


def test_every_mistake_at_once(tmp_path: Path) -> None:
    lines = XC7Z020.read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("ff:", "dsp:", "bram18:", "clock_hz:"))]
    wrong = [
        "dsp: {value: -3, source: here}",
        "bram18: {value: many, source: here}",
        "clock_hz: 100",
        "colour: {value: 1, source: here}",
        "uram: {value: 4, source: ''}",
    ]
    path = tmp_path / "wrong.yml"
    path.write_text("\n".join([*kept, *wrong]))
    with pytest.raises(InputError) as caught:
        load_device(str(path))
    message = str(caught.value)
    for part in (
        "ff: missing",
        "dsp.value: must be an integer of at least 1, but is -3",
        "bram18.value: must be an integer of at least 1, but is 'many'",
        "clock_hz: must be {value: ..., source: ...}, but is 100",
        "colour: unknown key",
        "uram.source: must say where the number is from",
    ):
        assert part in message


@pytest.mark.parametrize("text", ["", "[1, 2]", "lut: ["])
def test_not_a_mapping_is_an_input_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.yml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"odd\.yml"):
        load_device(str(path))


def test_non_number_and_infinity_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.yml"
    text = XC7Z020.read_text().replace("value: 100000000", "value: .inf")
    path.write_text(text.replace("value: 1.67", "value: .nan"))
    with pytest.raises(InputError, match=r"(?s)clock_hz.value: must be a pos.*board_power_w.value"):
        load_device(str(path))
