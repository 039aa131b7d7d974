"""Workloads: a network as the cost model sees it, a graph of layers and of streams between them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from dse.errors import InputError
from dse.integer.grid import IntArray

Size = tuple[int, int]

INPUT = "input"
"""Name of the network's input tensor, as in the integer network."""

ROW_FORMATS = ("coo", "csr", "bitmap", "runlength")
"""Storage formats that a lane can read row by row with a decoder that was measured. CSC is stored
by column and Rice codes have no measured decoder: their layers compute dense."""

StreamKind = Literal["max_pool", "average_pool", "add", "concat", "upsample"]


@dataclass(frozen=True)
class Window:
    """How a kernel slides over an image: all pairs are (y, x), `input_size` is without padding."""

    kernel: Size
    stride: Size
    padding: Size
    dilation: Size
    input_size: Size
    output_size: Size

    @classmethod
    def pixelwise(cls, size: Size, factor: Size = (1, 1)) -> Window:
        """One output pixel per input pixel, or `factor` (y, x) copies of each."""
        one = (1, 1)
        return cls(one, one, (0, 0), one, size, (size[0] * factor[0], size[1] * factor[1]))

    @property
    def input_pixels(self) -> int:
        """Pixels read."""
        return self.input_size[0] * self.input_size[1]

    @property
    def output_pixels(self) -> int:
        """Pixels written."""
        return self.output_size[0] * self.output_size[1]

    @property
    def reach(self) -> Size:
        """Pixels from the first to the last one of a kernel, dilation included."""
        (tall, wide), (down, across) = self.kernel, self.dilation
        return (tall - 1) * down + 1, (wide - 1) * across + 1

    @property
    def overlaps(self) -> bool:
        """Whether windows share pixels; one as long as the image does not, whatever its stride."""
        axes = zip(self.output_size, self.stride, self.kernel, strict=True)
        return any(count > 1 and stride < kernel for count, stride, kernel in axes)

    @property
    def tiles(self) -> bool:
        """Whether windows lie side by side from the first pixel on."""
        axes = zip(self.input_size, self.output_size, self.kernel, self.stride, strict=True)
        return max(self.padding) == 0 and all(
            size // kernel == out and (out == 1 or stride == kernel)
            for size, out, kernel, stride in axes
        )


@dataclass(frozen=True)
class StreamWorkload:
    """A node without weights: codes stream in, codes stream out.

    `channels` and `bits` are of what is written, `source_channels` and `source_bits` of what is
    read, per source. `rescaled` counts the sources that are multiplied on their way in (add,
    concat); `accumulator_bits` is the width of an add's or average pool's sums, and `requantizes`
    says whether an average pool ends in codes. An upsampling has copies of its input pixels as its
    output pixels.
    """

    name: str
    kind: StreamKind
    sources: tuple[str, ...]
    channels: int
    bits: int
    source_channels: tuple[int, ...]
    source_bits: tuple[int, ...]
    window: Window
    rescaled: int = 0
    accumulator_bits: int = 0
    requantizes: bool = False

    def __post_init__(self) -> None:
        if not len(self.sources) == len(self.source_channels) == len(self.source_bits):
            raise ValueError(f"{self.name}: needs channels and bits of each of its sources")

    @property
    def pixels(self) -> int:
        """Pixels read or written, whichever are more: each takes a cycle at least."""
        return max(self.window.input_pixels, self.window.output_pixels)

    @property
    def pools(self) -> bool:
        """Whether it makes a pixel of each window of its only source."""
        return self.kind in ("max_pool", "average_pool")

    @property
    def widest_channels(self) -> int:
        """Channels of a pixel, read or written."""
        return max(self.channels, *self.source_channels)


