"""Which choices decided accuracy and memory: a random forest asked by permutation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from dse.report.axes import stretch
from dse.report.results import Results

LEAST_TRIALS = 20
"""Fewer complete trials than this say nothing about a dozen choices."""
TREES, REPEATS = 40, 3
"""A ranking of 15 choices no longer changes beyond these; 500 trials take about a second."""


@dataclass(frozen=True)
class Importances:
    """How much each choice of a layer matters for one metric.

    `shares` sum to 1 (or are all 0), by "layer.choice"; `explained` is the forest's R2 on trials
    its trees have not seen: near 0 the shares mean nothing.
    """

    metric: str
    explained: float
    shares: Mapping[str, float]


def importances(results: Results) -> list[Importances]:
    """Of accuracy (on the plot's stretched axis) and memory (logarithm); empty with few trials.

    Permutation importance, Breiman 2001, section 10. A choice that never varied is left out.
    """
    trials = results.with_state("complete")
    if len(trials) < LEAST_TRIALS:
        return []
    kinds = ("prune_ratio", "channel_ratio", "weight_bits", "activation_bits")
    names = [(layer, kind) for layer in results.layer_names for kind in kinds]
    table = np.array(
        [[float(getattr(r.config[layer], kind)) for layer, kind in names] for r in trials]
    )
    varied = np.flatnonzero(np.ptp(table, axis=0))
    if not varied.size:
        return []
    labels = [".".join(names[index]) for index in varied]
    targets = {
        "accuracy": stretch([r.metrics["accuracy"] for r in trials]),
        "memory_bytes": np.log([r.metrics["memory_bytes"] for r in trials]),
    }
    found = []
    for metric, target in targets.items():
        forest = RandomForestRegressor(TREES, oob_score=True, random_state=0, n_jobs=1)
        forest.fit(table[:, varied], target)
        asked = permutation_importance(
            forest, table[:, varied], target, n_repeats=REPEATS, random_state=0, n_jobs=1
        )
        means = np.maximum(asked.importances_mean, 0.0)
        shares = means / max(float(means.sum()), 1e-12)
        found.append(
            Importances(
                metric, float(forest.oob_score_), dict(zip(labels, shares.tolist(), strict=True))
            )
        )
    return found
