"""A plan of pruning: how far each layer goes, and by which rule its weights are chosen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import torch

from dse.config import Config
from dse.errors import InputError, nearest
from dse.prune.blind import drop_blind_weights
from dse.prune.weights import (
    Scores,
    prune_channels,
    prune_globally,
    prune_layer,
    prune_n_of_m,
)
from dse.quantize import QuanNet
from dse.quantize.graph import Graph, LayerCall
from dse.quantize.layers import QuanLayer

CRITERIA = ("l1", "taylor")
SCOPES = ("layer", "global")
_N_OF_M = re.compile(r"([1-9]\d?):([1-9]\d?)", re.ASCII)


@dataclass(frozen=True)
class Rule:
    """Which weights go first.

    - `criterion`: those of least magnitude (`l1`), or whose removal changes the loss least
      (`taylor`, see `taylor_scores`).
    - `scope`: compared within their `layer`, or all layers' together (`global`), which spreads the
      weights that the layers' ratios add up to.
    - `structure`: single `weights`, or the pattern `N:M`, N of every M weights kept whatever the
      ratio.

    Raises InputError for anything else.
    """

    criterion: str = "l1"
    scope: str = "layer"
    structure: str = "weights"

    def __post_init__(self) -> None:
        if self.criterion not in CRITERIA:
            raise InputError(f"no criterion {self.criterion!r}{nearest(self.criterion, CRITERIA)}")
        if self.scope not in SCOPES:
            raise InputError(f"no scope {self.scope!r}{nearest(self.scope, SCOPES)}")
        if self.structure != "weights" and self.pattern is None:
            known = "weights, or N:M with N below M, like '2:4'"
            raise InputError(f"the structure must be {known}, but got {self.structure!r}")
        if self.scope == "global" and self.structure != "weights":
            raise InputError("the scope can be global only for the structure weights")

    @property
    def pattern(self) -> tuple[int, int] | None:
        """N and M where the structure is N:M."""
        found = _N_OF_M.fullmatch(self.structure)
        if found is None or int(found[1]) >= int(found[2]):
            return None
        return int(found[1]), int(found[2])


TINY = torch.finfo(torch.float32).tiny

MAGNITUDE = Rule()
"""The smallest weights of each layer."""


@dataclass(frozen=True)
class Plan:
    """How far each layer of a network is pruned, and by which rule.

    `graph` is the network's: it says which weights read a channel that goes, and which layers'
    channels are the network's outputs, which never go.
    """

    config: Config
    graph: Graph
    rule: Rule = MAGNITUDE

    @cached_property
    def narrowed(self) -> tuple[str, ...]:
        """The layers that lose whole channels."""
        outputs = _output_layers(self.graph)
        return tuple(n for n, x in self.config.items() if x.channel_ratio and n not in outputs)

    def apply(self, net: QuanNet, scores: Scores | None = None, share: float = 1.0) -> None:
        """Set weights to zero in place, going `share` in [0, 1] of the way to the config's ratios.

        Weights are compared by `scores`, by magnitude without. Raises InputError for a layer that
        the network does not have.
        """
        layers = {name: _layer(net, name) for name in self.config}
        if scores is not None:  # what is gone goes before what has no gradient
            scores = {n: score + TINY * (net.layers[n].weight != 0) for n, score in scores.items()}
        for name in self.narrowed:
            score = None if scores is None else scores[name]
            prune_channels(layers[name], share * self.config[name].channel_ratio, score)
        if self.narrowed:
            drop_blind_weights(net, self.graph)
        if self.rule.scope == "global":
            ratios = {n: share * choice.prune_ratio for n, choice in self.config.items()}
            wanted = sum(ratios[n] * layer.weight.numel() for n, layer in layers.items())
            total = sum(layer.weight.numel() for layer in net.layers.values())
            prune_globally(net, wanted / total, scores)
            return
        for name, choice in self.config.items():
            layer, score = layers[name], None if scores is None else scores[name]
            if self.rule.pattern:
                n, m = self.rule.pattern
                prune_n_of_m(layer, m - round(share * (m - n)), m, score)
            else:
                prune_layer(layer, share * choice.prune_ratio, score)


def prune_layers(net: QuanNet, config: Config) -> None:
    """Set the smallest weights of each layer to zero, in place: L1 magnitude, `prune_ratio` each.

    Raises InputError for a layer that the network does not have.
    """
    for name, choice in config.items():
        prune_layer(_layer(net, name), choice.prune_ratio)


def _output_layers(graph: Graph) -> set[str]:
    """The layers whose channels reach the output with no other layer in between."""
    open_ends, found = {graph.output}, set()
    for node in reversed(graph.nodes):
        if node.name not in open_ends:
            continue
        if isinstance(node, LayerCall):
            found.add(node.module)
        else:
            open_ends.update(node.inputs)
    return found


def _layer(net: QuanNet, name: str) -> QuanLayer:
    if name not in net.layers:
        raise InputError(f"no layer {name!r}{nearest(name, net.layers)}")
    return net.layers[name]
