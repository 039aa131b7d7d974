"""Max pooling that trains, compared with torch's own in values and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dse.integer import MaxPool
from dse.quantize.pool import max_of_convolution, max_pool


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


@pytest.mark.parametrize("size", [(8, 10), (9, 7)])
@pytest.mark.parametrize("padding", [(0, 0), (2, 1)])
def test_pooled_convolution_learns_as_the_two_layers_do(
    size: tuple[int, int], padding: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(0)
    # small integers: exact sums, and many windows with equal maxima
    images = torch.randint(0, 2, (3, 2, *size), generator=generator).float()
    ours = torch.randint(-1, 2, (3, 2, 3, 4), generator=generator).float().requires_grad_()
    torchs = ours.detach().clone().requires_grad_()
    largest = max_of_convolution(images, ours, padding)
    expected = F.max_pool2d(F.conv2d(images, torchs, padding=padding), 2)
    assert torch.equal(largest, expected)
    weights = torch.randint(-3, 4, largest.shape, generator=generator).float()
    (largest * weights).sum().backward()
    (expected * weights).sum().backward()
    assert ours.grad is not None
    assert torchs.grad is not None
    assert torch.equal(ours.grad, torchs.grad)
