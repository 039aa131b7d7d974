"""LeNet-5 for 28x28 grey images and ten classes: 61,706 parameters, 246,824 bytes in float32.

After LeCun et al. 1998, with ReLU and max pooling; its conv3 reads the whole 5x5 map, so it does a
fully connected layer's work.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dse.quantize import QuanConv2d, QuanLinear, QuanNet


class LeNet5(QuanNet):
    """Images (N, 1, 28, 28) to logits (N, 10)."""

    def __init__(self, n_bits: int) -> None:
        super().__init__(n_bits)
        self.conv1 = QuanConv2d(
            in_channels=1, out_channels=6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2)
        )
        self.conv2 = QuanConv2d(in_channels=6, out_channels=16, kernel_size=(5, 5), stride=(1, 1))
        self.conv3 = QuanConv2d(in_channels=16, out_channels=120, kernel_size=(5, 5), stride=(1, 1))
        self.fc1 = QuanLinear(in_features=120, out_features=84)
        self.fc2 = QuanLinear(in_features=84, out_features=10)

    def forward_(self, x: Tensor) -> Tensor:
        """Logits; each layer's ReLU is called on the layer, which folds it into its clamp."""
        x = self.conv1(x)
        x = self.conv1.relu(x)
        x = F.max_pool2d(x, (2, 2))
        x = self.conv2(x)
        x = self.conv2.relu(x)
        x = F.max_pool2d(x, (2, 2))
        x = self.conv3(x)
        x = self.conv3.relu(x)
        x = x.view(x.size()[0], x.size()[1])
        x = self.fc1(x)
        x = self.fc1.relu(x)
        x = self.fc2(x)
        return x
