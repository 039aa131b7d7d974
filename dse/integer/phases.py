"""A convolution before a max pool of 2 x 2, as one of stride 2 that makes all four pixels at once.

A kernel one pixel larger reads what all pixels of a window read: four times the channels at a
quarter of the places, and the maximum is one of whole tensors, not of neighbours. It pays where a
layer has few channels: a float kernel computes 16 at once, and LeNet-5's first layer has 6.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dse.integer.layer import ConvGeometry
from dse.integer.nodes import MaxPool

PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Offsets (y, x) of a window's pixels, in the order in which torch looks for the first maximum."""

_LANES = 16
"""float32 numbers in a register of 512 bits: the channels oneDNN's convolutions compute at once."""


def pays(weight: Tensor, geometry: ConvGeometry, pool: MaxPool) -> bool:
    """Whether a layer with `weight` (rows, C, y, x) before `pool` takes fewer steps so.

    Where it says yes, a training step of a first layer took 0.68 to 0.79 of the time, forward and
    backward (6 shapes of 1 and 3 channels, 3 x 3 and 5 x 5); with 32 channels it took 1.8 times.
    """
    rows, _, y, x = weight.shape
    if geometry != ConvGeometry(padding=geometry.padding):
        return False
    if pool.kernel != (2, 2) or pool.stride != (2, 2) or any(pool.padding):
        return False
    apart = len(PHASES) * math.ceil(rows / _LANES) * y * x
    return math.ceil(len(PHASES) * rows / _LANES) * (y + 1) * (x + 1) < apart


def phases_of(weight: Tensor) -> Tensor:
    """Kernels (4 * rows, C, y + 1, x + 1) for `weight` (rows, C, y, x), phase by phase."""
    rows, channels, height, width = weight.shape
    wider = weight.new_zeros(len(PHASES), rows, channels, height + 1, width + 1)
    for phase, (y, x) in zip(wider, PHASES, strict=True):
        phase[..., y : y + height, x : x + width] = weight
    return wider.flatten(0, 1)


def weight_of(phases: Tensor) -> Tensor:
    """Sum of what each weight became in `phases_of`: its gradient, of a gradient of the phases."""
    height, width = phases.shape[2] - 1, phases.shape[3] - 1
    parts = phases.unflatten(0, (len(PHASES), -1))
    shifted = zip(parts, PHASES, strict=True)
    return torch.stack([p[..., y : y + height, x : x + width] for p, (y, x) in shifted]).sum(0)


def convolve(x: Tensor, phases: Tensor, padding: tuple[int, int]) -> tuple[Tensor, ...]:
    """What the layer computes for `x` (N, C, y, x) at each of the PHASES of its pool's windows."""
    sums = F.conv2d(x, phases, stride=2, padding=padding)
    return sums.chunk(len(PHASES), dim=1)
