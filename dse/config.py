"""A config: one prune ratio, weight bits and activation bits per layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MIN_BITS, MAX_BITS = 1, 16


@dataclass(frozen=True)
class LayerConfig:
    """What the search chooses for one layer.

    `prune_ratio` is the share of weights set to zero, in [0, 1]; density is one minus it.
    `channel_ratio` is the share of output channels that go whole, in [0, 1], but for the network's
    outputs; their weights count among the pruned ones.
    `weight_bits` is the width of the layer's weight codes, `activation_bits` that of the codes it
    *reads* (as in LSQ and HAQ, so every layer has one and a multiplier is weight x activation
    bits); both lie in 1..16.
    """

    prune_ratio: float
    weight_bits: int
    activation_bits: int
    channel_ratio: float = 0.0

    def __post_init__(self) -> None:
        for name in ("prune_ratio", "channel_ratio"):
            ratio = getattr(self, name)
            if not 0.0 <= ratio <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], but got {ratio}")
        for name in ("weight_bits", "activation_bits"):
            bits = getattr(self, name)
            if not MIN_BITS <= bits <= MAX_BITS:
                raise ValueError(f"{name} must be in {MIN_BITS}..{MAX_BITS}, but got {bits}")

    @property
    def density(self) -> float:
        """Share of weights kept."""
        return 1.0 - self.prune_ratio


Config = Mapping[str, LayerConfig]
