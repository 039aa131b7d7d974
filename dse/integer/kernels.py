"""Fast exact evaluation of an integer network with torch's float kernels, chosen by proof.

A float convolution over integers is exact while every partial sum is an integer the format holds:
below 2^24 in float32, below 2^53 in float64. Each layer's bound (`AccumulatorBounds.magnitude`)
picks the narrower. Activations travel as codes minus zero point, so padding is plain zero.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dse.integer import phases
from dse.integer.bounds import AccumulatorBounds
from dse.integer.grid import FloatArray
from dse.integer.layer import ConvGeometry, Layer
from dse.integer.network import INPUT, IntegerNetwork
from dse.integer.nodes import Add, AveragePool, Concat, MaxPool, Node, Reshape, Upsample
from dse.integer.requantize import MULTIPLIER_BITS, Requantizer
from dse.integer.steps import FLOAT32_EXACT, Float32Array, in_float32

FLOAT64_EXACT = 1 << 53

_BATCH_VALUES = 1_200_000
"""Of the largest tensor of a batch: 255 images for LeNet-5, 73 for ResNet-8. Larger ones leave the
caches: 250 images took 1.4 times as long per image on ResNet-8."""

Operation = Callable[..., Tensor]
"""From the tensors a node reads to the one it makes; codes are minus their zero point."""


@dataclass(frozen=True)
class _Step:
    """One operation of the plan, and the tensors that nothing reads after it."""

    name: str
    sources: tuple[str, ...]
    operation: Operation
    done: tuple[str, ...] = ()


class Evaluator:
    """Evaluates one integer network on the CPU, bit-identical to `dse.integer.reference`."""

    def __init__(self, network: IntegerNetwork) -> None:
        """Prepare the kernels of `network`."""
        self._input_zero = network.input_grid.zero_point
        self._output = network.output
        grid = network.grids[network.output]
        self._output_zero = grid.zero_point if grid else 0
        self._steps = _plan(network)
        largest = max(math.prod(shape) for shape in network.shapes.values())
        self._batch_size = max(1, _BATCH_VALUES // largest)

    def __call__(self, codes: Tensor, batch_size: int | None = None) -> Tensor:
        """Output tensor (int64, batch first) for integer `codes` of shape (N, C, y, x)."""
        size = batch_size or self._batch_size
        outputs = [self._batch(batch) for batch in torch.split(codes, size)]
        return torch.cat(outputs)

    @torch.no_grad()
    def _batch(self, codes: Tensor) -> Tensor:
        tensors: dict[str, Tensor] = {INPUT: codes.to(torch.float32) - self._input_zero}
        # NNPACK may pick Winograd transforms, whose intermediate values are not integers
        with torch.backends.nnpack.flags(enabled=False):
            for step in self._steps:
                sources = [tensors[name] for name in step.sources]
                tensors[step.name] = step.operation(*sources)
                for name in step.done:
                    del tensors[name]
        return tensors[self._output].to(torch.int64) + self._output_zero


def _plan(network: IntegerNetwork) -> list[_Step]:
    """One step per node; a max pool moves before the requantization of the layer it reads.

    Requantization never decreases, so the maximum commutes with it, and 2x2 pooling first leaves a
    quarter of the values to requantize.
    """
    readers: dict[str, list[Node]] = {}
    for node in network.nodes:
        for source in node.inputs:
            readers.setdefault(source, []).append(node)
    steps: list[_Step] = []
    absorbed: set[str] = set()
    for node in network.nodes:
        if node.name in absorbed:
            continue
        following = readers.get(node.name, [])
        pool = following[0] if len(following) == 1 else None
        if isinstance(node, Layer) and isinstance(pool, MaxPool):
            absorbed.add(pool.name)
            operation = _layer_operation(network, node, pool)
            steps.append(_Step(pool.name, node.inputs, operation))
        else:
            steps.append(_Step(node.name, node.inputs, _operation(network, node)))
    return _releasing(steps)


def _releasing(steps: list[_Step]) -> list[_Step]:
    """`steps` that let go of every tensor after its last reader."""
    last = {name: index for index, step in enumerate(steps) for name in step.sources}
    done: list[list[str]] = [[] for _ in steps]
    for name, index in last.items():
        done[index].append(name)
    return [replace(step, done=tuple(names)) for step, names in zip(steps, done, strict=True)]


def _operation(network: IntegerNetwork, node: Node) -> Operation:
    """The one place that knows which node becomes which kernel."""
    if isinstance(node, Layer):
        return _layer_operation(network, node, None)
    if isinstance(node, Add):
        return _add_operation(network, node)
    if isinstance(node, AveragePool):
        return _average_operation(network, node)
    if isinstance(node, Concat):
        return _concat_operation(network, node)
    if isinstance(node, MaxPool):
        return lambda source: max_pool(source, node)
    if isinstance(node, Upsample):
        y, x = node.factor
        return lambda source: source.repeat_interleave(y, 2).repeat_interleave(x, 3)
    if isinstance(node, Reshape):
        shape = node.shape
        return lambda source: source.reshape(source.shape[0], *shape)
    assert_never(node)


def _exact_type(magnitude: int) -> torch.dtype:
    """The narrowest float type in which sums of absolute terms up to `magnitude` are exact.

    Tried for wide sums: weights and codes in halves of 8 bits, four float32 convolutions added in
    float64. ResNet-8 was 1.3 and 1.4 times as fast at 12 and 16 bits, LeNet-5 0.6 and 1.1 times.
    """
    assert magnitude <= FLOAT64_EXACT, "46-bit accumulators are below 2^53"
    narrow = magnitude <= FLOAT32_EXACT and torch.get_float32_matmul_precision() == "highest"
    return torch.float32 if narrow else torch.float64


def _layer_operation(network: IntegerNetwork, layer: Layer, pool: MaxPool | None) -> Operation:
    bounds = network.bounds[layer.name]
    dtype = _exact_type(bounds.magnitude)
    weight = torch.from_numpy(layer.weights.values).to(dtype)
    bias = torch.from_numpy(layer.bias).to(dtype)
    requantize = None
    if layer.requantizer:
        requantize = _requantize_operation(layer.requantizer, bounds, weight.dim())
    sums_of = _sums_operation(layer.geometry, weight, bias, pool)

    def run(x: Tensor) -> Tensor:
        sums = sums_of(x.to(dtype))
        return requantize(sums) if requantize else sums

    return run


def _sums_operation(
    geometry: ConvGeometry | None, weight: Tensor, bias: Tensor, pool: MaxPool | None
) -> Operation:
    """Accumulators of a layer, behind its max pool if it has one."""
    if geometry is None:
        return lambda x: F.linear(x, weight, bias)
    if pool and phases.pays(weight, geometry, pool):
        wider, shift = phases.phases_of(weight), bias[:, None, None]
        return lambda x: functools.reduce(
            torch.maximum, phases.convolve(x, wider, geometry.padding)
        ).add_(shift)

    def run(x: Tensor) -> Tensor:
        sums = F.conv2d(
            x,
            weight,
            bias,
            geometry.stride,
            geometry.padding,
            geometry.dilation,
            geometry.groups,
        )
        return max_pool(sums, pool) if pool else sums

    return run


def _add_operation(network: IntegerNetwork, add: Add) -> Operation:
    bounds = network.bounds[add.name]
    dtype, multipliers = _exact_type(bounds.magnitude), add.multipliers
    dimensions = 1 + len(network.shapes[add.name])
    requantize = _requantize_operation(add.requantizer, bounds, dimensions)

    def run(*sources: Tensor) -> Tensor:
        total = sources[0].to(dtype) * multipliers[0]
        for x, multiplier in zip(sources[1:], multipliers[1:], strict=True):
            total.add_(x.to(dtype), alpha=multiplier)
        return requantize(total)

    return run


def _average_operation(network: IntegerNetwork, pool: AveragePool) -> Operation:
    bounds = network.bounds[pool.name]
    dtype, requantize = _exact_type(bounds.magnitude), None
    if pool.requantizer:
        requantize = _requantize_operation(pool.requantizer, bounds, 4)

    def run(x: Tensor) -> Tensor:
        # divisor_override: the sum, not the mean, whose division would round
        sums = F.avg_pool2d(x.to(dtype), pool.kernel, pool.stride, pool.padding, divisor_override=1)
        return requantize(sums) if requantize else sums

    return run


def _concat_operation(network: IntegerNetwork, concat: Concat) -> Operation:
    steps: list[Operation | None] = []
    for source, requantizer in zip(concat.sources, concat.requantizers, strict=True):
        low, high = network.centred_range(source)
        bounds = AccumulatorBounds(np.array([low]), np.array([high]), max(-low, high))
        dimensions = 1 + len(network.shapes[source])
        step = _requantize_operation(requantizer, bounds, dimensions) if requantizer else None
        steps.append(step)

    def run(*sources: Tensor) -> Tensor:
        return torch.cat(
            [step(x.clone()) if step else x for step, x in zip(steps, sources, strict=True)], dim=1
        )

    return run


def _requantize_operation(
    requantizer: Requantizer, bounds: AccumulatorBounds, dimensions: int
) -> Operation:
    """Centred codes (float32) of accumulators within `bounds`, which it may overwrite.

    In float32 where a factor and an offset are proven to give the same codes. Else acc * M0 * 2^-n
    is a multiple of 2^-n, and with one half added it is exact in float64 while
    |acc| * M0 + 2^(n-1) stays within 53 bits. Beyond that the same is done in int64.
    """
    zero = requantizer.grid.zero_point
    low, high = requantizer.low - zero, requantizer.high - zero

    def per_row(values: FloatArray | Float32Array) -> Tensor:
        return torch.from_numpy(values).reshape((1, -1) + (1,) * (dimensions - 2))

    narrow = _exact_type(bounds.magnitude) == torch.float32
    if narrow and (pair := in_float32(requantizer, bounds)):
        factor, offset = map(per_row, pair)
        return lambda sums: sums.mul_(factor).add_(offset).floor_().clamp_(low, high)
    largest_shift = int(requantizer.negative_shift.max())
    reach = (bounds.magnitude << MULTIPLIER_BITS) + (1 << max(largest_shift - 1, 0))
    if reach >= FLOAT64_EXACT:

        def in_int64(sums: Tensor) -> Tensor:
            codes = requantizer(sums.to(torch.int64).numpy())
            return torch.from_numpy(codes - zero).to(torch.float32)

        return in_int64
    multiplier = requantizer.multiplier.astype(np.float64)
    factor, leaked = (
        per_row(np.ldexp(multiplier, -shift))
        for shift in (requantizer.shift, requantizer.negative_shift)
    )

    def in_float64(sums: Tensor) -> Tensor:
        wide = sums.to(torch.float64)
        wide.mul_(torch.where(wide < 0, leaked, factor) if requantizer.leak else factor)
        return wide.add_(0.5).floor_().clamp_(low, high).to(torch.float32)

    return in_float64


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
