"""Sensitivity: what each layer loses by fewer bits or weights, and the configs that follow from it.

Post-training, one layer at a time, everything else in float (as HAWQ and MCT do): the loss a config
is predicted to have is the sum over its layers. The least sum within a memory budget is then found
exactly, by dynamic programming over the layers. One price per byte for all layers would do for the
convex hull alone, which for LeNet-5 has no point between 4 and 9 KiB.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from dse import prune
from dse.config import Config, LayerConfig
from dse.errors import InputError
from dse.integer.network import INPUT
from dse.quantize import QuanNet
from dse.quantize.calibrate import KEPT_VALUES, choose_grid, choose_input_grid, observe
from dse.quantize.graph import LayerCall, Maker, bent, joined
from dse.quantize.weights import quantize_weights, wants_mid_rise
from dse.storage import formats
from dse.study.record import LayerSensitivity
from dse.study.spec import LayerSpace, RatioRange, SearchSpace
from dse.trial import Context

IMAGES = 500
STEPS = 1000
RATIO_STEPS = 9
LEAST_DENSITY = 0.005
BIT_STEPS = (1, 2, 3, 4, 5, 6, 8, 12, 16)
FINE = 3e-4
"""Loss in nats that no image tells from none. Activations are guessed that fine: with the fewest
bits that lose no more than the layer's weights do, one or two, the first ten trials of three cheap
LeNet-5 studies reached hypervolumes of 0.34, 0.31 and 0.31, so 0.38, 0.32 and 0.34."""

SMALLEST_SHARE, LARGEST_SHARE = 0.04, 0.3
"""Sizes guessed for, as shares of the network at 8 bits without pruning: below 4 % post-training
predictions mean nothing, above 30 % every config is as good as the baseline."""


@dataclass(frozen=True)
class Choice:
    """One way to compress a layer: its predicted loss and packed bits."""

    config: LayerConfig
    loss: float
    bits: int


def guesses(context: Context, count: int, measured: Mapping[str, LayerSensitivity]) -> list[Config]:
    """`count` configs from small to large with the least predicted loss for their size."""
    space = context.spec.search_space
    each = {n: _choices(layer, space[n]) for n, layer in measured.items()}
    choices = {key: unbeaten(layer) for key, layer in tied(each, space).items()}
    dense = sum(8 * layer.weight.numel() for layer in context.baseline.layers.values())
    sizes = np.geomspace(SMALLEST_SHARE * dense, LARGEST_SHARE * dense, count)
    return [
        {name: picked[layer.group or name] for name, layer in space.items()}
        for picked in cheapest(choices, sizes.tolist())
    ]


def cheapest(choices: Mapping[str, Sequence[Choice]], budgets: Sequence[float]) -> list[Config]:
    """For each budget in bits, the config of least predicted loss within it.

    Sizes are rounded up to 1/STEPS of the largest budget, so the answer is exact but for that. A
    budget that nothing fits into gives the smallest config.
    """
    unit = max(budgets) / STEPS
    least = [np.zeros(STEPS + 1)]  # loss of the layers so far within so many units
    costs = [
        np.array([math.ceil(choice.bits / unit) for choice in layer]) for layer in choices.values()
    ]
    losses = [np.array([choice.loss for choice in layer]) for layer in choices.values()]
    for cost, loss in zip(costs, losses, strict=True):
        least.append(np.full(STEPS + 1, np.inf))
        for units, lost in zip(cost.tolist(), loss.tolist(), strict=True):
            if units <= STEPS:
                within = least[-1][units:]
                np.minimum(within, least[-2][: STEPS + 1 - units] + lost, out=within)
    left = np.array([int(budget / unit) for budget in budgets])
    impossible = np.isinf(least[-1][left])[:, None]
    rows: dict[str, npt.NDArray[np.intp]] = {}  # of each layer's choices, by budget
    for name, before, cost, loss in zip(
        list(choices)[::-1], least[-2::-1], costs[::-1], losses[::-1], strict=True
    ):
        rest = left[:, None] - cost
        totals = np.where(rest >= 0, before[np.maximum(rest, 0)] + loss, np.inf)
        rows[name] = np.where(impossible, cost, totals).argmin(axis=1)
        left = np.maximum(left - cost[rows[name]], 0)
    return [
        {name: layer[rows[name][index]].config for name, layer in choices.items()}
        for index in range(len(budgets))
    ]


def unbeaten(choices: Sequence[Choice]) -> list[Choice]:
    """Those that lose less than every choice of as few bits, by bits: a quarter to a third."""
    kept: list[Choice] = []
    for choice in sorted(choices, key=lambda choice: (choice.bits, choice.loss)):
        if not kept or choice.loss < kept[-1].loss:
            kept.append(choice)
    return kept


def tied(
    choices: Mapping[str, Sequence[Choice]], space: SearchSpace
) -> dict[str, Sequence[Choice]]:
    """The choices by group, or by layer where it has none: losses and bits of a group add up."""
    by_key: dict[str, Sequence[Choice]] = {}
    for name, layer in space.items():
        key = layer.group or name
        by_key[key] = added(by_key[key], choices[name]) if key in by_key else choices[name]
    return by_key


def added(first: Sequence[Choice], second: Sequence[Choice]) -> list[Choice]:
    """What two layers that share a choice lose and need, where both can be stored."""
    of_second = {(c.config.prune_ratio, c.config.weight_bits): c for c in second}
    added = []
    for one in first:
        other = of_second.get((one.config.prune_ratio, one.config.weight_bits))
        if other is not None:
            activation_bits = max(one.config.activation_bits, other.config.activation_bits)
            config = replace(one.config, activation_bits=activation_bits)
            added.append(Choice(config, one.loss + other.loss, one.bits + other.bits))
    return added


def scan(context: Context) -> dict[str, LayerSensitivity]:
    """Every layer's losses and packed sizes.

    Raises InputError when a layer has no choice that can be stored.
    """
    net = copy.deepcopy(context.baseline).to(context.device_type)
    images = context.data.train.images[:IMAGES].to(context.device_type)
    losses = _Losses(net, images)
    return {
        name: _measured(losses, name, space, context.spec.storage)
        for name, space in context.spec.search_space.items()
    }


def _measured(
    losses: _Losses, name: str, space: LayerSpace, allowed: Sequence[str]
) -> LayerSensitivity:
    ratios = _ratios(space.prune_ratio).tolist()
    pruned = {ratio: losses.pruned(name, ratio) for ratio in ratios}
    found = []
    for ratio, bits in itertools.product(ratios, _some(space.weight_bits.bits)):
        weight = pruned[ratio]
        mid_rise = wants_mid_rise(weight, bits, losses.sparse_storage)
        integers = quantize_weights(weight, bits, mid_rise)
        sizes = formats.sizes(integers, formats.select(allowed)).values()
        if sizes:  # absent one-bit weights cannot be stored dense
            loss = losses.of_weights(name, integers.values * integers.scale[0])
            found.append((ratio, bits, loss, min(sizes)))
    if not found:
        raise InputError(
            f"search_space.layers.{name}: pruned 1-bit weights, its only choice, cannot be stored "
            f"as {', '.join(allowed)}"
        )
    widths = _some(space.activation_bits.bits)
    activations = tuple((bits, losses.of_activations(name, bits)) for bits in widths)
    return LayerSensitivity(tuple(found), activations)


def _choices(layer: LayerSensitivity, space: LayerSpace) -> list[Choice]:
    """Activations cost no memory: the fewest bits that lose nothing.

    No more channels go than must: what that loses is not measured.
    """
    lost = dict(layer.activations)
    found = []
    for ratio, weight_bits, loss, size in layer.weights:
        fine = [bits for bits, other in lost.items() if other <= FINE] or [max(lost)]
        config = LayerConfig(ratio, weight_bits, min(fine), space.channel_ratio.low)
        found.append(Choice(config, loss + lost[min(fine)], size))
    return found


def _ratios(allowed: RatioRange) -> npt.NDArray[np.float64]:
    """Prune ratios to scan: their densities are in geometric progression, as memory is.

    Evenly spaced ratios leave out most of what matters, 80 to 98 %: with them no guess of LeNet-5
    lay between 2.6 and 9.6 KiB.
    """
    most, least = (max(1 - ratio, LEAST_DENSITY) for ratio in (allowed.low, allowed.high))
    ratios: npt.NDArray[np.float64] = 1 - np.geomspace(most, least, RATIO_STEPS)
    return np.unique(np.clip(ratios, allowed.low, allowed.high))


def _some(bits: Sequence[int]) -> list[int]:
    """Widths to scan: the usual ones that are allowed, and the ends."""
    return sorted({bits[0], bits[-1], *(b for b in BIT_STEPS if b in bits)})


class _Losses:
    """Divergence from the float network's answers when one layer is changed."""

    def __init__(self, net: QuanNet, images: Tensor) -> None:
        self._net, self._images = net, images
        self.sparse_storage = net.sparse_storage
        self._graph = net.graph(tuple(images.shape[1:]))
        self._seen = observe(self._graph, net.layers, images, len(images))
        self._source = {call.name: self._graph.origin(call.source) for call in self._graph.calls}
        self._before: dict[str, Tensor] = {}  # what makers give as long as nothing is changed
        self._float = F.log_softmax(self._logits({}, {}), dim=1)

    def pruned(self, name: str, ratio: float) -> npt.NDArray[np.float32]:
        """A layer's weights with `ratio` of them set to zero."""
        layer = copy.deepcopy(self._net.layers[name])
        prune.prune_layer(layer, ratio)
        return layer.weight.detach().cpu().numpy()

    def of_weights(self, name: str, weight: npt.NDArray[np.floating]) -> float:
        """Loss with one layer's weights replaced."""
        changed = torch.from_numpy(weight).float().to(self._images.device)
        return self._divergence({name: changed}, {})

    def of_activations(self, name: str, bits: int) -> float:
        """Loss with the codes one layer reads quantized to `bits`."""
        return self._divergence({}, {name: bits})

    @torch.no_grad()
    def _divergence(self, weights: Mapping[str, Tensor], widths: Mapping[str, int]) -> float:
        changed = F.log_softmax(self._logits(weights, widths), dim=1)
        return float(F.kl_div(changed, self._float, log_target=True, reduction="batchmean"))

    @torch.no_grad()
    def _logits(self, weights: Mapping[str, Tensor], widths: Mapping[str, int]) -> Tensor:
        origin, changed = self._graph.origin, weights.keys() | widths.keys()
        touched: set[str] = set()  # makers that differ, because they or what they read are changed
        kept = sum(values.numel() for values in self._before.values())

        def make(node: Maker, sources: list[Tensor]) -> Tensor:
            nonlocal kept
            own = isinstance(node, LayerCall) and node.module in changed
            if own or any(origin(name) in touched for name in node.inputs):
                touched.add(node.name)
            elif node.name in self._before:
                return self._before[node.name]
            made = bent(self._made(node, sources, weights, widths), node.nonlinearity)
            if node.name not in touched and kept + made.numel() <= KEPT_VALUES:
                self._before[node.name], kept = made, kept + made.numel()
            return made

        return self._graph.run(self._images, make)

    def _made(
        self,
        node: Maker,
        sources: list[Tensor],
        weights: Mapping[str, Tensor],
        widths: Mapping[str, int],
    ) -> Tensor:
        """What a maker makes under the changes, before its nonlinearity."""
        if not isinstance(node, LayerCall):
            return joined(node, sources)
        layer, (x,) = self._net.layers[node.module], sources
        if node.module in widths:
            x = self._quantized(x, node, widths[node.module])
        if node.module not in weights:
            y: Tensor = layer(x)
            return y
        state = {**dict(layer.named_parameters()), "weight": weights[node.module]}
        changed: Tensor = torch.func.functional_call(layer, state, (x,))
        return changed

    def _quantized(self, x: Tensor, node: LayerCall, bits: int) -> Tensor:
        origin = self._source[node.name]
        choose = choose_input_grid if origin == INPUT else choose_grid
        grid = choose(self._seen[origin], bits, "mse")
        codes = (x / grid.scale + 0.5).floor() + grid.zero_point
        return (codes.clamp(0, grid.max_code) - grid.zero_point) * grid.scale
