"""Pruning: which weights become zero, and keeping them zero while the others train."""

from dse.prune.gradual import RAMP_INTERVAL, GradualPruning
from dse.prune.plan import CRITERIA, MAGNITUDE, SCOPES, Plan, Rule, prune_layers
from dse.prune.plugin import PruningTrainPlugin, sparsity_of_tensors
from dse.prune.weights import (
    Scores,
    prune_channels,
    prune_globally,
    prune_layer,
    prune_n_of_m,
    taylor_scores,
)

__all__ = [
    "CRITERIA",
    "MAGNITUDE",
    "RAMP_INTERVAL",
    "SCOPES",
    "GradualPruning",
    "Plan",
    "PruningTrainPlugin",
    "Rule",
    "Scores",
    "prune_channels",
    "prune_globally",
    "prune_layer",
    "prune_layers",
    "prune_n_of_m",
    "sparsity_of_tensors",
    "taylor_scores",
]
