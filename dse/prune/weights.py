"""Setting weights to zero: the smallest of a layer or of all, whole channels, N of every M."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import prune as torch_prune

from dse.errors import InputError
from dse.quantize import QuanNet
from dse.quantize.layers import QuanLayer

Scores = Mapping[str, Tensor]
"""How much each weight matters, by layer, in the shape of its weights."""


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
