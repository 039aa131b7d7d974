"""Networks in Verilog: every node of a chain as the stages that compute it, and a top module."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dse.errors import InputError
from dse.fpga.describe import stored_and_operand_bits
from dse.fpga.memory import SMALL_MEMORY_BITS
from dse.fpga.report import CostReport
from dse.fpga.schedule import burst_pixels
from dse.fpga.specimens import Matrix, dense_unit
from dse.fpga.stage import Stage, Words, adapt, fifo, memory_style, pool, requantize, slide
from dse.fpga.verilog import sparse_files, words
from dse.fpga.workload import INPUT, Size, Window
from dse.integer import AveragePool, IntegerNetwork, Layer, MaxPool, Reshape
from dse.integer.grid import IntArray

Compute = Literal["dense", "sparse"]


@dataclass(frozen=True)
class UnitChoice:
    """How a layer is computed: dense by `pe` x `simd`, or by `pe` lanes that skip zeros."""

    compute: Compute
    pe: int
    simd: int = 1


@dataclass(frozen=True)
class Pipeline:
    """A network in Verilog: stages by node, in order. `plan` says which units it was built with."""

    nodes: tuple[tuple[str, tuple[Stage, ...]], ...]
    plan: Mapping[str, UnitChoice]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, in the order of the stream."""
        return tuple(stage for _, stages in self.nodes for stage in stages)

    @property
    def reads(self) -> Words:
        """Words of codes that are streamed in, channels of a pixel first, then pixels."""
        return self.stages[0].reads

    @property
    def writes(self) -> Words:
        """Words that are streamed out, in the same order."""
        return self.stages[-1].writes

    def node(self, name: str) -> Pipeline:
        """The stages of one node alone."""
        return replace(self, nodes=tuple(one for one in self.nodes if one[0] == name))


def plan_of(report: CostReport) -> tuple[Mapping[str, UnitChoice], Mapping[str, int]]:
    """Units and lanes of pools that a dataflow report chose. Raises InputError for what has no
    Verilog."""
    if report.template != "dataflow":
        raise InputError(f"the dataflow RTL has no template {report.template!r}")
    units: dict[str, UnitChoice] = {}
    for layer in report.layers:
        if layer.compute == "sparse" and layer.simd > 1:
            raise InputError(
                f"the dataflow RTL has no lanes of {layer.simd} weights per cycle ({layer.name})"
            )
        units[layer.name] = UnitChoice(
            "sparse" if layer.compute == "sparse" else "dense", layer.pe, layer.simd
        )
    return units, {part.name: part.lanes for part in report.parts}


def build_pipeline(
    network: IntegerNetwork, units: Mapping[str, UnitChoice], lanes: Mapping[str, int]
) -> Pipeline:
    """The stages of `network`, a chain. `lanes` are the channels that a pool takes per cycle, at
    least: the next divisor of its channels.

    Raises InputError for a network that is no chain of convolutions, linear layers and pools.
    """
    chain = _Chain(network)
    nodes, previous = [], INPUT
    for index, node in enumerate(network.nodes):
        if node.inputs != (previous,):
            raise InputError(f"the dataflow RTL has no branches: {node.name} reads {node.inputs}")
        previous = node.name
        name = f"n{index}_" + re.sub(r"\W", "_", node.name)
        if isinstance(node, Layer):
            nodes.append((node.name, chain.layer(name, node, units[node.name])))
        elif isinstance(node, MaxPool | AveragePool):
            nodes.append((node.name, chain.pool(name, node, lanes.get(node.name, 1))))
        elif isinstance(node, Reshape):
            chain.reshape(node)
        else:
            raise InputError(f"the dataflow RTL has no {type(node).__name__} ({node.name})")
    return Pipeline(tuple(nodes), units)


