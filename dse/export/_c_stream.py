"""The nodes without weights of the C model as text. A further kind of node is a function here."""

from __future__ import annotations

import numpy as np

from dse.export._c_layer import Names, Piece, flat, position
from dse.export._c_requantize import requantize_text, scaled_type
from dse.export._c_text import CType, comment
from dse.integer import Add, AveragePool, Concat, MaxPool, Reshape, Upsample


def add_piece(names: Names, add: Add) -> Piece:
    """Sum of M_i * (x_i - zero_i), requantized."""
    c, network, size = names.identifiers[add.name], names.network, names.size(add.name)
    bounds = network.bounds[add.name]
    wide = f"({c}_acc_t)" if bounds.bits > 32 else ""
    terms = " + ".join(
        f"{wide}{multiplier} * {_centred(names, source, f'x{index}[i]')}"
        for index, (source, multiplier) in enumerate(zip(add.sources, add.multipliers, strict=True))
    )
    text = f"""/* {comment(add.name)}: sum, {bounds.bits} bit accumulators */
{requantize_text(c, f"{c}_t", add.requantizer)}
static void {c}({_parameters(names, add.sources)}, {c}_t y[{size}])
{{
    for (int i = 0; i < {size}; i++) {{
        const {c}_acc_t acc = ({c}_acc_t)({terms});
        {names.trace(add.name, "i")}
        y[i] = {c}_requantize(acc, 0);
    }}
}}"""
    return Piece(_types(names, add), text)


def concat_piece(names: Names, concat: Concat) -> Piece:
    """Sources one behind the other, each brought to the output's grid."""
    c, network = names.identifiers[concat.name], names.network
    types, functions, loops = [CType(f"{c}_t", 0, network.code_ranges[concat.name][1])], [], []
    offset = 0
    for index, (source, held) in enumerate(zip(concat.sources, concat.requantizers, strict=True)):
        size, value = names.size(source), f"({c}_t)x{index}[i]"
        if held is not None:
            own = names.identifiers[source_name(concat, index)]
            low, high = network.centred_range(source)
            types.append(CType(f"{own}_acc_t", min(low, -1), max(high, 0)))
            types.append(scaled_type(own, held, np.array([low]), np.array([high])))
            functions.append(requantize_text(own, f"{c}_t", held))
            value = f"{own}_requantize(({own}_acc_t){_centred(names, source, f'x{index}[i]')}, 0)"
        place = f"{offset} + i" if offset else "i"
        loops.append(f"    for (int i = 0; i < {size}; i++)\n        y[{place}] = {value};")
        offset += size
    lines = [
        f"/* {comment(concat.name)}: concatenation */",
        *functions,
        f"static void {c}({_parameters(names, concat.sources)}, {c}_t y[{offset}])",
        "{",
        *loops,
        "}",
    ]
    return Piece(tuple(types), "\n".join(lines))


def source_name(concat: Concat, index: int) -> str:
    """The name under which a concat's requantizer of one source gets its identifier."""
    return f"{concat.name}.from{index}"


def average_piece(names: Names, pool: AveragePool) -> Piece:
    """Sum of code - zero over a window, requantized; padding adds nothing."""
    c, network = names.identifiers[pool.name], names.network
    (channels, iy, ix), (_, oy, ox) = network.shapes[pool.source], network.shapes[pool.name]
    value = flat(("channel", channels), ("iy", iy), ("ix", ix), whole=True)
    place = flat(("channel", channels), ("oy", oy), ("ox", ox))
    result = f"{c}_requantize(acc, 0)" if pool.requantizer else f"({c}_t)acc"
    about = f"{pool.name}: average pool {pool.kernel[0]} x {pool.kernel[1]}"
    functions = [requantize_text(c, f"{c}_t", pool.requantizer)] if pool.requantizer else []
    head = "\n".join([f"/* {comment(about)} */", *functions])
    source = f"const {names.type(pool.source)} x[{names.size(pool.source)}]"
    text = f"""{head}
static void {c}({source}, {c}_t y[{names.size(pool.name)}])
{{
    for (int channel = 0; channel < {channels}; channel++)
    for (int oy = 0; oy < {oy}; oy++)
    for (int ox = 0; ox < {ox}; ox++) {{
        {c}_acc_t acc = 0;
        for (int ky = 0; ky < {pool.kernel[0]}; ky++)
        for (int kx = 0; kx < {pool.kernel[1]}; kx++) {{
{position((iy, ix), pool.stride, (1, 1), pool.padding)}
            acc += {_centred(names, pool.source, f"x[{value}]")};
        }}
        {names.trace(pool.name, place)}
        y[{place}] = {result};
    }}
}}"""
    return Piece(_types(names, pool), text)


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
{position((iy, ix), pool.stride, (1, 1), pool.padding)}
            if (!any || x[{value}] > best)
                best = x[{value}];
            any = 1;
        }}
        y[{flat(("channel", channels), ("oy", oy), ("ox", ox))}] = best;
    }}
}}"""
    return Piece((), text)


def upsample_piece(names: Names, node: Upsample) -> Piece:
    """Every value `factor` times along both axes."""
    network, c, kind = names.network, names.identifiers[node.name], names.type(node.name)
    (_, iy, ix), (channels, oy, ox) = network.shapes[node.source], network.shapes[node.name]
    fy, fx = node.factor
    value = flat(("channel", channels), (f"oy / {fy}", iy), (f"ox / {fx}", ix), whole=True)
    place = flat(("channel", channels), ("oy", oy), ("ox", ox), whole=True)
    text = f"""/* {comment(node.name)}: nearest neighbour, {fy} x {fx} */
static void {c}(const {kind} x[{names.size(node.source)}], {kind} y[{names.size(node.name)}])
{{
    for (int channel = 0; channel < {channels}; channel++)
    for (int oy = 0; oy < {oy}; oy++)
    for (int ox = 0; ox < {ox}; ox++)
        y[{place}] = x[{value}];
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


def _types(names: Names, node: Add | AveragePool) -> tuple[CType, ...]:
    c, bounds = names.identifiers[node.name], names.network.bounds[node.name]
    low, high = int(bounds.low.min()), int(bounds.high.max())
    accumulator = CType(f"{c}_acc_t", min(low, -1), high)
    if node.requantizer is None:
        return accumulator, CType(f"{c}_t", min(low, -1), high)
    scaled = scaled_type(c, node.requantizer, bounds.low, bounds.high)
    return accumulator, scaled, CType(f"{c}_t", 0, node.requantizer.high)


def _centred(names: Names, tensor: str, code: str) -> str:
    zero = names.network.grid_of(tensor).zero_point
    return f"({code} - {zero})" if zero else code


def _parameters(names: Names, sources: tuple[str, ...]) -> str:
    return ", ".join(
        f"const {names.type(source)} x{index}[{names.size(source)}]"
        for index, source in enumerate(sources)
    )
