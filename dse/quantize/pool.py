"""Max pooling that trains: the forward pass of the integer kernels, with a gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dse.integer import MaxPool, kernels


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
        torch.mul(gradient, wider[..., 0::2, :] >= wider[..., 1::2, :], out=upper)
        torch.sub(gradient, upper, out=lower)
        left, right = result[..., 0::2], result[..., 1::2]
        torch.mul(rows, x[..., 0::2] >= x[..., 1::2], out=left)
        torch.sub(rows, left, out=right)
        return result


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