@dataclass(frozen=True, eq=False)
class LayerWorkload:
    """A convolution or linear layer as the hardware sees it.

    A linear layer is a 1x1 convolution of one pixel. `row_nonzeros` (int64, shape (rows,)) counts
    the integer weights that are not zero per output channel. `activation_bits` is the width of the
    codes read, `output_bits` of the codes written - of the accumulators where nothing requantizes.
    `dense_bits` is what one weight takes in a dense on-chip memory, `operand_bits` the signed width
    a dense multiplier sees, `sparse_operand_bits` that of a multiplier which gets non-zeros only
    (1 means +-1). `shifts` and `multipliers` count the distinct per-channel values, 0 without a
    requantizer. `packed_bits` is the length of the layer in its `storage_format`, `sizes` that in
    every format that it might have in a memory of the hardware. `shares` names the layer whose
    weights these are, where they are stored once and used again. `values` (int32, shape (rows,
    columns)) and `scales` (the requantizer's multipliers) are the numbers themselves, which only
    constants in the logic depend on.
    """

    name: str
    source: str
    linear: bool
    out_channels: int
    in_channels: int
    groups: int
    window: Window
    row_nonzeros: IntArray
    weight_bits: int
    mid_rise: bool
    dense_bits: int
    operand_bits: int
    sparse_operand_bits: int
    activation_bits: int
    output_bits: int
    accumulator_bits: int
    multipliers: int
    shifts: int
    storage_format: str
    packed_bits: int
    shares: str | None = None
    values: npt.NDArray[np.int32] | None = None
    scales: IntArray | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.source,)

    @property
    def channels(self) -> int:
        """Channels written."""
        return self.out_channels

    @property
    def bits(self) -> int:
        """Width of what is written."""
        return self.output_bits

    @cached_property
    def columns(self) -> int:
        """Weights of one output channel: in_channels / groups * kh * kw."""
        return self.in_channels // self.groups * math.prod(self.window.kernel)

    @property
    def weights(self) -> int:
        """Weights, zeros included."""
        return self.out_channels * self.columns

    @cached_property
    def nonzeros(self) -> int:
        """Integer weights that are not zero."""
        return int(self.row_nonzeros.sum())

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image, dense."""
        return self.weights * self.window.output_pixels

    @cached_property
    def lane_format(self) -> tuple[str, int] | None:
        """The smallest format that lanes can read row by row, and the bits of the layer in it."""
        return self.smallest(ROW_FORMATS)

    def smallest(self, formats: Collection[str]) -> tuple[str, int] | None:
        """The one of `formats` that takes the fewest bits, and these; None where it has none."""
        known = {**self.sizes, self.storage_format: self.packed_bits}
        usable = {name: bits for name, bits in known.items() if name in formats}
        return min(usable.items(), key=lambda item: item[1]) if usable else None

    @property
    def binary(self) -> bool:
        """Whether every multiplier is an XNOR: weights +-1 without holes and 1-bit codes."""
        return self.operand_bits == 1 and self.activation_bits == 1


Node = LayerWorkload | StreamWorkload


@dataclass(frozen=True, eq=False)
class NetworkWorkload:
    """Layers and streams in topological order over one image of `input_channels` x `input_size`.

    The last node's tensor is the output. Raises InputError when a node reads what no earlier node
    makes, or when there is no layer.
    """

    input_channels: int
    input_size: Size
    input_bits: int
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        known = {INPUT}
        for node in self.nodes:
            for source in node.sources:
                if source not in known:
                    raise InputError(f"{node.name} reads {source!r}, which no earlier node makes")
            known.add(node.name)
        if not self.layers:
            raise InputError("the network has no layer with weights; there is nothing to fold")

    @cached_property
    def layers(self) -> tuple[LayerWorkload, ...]:
        """The nodes that hold weights, in order."""
        return tuple(node for node in self.nodes if isinstance(node, LayerWorkload))

    @cached_property
    def streams(self) -> tuple[StreamWorkload, ...]:
        """The nodes without weights, in order."""
        return tuple(node for node in self.nodes if isinstance(node, StreamWorkload))

    @cached_property
    def readers(self) -> Mapping[str, int]:
        """How many nodes read each tensor; the output also leaves the device."""
        counts = dict.fromkeys((INPUT, *(node.name for node in self.nodes)), 0)
        for node in self.nodes:
            for source in node.sources:
                counts[source] += 1
        counts[self.nodes[-1].name] += 1
        return counts

    @property
    def input_pixels(self) -> int:
        """Pixels of an image."""
        return self.input_size[0] * self.input_size[1]

    @property
    def boundary_bytes(self) -> int:
        """Bytes per image over the device boundary: input codes and output values, each packed."""
        last = self.nodes[-1]
        read = self.input_channels * self.input_pixels * self.input_bits
        written = last.channels * last.window.output_pixels * last.bits
        return -(-read // 8) + -(-written // 8)
