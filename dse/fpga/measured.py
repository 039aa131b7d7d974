"""Measured units: the tables of syntheses, and how far the model's formulas are from them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from dse.fpga import arithmetic, sliding, sparse
from dse.fpga.device import load_device
from dse.fpga.memory import buffer
from dse.fpga.parts import SHIFT_CHOICES, WINDOW_COLUMNS, square_window
from dse.fpga.sliding import window_plan
from dse.fpga.synthesis import Specimen, synthesise
from dse.fpga.truth import Errors, errors
from dse.fpga.units import DEVICE, fit_lanes, fit_scale, unit_parts

TABLES_FOLDER = Path(__file__).parent / "tables"

KINDS = ("dense", "sparse")
"""Kinds of units in the table unit_luts."""

Row = Mapping[str, str]


def measure(specimens: Sequence[Specimen], program: str) -> Iterator[dict[str, str]]:
    """Synthesise `specimens`; a row each, as soon as it is known: what it is, then its counts."""
    counts = synthesise([specimen.unit for specimen in specimens], program)
    for specimen, found in zip(specimens, counts, strict=True):
        yield {key: str(value) for key, value in {**specimen.row, **asdict(found)}.items()}


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
    if name == "window_luts":
        return window_errors(rows)
    formula = {
        "multiplier_luts": _multiplier,
        "mac_luts": _mac,
        "dot_luts": _dot,
    }[name]
    return [
        (f"{name.split('_')[0]} LUT", errors([(formula(row), int(row["lut"])) for row in rows]))
    ]


def fitted(name: str, rows: Sequence[Row]) -> list[tuple[str, float, float]]:
    """The constants that are fitted to a table: name, the fit, and what is shipped."""
    if name == "unit_luts":
        dense, lanes = ([row for row in rows if row["kind"] == kind] for kind in KINDS)
        scale = fit_scale([unit_parts(row) for row in dense], [int(row["lut"]) for row in dense])
        each, shared = fit_lanes(lanes)
        return [
            ("UNIT_SCALE", scale, arithmetic.UNIT_SCALE),
            ("LANE_LUT", each, sparse.LANE_LUT),
            ("SHARED_LUT", shared, sparse.SHARED_LUT),
        ]
    if name == "window_luts":
        control, turn = fit_windows(
            [window_of(row) for row in rows], [int(row["lut"]) for row in rows]
        )
        return [
            ("CONTROL_LUT", control, sliding.CONTROL_LUT),
            ("TURN_LUT", turn, sliding.TURN_LUT),
        ]
    return []


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


def window_errors(rows: Sequence[Row]) -> list[tuple[str, Errors]]:
    """Sliding windows: LUT with the constants fitted to the others, and FF, memory aside."""
    plans = [window_of(row) for row in rows]
    found = []
    for place, row in enumerate(rows):
        others = [one for index, one in enumerate(plans) if index != place]
        luts = [int(one["lut"]) for index, one in enumerate(rows) if index != place]
        found.append((_window_lut(plans[place], fit_windows(others, luts)), int(row["lut"])))
    registers = [(plan.registers, int(row["ff"])) for plan, row in zip(plans, rows, strict=True)]
    return [("window LUT", errors(found)), ("window FF", errors(registers))]


@dataclass(frozen=True)
class WindowParts:
    """A window: its registers, and what its LUTs are a sum of: registers of its control, bits
    of its word times those of its phases, and what is exact, memory and addresses."""

    registers: int
    control: int
    turned: int
    fixed: int


def window_of(row: Row) -> WindowParts:
    """The window of a line of `window_luts`."""
    channels, kernel, stride, padding, size, simd, bits = (
        int(row[name]) for name in WINDOW_COLUMNS[:-1]
    )
    window = square_window(kernel, stride, padding, size)
    plan = window_plan(window, channels, simd, float(row["share"]))
    width, depth = np.array([plan.codes // plan.banks * bits]), np.array([plan.depth])
    luts, blocks = buffer(width, depth, load_device(DEVICE))
    word = 0 if blocks[0] else plan.codes * bits
    fixed = plan.banks * int(luts[0]) + plan.addresses
    return WindowParts(plan.control + word, plan.control, plan.turns * plan.codes * bits, fixed)


def fit_windows(windows: Sequence[WindowParts], luts: Sequence[int]) -> tuple[float, float]:
    """LUTs per register of the control and per bit that a phase's bit moves: least squares of the
    relative error."""
    terms = [(one.control / lut, one.turned / lut) for one, lut in zip(windows, luts, strict=True)]
    rest = [1 - one.fixed / lut for one, lut in zip(windows, luts, strict=True)]
    control, turn = np.linalg.lstsq(np.array(terms), np.array(rest), rcond=None)[0]
    return float(control), float(turn)


def _window_lut(one: WindowParts, constants: tuple[float, float]) -> float:
    return constants[0] * one.control + constants[1] * one.turned + one.fixed


def unit_errors(rows: Sequence[Row]) -> list[tuple[str, Errors]]:
    """Whole units: LUT with the scale of the others of their kind, FF, LUTRAM and block RAM."""
    found: list[tuple[str, Errors]] = []
    every: list[tuple[float, float]] = []
    for kind in KINDS:
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
