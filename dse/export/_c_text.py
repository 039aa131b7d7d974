"""Pieces of C99: identifiers, the integer type of a range, constant arrays, comments."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.export._deployment import signed_bits

RESERVED = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|"
    "inline|int|long|register|restrict|return|short|signed|sizeof|static|struct|switch|typedef|"
    "union|unsigned|void|volatile|while|class|new|delete|this|template|typename|namespace|public|"
    "private|protected|virtual|operator|using|try|catch|throw|bool|true|false|main|and|or|not|xor|"
    "output|x|y|acc|row|column|channel|best|any|scaled|i|k|[iko][yx]|x[0-9]+"
)
"""Words of C and C++, and what the generated functions call their own variables."""
SUFFIXES = (
    *("", "_t", "_out", "_acc_t", "_bias", "_weight", "_weight_t", "_start", "_start_t", "_column"),
    *("_column_t", "_requantize", "_multiplier", "_shift", "_scaled_t", "_leaked"),
)
"""Everything a node defines: its identifier with one of these behind it."""
LINE = 96


@dataclass(frozen=True)
class CType:
    """A typedef: the smallest standard type for a range, and the exact one for HLS."""

    name: str
    low: int
    high: int

    @property
    def standard(self) -> str:
        """`uint8_t` for 0..200, `int32_t` for -70000..0."""
        sign, bits = ("u", max(self.high.bit_length(), 1))
        if self.low < 0:
            sign, bits = "", signed_bits(self.low, self.high)
        return f"{sign}int{next(width for width in (8, 16, 32, 64) if bits <= width)}_t"

    @property
    def exact(self) -> str:
        """`ap_uint<8>` for 0..200, `ap_int<18>` for -70000..0."""
        if self.low < 0:
            return f"ap_int<{signed_bits(self.low, self.high)}>"
        return f"ap_uint<{max(self.high.bit_length(), 1)}>"


def identifiers(names: Iterable[str]) -> Mapping[str, str]:
    """A C identifier for every name; nothing that one name defines is also another's."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        own = plain.lower().startswith("model_") or RESERVED.fullmatch(plain)
        if own or not re.match("[A-Za-z]", plain):
            plain = f"n_{plain}"
        unique, count = plain, 2
        while not taken.isdisjoint(unique + suffix for suffix in SUFFIXES):
            unique, count = f"{plain}_{count}", count + 1
        taken |= {unique + suffix for suffix in SUFFIXES}
        found[name] = unique
    return found


def array(kind: str, name: str, values: npt.NDArray[np.integer]) -> str:
    """`static const kind name[n] = {...};`, wrapped; C has no empty arrays, so one zero stands for
    none."""
    numbers = values.ravel().tolist() or [0]
    literals = ", ".join(literal(number) for number in numbers)
    head = f"static const {kind} {name}[{len(numbers)}] = {{"
    if len(head) + len(literals) + 2 <= LINE:
        return f"{head}{literals}}};"
    body = textwrap.fill(
        literals, LINE, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
    )
    return f"{head}\n{body}\n}};"


def literal(number: int) -> str:
    """A C literal of at least its own width."""
    return f"INT64_C({number})" if abs(number) >= 1 << 31 else str(number)


def comment(text: str) -> str:
    """Text that cannot end the comment it stands in, in ASCII."""
    safe = text.replace("*/", "* /").replace("/*", "/ *").replace("\n", " ")
    return safe.encode("ascii", "replace").decode().replace("??", "? ?")
