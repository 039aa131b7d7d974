"""A residual module, converted, quantized and written out: every reader computes its integers."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dse import export
from dse.export import Deployment, verify
from dse.integer import Add, AveragePool, Concat, MaxPool
from dse.integer.kernels import quantize_input
from dse.quantize import convert
from dse.storage import formats, pack


class Residual(nn.Module):
    """A sum, a concatenation, a clamp and a leak between convolutions, and a mean at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.first = nn.Conv2d(8, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.side = nn.Conv2d(8, 4, 1)
        self.fc = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        x = F.max_pool2d(F.relu(self.norm(self.stem(x))), 2)
        y = F.relu(x + self.second(F.relu6(self.first(x))))
        y = torch.cat([y, F.leaky_relu(self.side(y), 0.125)], 1)
        logits: Tensor = self.fc(F.adaptive_avg_pool2d(y, 1).flatten(1))
        return logits


def test_every_reader_agrees_on_a_residual_module(tmp_path: Path) -> None:
    torch.manual_seed(0)
    images = torch.rand(40, 3, 16, 16)
    net = convert(Residual().eval(), images[:2])
    net.quantize(images, weight_bits=4, activation_bits=5)
    network = net.integer_network((3, 16, 16))
    for kind in (Add, Concat, AveragePool, MaxPool):
        assert any(isinstance(node, kind) for node in network.nodes), kind
    codes = quantize_input(network, images).numpy()
    deployment = Deployment.of(network, pack(network, formats.names()), codes)
    assert export.write(deployment, tmp_path) == {"rtl": "ask for it with --rtl"}
    for check in verify(deployment, tmp_path):
        if check.status != "not run":
            assert (check.reader, check.status, check.first_difference) == (
                check.reader,
                "passed",
                "",
            )
