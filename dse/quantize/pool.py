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


def max_pool(x: Tensor, pool: MaxPool) -> Tensor:
    """The largest of each window of `x` (N, C, y, x), differentiable."""
    if any(pool.padding):  # rare, and torch's own handles the border's gradient
        padded: Tensor = torch.nn.functional.max_pool2d(x, pool.kernel, pool.stride, pool.padding)
        return padded
    largest: Tensor = _MaxPool.apply(x, pool)  # type: ignore[no-untyped-call]
    return largest
