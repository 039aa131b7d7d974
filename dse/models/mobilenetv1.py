"""MobileNetV1 at a quarter of its width for 96x96 images: 216,322 trained parameters, 7.5 M MACs.

Howard et al. 2017, with the width of MLPerf Tiny's visual wake words (Banbury et al. 2021):
thirteen depthwise separable convolutions, 8 to 256 channels.
"""

from __future__ import annotations

from torch import Tensor, nn

FULL_WIDTH = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
"""Output channels and stride of each separable convolution (Howard et al., table 1)."""


def _convolution(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class MobileNetV1(nn.Module):
    """Images (N, 3, y, x), usually 96x96, to logits (N, classes)."""

    def __init__(self, classes: int = 2, width: float = 0.25) -> None:
        super().__init__()
        inputs = int(32 * width)
        self.stem = _convolution(3, inputs, 3, 2, 1)
        self.blocks = nn.Sequential()
        for channels, stride in FULL_WIDTH:
            outputs = int(channels * width)
            self.blocks.append(_convolution(inputs, inputs, 3, stride, inputs))
            self.blocks.append(_convolution(inputs, outputs, 1, 1, 1))
            inputs = outputs
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits; the mean over all pixels goes into the last layer."""
        logits: Tensor = self.fc(self.pool(self.blocks(self.stem(x))).flatten(1))
        return logits
