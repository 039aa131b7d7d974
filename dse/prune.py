"""Pruning: which weights become zero, and keeping them zero while the others train."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from dse.config import Config
from dse.errors import InputError, nearest
from dse.quantize import QuanNet
from dse.quantize.layers import QuanLayer

RAMP_INTERVAL = 20
"""Steps between two rises of the ratio: choosing costs a sort, and weights need time to adapt."""


def prune_layers(net: QuanNet, config: Config) -> None:
    """Set the smallest weights of each layer to zero, in place: L1 magnitude, `prune_ratio` each.

    Raises InputError for a layer that the network does not have.
    """
    layers = net.layers
    for name, choice in config.items():
        if name not in layers:
            raise InputError(f"config: no layer {name!r}{nearest(name, layers)}")
        prune_layer(layers[name], choice.prune_ratio)


def prune_layer(layer: QuanLayer, ratio: float) -> None:
    """Set the `ratio` of a layer's weights that are smallest in magnitude to zero, in place."""
    torch_prune.l1_unstructured(layer, "weight", amount=round(ratio * layer.weight.numel()))
    torch_prune.remove(layer, "weight")


class GradualPruning:
    """Raises each layer's prune ratio to its target while it trains, cubically.

    ratio(t) = target * (1 - (1 - t)^3), Zhu and Gupta 2017, eq. 1: fast while there is much to
    choose from, slow at the end. Call `after_optimizer_step` after each step.
    """

    def __init__(self, net: QuanNet, config: Config, steps: int) -> None:
        """Reach the config's ratios after `steps` optimizer steps; 0 keeps what is zero now."""
        self._layers = {name: net.layers[name] for name in config}
        self._named_parameters = net.named_parameters
        self._targets = {name: choice.prune_ratio for name, choice in config.items()}
        self._steps, self._done = steps, 0
        self._frozen = PruningTrainPlugin()
        self._frozen.set_net_named_parameters(net.named_parameters())

    @torch.no_grad()
    def after_optimizer_step(self) -> None:
        """Keep pruned weights at zero; while the ratio still rises, prune some more."""
        self._frozen.after_optimizer_step()
        if self._done >= self._steps:
            return
        self._done += 1
        if self._done % RAMP_INTERVAL and self._done != self._steps:
            return
        left = 1 - self._done / self._steps
        for name, layer in self._layers.items():
            prune_layer(layer, self._targets[name] * (1 - left**3))
        self._frozen.set_net_named_parameters(self._named_parameters())


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
