"""Gradual pruning: a plan's ratios reached step by step while the network trains."""

from __future__ import annotations

import torch
from torch import Tensor

from dse.prune.plan import Plan
from dse.prune.plugin import PruningTrainPlugin
from dse.quantize import QuanNet

RAMP_INTERVAL = 20
"""Steps between two rises of the ratio: choosing costs a sort, and weights need time to adapt."""


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
        for name in self._plan.narrowed:  # a channel that is gone is zero, not constant
            layer = self._layers[name]
            if layer.bias is not None:
                layer.bias.mul_(layer.weight.flatten(1).any(dim=1))
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
