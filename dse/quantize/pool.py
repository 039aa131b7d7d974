"""Max pooling that trains, by itself or behind a convolution: the integer kernels' forward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.grad import conv2d_weight

from dse.integer import MaxPool, kernels, phases


class _MaxPool(torch.autograd.Function):
    """The first of equal maxima gets the gradient, as in torch: background pixels are all equal."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pool: MaxPool) -> Tensor:
        largest = kernels.max_pool(x, pool)
        ctx.save_for_backward(x, largest)
        ctx.pool = pool
        return largest

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        x, largest = ctx.saved_tensors
        pool: MaxPool = ctx.pool
        (ky, kx), (sy, sx) = pool.kernel, pool.stride
        height, width = (largest.shape[2] - 1) * sy + 1, (largest.shape[3] - 1) * sx + 1
        result = torch.zeros_like(x)
        unclaimed = torch.ones_like(largest, dtype=torch.bool)
        for i in range(ky):
            for j in range(kx):
                window = (..., slice(i, i + height, sy), slice(j, j + width, sx))
                hit = (x[window] == largest) & unclaimed
                unclaimed ^= hit
                result[window] += gradient * hit
        return result, None


class _MaxOfFour(torch.autograd.Function):
    """The same for windows of 2 x 2 side by side, three quarters of the time: columns, then rows.

    In this order the first of equal maxima is torch's. `x` (N, C, y, x) has even sides.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        wider = torch.maximum(x[..., 0::2], x[..., 1::2])
        ctx.save_for_backward(x, wider)
        return torch.maximum(wider[..., 0::2, :], wider[..., 1::2, :])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        x, wider = ctx.saved_tensors
        rows, result = torch.empty_like(wider), torch.empty_like(x)
        upper, lower = rows[..., 0::2, :], rows[..., 1::2, :]
        torch.mul(gradient, _at_least(wider[..., 0::2, :], wider[..., 1::2, :]), out=upper)
        torch.sub(gradient, upper, out=lower)
        left, right = result[..., 0::2], result[..., 1::2]
        torch.mul(rows, _at_least(x[..., 0::2], x[..., 1::2]), out=left)
        torch.sub(rows, left, out=right)
        return result


class _ConvolutionMaxOfFour(torch.autograd.Function):
    """The same behind a convolution of images, in one: three quarters of the time of the two.

    `x` (N, C, y, x) gets no gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
        kernels = phases.phases_of(weight)
        a, b, c, d = phases.convolve(x, kernels, padding)
        upper, lower = torch.maximum(a, b), torch.maximum(c, d)
        masks = _at_least(upper, lower), _at_least(a, b), _at_least(c, d)
        ctx.save_for_backward(x, kernels, *masks)
        ctx.padding = padding
        return torch.maximum(upper, lower)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        x, kernels, above, *left = ctx.saved_tensors
        count, rows, height, width = gradient.shape
        result = gradient.new_empty(count, len(phases.PHASES), rows, height, width)
        upper = gradient * above
        for half, mask, i in zip((upper, gradient - upper), left, (0, 2), strict=True):
            torch.mul(half, mask, out=result[:, i])
            torch.sub(half, result[:, i], out=result[:, i + 1])
        sums = result.flatten(1, 2)
        moved = conv2d_weight(x, kernels.shape, sums, 2, ctx.padding)
        return None, phases.weight_of(moved), None


def _at_least(a: Tensor, b: Tensor) -> Tensor:
    """1.0 where a >= b, else 0.0: numbers, as torch takes 3 times as long to write bools (33 us
    against 11 for 64 x 6 x 14 x 14) and 5 times as long to multiply by them."""
    return torch.ge(a, b, out=torch.empty_like(a))


def max_of_convolution(x: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
    """max_pool of windows of 2 x 2 of the convolution of `x` (N, C, y, x); learns `weight`."""
    largest: Tensor = _ConvolutionMaxOfFour.apply(x, weight, padding)  # type: ignore[no-untyped-call]
    return largest


def max_pool(x: Tensor, pool: MaxPool) -> Tensor:
    """The largest of each window of `x` (N, C, y, x), differentiable."""
    if any(pool.padding):  # rare, and torch's own handles the border's gradient
        padded: Tensor = torch.nn.functional.max_pool2d(x, pool.kernel, pool.stride, pool.padding)
        return padded
    if pool.kernel == pool.stride == (2, 2):
        even = x[..., : x.shape[-2] // 2 * 2, : x.shape[-1] // 2 * 2]
        four: Tensor = _MaxOfFour.apply(even)  # type: ignore[no-untyped-call]
        return four
    largest: Tensor = _MaxPool.apply(x, pool)  # type: ignore[no-untyped-call]
    return largest
