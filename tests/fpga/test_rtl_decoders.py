"""Decoders in Verilog, simulated with Icarus Verilog, against the bits that `dse.storage` packs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from dse.fpga.verilog import words
from dse.integer.grid import IntArray, IntegerWeights
from dse.storage.bits import BitReader, Bits
from dse.storage.formats import bitmap, coo, csr, rice, runlength
from tests.fpga.networks import Bits as Widths
from tests.fpga.networks import random_weights
from tests.fpga.simulation import simulate

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is missing")

SHAPE = (12, 40)
DENSITIES = (0.02, 0.1, 0.6)
WORD = 16
POSITION = 10
"""Bits that hold 480 positions, and one less than the first."""


def _weights(density: float, mid_rise: bool = False) -> IntegerWeights:
    rng = np.random.default_rng(int(100 * density))
    return random_weights(SHAPE, Widths(3, 3, density, mid_rise), rng)


def _positions(weights: IntegerWeights) -> IntArray:
    return np.flatnonzero(weights.values)


def _stream(bits: Bits) -> list[str]:
    """Words of WORD bits, the first bit lowest."""
    padded = np.concatenate([bits, np.zeros(-len(bits) % WORD, dtype=np.uint8)])
    weights = 1 << np.arange(WORD)
    return words((padded.reshape(-1, WORD) * weights).sum(axis=1).tolist(), WORD)


def _run(
    kind: str, stream: list[str], fields: list[int], width: int, folder: Path, **more: int
) -> list[str]:
    files = {"words.mem": stream or ["0"], "fields.mem": words(fields or [0], width)}
    counts = {"WORDS": len(files["words.mem"]), "FIELDS": len(files["fields.mem"])}
    parameters = {"KIND": kind, "R": width, "P": POSITION, "N": WORD, **counts, **more}
    return simulate("decoders_tb", files, parameters, folder)


@pytest.mark.parametrize("density", DENSITIES)
def test_a_bitmap_is_searched(density: float, tmp_path: Path) -> None:
    weights = _weights(density)
    encoded = bitmap.encode(weights)
    stream = _stream(encoded.bits[: weights.values.size])
    found = _run("bitmap", stream, [], 1, tmp_path, COUNT=weights.nonzeros)
    assert list(map(int, found)) == _positions(weights).tolist()


@pytest.mark.parametrize("mid_rise", [False, True])
@pytest.mark.parametrize("density", DENSITIES)
def test_run_lengths_are_added_up(density: float, mid_rise: bool, tmp_path: Path) -> None:
    weights = _weights(density, mid_rise)
    encoded = runlength.encode(weights)
    width = encoded.parameter + 1
    gaps, codes = BitReader(encoded.bits).entries(encoded.count, [width, weights.bits])
    more = {"MARK": int(mid_rise), "COUNT": encoded.count}
    found = np.array(list(map(int, _run("gaps", [], gaps.tolist(), width, tmp_path, **more))))
    if not mid_rise:  # a filler is a weight like others, a zero
        found = found[codes != weights.zero_point]
    assert found.tolist() == _positions(weights).tolist()


@pytest.mark.parametrize("density", DENSITIES)
def test_csr_rows_are_walked_through(density: float, tmp_path: Path) -> None:
    weights = _weights(density)
    encoded = csr.encode(weights)
    reader, width = BitReader(encoded.bits), encoded.count.bit_length()
    ends = reader.integers(SHAPE[0] + 1, width)[1:]
    columns, _ = reader.entries(encoded.count, [6, weights.bits])  # 40 columns
    found = _run("rows", words(ends.tolist(), 16), [], 1, tmp_path, COUNT=weights.nonzeros)
    table = np.array([list(map(int, line.split())) for line in found])
    positions = SHAPE[1] * table[:, 0] + columns[table[:, 1]]
    assert positions.tolist() == _positions(weights).tolist()


@pytest.mark.parametrize("density", DENSITIES)
def test_coo_rows_are_told_apart(density: float, tmp_path: Path) -> None:
    weights = _weights(density)
    encoded = coo.encode(weights)
    rows, _, _ = BitReader(encoded.bits).entries(encoded.count, [4, 6, weights.bits])
    found = _run("coo", [], rows.tolist(), 4, tmp_path, COUNT=encoded.count)
    starts = np.unique(rows, return_index=True)[1]
    assert list(map(int, found)) == starts.tolist()


@pytest.mark.parametrize("density", DENSITIES[:2])
def test_rice_gaps_are_added_up(density: float, tmp_path: Path) -> None:
    weights = _weights(density)
    encoded = rice.encode(weights)
    width, reader = encoded.parameter, BitReader(encoded.bits)
    assert width > 0, "the decoder has a remainder"
    longest = encoded.count + (weights.values.size >> width)
    reader.unary(encoded.count, longest)
    unary = encoded.bits[: reader.position]
    remainders, _ = reader.entries(encoded.count, [width, weights.bits])
    more = {"COUNT": weights.nonzeros}
    found = _run("rice", _stream(unary), remainders.tolist(), width, tmp_path, **more)
    assert list(map(int, found)) == _positions(weights).tolist()
