"""DS-CNN of MLPerf Tiny for keyword spotting: 23,756 trained parameters, 2.7 M MACs.

Banbury et al. 2021, MLPerf Tiny Benchmark, after Zhang et al. 2017, Hello Edge: 49 frames of 10
cepstral coefficients, one full convolution, then four depthwise separable ones of 64 channels. The
first pads five frames on each side where the reference pads four before and five behind.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = 64


class _Separable(nn.Module):
    """A 3x3 filter for each channel, then a 1x1 convolution of all."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS)
        self.bn1 = nn.BatchNorm2d(CHANNELS)
        self.pointwise = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.bn2 = nn.BatchNorm2d(CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.depthwise(x)))
        return F.relu(self.bn2(self.pointwise(x)))


class DSCNN(nn.Module):
    """Spectrograms (N, 1, 49, 10), or images of another size, to logits (N, classes)."""

    def __init__(self, classes: int = 12) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, CHANNELS, (10, 4), stride=2, padding=(5, 1))
        self.bn = nn.BatchNorm2d(CHANNELS)
        self.drop = nn.Dropout(0.2)
        self.blocks = nn.Sequential(*(_Separable() for _ in range(4)))
        self.drop2 = nn.Dropout(0.4)
        self.fc = nn.Linear(CHANNELS, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits; the mean over time and frequency goes into the last layer."""
        x = self.drop(F.relu(self.bn(self.conv(x))))
        x = self.blocks(x).mean((2, 3))
        logits: Tensor = self.fc(self.drop2(x))
        return logits
