"""Lineage: whose weights a trial goes on with, where the study warm-starts its finetuning."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dse.config import Config
from dse.study.record import TrialRecord


def lineage_of(config: Config, results: Sequence[TrialRecord]) -> tuple[int, ...]:
    """The trials before one of `config`, its parent last; none where no result is a start.

    A parent is complete and pruned no more in any layer, because what is zero stays zero. Of those
    the nearest one, and of equals the first: it depends on nothing but `results`.
    """
    parents = [r for r in results if r.state == "complete" and _holds(r.config, config)]
    if not parents:
        return ()
    nearest = min(parents, key=lambda record: (distance(record.config, config), record.number))
    return (*nearest.lineage, nearest.number)


def distance(one: Config, other: Config) -> float:
    """How far two configs are apart: in each layer the octaves between the densities, the weight
    bits and the activation bits, added up."""
    total = 0.0
    for name, choice in one.items():
        against = other[name]
        for mine, theirs in (
            (_density(choice.prune_ratio), _density(against.prune_ratio)),
            (_density(choice.channel_ratio), _density(against.channel_ratio)),
            (choice.weight_bits, against.weight_bits),
            (choice.activation_bits, against.activation_bits),
        ):
            total += abs(math.log2(mine / theirs))
    return total


def _density(ratio: float) -> float:
    """Share that is left; an empty layer counts as one of a thousand."""
    return max(1 - ratio, 1e-3)


def _holds(parent: Config, child: Config) -> bool:
    """Whether a parent has all weights that its child may keep."""
    return all(
        parent[name].prune_ratio <= choice.prune_ratio
        and parent[name].channel_ratio <= choice.channel_ratio
        for name, choice in child.items()
    )
