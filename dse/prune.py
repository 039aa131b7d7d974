"""Pruning: which weights become zero, and keeping them zero while the others train."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from dse.config import Config
from dse.errors import InputError, nearest
from dse.quantize import QuanNet
from dse.quantize.layers import QuanLayer

Scores = Mapping[str, Tensor]
"""How much each weight matters, by layer, in the shape of its weights."""

TINY = torch.finfo(torch.float32).tiny

RAMP_INTERVAL = 20
"""Steps between two rises of the ratio: choosing costs a sort, and weights need time to adapt."""


CRITERIA = ("l1", "taylor")
SCOPES = ("layer", "global")
STRUCTURES = ("weights", "channels")
_N_OF_M = re.compile(r"([1-9]\d?):([1-9]\d?)", re.ASCII)


@dataclass(frozen=True)
class Rule:
    """Which weights go first.

    - `criterion`: those of least magnitude (`l1`), or whose removal changes the loss least
      (`taylor`, see `taylor_scores`).
    - `scope`: compared within their `layer`, or all layers' together (`global`), which spreads the
      weights that the layers' ratios add up to.
    - `structure`: single `weights`, whole output `channels` (not the network's outputs: that layer
      loses single weights), or the pattern `N:M`, N of every M weights kept whatever the ratio.

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
        if self.structure not in STRUCTURES and self.pattern is None:
            known = "weights, channels, or N:M with N below M, like '2:4'"
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


MAGNITUDE = Rule()
"""The smallest weights of each layer."""


@dataclass(frozen=True)
class Plan:
    """How far each layer of a network is pruned, and by which rule.

    `outputs` are the layers whose channels are the network's outputs.
    """

    config: Config
    rule: Rule = MAGNITUDE
    outputs: frozenset[str] = frozenset()

    def apply(self, net: QuanNet, scores: Scores | None = None, share: float = 1.0) -> None:
        """Set weights to zero in place, going `share` in [0, 1] of the way to the config's ratios.

        Weights are compared by `scores`, by magnitude without. Raises InputError for a layer that
        the network does not have.
        """
        layers = {name: _layer(net, name) for name in self.config}
        if scores is not None:  # what is gone goes before what has no gradient
            scores = {n: score + TINY * (net.layers[n].weight != 0) for n, score in scores.items()}
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
            elif self.rule.structure == "channels" and name not in self.outputs:
                prune_channels(layer, share * choice.prune_ratio, score)
            else:
                prune_layer(layer, share * choice.prune_ratio, score)


def prune_layers(net: QuanNet, config: Config) -> None:
    """Set the smallest weights of each layer to zero, in place: L1 magnitude, `prune_ratio` each.

    Raises InputError for a layer that the network does not have.
    """
    Plan(config).apply(net)


def prune_layer(layer: QuanLayer, ratio: float, scores: Tensor | None = None) -> None:
    """Set the `ratio` of a layer's weights that are smallest in magnitude to zero, in place.

    With `scores`, in the shape of the weights, those that score least.
    """
    amount = round(ratio * layer.weight.numel())
    torch_prune.l1_unstructured(layer, "weight", amount, importance_scores=scores)
    torch_prune.remove(layer, "weight")


def prune_globally(net: QuanNet, ratio: float, scores: Scores | None = None) -> None:
    """Set the `ratio` of all layers' weights together that matter least to zero, in place.

    They are compared by magnitude, or by `scores` (one tensor per layer, of its weight's shape).
    """
    layers = net.layers
    torch_prune.global_unstructured(
        [(layer, "weight") for layer in layers.values()],
        torch_prune.L1Unstructured,
        importance_scores=None
        if scores is None
        else {(layers[name], "weight"): score for name, score in scores.items()},
        amount=round(ratio * sum(layer.weight.numel() for layer in layers.values())),
    )
    for layer in layers.values():
        torch_prune.remove(layer, "weight")


def prune_channels(layer: QuanLayer, ratio: float, scores: Tensor | None = None) -> None:
    """Set the `ratio` of output channels with the least L1 norm to zero, biases too, in place.

    With `scores`, in the shape of the weights, those whose scores add up to least. Nothing reads
    such a channel's value but as a constant: `dse.integer.simplify` and `shrink` then take it out
    of the integer network, which really gets smaller.
    """
    amount = round(ratio * len(layer.weight))
    torch_prune.ln_structured(layer, "weight", amount, n=1, dim=0, importance_scores=scores)
    torch_prune.remove(layer, "weight")
    if layer.bias is not None:
        empty = ~layer.weight.detach().flatten(1).any(dim=1)
        layer.bias.data[empty] = 0


