"""CNV, the VGG-like network of FINN for 32x32 colour images: 1,542,848 weights, 59.5 M MACs.

Umuroglu et al. 2017, FINN: three pairs of unpadded 3x3 convolutions, three fully connected layers.
There it is binary; here its widths are the study's choice, and ReLU takes the place of sign.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class CNV(nn.Module):
    """Images (N, 3, 32, 32) to logits (N, classes)."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential()
        for (inputs, outputs), pooled in zip(
            pairwise((3, 64, 64, 128, 128, 256, 256)), (False, True) * 2 + (False,) * 2, strict=True
        ):
            self.features.append(nn.Conv2d(inputs, outputs, 3, bias=False))
            self.features.append(nn.BatchNorm2d(outputs))
            self.features.append(nn.ReLU())
            if pooled:
                self.features.append(nn.MaxPool2d(2))
        self.classifier = nn.Sequential()
        for inputs, outputs in pairwise((256, 512, 512)):
            self.classifier.append(nn.Linear(inputs, outputs, bias=False))
            self.classifier.append(nn.BatchNorm1d(outputs))
            self.classifier.append(nn.ReLU())
        self.classifier.append(nn.Linear(512, classes, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Logits; 32 pixels shrink to one on the way."""
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits
