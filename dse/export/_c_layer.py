"""A conv or linear layer of the C model as text; and what every node's text is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dse.export._c_requantize import requantize_text, scaled_type
from dse.export._c_text import CType, array, comment
from dse.export._deployment import weight_range
from dse.integer import ConvGeometry, IntegerNetwork, Layer, Passing


@dataclass(frozen=True)
class Piece:
    """What one node adds to the model: its types, and its constants with its function (`text`)."""

    types: tuple[CType, ...]
    text: str


@dataclass(frozen=True)
class Names:
    """Identifiers and value types of all tensors of `network`, by node name."""

    network: IntegerNetwork
    identifiers: Mapping[str, str]
    formats: Mapping[str, str]

    def type(self, tensor: str) -> str:
        """Type of a tensor's values; a reshaped or pooled tensor has that of its source."""
        nodes = {node.name: node for node in self.network.nodes}
        while isinstance(node := nodes.get(tensor), Passing):
            tensor = node.source
        return f"{self.identifiers[tensor]}_t"

    def size(self, tensor: str) -> int:
        """Number of values of one image."""
        return math.prod(self.network.shapes[tensor])

    def trace(self, node: str, position: str) -> str:
        """The call that lets test.c see an accumulator of `node`."""
        number = [other.name for other in self.network.accumulating].index(node)
        return f"MODEL_TRACE({number}, {position}, acc);"


def layer_piece(names: Names, layer: Layer) -> Piece:
    """Constants, requantization and loops of a conv or linear layer."""
    c, network = names.identifiers[layer.name], names.network
    dense = names.formats[layer.name] == "dense"
    types = _types(names, layer)
    constants = [array(f"{c}_acc_t", f"{c}_bias", layer.bias)]
    stored = f"those of {layer.shares}"
    if layer.shares is None:
        stored = "dense" if dense else "compressed rows"
        own_types, own_constants = _weights(c, layer, dense)
        types += own_types
        constants += own_constants
    shape = " x ".join(map(str, layer.weights.shape))
    kind = "linear" if layer.geometry is None else "conv"
    grid = "mid-rise" if layer.weights.mid_rise else "affine"
    about = (
        f"{layer.name}: {kind}, {shape}, {layer.weights.bits} bit {grid} weights, "
        f"{layer.weights.nonzeros} not zero, {stored}; "
        f"{network.bounds[layer.name].bits} bit accumulators"
    )
    parts = [f"/* {comment(about)} */", *constants]
    if layer.requantizer:
        parts.append(requantize_text(c, f"{c}_t", layer.requantizer))
    parts.append(_loops(names, layer, dense))
    return Piece(tuple(types), "\n".join(parts))


def _types(names: Names, layer: Layer) -> list[CType]:
    c, bounds = names.identifiers[layer.name], names.network.bounds[layer.name]
    low, high = int(bounds.low.min()), int(bounds.high.max())
    types = [CType(f"{c}_acc_t", min(low, -1), high)]
    requantizer = layer.requantizer
    if requantizer is None:
        return [*types, CType(f"{c}_t", min(low, -1), high)]
    scaled = scaled_type(c, requantizer, bounds.low, bounds.high)
    return [*types, scaled, CType(f"{c}_t", 0, requantizer.high)]


def _weights(c: str, layer: Layer, dense: bool) -> tuple[list[CType], list[str]]:
    """Types and constants of the weights: all of them, or compressed rows."""
    low, high = weight_range(layer)
    kind = CType(f"{c}_weight_t", min(low, -1), high)
    if dense:
        return [kind], [array(kind.name, f"{c}_weight", layer.weights.values)]
    start, column, value = _compressed(layer)
    position, index = CType(f"{c}_start_t", 0, int(start[-1])), _index_type(c, layer)
    return [kind, position, index], [
        array(position.name, f"{c}_start", start),
        array(index.name, f"{c}_column", column),
        array(kind.name, f"{c}_weight", value),
    ]


