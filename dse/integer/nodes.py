"""The nodes without weights: add, concat, pools, upsampling, reshape; and what a node is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.integer.bounds import AccumulatorBounds
from dse.integer.grid import ActivationGrid
from dse.integer.layer import ConvGeometry, Layer, Range, Shape, require_image, window_size
from dse.integer.requantize import (
    LINEAR,
    MAX_SHIFT,
    MIN_SHIFT,
    MULTIPLIER_BITS,
    Nonlinearity,
    Requantizer,
)

_UNIT = 1 << (MULTIPLIER_BITS - 1)
"""Multiplier of an add's requantizer: together with 14 of its shift it changes nothing."""


@dataclass(frozen=True)
class Add:
    """Sum of tensors of one shape, each with its own grid.

    accumulator = sum M_i * (x_i - z_i), then `requantizer`, which only shifts: its multiplier is
    2^14, so y = clamp(z_y + floor((accumulator + 2^(n-1)) / 2^n), low, high) with n = `shift`.
    `multipliers` M_i are scale ratios s_i / s_y = M_i * 2^-n at one common shift, the largest of 15
    bits. The single rounding is that of a layer; ReLU is its clamp.
    """

    name: str
    sources: tuple[str, ...]
    multipliers: tuple[int, ...]
    requantizer: Requantizer

    def __post_init__(self) -> None:
        if len(self.sources) < 2 or len(self.sources) != len(self.multipliers):
            raise ValueError(
                f"{self.name}: needs two or more sources with a multiplier each, but has "
                f"{len(self.sources)} and {len(self.multipliers)}"
            )
        if not _UNIT <= max(self.multipliers) < 2 * _UNIT or min(self.multipliers) < 0:
            raise ValueError(
                f"{self.name}: the largest multiplier must lie in {_UNIT}..{2 * _UNIT - 1} and "
                f"none below 0, but they are {self.multipliers}"
            )
        if self.requantizer.multiplier.tolist() != [_UNIT]:
            raise ValueError(f"{self.name}: the requantizer of an add has the multiplier {_UNIT}")

    @classmethod
    def from_scales(
        cls,
        name: str,
        sources: tuple[str, ...],
        scales: Sequence[float],
        grid: ActivationGrid,
        nonlinearity: Nonlinearity = LINEAR,
    ) -> Add:
        """The add nearest to the real sum of `sources`, whose grids have `scales`, onto `grid`."""
        ratios = np.array(scales, dtype=np.float64) / grid.scale
        shift = MULTIPLIER_BITS - int(np.frexp(ratios.max())[1])
        if np.floor(np.ldexp(ratios.max(), shift) + 0.5) == 1 << MULTIPLIER_BITS:
            shift -= 1
        multipliers = np.floor(np.ldexp(ratios, shift) + 0.5).astype(np.int64)
        # beyond these ends every sum saturates or rounds to zero, as for a layer
        held = np.clip(np.array([shift + MULTIPLIER_BITS - 1]), MIN_SHIFT, MAX_SHIFT)
        low, high = nonlinearity.codes(grid)
        requantizer = Requantizer(np.array([_UNIT]), held, grid, low, high, nonlinearity.leak)
        return cls(name, sources, tuple(multipliers.tolist()), requantizer)

    @property
    def shift(self) -> int:
        """The common shift n: s_i / s_y = M_i * 2^-n."""
        return int(self.requantizer.shift[0]) - (MULTIPLIER_BITS - 1)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return self.sources

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output. Raises ValueError when the inputs' shapes differ."""
        if len(set(inputs)) > 1:
            raise ValueError(f"{self.name}: adds tensors of shapes {_listed(inputs)}")
        return inputs[0]

    def output_grid(self, inputs: Sequence[ActivationGrid | None]) -> ActivationGrid | None:
        """Grid of the output."""
        return self.requantizer.grid

    def code_range(self, inputs: Sequence[Range | None]) -> Range | None:
        """Smallest and largest code written."""
        return (self.requantizer.low, self.requantizer.high)

    def bounds(self, centred: Sequence[Range]) -> AccumulatorBounds:
        """What the accumulators reach for codes minus zero point within `centred`."""
        terms = list(zip(self.multipliers, centred, strict=True))
        return _bounds(
            sum(min(0, m * low) for m, (low, _) in terms),
            sum(max(0, m * high) for m, (_, high) in terms),
            sum(m * max(-low, high) for m, (low, high) in terms),
        )


