"""Adaptive arithmetic coding of yes-no decisions: the likely ones cost a fraction of a bit.

Witten, Neal and Cleary 1987 with two symbols and 16-bit registers, so that a decoder in hardware is
one 16 x 12 bit multiplication and one table look-up per decision. Each context has its own chance
of a one, learned as it goes: after n decisions it moves 1 / (n + 1.5) of the way to the next, about
the estimator of Krichevsky and Trofimov 1981, and never less than 1 / 1024 of it.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain, repeat

import numpy as np

from dse.integer.grid import IntArray
from dse.storage.bits import BitReader, Bits

QUARTER, HALF, TOP = 1 << 14, 1 << 15, (1 << 16) - 1
CHANCE_BITS = 16
SURE = 1 << 5
"""Chances stay this far from 0 and 1, of 2^16: no decision is impossible."""
EVEN, NEVER, ALWAYS = 1 << (CHANCE_BITS - 1), SURE, (1 << CHANCE_BITS) - SURE
SHARES = tuple(round((1 << CHANCE_BITS) / max(2, n + 1.5)) for n in range(1023))
"""How far a chance moves after n decisions, of 2^16."""


class _Chances:
    """The chance of a one by context, and how often each was met."""

    def __init__(self, contexts: int) -> None:
        self.ones = [EVEN] * contexts
        self._met = [0] * contexts

    def learn(self, context: int, bit: int) -> None:
        chance, met = self.ones[context], self._met[context]
        target = ALWAYS if bit else NEVER
        self.ones[context] = chance + ((target - chance) * SHARES[met] >> CHANCE_BITS)
        if met < len(SHARES) - 1:
            self._met[context] = met + 1


@lru_cache(maxsize=8)  # a layer is sized, then packed
def encode(decisions: bytes, contexts: bytes) -> Bits:
    """Bits of `decisions` (0 or 1), each with the number of its context; none for none.

    Written out, since this loop is most of what packing takes: calls would double its time.
    """
    if not decisions:
        return np.empty(0, dtype=np.uint8)
    known: list[int] = []  # bits as they become known, each with those that follow from it
    low, width, pending = 0, TOP, 0
    for bit, chance in zip(decisions, _chances_of_all(decisions, contexts), strict=True):
        ones = width * chance >> 12
        if bit:
            width = ones
        else:
            low += ones + 1
            width -= ones + 1
        while width < HALF:
            if low >= HALF:
                known.append(pending << 1 | 1)
                low, pending = (low - HALF) << 1, 0
            elif low + width < HALF:
                known.append(pending << 1)
                low, pending = low << 1, 0
            elif low >= QUARTER and low + width < HALF + QUARTER:
                # the ends straddle the middle: the next known bit tells this one too
                low, pending = (low - QUARTER) << 1, pending + 1
            else:
                break
            width = width << 1 | 1
    known.append((pending + 1) << 1 | (low >= QUARTER))
    return _spelled_out(np.array(known))


def _spelled_out(known: IntArray) -> Bits:
    """Bits of entries: the last bit of each, then as many of its opposite as the rest says."""
    first, lengths = (known & 1).astype(np.uint8), 1 + (known >> 1)
    bits = np.repeat(1 - first, lengths)
    bits[np.cumsum(lengths) - lengths] = first
    bits.flags.writeable = False
    return bits


def _chances_of_all(decisions: bytes, contexts: bytes) -> list[int]:
    """The chance of a one before each decision, of 2^12: it depends on its own context alone."""
    bits, context_of = (np.frombuffer(part, dtype=np.uint8) for part in (decisions, contexts))
    found = np.empty(len(bits), dtype=np.int64)
    for context in np.unique(context_of):
        here = np.flatnonzero(context_of == context)
        found[here] = _chances_of_one(bits[here].tobytes())
    chances: list[int] = (found >> 4).tolist()
    return chances


def _chances_of_one(bits: bytes) -> list[int]:
    """The chance of a one, of 2^16, before each decision of one context."""
    chance, found = EVEN, []
    for bit, share in zip(bits, chain(SHARES, repeat(SHARES[-1])), strict=False):
        found.append(chance)
        chance += ((ALWAYS if bit else NEVER) - chance) * share >> CHANCE_BITS
    return found


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
        split = low + ((high - low) * (self._chances.ones[context] >> 4) >> 12)
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