class _Chain:
    """A network's nodes one after the other, and the words in which the last one's result comes."""

    def __init__(self, network: IntegerNetwork) -> None:
        self.network = network
        self.words: Words | None = None  # None: the first stage reads what suits it
        self.flat_image: tuple[int, ...] = network.input_shape

    def connect(self, name: str, bits: int, count: int) -> list[Stage]:
        """Stages that bring the stream to words of `count` integers."""
        return list(adapt(name, self.words, count)) if self.words else []

    def reshape(self, node: Reshape) -> None:
        """Only flattening, which moves no code: what reads it takes the pixels as they come."""
        if len(node.shape) != 1:
            raise InputError(f"the dataflow RTL has no reshape to {node.shape} ({node.name})")

    def layer(self, name: str, layer: Layer, unit: UnitChoice) -> tuple[Stage, ...]:
        """Window, unit, requantizer and FIFO of a layer."""
        geometry = layer.geometry
        if geometry is not None and (geometry.groups != 1 or geometry.dilation != (1, 1)):
            raise InputError(f"the dataflow RTL has no groups and no dilation ({layer.name})")
        grid = self.network.input_grid_of(layer)
        matrix = _matrix(self.network, layer, self.flat_image, unit.compute)
        _check(layer, matrix, unit)
        stages: list[Stage] = []
        simd = unit.simd if unit.compute == "dense" else 1
        window = _window(self.network, layer)
        if window is not None:
            share = unit.pe / layer.rows if unit.compute == "dense" else 1.0
            slides = slide(
                name, self.flat_image[0], window, (simd, grid.bits, grid.zero_point), share
            )
            stages += [*self.connect(name, grid.bits, slides.reads.count), slides]
            stages += adapt(f"{name}_columns", slides.writes, simd)
        else:
            stages += self.connect(name, grid.bits, simd)
            stages += _waiting(name, Words(simd, grid.bits), matrix, unit)
        stages.append(
            _dense(name, matrix, (unit.pe, simd))
            if unit.compute == "dense"
            else _sparse(name, matrix, unit.pe)
        )
        if layer.requantizer is not None:
            stages.append(requantize(name, layer.rows, stages[-1].writes, layer.requantizer))
        stages.append(fifo(name, stages[-1].writes))
        self._follow(layer.name, stages)
        return tuple(stages)

    def pool(self, name: str, node: MaxPool | AveragePool, lanes: int) -> tuple[Stage, ...]:
        """A pool, behind a window where its windows overlap or are padded."""
        grid = self.network.grids[node.inputs[0]]
        if grid is None:
            raise InputError(f"the dataflow RTL has no pool of accumulators ({node.name})")
        channels, rows, columns = self.flat_image
        lanes = next(n for n in range(lanes, channels + 1) if channels % n == 0)
        out = self.network.shapes[node.name]
        window = Window(
            node.kernel, node.stride, node.padding, (1, 1), (rows, columns), (out[1], out[2])
        )
        stages = self.connect(name, grid.bits, lanes)
        waiting = burst_pixels(window) * channels // lanes
        if not window.tiles:
            average = isinstance(node, AveragePool)
            outside = grid.zero_point if average else 0  # no code is below 0, so it never wins
            # lanes for all channels take whole windows, others their pixels one by one
            wanted = lanes * (math.prod(node.kernel) if lanes == channels else 1)
            slides = slide(name, channels, window, (wanted, grid.bits, outside), 1.0)
            stages.append(slides)
            window = Window(node.kernel, node.kernel, (0, 0), (1, 1), node.kernel, (1, 1))
        sums = None
        if isinstance(node, AveragePool):
            bits = self.network.bounds[node.name].bits
            sums = bits, -grid.zero_point * math.prod(node.kernel)
        reads = stages[-1].writes if stages else Words(lanes, grid.bits)
        stages.append(pool(name, channels, window, reads, sums))
        if isinstance(node, AveragePool) and node.requantizer is not None:
            stages.append(requantize(name, channels, stages[-1].writes, node.requantizer))
        stages.append(fifo(name, stages[-1].writes, max(2, waiting)))
        self._follow(node.name, stages)
        return tuple(stages)

    def _follow(self, tensor: str, stages: list[Stage]) -> None:
        self.words = stages[-1].writes
        self.flat_image = self.network.shapes[tensor]


def _window(network: IntegerNetwork, layer: Layer) -> Window | None:
    """How a layer slides; None where its columns are what is streamed."""
    if layer.geometry is None:
        return None
    kernel, geometry = layer.weights.shape[2:], layer.geometry
    size, out = network.shapes[layer.source][1:], network.shapes[layer.name][1:]
    sizes: tuple[Size, Size] = (size[0], size[1]), (out[0], out[1])
    window = Window((kernel[0], kernel[1]), geometry.stride, geometry.padding, (1, 1), *sizes)
    return None if window == Window.pixelwise(sizes[0]) else window


def _matrix(
    network: IntegerNetwork, layer: Layer, source: tuple[int, ...], compute: Compute
) -> Matrix:
    """The integers of a layer's unit, columns in the order of the stream: channels of a pixel
    first. The zero point of the codes goes into the bias."""
    grid = network.input_grid_of(layer)
    values = layer.weights.values.astype(np.int64)
    if layer.geometry is not None:
        values = values.transpose(0, 2, 3, 1)
    elif len(source) == 3:
        values = values.reshape(layer.rows, *source).transpose(0, 2, 3, 1)
    weights = values.reshape(layer.rows, -1)
    _, dense, nonzeros_only = stored_and_operand_bits(layer.weights)
    bits = nonzeros_only if compute == "sparse" else dense
    if bits == 1 and not np.any(weights, axis=1).all():
        bits = 2  # a lane reads a zero for a row without weights, which one bit has not
    return Matrix(
        weights,
        layer.bias - grid.zero_point * weights.sum(axis=1),
        bits,
        grid.bits,
        network.bounds[layer.name].bits,
    )


