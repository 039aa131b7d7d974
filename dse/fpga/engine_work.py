"""Engine work: cycles and bytes of every layer on arrays of Tm x Tn multipliers, by roofline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dse.fpga.arithmetic import part_cost
from dse.fpga.design import CannotBuild, external_cycles, usable_bandwidth
from dse.fpga.device import Device
from dse.fpga.memory import Array, ceil_div
from dse.fpga.sparse import LARGEST_BITMAP
from dse.fpga.tiles import Tiles, cut
from dse.fpga.workload import LayerWorkload, NetworkWorkload, Size, StreamWorkload

PORT_BITS = 72
"""Bits read per cycle where packed weights stay on the chip: two block RAMs side by side, or the
word of a URAM."""

DECODED = ("dense", "coo", "csr", "csc", "bitmap", "runlength", "rice")
"""Formats that an engine can expand as it loads them. An adaptive arithmetic code takes a decision,
and so a cycle at least, per weight: it would not keep up."""

MOST_DECODERS = 16
"""Decoders are as many as the memory can feed, up to here: a layer's rows are dealt to them."""

SMALLEST_TILE = 64
"""Output pixels of the smallest tile buffer: as deep as a LUT is as memory."""


@dataclass(frozen=True, eq=False)
class EngineWork:
    """A network as one engine on one device meets it: layer after layer, streams in between.

    Groups of a layer are packed side by side along the array's diagonal where they fit.
    """

    network: NetworkWorkload
    device: Device

    @cached_property
    def fused(self) -> dict[str, StreamWorkload]:
        """Max pools computed while a layer's tile is written: windows do not overlap, and nobody
        else reads the layer."""
        layers = {layer.name for layer in self.network.layers}
        return {
            stream.sources[0]: stream
            for stream in self.network.streams
            if stream.kind == "max_pool"
            and stream.sources[0] in layers
            and self.network.readers[stream.sources[0]] == 1
            and not stream.window.overlaps
            and stream.window.padding == (0, 0)
        }

    @cached_property
    def formats(self) -> Sequence[tuple[str, int]]:
        """Format and packed bits of every layer as the engine reads them: the smallest that has a
        decoder. Raises CannotBuild for a layer that has none."""
        found = []
        for layer in self.network.layers:
            smallest = layer.smallest(DECODED)
            if smallest is None:
                raise CannotBuild(
                    f"{layer.name}: the engine has no decoder for {layer.storage_format}; "
                    f"it reads {', '.join(DECODED)}"
                )
            found.append(smallest)
        return found

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Output pixels per tile to choose from: powers of two up to the largest image."""
        largest = max(layer.window.output_pixels for layer in self.network.layers)
        levels = max(0, math.ceil(math.log2(largest / SMALLEST_TILE)))
        return tuple(SMALLEST_TILE << level for level in range(levels + 1))

    @cached_property
    def tiles(self) -> Sequence[Tiles]:
        """Tiles of every layer."""
        layers = self.network.layers
        return [cut(layer.window, self._multiple(layer), self.sizes) for layer in layers]

    @cached_property
    def decoders(self) -> int:
        """Non-zeros decoded per cycle: as many as the memory delivers of the smallest entries."""
        entries = [
            max(1, bits // max(1, layer.nonzeros))
            for layer, (name, bits) in zip(self.network.layers, self.formats, strict=True)
            if name != "dense"
        ]
        if not entries:
            return 0
        rate = max(8 * _bytes_per_cycle(self.device), PORT_BITS)
        return min(MOST_DECODERS, max(1, int(rate / min(entries))))

    @cached_property
    def lanes(self) -> int:
        """Requantizers, and lanes of the unit that pools and adds: codes that the memory takes."""
        narrow = min(layer.output_bits for layer in self.network.layers)
        return max(1, int(8 * _bytes_per_cycle(self.device) / narrow))

    @cached_property
    def columns(self) -> Array:
        """Per layer (shape (8, layers)): rows and columns per group, groups, positions x kernel,
        packed bits, non-zeros to decode, bits of an input pixel, bits written."""
        table = []
        for layer, (name, packed_bits) in zip(self.network.layers, self.formats, strict=True):
            fused = self.fused.get(layer.name)
            pixels = (fused or layer).window.output_pixels
            table.append(
                (
                    layer.out_channels // layer.groups,
                    layer.in_channels // layer.groups,
                    layer.groups,
                    layer.window.output_pixels * math.prod(layer.window.kernel),
                    packed_bits,
                    0 if name == "dense" else layer.nonzeros,
                    layer.in_channels * layer.activation_bits,
                    layer.out_channels * pixels * layer.output_bits,
                )
            )
        return np.array(table, dtype=np.int64).T

    def compute_cycles(self, tm: Array, tn: Array) -> tuple[Array, Array, Array]:
        """(cycles, times an input is read, steps per tile), each of shape (layers, arrays).

        Zhang et al. 2015: ceil(M/Tm) ceil(N/Tn) R C K^2 per layer, here per set of groups. What
        the next step needs again is not loaded again: inputs where all input channels are one step,
        weights where the whole layer is.
        """
        rows, columns, groups, work = self.columns[:4, :, None]
        side_by_side = np.clip(np.minimum(tm // rows, tn // columns), 1, groups)
        sets, down, across = (
            ceil_div(groups, side_by_side), ceil_div(rows, tm), ceil_div(columns, tn)
        )  # fmt: skip
        cycles = sets * down * across * work
        return cycles, np.where(across > 1, down, 1), sets * down * across

    def layer_cycles(self, tm: Array, tn: Array, resident: bool) -> tuple[Array, Array]:
        """(cycles, bits moved) of shape (layers, tile sizes, cuts, arrays).

        A layer takes as long as the slowest of computing, moving its inputs, outputs and packed
        weights, and decoding; weights that are `resident` are read from a port on the chip. Buffers
        are double, so of n steps all but one of the faster is hidden behind the slower: two stages
        of a pipeline take n times the slower one and once the faster one.
        """
        compute, again, steps = self.compute_cycles(tm, tn)
        packed, entries, pixel, written = self.columns[4:, :, None, None, None]
        count = np.stack([tiles.count for tiles in self.tiles])[..., None]
        read = np.stack([tiles.read for tiles in self.tiles])[..., None]
        loads = np.where(steps[:, None, None, :] == 1, 1, count)
        weights = packed * loads
        moved = pixel * read * again[:, None, None, :] + written
        port = ceil_div(weights, PORT_BITS) if resident else 0
        moved = moved if resident else moved + weights
        rate = 8 * _bytes_per_cycle(self.device)
        decode = ceil_div(entries * loads, max(1, self.decoders))
        computing, moving = compute[:, None, None, :], np.ceil(moved / rate)
        first = ceil_div(np.minimum(computing, moving), count * steps[:, None, None, :])
        slowest = np.maximum(computing, moving)
        return np.maximum(slowest, np.maximum(decode, port)) + first, moved

    def least_cycles(self, tm: Array, tn: Array) -> Array:
        """Lower bound of `total_cycles`: every input, output and weight moved once."""
        compute, _, _ = self.compute_cycles(tm, tn)
        read = np.stack([tiles.read for tiles in self.tiles]).min(axis=(1, 2))
        packed, moved = self.columns[4], self.columns[6] * read + self.columns[7]
        rate = 8 * _bytes_per_cycle(self.device)
        resident = np.maximum(np.ceil(moved / rate), ceil_div(packed, PORT_BITS))
        least = np.minimum(resident, np.ceil((moved + packed) / rate))
        total: Array = np.maximum(compute, least[:, None]).sum(axis=0) + self.stream_cycles
        return total

    def total_cycles(self, tm: Array, tn: Array, resident: bool) -> Array:
        """Cycles of an image, shape (tile sizes, arrays), every layer cut the better way."""
        cycles, _ = self.layer_cycles(tm, tn, resident)
        total: Array = cycles.min(axis=2).sum(axis=0) + self.stream_cycles
        return total

    @cached_property
    def stream_cycles(self) -> int:
        """Cycles of all nodes without weights."""
        return sum(self.stream_work(stream)[0] for stream in self.network.streams)

    def stream_work(self, stream: StreamWorkload) -> tuple[int, int]:
        """(cycles, bytes moved) of a node without weights, as a pass of its own.

        A fused pool is part of its layer, and a concat that rescales nothing is a matter of where
        its sources are written.
        """
        fused = stream.sources[0] in self.fused and stream.kind == "max_pool"
        if fused or (stream.kind == "concat" and not stream.rescaled):
            return 0, 0
        inputs = stream.window.input_pixels
        bits = stream.channels * stream.window.output_pixels * stream.bits
        for count, width in zip(stream.source_channels, stream.source_bits, strict=True):
            bits += count * inputs * width
        moved = ceil_div(bits, 8)
        cycles = stream.pixels * ceil_div(stream.widest_channels, self.lanes)
        return max(cycles, external_cycles(moved, self.device)), moved

    def decoder_luts(self) -> tuple[int, int]:
        """(LUTs, FFs) of all decoders; each knows every format in use."""
        formats = {name for name, _ in self.formats} - {"dense"}
        widest = max(self.network.layers, key=lambda layer: layer.columns)
        largest = max(self.network.layers, key=lambda layer: layer.nonzeros)
        costs = [_decoder(name, widest, largest) for name in sorted(formats)]
        return self.decoders * sum(c[0] for c in costs), self.decoders * sum(c[1] for c in costs)

    def _multiple(self, layer: LayerWorkload) -> Size:
        pool = self.fused.get(layer.name)
        return pool.window.stride if pool else (1, 1)


def require_memory(device: Device) -> None:
    """Raise CannotBuild for a device without external memory: maps are kept there."""
    if usable_bandwidth(device) is None:
        raise CannotBuild(
            f"the engine needs external memory; {device.name} has no memory_bandwidth_bytes_per_s"
        )


def _bytes_per_cycle(device: Device) -> float:
    usable = usable_bandwidth(device)
    assert usable is not None, "checked by require_memory"
    return usable / device.clock_hz


def _decoder(name: str, widest: LayerWorkload, largest: LayerWorkload) -> tuple[int, int]:
    """(LUTs, FFs) of one decoder of a format for any layer.

    CSR and CSC walk through entries and rows; the others search, compare or add up as
    `rtl/decode_*.v` do, each measured by size.
    """
    columns = max(1, (widest.columns - 1).bit_length())
    if name in ("csr", "csc"):
        return part_cost("csr", max(1, largest.nonzeros).bit_length())
    if name == "coo":
        return part_cost("coo", max(1, (widest.out_channels - 1).bit_length()))
    if name == "bitmap":
        return part_cost("bitmap", min(LARGEST_BITMAP, widest.columns))
    return part_cost(name, columns)
