"""Reader `memory`: the .mem and .coe files parsed as text and evaluated by the reference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

import dse
from dse.errors import InputError
from dse.export._deployment import Deployment
from dse.export.mem import FOLDER, PACKED_BITS, bias_bits, weight_bits
from dse.export.verify._comparison import Finding, compare_networks, readable_text
from dse.integer import IntegerNetwork, Layer, Node
from dse.integer.grid import IntArray
from dse.storage import formats
from dse.storage.bits import BitReader, to_bits
from dse.storage.layout import Layout


def check(deployment: Deployment, folder: Path) -> Finding:
    """Compare weights in all three files and biases, then the logits of a network made of them."""
    finding = Finding(f"dse {dse.__version__}")
    nodes: list[Node] = []
    for node in deployment.network.nodes:
        nodes.append(_read_layer(finding, deployment, folder / FOLDER, node))
    network = deployment.network
    read = IntegerNetwork(network.input_shape, network.input_grid, tuple(nodes))
    compare_networks(finding, deployment, read)
    return finding


def _read_layer(finding: Finding, deployment: Deployment, folder: Path, node: Node) -> Node:
    """A layer with the integers of its .mem files; other nodes as they are."""
    if not isinstance(node, Layer):
        return node
    name, expected = node.shares or node.name, node.weights.values
    bits = weight_bits(node)
    values = _signed(_mem_words(folder / f"{name}.mem"), bits).reshape(expected.shape)
    coe = _signed(_coe_words(folder / f"{name}.coe"), bits)
    finding.compare(f"layer {name}, {name}.mem", expected, values)
    finding.compare(f"layer {name}, {name}.coe", expected.ravel(), coe)
    packed = _unpacked(deployment, node, _mem_words(folder / f"{name}_packed.mem"))
    finding.compare(f"layer {name}, {name}_packed.mem", expected, packed)
    bias = _signed(_mem_words(folder / f"{node.name}_bias.mem"), bias_bits(node))
    weights = replace(node.weights, values=values.astype(np.int32))
    return replace(node, weights=weights, bias=bias)


def _unpacked(deployment: Deployment, layer: Layer, words: list[int]) -> IntArray:
    storage_format = formats.registry()[deployment.formats[layer.name]]
    encoded = storage_format.encode(layer.weights)
    bits = to_bits(np.array(words, dtype=np.int64), PACKED_BITS)[: len(encoded.bits)]
    decoded = storage_format.decode(
        BitReader(bits), Layout.of(layer.weights), encoded.count, encoded.parameter
    )
    return decoded.astype(np.int64)


def _mem_words(path: Path) -> list[int]:
    text = readable_text(path.name, path.read_bytes())
    return [
        _hexadecimal(path, word)
        for line in text.splitlines()
        for word in line.split("//")[0].split()
    ]


def _coe_words(path: Path) -> list[int]:
    lines = readable_text(path.name, path.read_bytes()).splitlines()
    text = "".join(line for line in lines if not line.startswith(";"))
    head, _, vector = text.partition("memory_initialization_vector=")
    if head != "memory_initialization_radix=16;" or not vector.endswith(";"):
        raise InputError(f"{path.name}: is not a .coe file of radix 16")
    return [_hexadecimal(path, word) for word in vector[:-1].split(",")]


def _hexadecimal(path: Path, word: str) -> int:
    try:
        return int(word, 16)
    except ValueError as error:
        raise InputError(f"{path.name}: {word!r} is not a hexadecimal word") from error


def _signed(words: list[int], bits: int) -> IntArray:
    numbers = np.array(words, dtype=np.int64)
    return np.where(numbers >> (bits - 1) & 1, numbers - (1 << bits), numbers)
