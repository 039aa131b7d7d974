"""The shell: what a device holds beside the layers, read from and written to a YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from dse.errors import InputError, nearest

_SHELLS = Path(__file__).parent / "shells"

QUANTITIES = ("lut", "ff", "bram18")
"""What is fitted, one constant each: with three networks a second one proves nothing."""


@dataclass(frozen=True)
class Shell:
    """What a build holds beside its layers: DMA, interconnect and what does not grow with them.

    One constant per quantity, added to the composed layers; their own scale stays 1.
    """

    lut: int
    ff: int
    bram18: int
    source: str

    def __post_init__(self) -> None:
        for name in QUANTITIES:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, but is {getattr(self, name)}")


def load_shell(name_or_path: str, folder: Path = Path()) -> Shell:
    """The shell that ships under this name, or the one in a file, seen from `folder`, in .yml.

    Raises InputError for an unknown name or a file that holds no shell.
    """
    if name_or_path.endswith((".yml", ".yaml")):
        return _read(folder / name_or_path)
    known = [path.stem for path in _SHELLS.glob("*.yml")]
    if name_or_path not in known:
        raise InputError(f"no shell {name_or_path!r}{nearest(name_or_path, known)}")
    return _read(_SHELLS / f"{name_or_path}.yml")


def _read(path: Path) -> Shell:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot read shell file {path}: {error}") from error
    fields = (*QUANTITIES, "source")
    if not isinstance(content, dict):
        raise InputError(f"{path}: must be a mapping of {', '.join(fields)}, but is {content!r}")
    for key in content:
        if key not in fields:
            raise InputError(f"{path}: {key}: unknown key{nearest(str(key), fields)}")
    for name in QUANTITIES:
        value = content.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise InputError(f"{path}: {name} must be an integer of at least 0, but is {value!r}")
    if not isinstance(content.get("source"), str):
        raise InputError(f"{path}: source must say what the numbers were fitted to")
    return Shell(**content)


def write_shell(shell: Shell, path: Path) -> None:
    """Write `shell` as a YAML file that a device file can name."""
    values = {**{name: getattr(shell, name) for name in QUANTITIES}, "source": shell.source}
    path.write_text(yaml.safe_dump(values, sort_keys=False, width=100), encoding="utf-8")
