"""One layer, pool or buffer of the C model as text. A further kind of node is a function here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dse.export._c_text import CType, array, comment, literal
from dse.export._deployment import weight_range
from dse.integer import ConvGeometry, IntegerNetwork, Layer, MaxPool, Reshape
from dse.integer.requantize import Requantizer


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
        while tensor in nodes and not isinstance(nodes[tensor], Layer):
            tensor = nodes[tensor].inputs[0]
        return f"{self.identifiers[tensor]}_t"

    def size(self, tensor: str) -> int:
        """Number of values of one image."""
        return math.prod(self.network.shapes[tensor])


def layer_piece(names: Names, layer: Layer) -> Piece:
    """Constants, requantization and loops of a conv or linear layer."""
    c, network = names.identifiers[layer.name], names.network
    dense = names.formats[layer.name] == "dense"
    types = _types(names, layer)
    constants = [array(f"{c}_acc_t", f"{c}_bias", layer.bias)]
    if dense:
        constants.append(array(f"{c}_weight_t", f"{c}_weight", layer.weights.values))
    else:
        start, column, value = _compressed(layer)
        position, index = CType(f"{c}_start_t", 0, int(start[-1])), _index_type(c, layer)
        types += [position, index]
        constants += [
            array(position.name, f"{c}_start", start),
            array(index.name, f"{c}_column", column),
            array(f"{c}_weight_t", f"{c}_weight", value),
        ]
    shape = " x ".join(map(str, layer.weights.shape))
    kind = "linear" if layer.geometry is None else "conv"
    grid = "mid-rise" if layer.weights.mid_rise else "affine"
    stored = "dense" if dense else "compressed rows"
    about = (
        f"{layer.name}: {kind}, {shape}, {layer.weights.bits} bit {grid} weights, "
        f"{layer.weights.nonzeros} not zero, {stored}; "
        f"{network.bounds[layer.name].bits} bit accumulators"
    )
    parts = [f"/* {comment(about)} */", *constants]
    if layer.requantizer:
        parts.append(_requantize(c, layer, layer.requantizer))
    parts.append(_loops(names, layer, dense))
    return Piece(tuple(types), "\n".join(parts))


def pool_piece(names: Names, pool: MaxPool) -> Piece:
    """Max pool; padding never wins, because only positions inside the image are looked at."""
    network, c, kind = names.network, names.identifiers[pool.name], names.type(pool.name)
    (channels, iy, ix), (_, oy, ox) = network.shapes[pool.source], network.shapes[pool.name]
    ky, kx = pool.kernel
    value = flat(("channel", channels), ("iy", iy), ("ix", ix), whole=True)
    text = f"""/* {comment(pool.name)}: max pool {ky} x {kx} */
static void {c}(const {kind} x[{names.size(pool.source)}], {kind} y[{names.size(pool.name)}])
{{
    for (int channel = 0; channel < {channels}; channel++)
    for (int oy = 0; oy < {oy}; oy++)
    for (int ox = 0; ox < {ox}; ox++) {{
        {kind} best = 0;
        int any = 0;
        for (int ky = 0; ky < {ky}; ky++)
        for (int kx = 0; kx < {kx}; kx++) {{
{_position((iy, ix), pool.stride, (1, 1), pool.padding)}
            if (!any || x[{value}] > best)
                best = x[{value}];
            any = 1;
        }}
        y[{flat(("channel", channels), ("oy", oy), ("ox", ox))}] = best;
    }}
}}"""
    return Piece((), text)


def reshape_piece(names: Names, node: Reshape) -> Piece:
    """The same values in the same order, copied so that every node has its own buffer."""
    c, kind, size = names.identifiers[node.name], names.type(node.name), names.size(node.name)
    text = f"""/* {comment(node.name)}: the same values as {"x".join(map(str, node.shape))} */
