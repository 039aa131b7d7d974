"""Weights that multiply nothing: those on channels which are zero for every image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dse.quantize import QuanNet
from dse.quantize.graph import Graph, LayerCall, Maker, bent, joined
from dse.quantize.layers import QuanConv2d, QuanLayer


@torch.no_grad()
def drop_blind_weights(net: QuanNet, graph: Graph) -> None:
    """Set the weights to zero, in place, whose input is zero whatever the image.

    After channels without weights and bias: pooling, adding, concatenating and reshaping a tensor
    pass its zeros on, so the graph itself tells where they end up. It is run once, on ones in place
    of values that can be other than zero.
    """
    seen: dict[str, Tensor] = {}

    def make(node: Maker, sources: Sequence[Tensor]) -> Tensor:
        if isinstance(node, LayerCall):
            layer = net.layers[node.module]
            reached = _reached(layer, sources[0][0])
            # a layer that is called twice keeps what either call needs
            seen[node.module] = torch.maximum(seen.get(node.module, reached), reached)
            rows = (layer.weight * reached).flatten(1).any(dim=1)
            if layer.bias is not None:
                rows |= layer.bias != 0
            y = layer(sources[0])  # for its shape
            y = rows.to(y).reshape(1, -1, *(1,) * (y.dim() - 2)).expand_as(y)
        else:
            y = joined(node, sources)
        zero_stays = not bent(torch.zeros(1), node.nonlinearity).any()
        return (y != 0).to(y) if zero_stays else torch.ones_like(y)

    place = next(net.parameters()).device
    graph.run(torch.ones(1, *graph.input_shape, device=place), make)
    for name, reached in seen.items():
        net.layers[name].weight.mul_(reached)


def _reached(layer: QuanLayer, x: Tensor) -> Tensor:
    """1 for every weight whose input in `x` (C, y, x) or (C,) is not zero, 0 for the others."""
    if not isinstance(layer, QuanConv2d):
        return (x != 0).to(x).expand_as(layer.weight)
    channels = x.flatten(1).any(dim=1).to(x).reshape(layer.groups, 1, -1)
    by_row = channels.expand(-1, len(layer.weight) // layer.groups, -1).flatten(0, 1)
    return by_row[:, :, None, None].expand_as(layer.weight)
