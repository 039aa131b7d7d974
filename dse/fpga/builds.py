"""Builds: networks with their folding and the vendor's report of them, read from two CSV files."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dse.errors import InputError, nearest
from dse.fpga.hls import HlsLayer

DEFAULT_PART = "xc7z020"
"""Device of a report that names no part."""

LAYER_COLUMNS = ("net", "layer", "kind", "in_ch", "out_ch", "weight_bits", "act_in_bits")
"""Columns of the layers' file that must be there, with `pe` and `simd`; a convolution also needs
`kernel` and `in_dim`. `act_out_bits` is empty where no thresholds follow; without that column it is
the next layer's `act_in_bits`. Other columns follow from these and are not read."""

KINDS = ("conv", "fc")

MOST = 10**9
WIDTHS, COUNTS = (1, 16), (0, MOST)


@dataclass(frozen=True)
class Build:
    """A network that was built: its layers, and what the vendor's tool reported for the device.

    `reported` maps `lut`, `ff`, `bram18`, `dsp`, `lutram` to counts, as far as they are known.
    """

    net: str
    layers: tuple[HlsLayer, ...]
    part: str = DEFAULT_PART
    reported: Mapping[str, int] = field(default_factory=dict)


def read_builds(layers: Path, reports: Path | None = None) -> tuple[Build, ...]:
    """The networks of `layers` in the file's order, with what `reports` says of them.

    The order of columns is free, and so is upper or lower case; lines that begin with # are
    comments. Raises InputError with the file, line and value of the first mistake.
    """
    tables: dict[str, list[HlsLayer]] = {}
    for place, row in _rows(layers, (*LAYER_COLUMNS, "pe", "simd")):
        tables.setdefault(_text(row, "net", place), []).append(_layer(row, place))
    found = {} if reports is None else _reports(reports, tables)
    return tuple(
        Build(net, _with_outputs(table), *found.get(net, ())) for net, table in tables.items()
    )


def _rows(path: Path, needed: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """(place, row) of every line; keys are lower case."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip(" ,") and line[0] != "#"]
    if len(numbered) < 2:
        raise InputError(f"{path}: needs a line of column names and lines of numbers")
    names, *rows = csv.reader(line for _, line in numbered)
    columns = [name.strip().lower() for name in names]
    for name in needed:
        if name not in columns:
            raise InputError(f"{path}: column {name!r} is missing{nearest(name, columns)}")
    found = []
    for (number, _), row in zip(numbered[1:], rows, strict=True):
        if len(row) != len(columns):
            raise InputError(
                f"{path}, line {number}: has {len(row)} values for {len(columns)} columns"
            )
        values = (value.strip() for value in row)
        found.append((f"{path}, line {number}", dict(zip(columns, values, strict=True))))
    return found


def _layer(row: Mapping[str, str], place: str) -> HlsLayer:
    kind = _text(row, "kind", place)
    if kind not in KINDS:
        raise InputError(f"{place}: kind must be conv or fc, but is {kind!r}")
    slides = kind == "conv"
    if not slides and row.get("kernel", "1") not in ("", "1"):
        raise InputError(f"{place}: kernel of an fc layer must be 1, but is {row['kernel']!r}")
    # -1 stands for a column that is not there: the next layer tells
    output = -1 if "act_out_bits" not in row else _count(row, "act_out_bits", place, empty=0)
    return HlsLayer(
        name=_text(row, "layer", place),
        convolution=slides,
        kernel=_count(row, "kernel", place) if slides else 1,
        in_channels=_count(row, "in_ch", place),
        in_size=_count(row, "in_dim", place) if slides else 1,
        out_channels=_count(row, "out_ch", place),
        weight_bits=_count(row, "weight_bits", place, WIDTHS),
        activation_bits=_count(row, "act_in_bits", place, WIDTHS),
        output_bits=output if output < 16 else 0,  # accumulators are written as they are
        pe=_count(row, "pe", place),
        simd=_count(row, "simd", place),
    )


def _with_outputs(layers: Sequence[HlsLayer]) -> tuple[HlsLayer, ...]:
    following = [layer.activation_bits for layer in layers[1:]] + [0]
    return tuple(
        layer if layer.output_bits >= 0 else replace(layer, output_bits=bits)
        for layer, bits in zip(layers, following, strict=True)
    )


def _reports(path: Path, nets: Mapping[str, object]) -> dict[str, tuple[str, Mapping[str, int]]]:
    """Network to (part, what is reported)."""
    found: dict[str, tuple[str, Mapping[str, int]]] = {}
    for place, row in _rows(path, ("net",)):
        net = _text(row, "net", place)
        if net not in nets:
            raise InputError(f"{place}: no layers of network {net!r}{nearest(net, nets)}")
        counts = {
            name: _count(row, name, place, COUNTS)
            for name in ("lut", "ff", "dsp", "lutram", "bram18")
            if row.get(name)
        }
        if "bram18" not in counts and (row.get("ramb18") or row.get("ramb36")):
            halves = _count(row, "ramb18", place, COUNTS, empty=0)
            counts["bram18"] = halves + 2 * _count(row, "ramb36", place, COUNTS, empty=0)
        if not counts:
            raise InputError(f"{place}: none of lut, ff, dsp, lutram, ramb36, ramb18 is given")
        found[net] = (row.get("part") or DEFAULT_PART, counts)
    return found


def _text(row: Mapping[str, str], name: str, place: str) -> str:
    if not row[name]:
        raise InputError(f"{place}: {name} is empty")
    return row[name]


def _count(
    row: Mapping[str, str],
    name: str,
    place: str,
    within: tuple[int, int] = (1, MOST),
    empty: int | None = None,
) -> int:
    """A whole number; `empty` stands for no value."""
    value = row.get(name, "")
    if not value and empty is not None:
        return empty
    number = int(value) if value.isascii() and value.isdigit() else -1
    if not within[0] <= number <= within[1]:
        allowed = f"{within[0]}..{within[1]}"
        raise InputError(f"{place}: {name} must be a whole number in {allowed}, but is {value!r}")
    return number
