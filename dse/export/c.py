"""Exporter `c`: the network as C99 that a person can read, gcc can run and HLS can synthesize."""

from __future__ import annotations

import math
import shutil
import struct
from pathlib import Path
from typing import assert_never

import numpy as np

from dse.export._c_layer import Names, Piece, layer_piece
from dse.export._c_stream import (
    add_piece,
    average_piece,
    concat_piece,
    pool_piece,
    reshape_piece,
    source_name,
    upsample_piece,
)
from dse.export._c_text import CType, comment, identifiers
from dse.export._deployment import Deployment
from dse.integer import Add, AveragePool, Concat, Layer, MaxPool, Node, Reshape, Upsample
from dse.integer.network import INPUT

FOLDER, VECTORS = "c", "vectors.bin"
TEMPLATES = Path(__file__).parent / "templates"


def write(deployment: Deployment, folder: Path) -> None:
    """Write `c/`: model.h, model.c, test.c, vectors.bin and a Makefile whose `test` runs them."""
    target = folder / FOLDER
    target.mkdir()
    network = deployment.network
    tensors = [INPUT, *(node.name for node in network.nodes)]
    joins = [node for node in network.nodes if isinstance(node, Concat)]
    tensors += [source_name(join, index) for join in joins for index in range(len(join.sources))]
    names = Names(network, identifiers(tensors), deployment.formats)
    pieces = {node.name: _piece(names, node) for node in network.nodes}
    (target / "model.h").write_text(_header(deployment, names, pieces), encoding="ascii")
    (target / "model.c").write_text(_source(deployment, names, pieces), encoding="ascii")
    for name in ("test.c", "Makefile"):
        shutil.copyfile(TEMPLATES / name, target / name)
    write_vectors(deployment, target / VECTORS)


def _piece(names: Names, node: Node) -> Piece:
    """The one place that knows which node becomes which C."""
    if isinstance(node, Layer):
        return layer_piece(names, node)
    if isinstance(node, Add):
        return add_piece(names, node)
    if isinstance(node, Concat):
        return concat_piece(names, node)
    if isinstance(node, AveragePool):
        return average_piece(names, node)
    if isinstance(node, MaxPool):
        return pool_piece(names, node)
    if isinstance(node, Upsample):
        return upsample_piece(names, node)
    if isinstance(node, Reshape):
        return reshape_piece(names, node)
    assert_never(node)


def _header(deployment: Deployment, names: Names, pieces: dict[str, Piece]) -> str:
    network = deployment.network
    types = [CType(names.type(INPUT), 0, network.input_grid.max_code)]
    types += [kind for piece in pieces.values() for kind in piece.types]
    exact = [f"typedef {kind.exact} {kind.name};" for kind in types]
    standard = [f"typedef {kind.standard} {kind.name};" for kind in types]
    shape = " x ".join(map(str, network.input_shape))
    traced = [math.prod(network.shapes[node.name]) for node in network.accumulating]
    layer_names = ", ".join(_quoted(node.name) for node in network.accumulating) or '""'
    return "\n".join(
        [
            f"/* {comment(deployment.heading)}: an integer network, exact on every input. */",
            "#ifndef MODEL_H",
            "#define MODEL_H",
            "",
            "#include <stdint.h>",
            "",
            f"/* {shape} input codes of {network.input_grid.bits} bits: code = "
            f"floor(value / {network.input_grid.scale!r} + 0.5) + {network.input_grid.zero_point}, "
            "saturated. */",
            f"#define MODEL_INPUT_SIZE {math.prod(network.input_shape)}",
            f"#define MODEL_OUTPUT_SIZE {names.size(network.output)}",
            "",
            "/* For test.c: the nodes with accumulators and how many each has. */",
            f"#define MODEL_LAYERS {len(traced)}",
            f"#define MODEL_LAYER_NAMES {{{layer_names}}}",
            f"#define MODEL_LAYER_SIZES {{{', '.join(map(str, traced)) or '0'}}}",
            "",
            "/* Types hold what can occur; with MODEL_AP_INT (C++, Vitis HLS) to the bit. */",
            "#ifdef MODEL_AP_INT",
            "#include <ap_int.h>",
            *exact,
            "#else",
            *standard,
            "#endif",
            f"typedef {names.type(INPUT)} model_input_t;",
            f"typedef {names.type(network.output)} model_output_t;",
            "",
            "/* Not reentrant: the tensors between the layers are static. */",
            "void model_run(const model_input_t input[MODEL_INPUT_SIZE],",
            "               model_output_t output[MODEL_OUTPUT_SIZE]);",
            "",
            "#endif",
            "",
        ]
    )


def _source(deployment: Deployment, names: Names, pieces: dict[str, Piece]) -> str:
    network, c = deployment.network, names.identifiers
    buffers = [
        f"    static {names.type(node.name)} {c[node.name]}_out[{names.size(node.name)}];"
        for node in network.nodes
    ]
    calls = []
    for node in network.nodes:
        sources = ["input" if name == INPUT else f"{c[name]}_out" for name in node.inputs]
        calls.append(f"    {c[node.name]}({', '.join(sources)}, {c[node.name]}_out);")
    head = f"/* {comment(deployment.heading)}: an integer network in C99, no allocation. */"
    body = "\n\n".join(piece.text for piece in pieces.values())
    return f"""{head}
#include "model.h"

/* Called with every accumulator; test.c defines it to find the first layer that differs. */
#ifdef MODEL_TRACED
void model_trace(int layer, int position, int64_t accumulator);
#define MODEL_TRACE(layer, position, acc) model_trace(layer, position, (int64_t)(acc))
#else
#define MODEL_TRACE(layer, position, acc) ((void)0)
#endif

/* floor(v / 2^n) also where >> of a negative number is not an arithmetic shift. */
#define FLOOR_SHIFT(type, v, n) ((v) >= 0 ? (type)((v) >> (n)) : (type)(~(~(v) >> (n))))
/* Beyond every code: the clip changes no result and keeps a left shift from overflowing. */
#define LIMIT40 (INT64_C(1) << 40)
#define CLIP40(v) ((v) > LIMIT40 ? LIMIT40 : (v) < -LIMIT40 ? -LIMIT40 : (v))

{body}

void model_run(const model_input_t input[MODEL_INPUT_SIZE],
               model_output_t output[MODEL_OUTPUT_SIZE])
{{
{chr(10).join(buffers)}

{chr(10).join(calls)}
    for (int i = 0; i < MODEL_OUTPUT_SIZE; i++)
        output[i] = {c[network.output]}_out[i];
}}
"""


def _quoted(name: str) -> str:
    safe = comment(name).replace("\\", "/").replace('"', "'")
    return f'"{safe}"'


def write_vectors(deployment: Deployment, path: Path) -> None:
    """Little-endian: int64 images, int64 traced images; per image its uint16 input codes, int64
    accumulators of all layers (traced images only), int64 outputs."""
    images, traced = len(deployment.codes), len(deployment.traced[INPUT])
    with path.open("wb") as file:
        file.write(struct.pack("<qq", images, traced))
        for image in range(images):
            file.write(deployment.codes[image].astype("<u2").tobytes())
            if image < traced:
                for _, accumulators in deployment.accumulators:
                    file.write(accumulators[image].astype("<i8").tobytes())
            file.write(np.asarray(deployment.outputs[image]).astype("<i8").tobytes())
