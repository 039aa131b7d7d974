"""Adaptive arithmetic coding of yes-no decisions: the likely ones cost a fraction of a bit.

Witten, Neal and Cleary 1987 with two symbols and 16-bit registers, so that a decoder in hardware is
one 16 x 12 bit multiplication and one table look-up per decision. Each context has its own chance
of a one, learned as it goes: after n decisions it moves 1 / (n + 1.5) of the way to the next, about
the estimator of Krichevsky and Trofimov 1981, and never less than 1 / 1024 of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dse.storage.bits import BitReader, Bits

QUARTER, HALF, TOP = 1 << 14, 1 << 15, (1 << 16) - 1
CHANCE_BITS = 16
SURE = 1 << 5
"""Chances stay this far from 0 and 1, of 2^16: no decision is impossible."""
SHARES = tuple(round((1 << CHANCE_BITS) / max(2, n + 1.5)) for n in range(1023))
"""How far a chance moves after n decisions, of 2^16."""


class _Chances:
    """The chance of a one by context, and how often each was met."""

    def __init__(self, contexts: int) -> None:
        self.ones = [1 << (CHANCE_BITS - 1)] * contexts
        self._met = [0] * contexts

    def learn(self, context: int, bit: int) -> None:
        chance, met = self.ones[context], self._met[context]
        target = (1 << CHANCE_BITS) - SURE if bit else SURE
        self.ones[context] = chance + ((target - chance) * SHARES[met] >> CHANCE_BITS)
        if met < len(SHARES) - 1:
            self._met[context] = met + 1


def _split(low: int, high: int, chance: int) -> int:
    """Last value that stands for a one between `low` and `high`."""
    return low + ((high - low) * (chance >> 4) >> 12)


def encode(decisions: Sequence[int], contexts: Sequence[int]) -> Bits:
    """Bits of `decisions` (0 or 1), each with the number of its context; none for none."""
    if not decisions:
        return np.empty(0, dtype=np.uint8)
    chances, out = _Chances(max(contexts) + 1), bytearray()
    low, high, pending = 0, TOP, 0
    for bit, context in zip(decisions, contexts, strict=True):
        split = _split(low, high, chances.ones[context])
        if bit:
            high = split
        else:
            low = split + 1
        chances.learn(context, bit)
        while high < HALF or low >= HALF or (low >= QUARTER and high < HALF + QUARTER):
            if high < HALF or low >= HALF:
                known = int(low >= HALF)
                out.append(known)
                out.extend(bytes([1 - known]) * pending)
                base, pending = known * HALF, 0
            else:  # the ends straddle the middle: the next known bit tells this one too
                base, pending = QUARTER, pending + 1
            low, high = (low - base) << 1, (high - base) << 1 | 1
    known = int(low >= QUARTER)
    out.append(known)
    out.extend(bytes([1 - known]) * (pending + 1))
    return np.frombuffer(bytes(out), dtype=np.uint8)


class Decoder:
    """Reads what `encode` wrote; the contexts may depend on the decisions before."""

    def __init__(self, reader: BitReader, contexts: int) -> None:
        self._reader = reader
        self._bits = reader.rest().tolist()
        self._chances = _Chances(contexts)
        self._low, self._high = 0, TOP
        self._code, self._next = 0, 0
        for _ in range(16):
            self._shift(0)
        self._next = 16

    def decide(self, context: int) -> int:
        """The next decision."""
        low, high = self._low, self._high
        split = _split(low, high, self._chances.ones[context])
        bit = int(self._code <= split)
        if bit:
            high = split
        else:
            low = split + 1
        self._chances.learn(context, bit)
        while high < HALF or low >= HALF or (low >= QUARTER and high < HALF + QUARTER):
            base = 0 if high < HALF else HALF if low >= HALF else QUARTER
            low, high = (low - base) << 1, (high - base) << 1 | 1
            self._shift(base)
        self._low, self._high = low, high
        return bit

    def finish(self) -> None:
        """Take from the reader the bits that were written; call it after at least one decision.

        The register holds 16 bits from the start, of which the encoder writes the first two at the
        end. Raises ValueError when the reader has fewer.
        """
        self._reader.bits(self._next - 14)

    def _shift(self, base: int) -> None:
        """Past the end the bits do not matter: zeros."""
        coming = self._bits[self._next] if self._next < len(self._bits) else 0
        self._code = (self._code - base) << 1 | coming
        self._next += 1
