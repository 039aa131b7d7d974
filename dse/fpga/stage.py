"""Stages: the Verilog modules of a stream, with their parameters, word widths and memory files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from dse.fpga.memory import SHALLOW, SMALL_MEMORY_BITS
from dse.fpga.sliding import ring_rows, window_block
from dse.fpga.unit import FIFO_DEPTH
from dse.fpga.verilog import Files, joined, words
from dse.fpga.workload import Window
from dse.integer.requantize import MULTIPLIER_BITS, Requantizer


@dataclass(frozen=True)
class Words:
    """What a stream carries per cycle: `count` integers of `bits` bits, the first one lowest."""

    count: int
    bits: int

    @property
    def width(self) -> int:
        """Bits of a word."""
        return self.count * self.bits


@dataclass(frozen=True)
class Stage:
    """An instance of `module`: a stream of words in, a stream of words out, valid and ready."""

    name: str
    module: str
    parameters: Mapping[str, int | str]
    reads: Words
    writes: Words
    files: Files = field(default_factory=dict)


def adapt(name: str, source: Words, count: int) -> tuple[Stage, ...]:
    """Stages that make words of `count` integers of `source`'s: none, one, or by way of the least
    common multiple."""
    stages = []
    common = math.lcm(source.count, count)
    if common > source.count:
        factor = common // source.count
        wide = Words(common, source.bits)
        parameters = {"N": factor, "BITS": source.width}
        stages.append(Stage(f"{name}_widen", "widen", parameters, source, wide))
        source = wide
    if common > count:
        narrow = Words(count, source.bits)
        parameters = {"N": common // count, "BITS": narrow.width}
        stages.append(Stage(f"{name}_narrow", "narrow", parameters, source, narrow))
    return tuple(stages)


def fifo(name: str, source: Words, depth: int = FIFO_DEPTH) -> Stage:
    """`depth` words, first in, first out: in shift registers, or in a memory where they are more
    than a LUT holds."""
    parameters: dict[str, int | str] = {"BITS": source.width, "DEPTH": depth}
    if depth <= FIFO_DEPTH:
        return Stage(f"{name}_fifo", "fifo", parameters, source, source)
    parameters["STYLE"] = memory_style(depth, source.width)
    return Stage(f"{name}_queue", "queue", parameters, source, source)


def memory_style(depth: int, bits: int) -> str:
    """Where a memory that is written goes, as in the cost model: small ones into LUTs."""
    return "auto" if depth <= SHALLOW or depth * bits <= SMALL_MEMORY_BITS else "block"


def slide(
    name: str, channels: int, window: Window, codes: tuple[int, int, int], share: float
) -> Stage:
    """A sliding window over an image of `channels`; `codes` are the codes of a word wanted at
    least, their bits, and the one beyond the image."""
    simd, bits, zero = codes
    (rows, columns), (kernel_y, kernel_x) = window.input_size, window.kernel
    together, pixels, lines = window_block(channels, window.kernel, simd)
    ring = ring_rows(window, share, lines)
    depth = ring // lines * math.ceil(columns / pixels) * (channels // together)
    parameters: dict[str, int | str] = {
        "H": rows,
        "W": columns,
        "C": channels,
        "KY": kernel_y,
        "KX": kernel_x,
        "SY": window.stride[0],
        "SX": window.stride[1],
        "PY": window.padding[0],
        "PX": window.padding[1],
        "A": bits,
        "N": together,
        "BX": pixels,
        "BY": lines,
        "ROWS": ring,
        "ZERO": zero,
        "STYLE": memory_style(depth, together * bits),
    }
    reads, writes = Words(together, bits), Words(together * pixels * lines, bits)
    return Stage(f"{name}_window", "window", parameters, reads, writes)


def requantize(name: str, rows: int, source: Words, requantizer: Requantizer) -> Stage:
    """A requantizer per integer of a word of `source`, `rows` channels to a pixel."""
    pre = max(0, 1 - int(requantizer.shift.min()))
    shifts = requantizer.shift + pre - 1
    # beyond the product only its sign is left, however far it is shifted
    fixed = min(int(shifts.min()), source.bits + MULTIPLIER_BITS + pre - 1)
    further = shifts - fixed
    further_bits = max(1, int(further.max()).bit_length())
    varies = requantizer.multiplier.size > 1
    grid = requantizer.grid
    parameters: dict[str, int | str] = {
        "N": source.count,
        "ROWS": rows,
        "ACC": source.bits,
        "A": grid.bits,
        "PRE": pre,
        "FIXED": fixed,
        "S": further_bits,
        "LEAK": requantizer.leak,
        "ZERO": grid.zero_point,
        "LOW": requantizer.low,
        "HIGH": requantizer.high,
        "VARIES": int(varies),
        "MULTIPLIER": int(requantizer.multiplier[0]),
        "NAME": name,
    }
    files = {}
    if varies:
        width = further_bits + MULTIPLIER_BITS
        scales = (further << MULTIPLIER_BITS) | requantizer.multiplier
        passes = (joined(group, width) for group in scales.reshape(-1, source.count))
        files[f"{name}_scale.mem"] = words(passes, source.count * width)
    writes = Words(source.count, grid.bits)
    return Stage(f"{name}_requantize", "requantize", parameters, source, writes, files)


def pool(
    name: str, channels: int, window: Window, reads: Words, sums: tuple[int, int] | None = None
) -> Stage:
    """A pool of windows that do not overlap: the largest codes, or with `sums` sums that are
    so many bits wide and start with this value. It reads parts of pixels, or whole windows."""
    bits, start = sums or (reads.bits, 0)
    (rows, columns), (kernel_y, kernel_x) = window.input_size, window.kernel
    parameters = {"A": reads.bits, "OUT": bits, "SUM": int(sums is not None), "START": start}
    if reads.count > channels:
        parameters |= {"K": kernel_y * kernel_x, "N": channels}
        return Stage(f"{name}_pool", "pool_window", parameters, reads, Words(channels, bits))
    parameters |= {
        "H": rows,
        "W": columns,
        "KY": kernel_y,
        "KX": kernel_x,
        "N": reads.count,
        "GROUPS": channels // reads.count,
    }
    return Stage(f"{name}_pool", "pool", parameters, reads, Words(reads.count, bits))
