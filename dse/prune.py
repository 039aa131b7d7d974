"""Pruning: which weights become zero, and keeping them zero while the others train."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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

RAMP_INTERVAL = 20
"""Steps between two rises of the ratio: choosing costs a sort, and weights need time to adapt."""


def prune_layers(net: QuanNet, config: Config) -> None:
    """Set the smallest weights of each layer to zero, in place: L1 magnitude, `prune_ratio` each.

    Raises InputError for a layer that the network does not have.
    """
    for name, choice in config.items():
        prune_layer(_layer(net, name), choice.prune_ratio)


def prune_layer(layer: QuanLayer, ratio: float) -> None:
    """Set the `ratio` of a layer's weights that are smallest in magnitude to zero, in place."""
    torch_prune.l1_unstructured(layer, "weight", amount=round(ratio * layer.weight.numel()))
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
    _make_permanent(net)


def prune_channels(net: QuanNet, ratios: Mapping[str, float]) -> None:
    """Set whole output channels with the least L1 norm to zero, their biases too, in place.

    Nothing reads such a channel's value but as a constant: `dse.integer.simplify` and `shrink` then
    take it out of the integer network, which really gets smaller.
    """
    for name, ratio in ratios.items():
        layer = _layer(net, name)
        torch_prune.ln_structured(layer, "weight", round(ratio * len(layer.weight)), n=1, dim=0)
        torch_prune.remove(layer, "weight")
        if layer.bias is not None:
            empty = ~layer.weight.detach().flatten(1).any(dim=1)
            layer.bias.data[empty] = 0


def prune_n_of_m(layer: QuanLayer, n: int, m: int) -> None:
    """Keep the `n` largest of every `m` consecutive weights of a row, in place (N:M sparsity).

    Rows are output channels, their inputs in memory order; a last group shorter than `m` keeps at
    most `n`. Mishra et al. 2021, section 3.1. Raises InputError unless 0 < n < m.
    """
    if not 0 < n < m:
        raise InputError(f"N:M sparsity needs 0 < n < m, but got {n}:{m}")
    rows = layer.weight.detach().abs().flatten(1)
    padded = F.pad(rows, (0, -rows.shape[1] % m), value=-1.0).unflatten(1, (-1, m))
    kept = torch.zeros_like(padded).scatter_(2, padded.topk(n, dim=2).indices, 1.0)
    mask = kept.flatten(1)[:, : rows.shape[1]].reshape(layer.weight.shape)
    torch_prune.custom_from_mask(layer, "weight", mask)
    torch_prune.remove(layer, "weight")


def taylor_scores(net: QuanNet, images: Tensor, labels: Tensor, batch_size: int = 500) -> Scores:
    """First-order estimate of how much the loss changes when a weight is removed, by layer.

    |weight * gradient| with the gradient of the mean cross-entropy (Molchanov et al. 2019, eq. 8);
    unlike magnitude it can be compared across layers. Leaves no gradients behind.
    """
    weights = {name: layer.weight for name, layer in net.layers.items()}
    totals = [torch.zeros_like(weight) for weight in weights.values()]
    for batch, wanted in zip(
        torch.split(images, batch_size), torch.split(labels, batch_size), strict=True
    ):
        loss = F.cross_entropy(net(batch), wanted, reduction="sum") / len(labels)
        for total, gradient in zip(
            totals, torch.autograd.grad(loss, list(weights.values())), strict=True
        ):
            total += gradient
    return {
        name: (weight.detach() * total).abs()
        for (name, weight), total in zip(weights.items(), totals, strict=True)
    }


def _make_permanent(net: QuanNet) -> None:
    for layer in net.layers.values():
        torch_prune.remove(layer, "weight")


def _layer(net: QuanNet, name: str) -> QuanLayer:
    if name not in net.layers:
        raise InputError(f"no layer {name!r}{nearest(name, net.layers)}")
    return net.layers[name]


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