def prune_n_of_m(layer: QuanLayer, n: int, m: int, scores: Tensor | None = None) -> None:
    """Keep the `n` largest of every `m` consecutive weights of a row, in place (N:M sparsity).

    Rows are output channels, their inputs in memory order; a last group shorter than `m` keeps at
    most `n`. With `scores`, in the shape of the weights, the `n` that score most. Mishra et al.
    2021, section 3.1. Raises InputError unless 0 < n <= m.
    """
    if not 0 < n <= m:
        raise InputError(f"N:M sparsity needs 0 < n <= m, but got {n}:{m}")
    rows = (layer.weight.detach().abs() if scores is None else scores).flatten(1)
    padded = F.pad(rows, (0, -rows.shape[1] % m), value=-1.0).unflatten(1, (-1, m))
    kept = torch.zeros_like(padded).scatter_(2, padded.topk(n, dim=2).indices, 1.0)
    mask = kept.flatten(1)[:, : rows.shape[1]].reshape(layer.weight.shape)
    torch_prune.custom_from_mask(layer, "weight", mask)
    torch_prune.remove(layer, "weight")


def taylor_scores(net: QuanNet, images: Tensor, labels: Tensor, batch_size: int = 100) -> Scores:
    """First-order estimate of how much the loss changes when a weight is removed, by layer.

    (weight * gradient)^2 with the gradient of a batch's mean cross-entropy, averaged over the
    batches (Molchanov et al. 2019, eq. 8); unlike magnitude it can be compared across layers.
    Leaves no gradients behind.
    """
    weights = {name: layer.weight for name, layer in net.layers.items()}
    scores = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for start in range(0, len(labels), batch_size):
        batch = slice(start, start + batch_size)
        loss = F.cross_entropy(net(images[batch]), labels[batch])
        gradients = torch.autograd.grad(loss, list(weights.values()))
        share = len(labels[batch]) / len(labels)
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            scores[name] += share * (weight.detach() * gradient).square()
    return scores


def _layer(net: QuanNet, name: str) -> QuanLayer:
    if name not in net.layers:
        raise InputError(f"no layer {name!r}{nearest(name, net.layers)}")
    return net.layers[name]


class GradualPruning:
    """Takes a network to its plan's ratios while it trains, cubically.

    ratio(t) = target * (1 - (1 - t)^3), Zhu and Gupta 2017, eq. 1: fast while there is much to
    choose from, slow at the end. Call `after_optimizer_step` after each step, before the gradients
    are cleared: the `taylor` criterion averages over the steps between two rises.
    """

    def __init__(self, net: QuanNet, plan: Plan, steps: int) -> None:
        """Reach the plan's ratios after `steps` optimizer steps; 0 keeps what is zero now."""
        self._net, self._plan = net, plan
        self._layers = net.layers
        self._steps, self._done = steps, 0
        self._frozen = PruningTrainPlugin()
        self._frozen.set_net_named_parameters(net.named_parameters())
        self._scores: dict[str, Tensor] | None = None
        if plan.rule.criterion == "taylor":
            self._scores = {n: torch.zeros_like(x.weight) for n, x in self._layers.items()}

    @torch.no_grad()
    def after_optimizer_step(self) -> None:
        """Keep pruned weights at zero; while the ratio still rises, prune some more."""
        self._frozen.after_optimizer_step()
        if self._done >= self._steps:
            return
        self._done += 1
        if self._scores:
            for name, layer in self._layers.items():
                if layer.weight.grad is not None:
                    self._scores[name] += (layer.weight * layer.weight.grad).square()
        if self._done % RAMP_INTERVAL and self._done != self._steps:
            return
        left = 1 - self._done / self._steps
        self._plan.apply(self._net, self._scores, 1 - left**3)
        for score in (self._scores or {}).values():
            score.zero_()
        self._frozen.set_net_named_parameters(self._net.named_parameters())


def sparsity_of_tensors(ts: Sequence[Tensor], invalid_value: float = 0) -> float:
    """Share of the elements of all tensors together that equal `invalid_value`, in [0, 1].

    Raises InputError when there is no element.
    """
    total = sum(t.numel() for t in ts)
    if total == 0:
        raise InputError("sparsity_of_tensors needs at least one element, but got none")
    return sum(int((t == invalid_value).sum()) for t in ts) / total


class PruningTrainPlugin:
    """Keeps pruned weights at zero in a training loop of the user's own.

    Call `set_net_named_parameters` once after pruning, and `after_optimizer_step` after each step.
    """

    def __init__(self) -> None:
        """Freeze nothing yet."""
        self._frozen: list[tuple[Tensor, Tensor]] = []

    def set_net_named_parameters(
        self, named_parameters: Iterable[tuple[str, nn.Parameter]]
    ) -> None:
        """Freeze the weights that are zero now.

        Biases stay free: a bias that starts at zero was not pruned.
        """
        self._frozen = [
            (parameter, parameter.detach() != 0)
            for _, parameter in named_parameters
            if parameter.dim() > 1
        ]

    @torch.no_grad()
    def after_optimizer_step(self) -> None:
        """Set the frozen weights back to zero. Raises InputError before any were named."""
        if not self._frozen:
            raise InputError("call set_net_named_parameters() before after_optimizer_step()")
        for parameter, mask in self._frozen:
            parameter.mul_(mask)
