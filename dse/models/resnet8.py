"""ResNet-8 of MLPerf Tiny for 32x32 colour images: 78,186 trained parameters, 12.5 M MACs.

Banbury et al. 2021, MLPerf Tiny Benchmark, image classification: three residual stacks of 16, 32
and 64 channels. Strides pad one pixel on each side where the reference pads behind only.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class _Stack(nn.Module):
    """Two 3x3 convolutions beside the identity, or beside a 1x1 convolution where sizes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.skip = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.skip(x))


class ResNet8(nn.Module):
    """Images (N, 3, 32, 32) to logits (N, classes)."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.bn = nn.BatchNorm2d(16)
        self.stack1 = _Stack(16, 16, stride=1)
        self.stack2 = _Stack(16, 32, stride=2)
        self.stack3 = _Stack(32, 64, stride=2)
        self.fc = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits; the mean over all pixels goes into the last layer."""
        x = F.relu(self.bn(self.conv(x)))
        x = self.stack3(self.stack2(self.stack1(x)))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits
