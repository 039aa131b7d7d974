"""Small networks and images for the quantization tests."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dse.quantize import QuanConv2d, QuanLinear, QuanNet

SHAPE = (1, 8, 8)


class SmallNet(QuanNet):
    """Two convolutions and two linear layers, written as the seed's LeNet-5 is."""

    def __init__(self, n_bits: int = 8) -> None:
        super().__init__(n_bits)
        self.conv1 = QuanConv2d(1, 4, 3, padding=1)
        self.conv2 = QuanConv2d(4, 6, 3, stride=1, groups=2, bias=False)
        self.fc1 = QuanLinear(24, 8)
        self.fc2 = QuanLinear(8, 3)

    def forward_(self, x: Tensor) -> Tensor:
        """Images (N, 1, 8, 8) to logits (N, 3)."""
        x = self.conv1.relu(self.conv1(x))
        x = F.max_pool2d(x, (2, 2))
        x = self.conv2.relu(self.conv2(x))
        x = x.view(x.size()[0], -1)
        x = self.fc1.relu(self.fc1(x))
        return self.fc2(x)


class Written(QuanNet):
    """Layers conv1, conv2, fc, and a `forward_` given as a function of the network and x."""

    def __init__(self, forward: Callable[[QuanNet, Tensor], Tensor]) -> None:
        super().__init__(8)
        self.conv1 = QuanConv2d(1, 4, 3, padding=1)
        self.conv2 = QuanConv2d(4, 4, 3, padding=1)
        self.fc = QuanLinear(256, 3)
        self.act = torch.nn.ReLU()
        self.pool = torch.nn.MaxPool2d(2)
        self.flat = torch.nn.Flatten()
        self.drop = torch.nn.Dropout()
        self.norm = torch.nn.BatchNorm2d(4)
        self._forward = forward

    def forward_(self, x: Tensor) -> Tensor:
        """What the test says."""
        return self._forward(self, x)


def small_net(seed: int = 0, n_bits: int = 8) -> SmallNet:
    """A network with random weights, its first conv with a pruned row and zeros elsewhere.

    Torch's initial weights shrink every signal; three times as large, logits differ by image.
    """
    torch.manual_seed(seed)
    net = SmallNet(n_bits)
    with torch.no_grad():
        for layer in net.layers.values():
            layer.weight *= 3
        net.conv1.weight[0] = 0
        net.fc1.weight[:, ::3] = 0
    return net


def images(count: int = 64, seed: int = 0) -> Tensor:
    """Images (count, 1, 8, 8) in [0, 1), multiples of 1/256, half of the pixels background."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, *SHAPE), generator=generator) / 256
    return pixels * (torch.rand(pixels.shape, generator=generator) < 0.5)