def _check(layer: Layer, matrix: Matrix, unit: UnitChoice) -> None:
    rows, columns = matrix.weights.shape
    if rows % unit.pe or (unit.compute == "dense" and columns % unit.simd):
        raise InputError(
            f"folding.{layer.name}: PE must divide {rows} and SIMD {columns}, "
            f"but got {(unit.pe, unit.simd)}"
        )


def _waiting(name: str, reads: Words, matrix: Matrix, unit: UnitChoice) -> list[Stage]:
    """A FIFO for the vector that comes in while a dense unit makes its later passes over the one
    before: without it a unit as slow as its source would halve the rate. Lanes have their own."""
    rows, columns = matrix.weights.shape
    if unit.compute == "sparse" or unit.pe == rows or columns == reads.count:
        return []
    return [fifo(f"{name}_next", reads, columns // reads.count)]


def _dense(name: str, matrix: Matrix, folding: tuple[int, int]) -> Stage:
    unit = dense_unit(name, matrix, folding)
    reads = Words(folding[1], matrix.activation_bits)
    writes = Words(folding[0], matrix.acc_bits)
    return Stage(f"{name}_unit", "matvec", unit.parameters, reads, writes, unit.files)


def _sparse(name: str, matrix: Matrix, lanes: int) -> Stage:
    """Lanes with the order in which rows leave: per row {lane, place among the lane's rows}."""
    rows, columns = matrix.weights.shape
    files, dealt, depth = sparse_files(name, matrix.weights, matrix.bias, lanes, matrix.stored_bits)
    own = rows // lanes
    order: IntArray = np.empty(rows, dtype=np.int64)
    places = max(1, (own - 1).bit_length())
    for lane, group in enumerate(dealt):
        order[group] = (lane << places) | np.arange(own)
    bits = max(1, (lanes - 1).bit_length()) + places
    weight = depth * (matrix.weight_bits + (columns - 1).bit_length())
    parameters: dict[str, int | str] = {
        "ROWS": rows,
        "COLUMNS": columns,
        "LANES": lanes,
        "DEPTH": depth,
        **matrix.widths,
        "NAME": name,
        "WEIGHT_STYLE": "auto" if weight <= SMALL_MEMORY_BITS else "block",
        "SUM_STYLE": memory_style(2 << places, matrix.acc_bits),
        "INPUT_STYLE": memory_style(2 << (columns - 1).bit_length(), matrix.activation_bits),
    }
    reads, writes = Words(1, matrix.activation_bits), Words(1, matrix.acc_bits)
    all_files = {**files, f"{name}_order.mem": words(order.tolist(), bits)}
    return Stage(f"{name}_unit", "sparse", parameters, reads, writes, all_files)


def top_module(pipeline: Pipeline, name: str = "network") -> str:
    """A module that chains the stages: `in_data`, `out_data`, each with valid and ready."""
    wires, instances = [], []
    last = len(pipeline.stages)
    for index, stage in enumerate(pipeline.stages):
        into, out = (
            (f"s{index}" if index else "in"),
            (f"s{index + 1}" if index + 1 < last else "out"),
        )
        if index + 1 < last:
            wires.append(f"    wire [{stage.writes.width - 1}:0] {out}_data;\n")
            wires.append(f"    wire {out}_valid, {out}_ready;\n")
        values = ", ".join(
            f'.{key}("{value}")' if isinstance(value, str) else f".{key}({value})"
            for key, value in stage.parameters.items()
        )
        ports = ", ".join(
            f".{side}_{port}({wire}_{port})"
            for side, wire in (("in", into), ("out", out))
            for port in ("data", "valid", "ready")
        )
        instances.append(
            f"    {stage.module} #({values})\n"
            f"        {stage.name} (.clk(clk), .reset(reset), {ports});\n"
        )
    return (
        f"module {name} (\n    input clk, reset,\n"
        f"    input [{pipeline.reads.width - 1}:0] in_data,\n    input in_valid,\n"
        f"    output in_ready,\n    output [{pipeline.writes.width - 1}:0] out_data,\n"
        f"    output out_valid,\n    input out_ready\n);\n"
        f"{''.join(wires)}{''.join(instances)}endmodule\n"
    )
