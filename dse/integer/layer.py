"""The nodes that hold weights: convolutions and linear layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.integer.bounds import AccumulatorBounds
from dse.integer.grid import ActivationGrid, IntArray, IntegerWeights
from dse.integer.requantize import Requantizer

Shape = tuple[int, ...]
Range = tuple[int, int]
"""A smallest and a largest integer."""


@dataclass(frozen=True)
class ConvGeometry:
    """How a 2-d convolution slides: stride, symmetric padding and dilation, as (y, x)."""

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def output_size(self, size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """Output height and width for an input of `size` pixels."""
        y, x = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(
                size, kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )
        return y, x


@dataclass(frozen=True)
class Layer:
    """A convolution (with `geometry`) or a linear layer (without).

    accumulator = sum w * (x - z_x) + bias, then `requantizer`, or nothing where accumulators are
    the output. `bias` is int64 of shape (rows,), zeros for a layer without one. A 1-d convolution
    is one over images of height 1. A module that is called again is a further layer which `shares`
    the weights of the first: equal ones, stored once, with a bias and a requantizer of its own.
    """

    name: str
    source: str
    weights: IntegerWeights
    bias: IntArray
    requantizer: Requantizer | None
    geometry: ConvGeometry | None = None
    shares: str | None = None

    def __post_init__(self) -> None:
        dimensions = 2 if self.geometry is None else 4
        if self.weights.values.ndim != dimensions:
            raise ValueError(
                f"{self.name}: weights need {dimensions} dimensions, "
                f"but have {self.weights.values.ndim}"
            )
        if self.bias.shape != (self.rows,) or self.bias.dtype != np.int64:
            raise ValueError(f"{self.name}: bias must be int64 of shape ({self.rows},)")
        if self.requantizer and self.requantizer.multiplier.size not in {1, self.rows}:
            raise ValueError(
                f"{self.name}: needs 1 or {self.rows} multipliers, "
                f"but has {self.requantizer.multiplier.size}"
            )

    @property
    def rows(self) -> int:
        """Output channels."""
        return self.weights.shape[0]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.source,)

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output. Raises ValueError when the layer does not fit its input."""
        weights, shape = self.weights.shape, inputs[0]
        if self.geometry is None:
            if shape != (weights[1],):
                raise ValueError(f"{self.name}: expects shape ({weights[1]},), but reads {shape}")
            return (weights[0],)
        require_image(self.name, shape)
        channels = weights[1] * self.geometry.groups
        if shape[0] != channels or weights[0] % self.geometry.groups:
            raise ValueError(f"{self.name}: expects {channels} channels, but reads {shape[0]}")
        return (
            weights[0],
            *window_size(self.name, self.geometry, shape, (weights[2], weights[3])),
        )

    def output_grid(self, inputs: Sequence[ActivationGrid | None]) -> ActivationGrid | None:
        """Grid of the output, None for accumulators."""
        return self.requantizer.grid if self.requantizer else None

    def code_range(self, inputs: Sequence[Range | None]) -> Range | None:
        """Smallest and largest code written, None for accumulators."""
        return (self.requantizer.low, self.requantizer.high) if self.requantizer else None

    def bounds(self, centred: Sequence[Range]) -> AccumulatorBounds:
        """What the accumulators reach for codes minus zero point within `centred`."""
        low, high = min(centred[0][0], 0), max(centred[0][1], 0)  # 0: padding, and terms to come
        weights = self.weights.values.reshape(self.rows, -1).astype(np.int64)
        positive, negative = np.maximum(weights, 0).sum(1), np.minimum(weights, 0).sum(1)
        least, most = positive * low + negative * high, positive * high + negative * low
        reach = (positive - negative) * max(-low, high) + np.abs(self.bias)
        return AccumulatorBounds(
            np.minimum(least, least + self.bias),
            np.maximum(most, most + self.bias),
            int(reach.max(initial=0)),
        )


def require_image(name: str, shape: Shape) -> None:
    """Raise ValueError when `shape` is not (channels, y, x)."""
    if len(shape) != 3:
        raise ValueError(f"{name}: expects (channels, y, x), but reads {shape}")


def window_size(
    name: str, geometry: ConvGeometry, shape: Shape, kernel: tuple[int, int]
) -> tuple[int, int]:
    """Height and width of the output. Raises ValueError when the kernel is larger."""
    size = geometry.output_size((shape[1], shape[2]), kernel)
    if min(size) < 1:
        raise ValueError(f"{name}: kernel {kernel} is larger than its input {shape[1:]}")
    return size
