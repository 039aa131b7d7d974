"""Measured units: the tables of syntheses, and how far the model's formulas are from them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from dse.fpga import arithmetic
from dse.fpga.device import load_device
from dse.fpga.parts import SHIFT_CHOICES
from dse.fpga.synthesis import Specimen, synthesise
from dse.fpga.truth import Errors, errors
from dse.fpga.units import DEVICE, fit_scale, unit_parts

TABLES_FOLDER = Path(__file__).parent / "tables"

Row = Mapping[str, str]


def measure(specimens: Sequence[Specimen], program: str) -> list[dict[str, str]]:
    """Synthesise `specimens`; one row each: what it is, then its counts."""
    counts = synthesise([specimen.unit for specimen in specimens], program)
    return [
        {key: str(value) for key, value in {**specimen.row, **asdict(found)}.items()}
        for specimen, found in zip(specimens, counts, strict=True)
    ]


def write_rows(path: Path, rows: Sequence[Row], tool: str) -> None:
    """Write a table under a comment with the tool and today's date."""
    with path.open("w", encoding="utf-8", newline="") as file:
        today = datetime.now(UTC).date()
        file.write(f"# {tool}, synth_xilinx -family xc7, mapped and not placed, {today}; ")
        file.write("LUT6 sites, carry chains included\n")
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table; lines that begin with # are comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def table_errors(name: str, rows: Sequence[Row]) -> list[tuple[str, Errors]]:
    """What the model's formulas get wrong, no line used to predict itself."""
    if name == "unit_luts":
        return unit_errors(rows)
    if name == "decoder_luts":
        return decoder_errors(rows)
    if name == "requantizer_luts":
        return requantizer_errors(rows)
    formula = {
        "multiplier_luts": _multiplier,
        "mac_luts": _mac,
        "dot_luts": _dot,
    }[name]
    return [
        (f"{name.split('_')[0]} LUT", errors([(formula(row), int(row["lut"])) for row in rows]))
    ]


def _widths(row: Row) -> tuple[int, int]:
    return int(row["weight_bits"]), int(row["activation_bits"])


def _multiplier(row: Row) -> float:
    return arithmetic.multiplier_formula(*_widths(row))


def _mac(row: Row) -> float:
    return arithmetic.mac_lut(*_widths(row), int(row["acc_bits"]))


def _dot(row: Row) -> float:
    return arithmetic.dot_lut(
        int(row["terms"]), *_widths(row), arithmetic.term_formula(*_widths(row))
    )


def decoder_errors(rows: Sequence[Row]) -> list[tuple[str, Errors]]:
    """Parts by kind, LUT and FF: every size from the sizes beside it, on a straight line."""
    found = []
    for part in dict.fromkeys(row["part"] for row in rows):
        own = sorted((row for row in rows if row["part"] == part), key=lambda row: int(row["size"]))
        for name in ("lut", "ff"):
            pairs = [
                (_between(own, place, name), int(own[place][name])) for place in range(len(own))
            ]
            found.append((f"{part} {name}", errors(pairs)))
    return found


def _between(rows: Sequence[Row], place: int, name: str) -> float:
    """The count of a row on the line through its neighbours, or through the two nearest."""
    others = [row for index, row in enumerate(rows) if index != place]
    first = min(max(place - 1, 0), len(others) - 2)
    (x0, y0), (x1, y1) = ((int(row["size"]), int(row[name])) for row in others[first : first + 2])
    return y0 + (y1 - y0) * (int(rows[place]["size"]) - x0) / (x1 - x0)


def requantizer_errors(rows: Sequence[Row]) -> list[tuple[str, Errors]]:
    """Requantizers: LUT and DSP, with one shift for all channels and with one of eight for each."""
    ports, found = load_device(DEVICE).dsp_ports, []
    for varies, label in (("0", "one shift"), ("1", "shift per channel")):
        own = [row for row in rows if row["per_channel"] == varies]
        shifts = 1 << (SHIFT_CHOICES if varies == "1" else 0)
        bits = [int(row["output_bits"]) for row in own]
        luts = [arithmetic.requantizer_lut(b) + arithmetic.shift_lut(shifts, b) for b in bits]
        dsps = [arithmetic.requantizer_dsp(int(row["acc_bits"]), ports) for row in own]
        for name, predicted in (("lut", luts), ("dsp", dsps)):
            pairs = [(one, int(row[name])) for one, row in zip(predicted, own, strict=True)]
            found.append((f"requantizer, {label}, {name}", errors(pairs)))
    return found


def unit_errors(rows: Sequence[Row]) -> list[tuple[str, Errors]]:
    """Whole units: LUT with the scale of the others of their kind, FF, LUTRAM and block RAM."""
    found: list[tuple[str, Errors]] = []
    every: list[tuple[float, float]] = []
    for kind in ("dense", "sparse"):
        own = [row for row in rows if row["kind"] == kind]
        if not own:
            continue
        parts, luts = [unit_parts(row) for row in own], [int(row["lut"]) for row in own]
        left_out = []
        for row, one, lut in zip(own, parts, luts, strict=True):
            # the scale is that of dense units, so a sparse one is never among them
            others = [other for other in rows if other["kind"] == "dense" and other is not row]
            scale = fit_scale(
                [unit_parts(other) for other in others], [int(other["lut"]) for other in others]
            )
            left_out.append((one.lut(scale), lut))
        every += left_out
        found.append((f"{kind} unit LUT", errors(left_out)))
        for name in ("ff", "lutram", "bram18"):
            pairs = [(getattr(p, name), int(row[name])) for p, row in zip(parts, own, strict=True)]
            found.append((f"{kind} unit {name}", errors(pairs)))
    return [("unit LUT", errors(every)), *found]
