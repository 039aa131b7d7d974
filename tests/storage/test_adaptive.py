"""The arithmetic coder: every decision comes back, and likely ones cost what entropy says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dse.storage.adaptive import Decoder, encode
from dse.storage.bits import BitReader

coded = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=400)
JUNK = np.ones(7, dtype=np.uint8)


@given(coded)
@example([(1, 0)] * 400)
@example([(0, 0)] * 400)
@example([(0, 0)] * 300 + [(1, 0), (1, 1), (0, 0)])
@example([(i % 2, 0) for i in range(400)])
def test_decisions_come_back_and_nothing_else_is_read(pairs: list[tuple[int, int]]) -> None:
    decisions, contexts = (list(part) for part in zip(*pairs, strict=True))
    reader = BitReader(np.concatenate([JUNK, encode(decisions, contexts), JUNK]))
    reader.bits(len(JUNK))
    decoder = Decoder(reader, 4)
    assert [decoder.decide(context) for context in contexts] == decisions
    decoder.finish()
    assert reader.remaining == len(JUNK)


# The chance of the first decision is a half: a one is 0..32767, a zero 32768..65535. Either tells
# the top bit, 0 or 1, and leaves the whole range again; 01 ends it in the range's second quarter.
@pytest.mark.parametrize(("bit", "bits"), [(1, [0, 0, 1]), (0, [1, 0, 1])])
def test_one_decision_by_hand(bit: int, bits: list[int]) -> None:
    assert encode([bit], [0]).tolist() == bits


def test_no_decision_needs_no_bit() -> None:
    assert encode([], []).size == 0


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_the_length_is_close_to_the_entropy(share: float) -> None:
    bits = (np.random.default_rng(0).random(20_000) < share).astype(int)
    found = bits.mean()
    entropy = -found * np.log2(found) - (1 - found) * np.log2(1 - found)
    assert len(encode(bits.tolist(), [0] * len(bits))) == pytest.approx(20_000 * entropy, rel=0.02)


def test_contexts_learn_apart() -> None:
    """One context is all ones, the other all zeros: both together cost next to nothing."""
    bits = [i % 2 for i in range(2_000)]
    assert len(encode(bits, bits)) < 40
    assert len(encode(bits, [0] * 2_000)) > 1_900


def test_bits_that_end_too_early_are_refused() -> None:
    bits = encode([0, 1] * 50, [0] * 100)
    reader = BitReader(bits[:-1])
    decoder = Decoder(reader, 1)
    for _ in range(100):
        decoder.decide(0)
    with pytest.raises(ValueError, match="bits expected"):
        decoder.finish()
