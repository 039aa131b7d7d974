"""Fake quantization: float training that computes, up to float rounding, what the integers will.

Learned step sizes (Esser et al. 2020, LSQ, eqs. 2-3). The step is kept as its logarithm, so an
optimizer step changes it by a share of itself, whatever the layer's range; with Adam this replaces
the paper's gradient scale, which only matters to an optimizer that is not scale-free.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dse.config import Config
from dse.integer import INPUT, RELU, IntegerNetwork, MaxPool, phases
from dse.quantize.assemble import Grids, QuantizedLayer, assemble, bias_integers
from dse.quantize.calibrate import activation_grids, observe
from dse.quantize.graph import Graph, LayerCall, Maker, bent, joined
from dse.quantize.layers import QuanConv2d, QuanLayer
from dse.quantize.net import QuanNet
from dse.quantize.pool import max_of_convolution
from dse.quantize.weights import quantize_weights, wants_mid_rise, weights_on_grid


class _RoundToGrid(torch.autograd.Function):
    """scale * clamp(round(x / scale), low, high), with LSQ's gradients for x and log(scale)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, log_scale: Tensor, low: float, high: float) -> Tensor:
        scale = float(log_scale.detach().exp())
        scaled = x / scale
        rounded = (scaled + 0.5).floor_().clamp_(low, high)
        ctx.save_for_backward(scaled, rounded)
        ctx.limits = (low, high, scale)
        return rounded * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        scaled, rounded = ctx.saved_tensors
        low, high, scale = ctx.limits
        # one pass instead of four: it stops at its limits, and these ends may pass
        passed = torch.ops.aten.hardtanh_backward(gradient, scaled, *_around(low, high))
        step = torch.dot(gradient.flatten(), rounded.flatten()) - torch.dot(
            passed.flatten(), scaled.flatten()
        )
        return passed, step * scale, None, None


@functools.cache
def _around(low: float, high: float) -> tuple[float, float]:
    """The float32 numbers next to [low, high]."""
    below, above = np.float32(-np.inf), np.float32(np.inf)
    return float(np.nextafter(np.float32(low), below)), float(np.nextafter(np.float32(high), above))


class _RoundToOdd(torch.autograd.Function):
    """Mid-rise grid: scale * odd integer within +-top; entries that are 0 are absent and stay 0.

    The gradient passes up to the outer edge of the last cell, |x| <= (top + 1) * scale: clipped at
    the last level, half of a one-bit layer's weights would never move again.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, log_scale: Tensor, top: float) -> Tensor:
        scale = float(log_scale.detach().exp())
        scaled = x / scale
        present = torch.ne(x, 0, out=torch.empty_like(x))  # as numbers: bools multiply slowly
        odd = (scaled * 0.5).floor_().mul_(2).add_(1).clamp_(-top, top).mul_(present)
        ctx.save_for_backward(scaled, odd, present)
        ctx.limits = (top + 1, scale)
        return odd * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        scaled, odd, present = ctx.saved_tensors
        edge, scale = ctx.limits
        passed = torch.ops.aten.hardtanh_backward(gradient, scaled, *_around(-edge, edge))
        passed.mul_(present)
        inside = torch.ops.aten.hardtanh_backward(passed, scaled, 1 - edge, edge - 1)
        step = torch.dot(gradient.flatten(), odd.flatten()) - torch.dot(
            inside.flatten(), scaled.flatten()
        )
        return passed, step * scale, None


class _RoundToMultiples(torch.autograd.Function):
    """unit * round(x / unit); the gradient passes as if nothing had been rounded."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, unit: float) -> Tensor:
        return (x / unit).add_(0.5).floor_().mul_(unit)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], None


def round_to_grid(x: Tensor, log_scale: Tensor, low: int, high: int) -> Tensor:
    """`x` rounded half up to scale * integers within [low, high]; learns `log_scale` (0-d)."""
    rounded: Tensor = _RoundToGrid.apply(x, log_scale, low, high)  # type: ignore[no-untyped-call]
    return rounded


