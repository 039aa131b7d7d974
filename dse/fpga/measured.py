"""Measured units: the tables of syntheses, and how far the model's formulas are from them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from dse.fpga import arithmetic
from dse.fpga.specimens import Specimen
from dse.fpga.synthesis import synthesise
from dse.fpga.truth import Errors, errors
from dse.fpga.units import fit_scale, unit_parts

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
