"""Parts: decoders, multiplexers and requantizers that a calibration synthesises."""

from __future__ import annotations

from collections.abc import Mapping

from dse.fpga.synthesis import Specimen, UnitUnderTest
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
