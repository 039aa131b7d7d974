"""Hypothesis strategy: random plain PyTorch networks of the supported layers."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

Draw = Any
Shape = tuple[int, ...]
CLASSES = 4


class Drawn(nn.Module):
    """A program over images: each step reads earlier tensors and makes one more."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.parts = nn.ModuleList()
        self.program: list[tuple[str, tuple[int, ...]]] = []
        self.shapes: list[Shape] = [shape]

    def step(self, kind: str, *sources: int, part: nn.Module | None = None) -> None:
        """Append a step, if its result is still an image of a sane size."""
        self.parts.append(part or nn.Identity())
        self.program.append((kind, sources))
        try:
            with torch.no_grad():
                tensors = self.tensors(torch.rand(2, *self.shapes[0]))
        except RuntimeError:  # a window larger than its image, or shapes that differ
            self.parts = self.parts[:-1]
            self.program.pop()
            return
        self.shapes.append(tuple(tensors[-1].shape[1:]))

    def tensors(self, x: Tensor) -> list[Tensor]:
        """The input and what each step makes."""
        found = [x]
        for part, (kind, sources) in zip(self.parts, self.program, strict=True):
            read = [found[source] for source in sources]
            if kind == "add":
                found.append(read[0] + read[1])
            elif kind == "concat":
                found.append(torch.cat(read, 1))
            elif kind == "again":
                found.append(self.parts[sources[1]](read[0]))
            else:
                found.append(part(read[0]))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, CLASSES) from the last tensor's mean."""
        logits: Tensor = self.last(self.tensors(x)[-1].mean((2, 3)))
        return logits


@st.composite
def plain_networks(draw: Draw) -> Drawn:
    """Up to eight steps, each reading the last tensor or one of the same shape."""
    torch.manual_seed(draw(st.integers(0, 2**20)))
    net = Drawn((draw(st.integers(1, 3)), draw(st.integers(5, 9)), draw(st.integers(5, 9))))
    for _ in range(draw(st.integers(1, 8))):
        _draw_step(draw, net)
    net.last = nn.Linear(net.shapes[-1][0], CLASSES)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            _settle(module)
    return net.eval()


KINDS = (
    "conv",
    "norm",
    "depthwise",
    "clamp",
    "max",
    "average",
    "upsample",
    "add",
    "concat",
    "again",
)


def _draw_step(draw: Draw, net: Drawn) -> None:
    last, shape = len(net.shapes) - 1, net.shapes[-1]
    kind = draw(st.sampled_from(KINDS))
    if kind in ("add", "concat"):
        same = [i for i, other in enumerate(net.shapes) if other[1:] == shape[1:]]
        same = [i for i in same if kind == "concat" or net.shapes[i] == shape]
        net.step(kind, last, draw(st.sampled_from(same)))
    elif kind == "again":
        convolutions = [i for i, part in enumerate(net.parts) if type(part) is nn.Conv2d]
        if convolutions:
            net.step(kind, last, draw(st.sampled_from(convolutions)))
    elif kind in ("max", "average"):
        size, stride, padded = draw(st.integers(2, 3)), draw(st.integers(1, 2)), draw(st.booleans())
        pool = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
        net.step(kind, last, part=pool(size, stride, int(padded)))
    elif kind == "upsample":
        if max(shape[1:]) <= 9:
            net.step(kind, last, part=nn.Upsample(scale_factor=2))
    elif kind == "clamp":
        clamps = (nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-0.5, 0.75), nn.LeakyReLU(0.25))
        net.step(kind, last, part=draw(st.sampled_from(clamps)))
    else:
        net.step(kind, last, part=_layer(draw, kind, shape[0]))


def _layer(draw: Draw, kind: str, channels: int) -> nn.Module:
    kernel, stride = draw(st.sampled_from([1, 3])), draw(st.integers(1, 2))
    if kind == "depthwise":
        return nn.Conv2d(channels, 2 * channels, 3, stride, 1, groups=channels)
    rows, dilation, bias = draw(st.integers(1, 5)), draw(st.integers(1, 2)), draw(st.booleans())
    layer = nn.Conv2d(channels, rows, kernel, stride, kernel // 2, dilation, bias=bias)
    return nn.Sequential(layer, nn.BatchNorm2d(rows)) if kind == "norm" else layer


def _settle(norm: nn.BatchNorm2d) -> None:
    """Statistics and weights as training leaves them, signs of the scale included."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        norm.running_mean.normal_(0, 0.3)
        norm.running_var.uniform_(0.2, 2)
        norm.weight.normal_(0, 1)
        norm.bias.normal_(0, 0.5)


def pictures(net: Drawn, count: int) -> Tensor:
    """Images (count, C, y, x) for `net`, multiples of 1/256."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, *net.shapes[0]), generator=generator) / 256
