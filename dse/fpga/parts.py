"""Parts: decoders, multiplexers, requantizers and windows that a calibration synthesises."""

from __future__ import annotations

from collections.abc import Mapping

from dse.fpga.stage import slide
from dse.fpga.synthesis import Specimen, UnitUnderTest
from dse.fpga.workload import Window
from dse.integer.requantize import MULTIPLIER_BITS

GAP_BITS = 4
"""Bits of a run-length gap in the decoder that is measured; it adds them to the position."""

RICE_WORD, RICE_BITS = 32, 3
"""Bits of unary code that are searched at once, and of a remainder."""

SHIFT_CHOICES = 3
"""Bits of a shift per channel."""

SIZES: Mapping[str, tuple[int, ...]] = {
    "mux": (4, 8, 9, 16, 25, 32, 64),
    "bitmap": (8, 9, 16, 25, 32, 64),
    "csr": (6, 8, 10, 12, 16),
    "coo": (4, 6, 8, 10, 12),
    "runlength": (6, 8, 10, 12, 16),
    "rice": (8, 10, 12, 16),
}
"""Part to its sizes: inputs of a multiplexer, bits of a map, of an entry's number, of a row's, of a
position."""

REQUANTIZED = tuple((acc, bits) for acc in (12, 16, 20, 24, 28, 32) for bits in (2, 4, 8))
"""Bits of the accumulators and codes of the requantizers."""


WINDOWS = (
    # channels, kernel, stride, padding, rows and columns, codes per cycle, bits of a code, share
    (8, 3, 1, 1, 16, 8, 4, 0.5),
    (8, 3, 1, 1, 16, 4, 4, 0.5),
    (8, 3, 1, 1, 16, 24, 4, 0.5),
    (8, 3, 1, 1, 16, 72, 4, 1.0),
    (16, 3, 2, 1, 32, 2, 4, 0.25),
    (4, 3, 1, 1, 32, 12, 8, 0.5),
    (3, 3, 1, 1, 32, 9, 8, 0.25),
    (3, 3, 1, 1, 32, 27, 6, 1.0),
    (6, 2, 2, 0, 12, 12, 5, 0.5),
    (6, 2, 2, 0, 12, 6, 3, 0.5),
    (3, 7, 2, 3, 56, 21, 8, 0.125),
    (3, 7, 2, 3, 56, 3, 8, 0.125),
    (32, 3, 1, 1, 8, 16, 2, 0.25),
    (32, 3, 1, 1, 8, 96, 2, 0.25),
    (4, 4, 1, 0, 10, 16, 4, 0.5),
    (1, 3, 1, 0, 20, 1, 6, 1.0),
)
"""Windows over square images; `share` is the part of an output pixel's time in which it is read."""

WINDOW_COLUMNS = ("channels", "kernel", "stride", "padding", "size", "simd", "bits", "share")


def windows() -> list[Specimen]:
    """Sliding windows, from one code a cycle to a whole window."""
    return [
        Specimen(dict(zip(WINDOW_COLUMNS, case, strict=True)), _window(case)) for case in WINDOWS
    ]


def square_window(kernel: int, stride: int, padding: int, size: int) -> Window:
    """A square window over a square image."""
    out = (size + 2 * padding - kernel) // stride + 1
    return Window(
        (kernel, kernel), (stride, stride), (padding, padding), (1, 1), (size, size), (out, out)
    )


def _window(case: tuple[int, int, int, int, int, int, int, float]) -> UnitUnderTest:
    channels, *shape, simd, bits, share = case
    stage = slide("window", channels, square_window(*shape), (simd, bits, 0), share)
    inputs = {"clk": 1, "reset": 1, "in_data": stage.reads.width, "in_valid": 1, "out_ready": 1}
    outputs = {"in_ready": 1, "out_data": stage.writes.width, "out_valid": 1}
    return UnitUnderTest(stage.module, stage.parameters, inputs, outputs)


def decoders() -> list[Specimen]:
    """Every part that decodes a storage format, and multiplexers, by size."""
    return [
        Specimen({"part": part, "size": size}, _PARTS[part](size))
        for part, sizes in SIZES.items()
        for size in sizes
    ]


def requantizers() -> list[Specimen]:
    """Requantizers of one accumulator, with one multiplier or with one per channel, and a shift."""
    found = []
    for varies in (0, 1):
        for acc, bits in REQUANTIZED:
            row = {"acc_bits": acc, "output_bits": bits, "per_channel": varies}
            found.append(Specimen(row, _requantizer(acc, bits, varies)))
    return found


def _requantizer(acc: int, bits: int, varies: int) -> UnitUnderTest:
    shift = SHIFT_CHOICES if varies else 1
    # the product's top bits are the code and one more for half up, further shifts aside
    kept = bits + 1 + ((1 << SHIFT_CHOICES) - 1) * varies
    fixed = max(1, acc + MULTIPLIER_BITS - kept)
    parameters = {"ACC": acc, "A": bits, "FIXED": fixed, "S": shift, "HIGH": (1 << bits) - 1}
    inputs = {"clk": 1, "move": 1, "acc": acc, "multiplier": MULTIPLIER_BITS, "further": shift}
    constants = {} if varies else {"multiplier": "15'd23171", "further": "1'd0"}
    return UnitUnderTest("scale", parameters, inputs, {"code": bits}, constants=constants)


def _mux(size: int) -> UnitUnderTest:
    inputs = {"bits": size, "index": (size - 1).bit_length()}
    return UnitUnderTest("select", {"N": size}, inputs, {"bit_there": 1})


def _bitmap(size: int) -> UnitUnderTest:
    inputs = {"clk": 1, "load": 1, "take": 1, "word": size}
    return UnitUnderTest(
        "decode_bitmap", {"N": size}, inputs, {"index": (size - 1).bit_length(), "any": 1}
    )


def _csr(size: int) -> UnitUnderTest:
    inputs = {"clk": 1, "start": 1, "take": 1, "row_end": size}
    return UnitUnderTest("decode_rows", {"P": size}, inputs, {"entry": size, "there": 1})


def _coo(size: int) -> UnitUnderTest:
    inputs = {"clk": 1, "start": 1, "take": 1, "row": size}
    return UnitUnderTest("decode_coo", {"P": size}, inputs, {"begins": 1})


def _runlength(size: int) -> UnitUnderTest:
    inputs = {"clk": 1, "start": 1, "take": 1, "gap": GAP_BITS}
    outputs = {"position": size, "present": 1}
    return UnitUnderTest("decode_gaps", {"R": GAP_BITS, "P": size}, inputs, outputs)


def _rice(size: int) -> UnitUnderTest:
    ports = {"clk": 1, "start": 1, "load": 1, "take": 1}
    inputs = {**ports, "word": RICE_WORD, "remainder": RICE_BITS}
    parameters = {"N": RICE_WORD, "K": RICE_BITS, "P": size}
    return UnitUnderTest("decode_rice", parameters, inputs, {"position": size, "any": 1})


_PARTS = {
    "mux": _mux,
    "bitmap": _bitmap,
    "csr": _csr,
    "coo": _coo,
    "runlength": _runlength,
    "rice": _rice,
}
