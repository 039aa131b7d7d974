"""Verilog: the templates in `rtl/`, and the memory files that give them a layer's weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from dse.fpga.sparse import dealt_rows
from dse.integer.grid import IntArray

RTL = Path(__file__).parent / "rtl"
MOST_UNITS = 1000
"""PEs or lanes of a unit: their files are numbered with three digits."""

Files = Mapping[str, list[str]]


def sources(*modules: str) -> list[Path]:
    """Paths of the templates, each module in the file of its name; without names all of them."""
    return [RTL / f"{name}.v" for name in modules] if modules else sorted(RTL.glob("*.v"))


def words(numbers: Iterable[int], bits: int) -> list[str]:
    """`numbers` as hexadecimal two's complement words of `bits` bits, for $readmemh."""
    digits, mask = -(-bits // 4), (1 << bits) - 1
    return [f"{number & mask:0{digits}x}" for number in numbers]


def joined(numbers: Iterable[int], bits: int) -> int:
    """One word of `numbers`, each `bits` wide in two's complement, the first one lowest."""
    word, mask = 0, (1 << bits) - 1
    for place, number in enumerate(numbers):
        word |= (int(number) & mask) << (place * bits)
    return word


def stored(weights: IntArray, bits: int) -> IntArray:
    """Weights as a multiplier reads them: at one bit -1 is 0."""
    return (weights + 1) // 2 if bits == 1 else weights


def dense_files(
    name: str, weights: IntArray, bias: IntArray, folding: tuple[int, int], bits: tuple[int, int]
) -> Files:
    """Memory files of a `matvec`: `weights` (rows, columns), `folding` (PE, SIMD) that divides
    them, `bits` of a weight and of an accumulator.

    Row r is computed by PE r mod PE in pass r / PE.
    """
    (rows, columns), (pe, simd), (weight_bits, acc_bits) = weights.shape, folding, bits
    assert rows % pe == 0, folding
    assert columns % simd == 0, folding
    assert pe <= MOST_UNITS, folding
    codes = stored(weights, weight_bits).reshape(rows // pe, pe, columns // simd, simd)
    files = {
        f"{name}_{one:03}.mem": words(
            (joined(word, weight_bits) for word in codes[:, one].reshape(-1, simd)),
            simd * weight_bits,
        )
        for one in range(pe)
    }
    passes = (joined(group, acc_bits) for group in bias.reshape(-1, pe))
    files[f"{name}_bias.mem"] = words(passes, pe * acc_bits)
    return files


def sparse_files(
    name: str, weights: IntArray, bias: IntArray, count: int, bits: tuple[int, int]
) -> tuple[Files, IntArray, int]:
    """Memory files of `lanes`, the rows of every lane (lanes, rows per lane) and the depth.

    Rows are dealt as the cost model deals them. A row without non-zeros holds one zero. The depth
    is that of the busiest lane, whose words are the cycles of a vector. Raises ValueError for such
    a row at one bit, which has no zero.
    """
    (_, columns), (weight_bits, acc_bits) = weights.shape, bits
    if weight_bits == 1 and not np.any(weights, axis=1).all():
        raise ValueError(f"{name}: a row without weights needs a zero, which one bit does not have")
    column_bits = max(1, (columns - 1).bit_length())
    dealt = dealt_rows(np.count_nonzero(weights, axis=1), count)
    entries: list[list[int]] = []
    ends: list[list[int]] = []
    for lane in dealt:
        own: list[int] = []
        last: list[int] = []
        for row in lane:
            (found,) = np.nonzero(weights[row])
            for column in found if len(found) else [0]:
                code = int(stored(weights[row, column], weight_bits)) & ((1 << weight_bits) - 1)
                own.append(int(column) << weight_bits | code)
            last.append(len(own))
        entries.append(own)
        ends.append(last)
    depth = max(map(len, entries))
    pointer = depth.bit_length()
    files: dict[str, list[str]] = {}
    for index, (lane, own, last) in enumerate(zip(dealt, entries, ends, strict=True)):
        filled = own + [0] * (depth - len(own))
        files[f"{name}_{index:03}.mem"] = words(filled, column_bits + weight_bits)
        files[f"{name}_{index:03}_rows.mem"] = words(
            (
                (int(bias[row]) & ((1 << acc_bits) - 1)) << pointer | end
                for row, end in zip(lane, last, strict=True)
            ),
            acc_bits + pointer,
        )
    return files, dealt, depth


def write_files(files: Files, folder: Path) -> None:
    """Write memory files, a word a line."""
    for name, content in files.items():
        (folder / name).write_text("\n".join(content) + "\n", encoding="utf-8")