def round_to_odd(x: Tensor, log_scale: Tensor, top: int) -> Tensor:
    """`x` rounded to scale * odd integers within +-top, zeros kept; learns `log_scale` (0-d)."""
    rounded: Tensor = _RoundToOdd.apply(x, log_scale, top)  # type: ignore[no-untyped-call]
    return rounded


def round_to_multiples(x: Tensor, unit: float) -> Tensor:
    """`x` rounded half up to multiples of `unit`."""
    rounded: Tensor = _RoundToMultiples.apply(x, unit)  # type: ignore[no-untyped-call]
    return rounded


class FakeQuantized(nn.Module):
    """A network with its activations and weights rounded to grids whose steps are learned.

    Shares the layers (and so the weights) of the float network it is made from; `to_integers` gives
    the integer network of the current weights and steps.
    """

    def __init__(self, net: QuanNet, config: Config, images: Tensor) -> None:
        """Start from the post-training grids, calibrated on `images` (N, C, y, x).

        They are on the device of the net, which is where it computes.
        """
        super().__init__()
        graph, layers = net.graph(tuple(images.shape[1:])), net.layers
        self._graph, self._layers = graph, layers
        self.modules_of_net = nn.ModuleList(layers.values())
        self._pools = _pools_of_images(graph, layers)
        self._weight_bits = {name: choice.weight_bits for name, choice in config.items()}
        activation_bits = {name: choice.activation_bits for name, choice in config.items()}
        seen = observe(graph, layers, images, batch_size=500)
        self._grids = activation_grids(graph, seen, activation_bits, "mse")
        self._nonlinearity = {maker.name: maker.nonlinearity for maker in graph.makers}
        self._weight_zero: dict[str, int] = {}
        self._mid_rise: dict[str, bool] = {}
        weight_steps, activation_steps = {}, {}
        for name, layer in layers.items():
            values = layer.weight.detach().cpu().numpy()
            bits = self._weight_bits[name]
            self._mid_rise[name] = wants_mid_rise(values, bits, net.sparse_storage)
            start = quantize_weights(values, bits, self._mid_rise[name])
            self._weight_zero[name] = start.zero_point
            weight_steps[_key(name)] = _log_step(float(start.scale[0]))
        for name, grid in self._grids.made.items():
            if graph.grid_owner(name) == name:
                activation_steps[_key(name)] = _log_step(grid.scale)
        self.weight_steps = nn.ParameterDict(weight_steps)
        self.activation_steps = nn.ParameterDict(activation_steps)
        self.to(images.device)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) for images (N, C, y, x)."""
        read: dict[str, Tensor] = {}  # tensors as their readers see them, rounded once

        def rounded(name: str, values: Tensor) -> Tensor:
            # Rounding here, after the pools between two makers, equals rounding before them and
            # touches a quarter of the values.
            if name not in read:
                read[name] = self._rounded(self._graph.origin(name), values)
            return read[name]

        def make(node: Maker, sources: list[Tensor]) -> Tensor:
            codes = [rounded(*pair) for pair in zip(node.inputs, sources, strict=True)]
            if isinstance(node, LayerCall):
                made = self._layer(node, codes[0])
            else:
                made = joined(node, codes)
            return made if node.nonlinearity == RELU else bent(made, node.nonlinearity)

        output = self._graph.run(x, make, {pool.name for pool in self._pools.values()})
        if self._graph.origin(self._graph.output) in self._grids.made:
            return rounded(self._graph.output, output)
        return output

    def _rounded(self, origin: str, x: Tensor) -> Tensor:
        """Values of the input or of a maker on their grid; the lower clamp is the ReLU."""
        if origin == INPUT:
            return self._fake_input(x)
        grid, step = self._grids.made[origin], self._activation_step(origin)
        low = 0 if self._nonlinearity[origin] == RELU else -grid.zero_point
        return round_to_grid(x, step, low, grid.max_code - grid.zero_point)

    def _layer(self, call: LayerCall, x: Tensor) -> Tensor:
        layer, name = self._layers[call.module], call.module
        weight, bias = self._fake_weight(name, layer), layer.bias
        if bias is not None:
            unit = self._scale_of(call.source) * self._step(self.weight_steps, name)
            bias = round_to_multiples(bias, unit)
        if not isinstance(layer, QuanConv2d):
            return F.linear(x, weight, bias)
        if _reads_all_at_once(layer, x):  # a product of matrices: 4 times as fast as a convolution
            return F.linear(x.flatten(1), weight.flatten(1), bias)[:, :, None, None]
        if call.name in self._pools:
            pooled = max_of_convolution(x, weight, layer.geometry.padding)
            return pooled if bias is None else pooled + bias[:, None, None]
        y: Tensor = layer._conv_forward(x, weight, bias)
        return y

    def _activation_step(self, name: str) -> Tensor:
        step: Tensor = self.activation_steps[_key(self._graph.grid_owner(name))]
        return step

    def _scale_of(self, source: str) -> float:
        origin = self._graph.origin(source)
        if origin == INPUT:
            return self._grids.input.scale
        return self._step(self.activation_steps, self._graph.grid_owner(origin))

    def _fake_input(self, x: Tensor) -> Tensor:
        grid = self._grids.input
        codes = (x / grid.scale + 0.5).floor_()
        return codes.clamp_(-grid.zero_point, grid.max_code - grid.zero_point).mul_(grid.scale)

    def _fake_weight(self, name: str, layer: QuanLayer) -> Tensor:
        bits, step = self._weight_bits[name], self.weight_steps[_key(name)]
        top = (1 << bits) - 1
        if self._mid_rise[name]:
            return round_to_odd(layer.weight, step, top)
        zero = self._weight_zero[name]
        return round_to_grid(layer.weight, step, -zero, top - zero)

    def to_integers(self) -> IntegerNetwork:
        """The integer network of the current weights, biases and steps."""
        owner = self._graph.grid_owner
        made = {
            name: replace(grid, scale=self._step(self.activation_steps, owner(name)))
            for name, grid in self._grids.made.items()
        }
        grids = Grids(self._grids.input, made)
        weights = {
            name: weights_on_grid(
                layer.weight.detach().cpu().numpy(),
                self._weight_bits[name],
                self._weight_zero[name],
                np.array([self._step(self.weight_steps, name)]),
                self._mid_rise[name],
            )
            for name, layer in self._layers.items()
        }
        layers = {}
        for call in self._graph.calls:
            held, source = weights[call.module], grids.of(self._graph.origin(call.source))
            bias = bias_integers(self._layers[call.module].bias, held, source)
            layers[call.name] = QuantizedLayer(held, bias)
        return assemble(self._graph, self._layers, grids, layers)

    @staticmethod
    def _step(steps: nn.ParameterDict, name: str) -> float:
        """The step as float32 computes it in training, so that both round alike."""
        return float(steps[_key(name)].detach().exp())


def _pools_of_images(graph: Graph, layers: Mapping[str, QuanLayer]) -> dict[str, MaxPool]:
    """By call, the max pools that are computed with the convolution of images before them."""
    pools = {}
    for call in graph.calls:
        layer, pool = layers[call.module], graph.pool_behind(call)
        if pool is None or graph.origin(call.source) != INPUT or layer.geometry is None:
            continue
        if phases.pays(layer.weight, layer.geometry, pool):
            pools[call.name] = pool
    return pools


def _reads_all_at_once(layer: QuanConv2d, x: Tensor) -> bool:
    """Whether the kernel covers the whole of `x`, so that each channel has one output."""
    return x.shape[1:] == layer.weight.shape[1:] and not any(layer.padding)


def _key(name: str) -> str:
    """ParameterDict refuses dots."""
    return name.replace(".", "/")


def _log_step(scale: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(math.log(scale)))