static void {c}(const {kind} x[{size}], {kind} y[{size}])
{{
    for (int i = 0; i < {size}; i++)
        y[i] = x[i];
}}"""
    return Piece((), text)


def _types(names: Names, layer: Layer) -> list[CType]:
    c, bounds = names.identifiers[layer.name], names.network.bounds[layer.name]
    low, high = int(bounds.low.min()), int(bounds.high.max())
    types = [
        CType(f"{c}_acc_t", min(low, -1), high),
        CType(f"{c}_weight_t", min(weight_range(layer)[0], -1), weight_range(layer)[1]),
    ]
    requantizer = layer.requantizer
    if requantizer is None:
        return [*types, CType(f"{c}_t", min(low, -1), high)]
    products = [
        bound * requantizer.multiplier + _half(requantizer) for bound in (bounds.low, bounds.high)
    ]
    low, high = int(min(p.min() for p in products)), int(max(p.max() for p in products))
    if (requantizer.shift <= 0).any():  # shifted left after a clip at 2^40
        low, high = min(low, -(1 << 50)), max(high, 1 << 50)
    # the product before the half is added must fit, too
    low = min(low, -1, low - int(_half(requantizer).max()))
    return [*types, CType(f"{c}_scaled_t", low, high), CType(f"{c}_t", 0, requantizer.high)]


def _half(requantizer: Requantizer) -> np.ndarray:
    shift = requantizer.shift
    return np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)


def _requantize(c: str, layer: Layer, requantizer: Requantizer) -> str:
    """clamp(zero + floor((acc * M0 + 2^(n-1)) / 2^n)), one multiplier or one per row."""
    per_row = requantizer.multiplier.size > 1
    multiplier = f"{c}_multiplier[row]" if per_row else str(int(requantizer.multiplier[0]))
    shift = f"{c}_shift[row]" if per_row else str(int(requantizer.shift[0]))
    lines = []
    if per_row:
        lines.append(array("uint16_t", f"{c}_multiplier", requantizer.multiplier))
        lines.append(array("int8_t", f"{c}_shift", requantizer.shift))
    half = f"(({c}_scaled_t)1 << ({shift} - 1))" if per_row else literal(int(_half(requantizer)[0]))
    wide = f"{c}_scaled_t"
    lines += [
        f"static {c}_t {c}_requantize({c}_acc_t acc, int row)",
        "{",
        f"    {wide} scaled = ({wide})acc * {multiplier};",
        *([] if per_row else ["    (void)row;"]),
    ]
    right = f"    scaled = FLOOR_SHIFT({wide}, scaled + {half}, {shift});"
    left = [
        "    scaled = CLIP40(scaled);",
        f"    scaled = scaled * (({wide})1 << -({shift}));",
    ]
    if (requantizer.shift > 0).all():
        lines.append(right)
    elif (requantizer.shift <= 0).all():
        lines += left
    else:
        lines += [f"    if ({shift} > 0) {{", f"    {right}", "    } else {"]
        lines += [f"    {line}" for line in left] + ["    }"]
    zero = requantizer.grid.zero_point
    low, high = requantizer.low - zero, requantizer.high - zero
    lines += [
        f"    if (scaled < {low})",
        f"        return {requantizer.low};",
        f"    if (scaled > {high})",
        f"        return {requantizer.high};",
        f"    return ({c}_t){f'(scaled + {zero})' if zero else 'scaled'};",
        "}",
    ]
    return "\n".join(lines)


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
    number = [layer.name for layer in names.network.layers].index(layer.name)
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
        MODEL_TRACE({number}, {place}, acc);
        y[{place}] = {result};
    }}
}}"""


def _linear_sum(names: Names, layer: Layer, dense: bool) -> str:
    c, columns = names.identifiers[layer.name], layer.weights.shape[1]
    if dense:
        place = flat(("row", layer.rows), ("column", columns))
        return f"""        for (int column = 0; column < {columns}; column++)
            acc += {_product(names, layer, f"{c}_weight[{place}]", "x[column]")};"""
    return f"""        for (int k = (int){c}_start[row]; k < (int){c}_start[row + 1]; k++)
            acc += {_product(names, layer, f"{c}_weight[k]", f"x[{c}_column[k]]")};"""


def _conv_sum(names: Names, layer: Layer, geometry: ConvGeometry, dense: bool) -> str:
    """The inner loops; a position outside the image is padding, the zero point, and adds 0."""
    c, network = names.identifiers[layer.name], names.network
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
{_position((iy, ix), geometry.stride, geometry.dilation, geometry.padding)}
            acc += {_product(names, layer, weight, f"x[{place}]")};
        }}"""


def _product(names: Names, layer: Layer, weight: str, code: str) -> str:
    """weight * (code - zero point); int holds it unless the accumulator is wider."""
    bounds = names.network.bounds[layer.name]
    wide = f"({names.identifiers[layer.name]}_acc_t)" if bounds.bits > 32 else ""
    zero = names.network.input_grid_of(layer).zero_point
    return f"{wide}{weight} * {f'({code} - {zero})' if zero else code}"


def _position(
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
