"""Arithmetic: where the weights are and what they are, each decision coded by how likely it is.

One decision per weight, present or not, told apart by how many of its two neighbours in the kernel
(left and above) are present: pruned kernels are clustered, which is worth 4 % of the positions'
bits of a LeNet-5 at 4 % density; rows, columns and further neighbours were tried and gave less.
Then the upper bits of each code, most significant first, each given those before it, and the lower
bits as they are. Nothing but the count is stored: the chances are learned while decoding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.integer.grid import IntArray, IntegerWeights
from dse.storage.adaptive import Decoder
from dse.storage.adaptive import encode as encode_decisions
from dse.storage.bits import BitReader, Bits, to_bits
from dse.storage.encoded import Encoded
from dse.storage.layout import Layout

IDENTIFIER = 7
COUNTED = True
PARAMETER_BITS = 0
QUICK = False

NEIGHBOURS = 3
"""Contexts of a position: none, one or both of its neighbours are present."""

LEARNED_BITS = 4
"""Upper bits of a code whose chances are learned. Five have twice the chances to learn, and were
larger on LeNet-5's layers."""

MAX_WEIGHTS = 1 << 17
"""Bit by bit, a million weights take seconds to encode, too long for a search."""


def supports(weights: IntegerWeights) -> bool:
    """Every grid, in layers of up to MAX_WEIGHTS."""
    return weights.values.size <= MAX_WEIGHTS


def size_bits(weights: IntegerWeights) -> int:
    """Length of what is packed: about the entropy."""
    return len(encode(weights).bits)


def encode(weights: IntegerWeights) -> Encoded:
    """Decisions, then the plain lower bits; the count is nnz. Zeros after the last are implied."""
    if not supports(weights):
        raise ValueError(f"arithmetic coding is for at most {MAX_WEIGHTS} weights")
    layout, present = Layout.of(weights), weights.values != 0
    positions = np.flatnonzero(present)
    if not positions.size:
        return Encoded(np.empty(0, dtype=np.uint8))
    codes = layout.codes(weights.values.reshape(-1)[positions])
    coded = positions[-1] + 1
    bits, nodes = _code_decisions(codes, layout.bits)
    decisions = np.concatenate([present.reshape(-1)[:coded], bits]).astype(np.uint8)
    contexts = np.concatenate([_neighbours(present)[:coded], NEIGHBOURS + nodes]).astype(np.uint8)
    packed = encode_decisions(decisions.tobytes(), contexts.tobytes())
    return Encoded(np.concatenate([packed, _lower_bits(codes, layout.bits)]), len(positions))


def decode(reader: BitReader, layout: Layout, count: int, parameter: int) -> npt.NDArray[np.int32]:
    """Decisions and lower bits back to integer weights."""
    if not count:
        return np.zeros(layout.shape, dtype=np.int32)
    decoder = Decoder(reader, NEIGHBOURS + (1 << LEARNED_BITS))
    positions = _read_positions(decoder, layout, count)
    learned = min(layout.bits, LEARNED_BITS)
    codes = np.empty(count, dtype=np.int64)
    for index in range(count):
        node = 1
        for _ in range(learned):
            node = node << 1 | decoder.decide(NEIGHBOURS + node)
        codes[index] = node - (1 << learned)
    decoder.finish()
    plain = layout.bits - learned
    return layout.place(positions, codes << plain | reader.integers(count, plain))


def _neighbours(present: npt.NDArray[np.bool_]) -> IntArray:
    """How many of the weights left of and above each are present, row-major; 0 without a kernel."""
    found = np.zeros(present.shape, dtype=np.int64)
    if present.ndim == 4:
        found[..., 1:] += present[..., :-1]
        found[..., 1:, :] += present[..., :-1, :]
    return found.reshape(-1)


def _read_positions(decoder: Decoder, layout: Layout, count: int) -> IntArray:
    """Row-major positions of the `count` weights. Raises ValueError when there are not as many."""
    height, width = layout.shape[2:] if len(layout.shape) == 4 else (1, 1)
    present, positions = bytearray(layout.size), []
    for position in range(layout.size):
        near = position % width > 0 and present[position - 1]
        above = position // width % height > 0 and present[position - width]
        if decoder.decide(near + above):
            present[position] = 1
            positions.append(position)
            if len(positions) == count:
                return np.array(positions)
    raise ValueError(f"{count} weights expected, but only {len(positions)} are there")


def _code_decisions(codes: IntArray, bits: int) -> tuple[IntArray, IntArray]:
    """The learned bits of every code in turn, and the number each makes with those before it."""
    learned = min(bits, LEARNED_BITS)
    levels = range(learned)
    decisions = np.stack([codes >> (bits - 1 - level) & 1 for level in levels], axis=1)
    nodes = np.stack([1 << level | codes >> (bits - level) for level in levels], axis=1)
    return decisions.reshape(-1), nodes.reshape(-1)


def _lower_bits(codes: IntArray, bits: int) -> Bits:
    plain = max(bits - LEARNED_BITS, 0)
    return to_bits(codes & ((1 << plain) - 1), plain)
