"""Fast exact evaluation of an integer network with torch's float kernels, chosen by proof.

A float convolution over integers is exact while every partial sum is an integer the format holds:
below 2^24 in float32, below 2^53 in float64. Each layer's bound (`AccumulatorBounds.magnitude`)
picks the narrower. Activations travel as codes minus zero point, so padding is plain zero.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dse.integer.network import INPUT, IntegerNetwork, Layer, MaxPool, Node
from dse.integer.requantize import MULTIPLIER_BITS, Requantizer

FLOAT32_EXACT, FLOAT64_EXACT = 1 << 24, 1 << 53

Operation = Callable[[Tensor], Tensor]


class Evaluator:
    """Evaluates one integer network on the CPU, bit-identical to `dse.integer.reference`."""

    def __init__(self, network: IntegerNetwork) -> None:
        """Prepare the kernels of `network`."""
        self._input_zero = network.input_grid.zero_point
        self._output = network.output
        grid = network.grids[network.output]
        self._output_zero = grid.zero_point if grid else 0
        self._steps = _plan(network)

    def __call__(self, codes: Tensor, batch_size: int = 250) -> Tensor:
        """Output tensor (int64, batch first) for integer `codes` of shape (N, C, y, x)."""
        outputs = [self._batch(batch) for batch in torch.split(codes, batch_size)]
        return torch.cat(outputs)

    @torch.no_grad()
    def _batch(self, codes: Tensor) -> Tensor:
        tensors: dict[str, Tensor] = {INPUT: codes.to(torch.float32) - self._input_zero}
        # NNPACK may pick Winograd transforms, whose intermediate values are not integers
        with torch.backends.nnpack.flags(enabled=False):
            for name, source, operation in self._steps:
                tensors[name] = operation(tensors[source])
        return tensors[self._output].to(torch.int64) + self._output_zero


def _plan(network: IntegerNetwork) -> list[tuple[str, str, Operation]]:
    """One operation per node; a max pool moves before the requantization of the layer it reads.

    Requantization never decreases, so the maximum commutes with it, and 2x2 pooling first leaves a
    quarter of the values to requantize.
    """
    readers: dict[str, list[Node]] = {}
    for node in network.nodes:
        readers.setdefault(node.inputs[0], []).append(node)
    steps: list[tuple[str, str, Operation]] = []
    absorbed: dict[str, str] = {}
    for node in network.nodes:
        if node.name in absorbed:
            continue
        if isinstance(node, Layer):
            following = readers.get(node.name, [])
            pool = following[0] if len(following) == 1 else None
            if not isinstance(pool, MaxPool):
                pool = None
            name = pool.name if pool else node.name
            if pool:
                absorbed[pool.name] = node.name
            steps.append((name, node.source, _layer_operation(network, node, pool)))
        elif isinstance(node, MaxPool):
            steps.append((node.name, node.source, _pool_operation(node)))
        else:
            shape = node.shape
            steps.append((node.name, node.source, _reshape_operation(shape)))
    return steps


def _layer_operation(network: IntegerNetwork, layer: Layer, pool: MaxPool | None) -> Operation:
    bounds = network.bounds[layer.name]
    assert bounds.magnitude <= FLOAT64_EXACT, "46-bit accumulators are below 2^53"
    narrow = bounds.magnitude <= FLOAT32_EXACT and torch.get_float32_matmul_precision() == "highest"
    dtype = torch.float32 if narrow else torch.float64
    weight = torch.from_numpy(layer.weights.values).to(dtype)
    bias = torch.from_numpy(layer.bias).to(dtype)
    requantize = None
    if layer.requantizer:
        requantize = _requantize_operation(layer.requantizer, bounds.magnitude, weight.dim())
    geometry = layer.geometry
    after = _pool_operation(pool) if pool else None

    def run(x: Tensor) -> Tensor:
        x = x.to(dtype)
        if geometry is None:
            sums = F.linear(x, weight, bias)
        else:
            sums = F.conv2d(
                x,
                weight,
                bias,
                geometry.stride,
                geometry.padding,
                geometry.dilation,
                geometry.groups,
            )
        if after:
            sums = after(sums)
        return requantize(sums) if requantize else sums

    return run


def _requantize_operation(requantizer: Requantizer, magnitude: int, dimensions: int) -> Operation:
    """Centred codes (float32) of accumulators.

    acc * M0 * 2^-n is a multiple of 2^-n; with one half added it is exact in float64 while
    |acc| * M0 + 2^(n-1) stays within 53 bits. Beyond that the same is done in int64.
    """
    per_row = (1, -1) + (1,) * (dimensions - 2)
    zero = requantizer.grid.zero_point
    low, high = requantizer.low - zero, requantizer.high - zero
    largest_shift = int(requantizer.shift.max())
    reach = (magnitude << MULTIPLIER_BITS) + (1 << max(largest_shift - 1, 0))
    if reach < FLOAT64_EXACT:
        factors = np.ldexp(requantizer.multiplier.astype(np.float64), -requantizer.shift)
        factor = torch.from_numpy(factors).reshape(per_row)

        def in_float64(sums: Tensor) -> Tensor:
            scaled = (
                sums.to(torch.float64).mul_(factor)
                if sums.dtype != torch.float64
                else (sums * factor)
            )
            return scaled.add_(0.5).floor_().clamp_(low, high).to(torch.float32)

        return in_float64

    def in_int64(sums: Tensor) -> Tensor:
        codes = requantizer(sums.to(torch.int64).numpy())
        return torch.from_numpy(codes - zero).to(torch.float32)

    return in_int64


def _pool_operation(pool: MaxPool) -> Operation:
    return lambda x: max_pool(x, pool)


def max_pool(x: Tensor, pool: MaxPool) -> Tensor:
    """The largest of each window of `x` (N, C, y, x): F.max_pool2d, several times faster.

    Torch's kernel also records where each maximum was and is not vectorized along a row; maxima of
    strided slices are (17 times faster on LeNet-5's first pool, `benchmarks/integer_speed.py`).
    """
    (py, px), (ky, kx), (sy, sx) = pool.padding, pool.kernel, pool.stride
    if py or px:
        x = F.pad(x, (px, px, py, py), value=-math.inf)
    height, width = (x.shape[2] - ky) // sy * sy + 1, (x.shape[3] - kx) // sx * sx + 1
    rows = [x[:, :, i : i + height : sy] for i in range(ky)]
    tallest = functools.reduce(torch.maximum, rows)
    columns = [tallest[..., i : i + width : sx] for i in range(kx)]
    return functools.reduce(torch.maximum, columns)


def _reshape_operation(shape: tuple[int, ...]) -> Operation:
    return lambda x: x.reshape(x.shape[0], *shape)


def quantize_input(network: IntegerNetwork, images: Tensor) -> Tensor:
    """Codes (int64) of float `images` (N, C, y, x) on the network's input grid."""
    grid = network.input_grid
    # not div_: float64 images are not copied by `to`
    scaled = (images.to(torch.float64) / grid.scale).add_(0.5).floor_().add_(grid.zero_point)
    if not bool(torch.isfinite(scaled).all()):
        raise ValueError("the images hold NaN or infinite values")
    return scaled.clamp_(0, grid.max_code).to(torch.int64)


def accuracy_of(outputs: Tensor, labels: Tensor) -> tuple[int, int]:
    """Number of right answers and of images; the first of equal outputs counts as the answer."""
    return int((outputs.argmax(1) == labels).sum()), len(labels)
