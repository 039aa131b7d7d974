"""Keeps an integer network in a module's buffers, under the seed's names, and reads it back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dse.errors import InputError
from dse.integer import ActivationGrid, IntegerNetwork, IntegerWeights, Layer, Passing
from dse.integer.grid import IntArray
from dse.integer.schema import layer_values
from dse.quantize.assemble import Grids, QuantizedLayer, assemble
from dse.quantize.graph import Graph
from dse.quantize.layers import QuanLayer


@dataclass(frozen=True)
class Held:
    """What a network keeps of its integers beside the layers' own buffers.

    - `scale`, `zero_point`: of the input.
    - `grids` (n, 3) float64: scale, zero point and bits of the input, then of each node whose
      grid no layer's buffers hold: sums, concatenations, averages, layers used again. None where
      the layers' buffers say it all, as the seed's do.
    - `biases` int64: those of the layers used again, one behind the other.
    """

    scale: float
    zero_point: int
    grids: Tensor | None = None
    biases: Tensor | None = None


def store(network: IntegerNetwork, modules: Mapping[str, QuanLayer]) -> Held:
    """Write the integer network into the layers' buffers, and return what they do not hold."""
    table, biases = [network.input_grid], [np.zeros(0, dtype=np.int64)]
    for node in network.nodes:
        if isinstance(node, Layer) and node.shares is None:
            module = modules[node.name]
            for name, value in layer_values(network, node).items():
                buffer = module._buffers[name]
                if buffer is not None:  # else it is the bias of a layer without one
                    module._buffers[name] = torch.as_tensor(value).to(buffer)
        elif not isinstance(node, Passing):
            biases += [node.bias] if isinstance(node, Layer) else []
            grid = network.grids[node.name]
            table += [grid] if grid else []
    chain = all(isinstance(node, Passing) or node.name in modules for node in network.nodes)
    rows = [[grid.scale, float(grid.zero_point), float(grid.bits)] for grid in table]
    return Held(
        network.input_grid.scale,
        network.input_grid.zero_point,
        None if chain else torch.tensor(rows, dtype=torch.float64),
        torch.from_numpy(np.concatenate(biases)) if len(biases) > 1 else None,
    )


def restore(graph: Graph, modules: Mapping[str, QuanLayer], held: Held) -> IntegerNetwork:
    """The integer network held in the layers' buffers and `held`.

    Multipliers are computed from the scales, so a network quantized by the seed is evaluated with
    our 15-bit multiplier and rounding. Raises InputError with the reason when the buffers do not
    describe a network that this arithmetic computes.
    """
    reads: dict[str, ActivationGrid] = {}
    made: dict[str, ActivationGrid] = {}
    weights: dict[str, IntegerWeights] = {}
    for call in graph.calls:
        module = modules[call.module]
        if not module.quantized:
            raise InputError(f"layer {call.module!r} is not quantized; call quantize() first")
        if call.shares:
            continue
        try:
            reads[call.name] = _buffer_grid(module, "ins", "inz", "activation_bits")
            weights[call.name] = _buffer_weights(module)
            if graph.holds_codes(call):
                made[call.name] = _buffer_grid(module, "outs", "outz", "output_bits")
        except ValueError as error:
            raise InputError(
                f"layer {call.name!r} holds an unusable quantization: {error}"
            ) from None
        _check_bias(call.name, module, weights[call.name], reads[call.name])
    try:
        grids = _held_grids(graph, reads, made, held)
    except ValueError as error:
        raise InputError(f"the network holds an unusable quantization: {error}") from None
    biases = _held_biases(graph, modules, held.biases)
    layers = {
        call.name: QuantizedLayer(weights[call.module], biases[call.name]) for call in graph.calls
    }
    network = assemble(graph, modules, grids, layers)
    _check_reads(network, reads)
    return network


def _check_reads(network: IntegerNetwork, reads: Mapping[str, ActivationGrid]) -> None:
    """Raise InputError when a layer was quantized for other codes than it gets."""
    for layer in network.layers:
        if layer.name not in reads:
            continue
        made, read = network.input_grid_of(layer), reads[layer.name]
        if made.zero_point != read.zero_point or not math.isclose(
            made.scale, read.scale, rel_tol=1e-5
        ):
            raise InputError(
                f"layer {layer.name!r} was quantized for inputs with scale {read.scale:.6g} and "
                f"zero point {read.zero_point}, but reads scale {made.scale:.6g} and zero point "
                f"{made.zero_point}; were the layers defined in another order than they run?"
            )


def _held_grids(
    graph: Graph,
    reads: Mapping[str, ActivationGrid],
    made: Mapping[str, ActivationGrid],
    held: Held,
) -> Grids:
    """The grids of the layers' buffers and of the table. Raises ValueError for unusable ones."""
    others = [m.name for m in graph.makers if graph.holds_codes(m) and m.name not in made]
    if held.grids is None and not others:
        bits = reads[graph.calls[0].name].bits
        return Grids(ActivationGrid(bits, held.scale, held.zero_point), made)
    table = [] if held.grids is None else held.grids.tolist()
    if len(table) != 1 + len(others):
        raise ValueError(f"_grids has {len(table)} rows, but the network needs {1 + len(others)}")
    found = [ActivationGrid(int(bits), scale, int(zero)) for scale, zero, bits in table]
    return Grids(found[0], {**made, **dict(zip(others, found[1:], strict=True))})


def _held_biases(
    graph: Graph, modules: Mapping[str, QuanLayer], again: Tensor | None
) -> dict[str, IntArray]:
    """Integer bias of every call, zeros for a layer without one."""
    left = np.zeros(0, dtype=np.int64) if again is None else _numpy(again).astype(np.int64)
    biases: dict[str, IntArray] = {}
    for call in graph.calls:
        held, rows = modules[call.module]._buffers["quan_bias"], len(modules[call.module].weight)
        if call.shares:
            biases[call.name], left = left[:rows], left[rows:]
        else:
            biases[call.name] = np.zeros(rows, dtype=np.int64) if held is None else _numpy(held)
    return biases


def _numpy(buffer: Tensor) -> npt.NDArray[Any]:
    return buffer.detach().cpu().numpy()


def _buffer_grid(module: QuanLayer, scale: str, zero: str, bits: str) -> ActivationGrid:
    return ActivationGrid(
        int(module.get_buffer(bits)),
        float(module.get_buffer(scale)),
        int(module.get_buffer(zero)),
    )


def _buffer_weights(module: QuanLayer) -> IntegerWeights:
    codes = _numpy(module.get_buffer("quan_weight"))
    mid_rise, zero = bool(module.get_buffer("mid_rise")), int(module.get_buffer("wz"))
    values = codes if mid_rise else codes - zero
    scale = _numpy(module.get_buffer("ws")).reshape(-1)
    bits = int(module.get_buffer("weight_bits"))
    return IntegerWeights(values.astype(np.int32), bits, zero, scale, mid_rise)


def _check_bias(
    name: str, module: QuanLayer, weights: IntegerWeights, source: ActivationGrid
) -> None:
    if module._buffers["quan_bias"] is None:
        return
    scale = _numpy(module.get_buffer("bs")).reshape(-1)
    if int(module.get_buffer("bz")) != 0 or not np.allclose(
        scale, weights.scale * source.scale, rtol=1e-4, atol=0
    ):
        raise InputError(
            f"layer {name!r}: its bias must have scale ws * ins and zero point 0 to be added to "
            "the accumulators"
        )
