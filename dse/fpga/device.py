"""Devices: what an FPGA offers, read from a YAML file in which every number names its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dse.errors import InputError, first_sentence, nearest
from dse.fpga.shell import Shell, load_shell

_DEVICES = Path(__file__).parent / "devices"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

RESOURCES = ("lut", "ff", "dsp", "bram18", "uram", "lutram")
"""What a design uses up, in the order of every resource array of this package."""


@dataclass(frozen=True)
class Device:
    """An FPGA on its board.

    `lut`, `ff`, `dsp`, `bram18` count what the part has; `bram18` counts its own block RAMs, whose
    (depth, width) configurations are `bram_shapes`. `uram` (4K x 72 blocks) is 0 where there are
    none; `lutram` (LUTs that can be writable memory) is None where the vendor's number is unknown.
    `clock_hz` is the clock designs are assumed to meet, `memory_bandwidth_bytes_per_s` the peak of
    external memory, `board_power_w` the mean power measured on the board; None where unknown.
    `shell` is what a build holds beside the network, None where no build was measured. `sources`
    says where each number is from.
    """

    name: str
    lut: int
    lut_inputs: int
    ff: int
    dsp: int
    dsp_ports: tuple[int, int]
    bram18: int
    bram_shapes: tuple[tuple[int, int], ...]
    clock_hz: float
    uram: int = 0
    lutram: int | None = None
    memory_bandwidth_bytes_per_s: float | None = None
    board_power_w: float | None = None
    shell: Shell | None = None
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def available(self) -> Mapping[str, int]:
        """Resource to how many the device has; a resource without a known number is left out."""
        counts = {name: getattr(self, name) for name in RESOURCES}
        return {name: count for name, count in counts.items() if count}

    @property
    def left(self) -> Mapping[str, int]:
        """`available` less the shell: what a network may take, 1 at least."""
        taken = {name: getattr(self.shell, name, 0) for name in RESOURCES}
        return {name: max(1, count - taken[name]) for name, count in self.available.items()}


def device_names() -> tuple[str, ...]:
    """Names of the devices that ship with dse, sorted."""
    return tuple(sorted(path.stem for path in _DEVICES.glob("*.yml")))


def load_device(name_or_path: str) -> Device:
    """The device called `name_or_path`, or the one in the user's file if it ends in .yml.

    Raises InputError for an unknown name, or with every mistake of a wrong file.
    """
    if name_or_path.endswith((".yml", ".yaml")):
        return _read(Path(name_or_path))
    if name_or_path not in device_names():
        raise InputError(f"no device {name_or_path!r}{nearest(name_or_path, device_names())}")
    return _shipped(name_or_path)


@cache
def _shipped(name: str) -> Device:
    return _read(_DEVICES / f"{name}.yml")


def _read(path: Path) -> Device:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read device file {path}: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {first_sentence(error)}") from error
    mistakes: list[str] = []
    values = _values(content, mistakes)
    if mistakes:
        raise InputError("\n  ".join([str(path), *mistakes]))
    sources = {key: str(content[key]["source"]) for key in values}
    if "shell" in values:
        values["shell"] = load_shell(values["shell"], path.parent)
    return Device(name=path.stem, sources=sources, **values)


def _values(content: object, mistakes: list[str]) -> dict[str, Any]:
    """Checked values by key; what is wrong is appended to `mistakes`."""
    if not isinstance(content, dict):
        mistakes.append(f"must be a mapping of {', '.join(_CHECKS)}, but is {content!r}")
        return {}
    values: dict[str, Any] = {}
    for key in content:
        if key not in _CHECKS:
            mistakes.append(f"{key}: unknown key{nearest(str(key), _CHECKS)}")
    for key, (check, required) in _CHECKS.items():
        if key not in content:
            if required:
                mistakes.append(f"{key}: missing")
            continue
        entry = content[key]
        if not isinstance(entry, dict) or set(entry) != {"value", "source"}:
            mistakes.append(f"{key}: must be {{value: ..., source: ...}}, but is {entry!r}")
            continue
        if not isinstance(entry["source"], str) or not entry["source"].strip():
            mistakes.append(f"{key}.source: must say where the number is from")
        try:
            values[key] = check(entry["value"])
        except ValueError as error:
            mistakes.append(f"{key}.value: {error}")
    return values


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"must be an integer of at least 1, but is {value!r}")
    return value


def _positive(value: object) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < float(value) < float("inf"):  # type: ignore[arg-type]
        raise ValueError(f"must be a positive number, but is {value!r}")
    return float(value)  # type: ignore[arg-type]


def _pair(value: object) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"must be a list of two integers, but is {value!r}")
    return _count(value[0]), _count(value[1])


def _name(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"must be the name of a shell or the path of its file, but is {value!r}")
    return value


def _shapes(value: object) -> tuple[tuple[int, int], ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"must be a list of [depth, width], but is {value!r}")
    return tuple(_pair(shape) for shape in value)


_CHECKS: Mapping[str, tuple[Callable[[object], Any], bool]] = {
    "lut": (_count, True),
    "lut_inputs": (_count, True),
    "ff": (_count, True),
    "dsp": (_count, True),
    "dsp_ports": (_pair, True),
    "bram18": (_count, True),
    "bram_shapes": (_shapes, True),
    "clock_hz": (_positive, True),
    "uram": (_count, False),
    "lutram": (_count, False),
    "memory_bandwidth_bytes_per_s": (_positive, False),
    "board_power_w": (_positive, False),
    "shell": (_name, False),
}
"""Key to its check and whether it is required."""
