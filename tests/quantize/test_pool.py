"""Max pooling that trains, compared with torch's own in values and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dse.integer import MaxPool
from dse.quantize.pool import max_pool


@pytest.mark.parametrize("stride", [(2, 2), (1, 1), (2, 3)])
@pytest.mark.parametrize(
    ("kernel", "padding"),
    [(kernel, (0, 0)) for kernel in ((2, 2), (3, 3), (3, 2), (1, 1))]
    + [(kernel, (1, 1)) for kernel in ((2, 2), (3, 3), (3, 2))],
)
def test_values_and_gradients_are_torchs(
    kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(0)
    # few distinct values, so that windows hold equal maxima
    x = torch.randint(0, 3, (3, 2, 11, 13), generator=generator).float().requires_grad_()
    y = x.detach().clone().requires_grad_()
    ours = max_pool(x, MaxPool("pool", "input", kernel, stride, padding))
    torchs = F.max_pool2d(y, kernel, stride, padding)
    assert torch.equal(ours, torchs)
    weights = torch.randn(ours.shape, generator=generator)
    (ours * weights).sum().backward()
    (torchs * weights).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