@dataclass(frozen=True)
class Concat:
    """Tensors one behind the other along the channels, on one grid.

    Source i is requantized from codes minus zero point, y = requantizer_i(x - z_i); None where it
    already lies on the output's grid, and costs nothing. With a single source this is a
    requantization, or a nonlinearity, of its own.
    """

    name: str
    sources: tuple[str, ...]
    requantizers: tuple[Requantizer | None, ...]

    def __post_init__(self) -> None:
        if not self.sources or len(self.sources) != len(self.requantizers):
            raise ValueError(
                f"{self.name}: needs sources with a requantizer (or None) each, but has "
                f"{len(self.sources)} and {len(self.requantizers)}"
            )
        if any(r is not None and r.multiplier.size != 1 for r in self.requantizers):
            raise ValueError(f"{self.name}: needs one multiplier per source")

    @classmethod
    def from_grids(
        cls,
        name: str,
        sources: tuple[str, ...],
        grids: Sequence[ActivationGrid],
        grid: ActivationGrid,
        nonlinearity: Nonlinearity = LINEAR,
    ) -> Concat:
        """The concat of `sources`, which lie on `grids`, onto `grid`."""
        free = nonlinearity == LINEAR
        return cls(
            name,
            sources,
            tuple(
                None
                if free and source == grid
                else Requantizer.from_scales(np.array([source.scale]), grid, nonlinearity)
                for source in grids
            ),
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return self.sources

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output. Raises ValueError when the inputs differ in more than channels."""
        if len({shape[1:] for shape in inputs}) > 1:
            raise ValueError(f"{self.name}: concatenates tensors of shapes {_listed(inputs)}")
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])

    def output_grid(self, inputs: Sequence[ActivationGrid | None]) -> ActivationGrid | None:
        """Grid of the output. Raises ValueError when the sources end up on different grids."""
        found = [
            source if requantizer is None else requantizer.grid
            for source, requantizer in zip(inputs, self.requantizers, strict=True)
        ]
        if any(grid != found[0] for grid in found):
            raise ValueError(f"{self.name}: its sources are not brought to one grid")
        return found[0]

    def code_range(self, inputs: Sequence[Range | None]) -> Range | None:
        """Smallest and largest code written."""
        ranges = [
            source if requantizer is None else (requantizer.low, requantizer.high)
            for source, requantizer in zip(inputs, self.requantizers, strict=True)
        ]
        known = [ends for ends in ranges if ends is not None]
        return min(low for low, _ in known), max(high for _, high in known)


@dataclass(frozen=True)
class AveragePool:
    """Mean of each window: its sum of codes minus zero point, requantized by s_x / (ky * kx * s_y).

    Padding counts as zeros (torch's count_include_pad=True). The mean of the whole image has a
    kernel of its size. `requantizer` is None where the sums are the output.
    """

    name: str
    source: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    requantizer: Requantizer | None

    def __post_init__(self) -> None:
        if self.requantizer and self.requantizer.multiplier.size != 1:
            raise ValueError(f"{self.name}: needs one multiplier")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.source,)

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output. Raises ValueError when the windows do not fit the input."""
        return _pooled(self, inputs[0])

    def output_grid(self, inputs: Sequence[ActivationGrid | None]) -> ActivationGrid | None:
        """Grid of the output, None for sums."""
        return self.requantizer.grid if self.requantizer else None

    def code_range(self, inputs: Sequence[Range | None]) -> Range | None:
        """Smallest and largest code written, None for sums."""
        return (self.requantizer.low, self.requantizer.high) if self.requantizer else None

    def bounds(self, centred: Sequence[Range]) -> AccumulatorBounds:
        """What the sums reach for codes minus zero point within `centred`; padding adds zeros."""
        (low, high), window = centred[0], math.prod(self.kernel)
        return _bounds(window * min(0, low), window * max(0, high), window * max(-low, high))


@dataclass(frozen=True)
class _SameCodes:
    """A node whose values are those of its one source, some of them, or repeated."""

    name: str
    source: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.source,)

    def output_grid(self, inputs: Sequence[ActivationGrid | None]) -> ActivationGrid | None:
        """Grid of the source."""
        return inputs[0]

    def code_range(self, inputs: Sequence[Range | None]) -> Range | None:
        """Codes of the source."""
        return inputs[0]


@dataclass(frozen=True)
class MaxPool(_SameCodes):
    """Largest code of each window; padding never wins."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output. Raises ValueError when the windows do not fit the input."""
        return _pooled(self, inputs[0])


@dataclass(frozen=True)
class Upsample(_SameCodes):
    """Nearest neighbour: every code repeated `factor` (y, x) times."""

    factor: tuple[int, int]

    def __post_init__(self) -> None:
        if min(self.factor) < 1:
            raise ValueError(f"{self.name}: factors must be at least 1, but are {self.factor}")

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output. Raises ValueError when the input is no image."""
        require_image(self.name, inputs[0])
        channels, y, x = inputs[0]
        return (channels, y * self.factor[0], x * self.factor[1])


@dataclass(frozen=True)
class Reshape(_SameCodes):
    """The same codes in row-major order under another `shape` (one image, no batch axis)."""

    shape: Shape

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """The new shape. Raises ValueError when it holds more or fewer codes."""
        if math.prod(self.shape) != math.prod(inputs[0]):
            raise ValueError(f"{self.name}: cannot reshape {inputs[0]} to {self.shape}")
        return self.shape


Accumulating = Layer | Add | AveragePool
"""Nodes with accumulators: `bounds`, and a requantizer behind."""

Passing = MaxPool | Upsample | Reshape
"""Nodes that pass values on as they are, codes or accumulators."""

Node = Layer | Add | AveragePool | Concat | MaxPool | Upsample | Reshape


def _pooled(pool: AveragePool | MaxPool, shape: Shape) -> Shape:
    require_image(pool.name, shape)
    if any(2 * p > k for p, k in zip(pool.padding, pool.kernel, strict=True)):
        raise ValueError(f"{pool.name}: padding {pool.padding} is above half of {pool.kernel}")
    window = ConvGeometry(pool.stride, pool.padding)
    return (shape[0], *window_size(pool.name, window, shape, pool.kernel))


def _bounds(low: int, high: int, magnitude: int) -> AccumulatorBounds:
    return AccumulatorBounds(
        np.array([low], dtype=np.int64), np.array([high], dtype=np.int64), magnitude
    )


def _listed(shapes: Sequence[Shape]) -> str:
    return " and ".join(map(str, shapes))
