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
    decisions, contexts = (bytes(part) for part in zip(*pairs, strict=True))
    reader = BitReader(np.concatenate([JUNK, encode(decisions, contexts), JUNK]))
    reader.bits(len(JUNK))
    decoder = Decoder(reader, 4)
    assert bytes(decoder.decide(context) for context in contexts) == decisions
    decoder.finish()
    assert reader.remaining == len(JUNK)


# The chance of the first decision is a half: a one is 0..32767, a zero 32768..65535. Either tells
# the top bit, 0 or 1, and leaves the whole range again; 01 ends it in the range's second quarter.
@pytest.mark.parametrize(("bit", "bits"), [(1, [0, 0, 1]), (0, [1, 0, 1])])
def test_one_decision_by_hand(bit: int, bits: list[int]) -> None:
    assert encode(bytes([bit]), bytes(1)).tolist() == bits


def test_no_decision_needs_no_bit() -> None:
    assert encode(b"", b"").size == 0


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_the_length_is_close_to_the_entropy(share: float) -> None:
    bits = (np.random.default_rng(0).random(20_000) < share).astype(int)
    found = bits.mean()
    entropy = -found * np.log2(found) - (1 - found) * np.log2(1 - found)
    assert len(encode(bits.astype(np.uint8).tobytes(), bytes(len(bits)))) == pytest.approx(
        20_000 * entropy, rel=0.02
    )


def test_contexts_learn_apart() -> None:
    """One context is all ones, the other all zeros: both together cost next to nothing."""
    bits = bytes(i % 2 for i in range(2_000))
    assert len(encode(bits, bits)) < 40
    assert len(encode(bits, bytes(2_000))) > 1_900


def test_bits_that_end_too_early_are_refused() -> None:
    bits = encode(bytes([0, 1] * 50), bytes(100))
    reader = BitReader(bits[:-1])
    decoder = Decoder(reader, 1)
    for _ in range(100):
        decoder.decide(0)
    with pytest.raises(ValueError, match="bits expected"):
        decoder.finish()


@given(coded)
def test_bits_are_those_of_the_definition(pairs: list[tuple[int, int]]) -> None:
    """Witten, Neal and Cleary's encoder as it is printed, bit by bit, learning in turn."""
    decisions, contexts = (bytes(part) for part in zip(*pairs, strict=True))
    assert encode(decisions, contexts).tolist() == _by_definition(decisions, contexts)


def _by_definition(decisions: bytes, contexts: bytes) -> list[int]:
    chances, met = [1 << 15] * 4, [0] * 4
    low, high, follow, out = 0, 65_535, 0, []

    def plus_follow(bit: int) -> None:
        out.extend([bit] + [1 - bit] * follow)

    for bit, context in zip(decisions, contexts, strict=True):
        split = low + (high - low) * (chances[context] // 16) // 4096
        low, high = (low, split) if bit else (split + 1, high)
        target = 65_536 - 32 if bit else 32
        share = round(65_536 / max(2, met[context] + 1.5))
        chances[context] += (target - chances[context]) * share // 65_536
        met[context] = min(met[context] + 1, 1022)
        while True:
            if high < 32_768:
                plus_follow(0)
                follow = offset = 0
            elif low >= 32_768:
                plus_follow(1)
                follow, offset = 0, 32_768
            elif low >= 16_384 and high < 49_152:
                follow, offset = follow + 1, 16_384
            else:
                break
            low, high = 2 * (low - offset), 2 * (high - offset) + 1
    follow += 1
    plus_follow(int(low >= 16_384))
    return out