def _compressed(layer: Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = layer.weights.values.reshape(layer.rows, -1)
    start = np.concatenate([[0], np.cumsum(np.count_nonzero(table, axis=1))])
    rows, columns = np.nonzero(table)
    return start, columns, table[rows, columns]


def _index_type(c: str, layer: Layer) -> CType:
    return CType(f"{c}_column_t", 0, math.prod(layer.weights.shape[1:]) - 1)


def _loops(names: Names, layer: Layer, dense: bool) -> str:
    c, source = names.identifiers[layer.name], names.type(layer.source)
    size, out = names.size(layer.source), names.size(layer.name)
    head = f"static void {c}(const {source} x[{size}], {c}_t y[{out}])\n{{\n"
    result = f"{c}_requantize(acc, row)" if layer.requantizer else f"({c}_t)acc"
    place, inner = "row", _linear_sum(names, layer, dense)
    loops = [f"    for (int row = 0; row < {layer.rows}; row++)"]
    if layer.geometry is not None:
        _, oy, ox = names.network.shapes[layer.name]
        loops.append(f"    for (int oy = 0; oy < {oy}; oy++)")
        loops.append(f"    for (int ox = 0; ox < {ox}; ox++)")
        place = flat(("row", layer.rows), ("oy", oy), ("ox", ox))
        inner = _conv_sum(names, layer, layer.geometry, dense)
    opening = "\n".join(loops)
    return f"""{head}{opening} {{
        {c}_acc_t acc = {c}_bias[row];
{inner}
        {names.trace(layer.name, place)}
        y[{place}] = {result};
    }}
}}"""


def _linear_sum(names: Names, layer: Layer, dense: bool) -> str:
    c, columns = _owner(names, layer), layer.weights.shape[1]
    if dense:
        place = flat(("row", layer.rows), ("column", columns))
        return f"""        for (int column = 0; column < {columns}; column++)
            acc += {_product(names, layer, f"{c}_weight[{place}]", "x[column]")};"""
    return f"""        for (int k = (int){c}_start[row]; k < (int){c}_start[row + 1]; k++)
            acc += {_product(names, layer, f"{c}_weight[k]", f"x[{c}_column[k]]")};"""


def _conv_sum(names: Names, layer: Layer, geometry: ConvGeometry, dense: bool) -> str:
    """The inner loops; a position outside the image is padding, the zero point, and adds 0."""
    c, network = _owner(names, layer), names.network
    total, iy, ix = network.shapes[layer.source]
    rows, channels, ky, kx = layer.weights.shape
    if dense:
        axes = (("row", rows), ("channel", channels), ("ky", ky), ("kx", kx))
        weight = f"{c}_weight[{flat(*axes)}]"
        loops = f"""        for (int channel = 0; channel < {channels}; channel++)
        for (int ky = 0; ky < {ky}; ky++)
        for (int kx = 0; kx < {kx}; kx++) {{"""
    else:
        weight = f"{c}_weight[k]"
        loops = f"""        for (int k = (int){c}_start[row]; k < (int){c}_start[row + 1]; k++) {{
            const int column = (int){c}_column[k];
            const int channel = column / {ky * kx};
            const int ky = column / {kx} % {ky}, kx = column % {kx};"""
    channel = "channel"
    if geometry.groups > 1:
        channel = f"(row / {rows // geometry.groups} * {channels} + channel)"
    place = flat((channel, total), ("iy", iy), ("ix", ix), whole=True)
    return f"""{loops}
{position((iy, ix), geometry.stride, geometry.dilation, geometry.padding)}
            acc += {_product(names, layer, weight, f"x[{place}]")};
        }}"""


def _owner(names: Names, layer: Layer) -> str:
    """Identifier of the layer at which the weights stand."""
    return names.identifiers[layer.shares or layer.name]


def _product(names: Names, layer: Layer, weight: str, code: str) -> str:
    """weight * (code - zero point); int holds it unless the accumulator is wider."""
    bounds = names.network.bounds[layer.name]
    wide = f"({names.identifiers[layer.name]}_acc_t)" if bounds.bits > 32 else ""
    zero = names.network.input_grid_of(layer).zero_point
    return f"{wide}{weight} * {f'({code} - {zero})' if zero else code}"


def position(
    size: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int],
) -> str:
    """Input position `iy`, `ix` of a window, and the jump over padding where there is any."""
    terms = []
    for axis, s, d, p in zip("yx", stride, dilation, padding, strict=True):
        step = f"o{axis} * {s}" if s > 1 else f"o{axis}"
        inside = f"k{axis} * {d}" if d > 1 else f"k{axis}"
        terms.append(f"i{axis} = {step} + {inside}" + (f" - {p}" if p else ""))
    line = f"            const int {', '.join(terms)};"
    if not any(padding):
        return line
    iy, ix = size
    return f"""{line}
            if (iy < 0 || iy >= {iy} || ix < 0 || ix >= {ix})
                continue;"""


def flat(*axes: tuple[str, int], whole: bool = False) -> str:
    """Row-major index of variables with their sizes; an axis of size 1 adds nothing.

    `whole` keeps those, too: gcc refuses a variable that is set and not used.
    """
    (text, _), *rest = axes
    nested = False
    for name, size in rest:
        if size > 1 or whole:
            text = f"({text}) * {size} + {name}" if nested else f"{text} * {size} + {name}"
            nested = True
    return text
