"""What a storage format makes of a layer's weights."""

from __future__ import annotations

from dataclasses import dataclass

from dse.storage.bits import Bits


@dataclass(frozen=True)
class Encoded:
    """Packed `bits` of one layer's weights, indices included.

    `count` (entries, at most the number of weights) and `parameter` belong to the layer's header;
    they stay 0 in formats that do not use them.
    """

    bits: Bits
    count: int = 0
    parameter: int = 0
