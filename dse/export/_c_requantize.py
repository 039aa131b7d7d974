"""Requantization as C, clamp(zero + floor((acc * M0 + 2^(n-1)) / 2^n)): a function of a node."""

from __future__ import annotations

import numpy as np

from dse.export._c_text import CType, array, literal
from dse.integer import Requantizer
from dse.integer.grid import IntArray


def scaled_type(c: str, requantizer: Requantizer, low: IntArray, high: IntArray) -> CType:
    """The type of acc * M0 with the rounding constant, for accumulators within `low`..`high`."""
    least, most = low * requantizer.multiplier, high * requantizer.multiplier
    zero = requantizer.grid.zero_point
    # one beyond the clamp's ends, too: gcc warns of comparisons that can only go one way
    clamp = np.array([requantizer.low - zero - 1, requantizer.high - zero + 1])
    ends = [least, most, most + _half(requantizer.shift), clamp]
    if requantizer.leak:
        ends.append(np.minimum(most, -1) + _half(requantizer.negative_shift))
    if (requantizer.shift <= 0).any():  # shifted left after a clip at 2^40
        ends.append(np.array([-(1 << 50), 1 << 50]))
    return CType(
        f"{c}_scaled_t", min(-1, *(int(e.min()) for e in ends)), max(int(e.max()) for e in ends)
    )


def requantize_text(c: str, out: str, requantizer: Requantizer) -> str:
    """`{c}_requantize(acc, row)` that returns an `out`; one multiplier and shift or one per row."""
    per_row = requantizer.multiplier.size > 1
    multiplier = f"{c}_multiplier[row]" if per_row else str(int(requantizer.multiplier[0]))
    lines, wide = [], f"{c}_scaled_t"
    if per_row:
        lines.append(array("uint16_t", f"{c}_multiplier", requantizer.multiplier))
        lines.append(array("int8_t", f"{c}_shift", requantizer.shift))
        if requantizer.leak:
            lines.append(array("int8_t", f"{c}_leaked", requantizer.negative_shift))
    lines += [
        f"static {out} {c}_requantize({c}_acc_t acc, int row)",
        "{",
        f"    {wide} scaled = ({wide})acc * {multiplier};",
        *([] if per_row else ["    (void)row;"]),
    ]
    shifted = _shift_lines(wide, requantizer.shift, f"{c}_shift[row]")
    if requantizer.leak:
        leaked = _shift_lines(wide, requantizer.negative_shift, f"{c}_leaked[row]")
        shifted = [
            "if (acc < 0) {",
            *(f"    {line}" for line in leaked),
            "} else {",
            *(f"    {line}" for line in shifted),
            "}",
        ]
    lines += [f"    {line}" for line in shifted]
    zero = requantizer.grid.zero_point
    lines += [
        f"    if (scaled < {requantizer.low - zero})",
        f"        return {requantizer.low};",
        f"    if (scaled > {requantizer.high - zero})",
        f"        return {requantizer.high};",
        f"    return ({out}){f'(scaled + {zero})' if zero else 'scaled'};",
        "}",
    ]
    return "\n".join(lines)


def _half(shift: IntArray) -> IntArray:
    return np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)


def _shift_lines(wide: str, shifts: IntArray, element: str) -> list[str]:
    """floor(scaled / 2^n + 1/2), n one number or `element` of an array."""
    per_row = shifts.size > 1
    shift = element if per_row else str(int(shifts[0]))
    half = f"(({wide})1 << ({shift} - 1))" if per_row else literal(int(_half(shifts)[0]))
    right = f"scaled = FLOOR_SHIFT({wide}, scaled + {half}, {shift});"
    left = ["scaled = CLIP40(scaled);", f"scaled = scaled * (({wide})1 << -({shift}));"]
    if (shifts > 0).all():
        return [right]
    if (shifts <= 0).all():
        return left
    return [
        f"if ({shift} > 0) {{",
        f"    {right}",
        "} else {",
        *(f"    {line}" for line in left),
        "}",
    ]
