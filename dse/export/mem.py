"""Exporter `mem`: weights and biases for block RAM, `.mem` for $readmemh and `.coe` for Vivado.

Per layer `<layer>.mem` and `<layer>.coe` hold the integer weights (code minus zero point), one word
each in row-major order, `<layer>_bias.mem` the biases, `<layer>_packed.mem` the packed bits of the
storage format as 32-bit words, first bit on top, the last word filled with zeros. A layer that
shares the weights of another has biases only.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dse.export._deployment import Deployment, signed_bits
from dse.integer import Layer
from dse.storage import formats

FOLDER = "mem"
PACKED_BITS = 32


def weight_bits(layer: Layer) -> int:
    """Width of a weight's word: two's complement, one bit more than the code."""
    return layer.weights.bits + 1


def bias_bits(layer: Layer) -> int:
    """Width of a bias' word: the narrowest two's complement."""
    return signed_bits(int(layer.bias.min(initial=0)), int(layer.bias.max(initial=0)))


def write(deployment: Deployment, folder: Path) -> None:
    """Write four files per layer into `mem/`, one for a layer with the weights of another."""
    target = folder / FOLDER
    target.mkdir()
    for layer in deployment.network.layers:
        if layer.shares is None:
            _write_weights(deployment, layer, target)
        bits = bias_bits(layer)
        about = f"{layer.name}: {layer.rows} biases, {bits} bit two's complement"
        _write_mem(target / f"{layer.name}_bias.mem", about, words(layer.bias.tolist(), bits))


def _write_weights(deployment: Deployment, layer: Layer, target: Path) -> None:
    shape = " x ".join(map(str, layer.weights.shape))
    bits, name = weight_bits(layer), layer.name
    weights = words(layer.weights.values.ravel().tolist(), bits)
    about = f"{name}: {shape} integer weights, {bits} bit two's complement, row-major"
    _write_mem(target / f"{name}.mem", about, weights)
    _write_coe(target / f"{name}.coe", about, weights)
    stored = formats.registry()[deployment.formats[name]].encode(layer.weights)
    about = (
        f"{name}: {len(stored.bits)} packed bits, format {deployment.formats[name]}, "
        f"count {stored.count}, parameter {stored.parameter}"
    )
    packed = np.packbits(np.asarray(stored.bits, dtype=np.uint8)).tobytes()
    padded = packed + bytes(-len(packed) % (PACKED_BITS // 8))
    numbers = np.frombuffer(padded, dtype=">u4").tolist()
    _write_mem(target / f"{name}_packed.mem", about, words(numbers, PACKED_BITS))


def words(numbers: Iterable[int], bits: int) -> list[str]:
    """`numbers` as hexadecimal two's complement words of `bits` bits."""
    digits, mask = -(-bits // 4), (1 << bits) - 1
    return [f"{number & mask:0{digits}x}" for number in numbers]


def _write_mem(path: Path, about: str, content: list[str]) -> None:
    path.write_text("\n".join([f"// {about}", *content]) + "\n", encoding="utf-8")


def _write_coe(path: Path, about: str, content: list[str]) -> None:
    head = f"; {about}\nmemory_initialization_radix=16;\nmemory_initialization_vector=\n"
    path.write_text(head + ",\n".join(content) + ";\n", encoding="utf-8")
