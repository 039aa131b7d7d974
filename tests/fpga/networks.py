"""Integer networks for the cost tests: LeNet-5, chains, residual ones, with random weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dse.integer import (
    RELU,
    ActivationGrid,
    Add,
    AveragePool,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    MaxPool,
    Node,
    Requantizer,
    Reshape,
)


@dataclass(frozen=True)
class Bits:
    """Weight and activation bits and the density of random layers."""

    weights: int = 4
    activations: int = 4
    density: float = 1.0
    mid_rise: bool = False


def random_weights(shape: tuple[int, ...], bits: Bits, rng: np.random.Generator) -> IntegerWeights:
    """Non-zero random weights, of which a share of `density` is kept."""
    if bits.mid_rise:
        values = 2 * rng.integers(0, 1 << bits.weights, shape) - ((1 << bits.weights) - 1)
        zero = 0
    else:
        zero = 1 << (bits.weights - 1)
        values = rng.integers(0, 1 << bits.weights, shape) - zero
        values[values == 0] = -1
    kept = rng.random(shape) < bits.density
    return IntegerWeights(
        (values * kept).astype(np.int32), bits.weights, zero, np.ones(1), bits.mid_rise
    )


def requantizer(bits: Bits) -> Requantizer:
    """A per-tensor requantizer to `bits.activations`."""
    one = np.array([1 << 14], dtype=np.int64)
    grid = ActivationGrid(bits.activations, 1.0, 0)
    return Requantizer(one, np.array([20], dtype=np.int64), grid, *RELU.codes(grid))


def conv(
    name: str, source: str, shape: tuple[int, ...], bits: Bits, padding: int = 0, **geometry: int
) -> Layer:
    """A convolution of weight shape `shape`; `geometry` is `stride` and `groups`."""
    rng = np.random.default_rng(len(name) + sum(shape))
    stride, groups = geometry.get("stride", 1), geometry.get("groups", 1)
    slides = ConvGeometry((stride, stride), (padding, padding), groups=groups)
    weights, bias = random_weights(shape, bits, rng), np.zeros(shape[0], dtype=np.int64)
    return Layer(name, source, weights, bias, requantizer(bits), slides)


def linear(name: str, source: str, shape: tuple[int, int], bits: Bits, last: bool = False) -> Layer:
    """A linear layer; the last one has no requantizer."""
    rng = np.random.default_rng(len(name) + sum(shape))
    weights, bias = random_weights(shape, bits, rng), np.zeros(shape[0], dtype=np.int64)
    return Layer(name, source, weights, bias, None if last else requantizer(bits))


def lenet5(bits: Bits) -> IntegerNetwork:
    """LeNet-5 with 61,706 parameters: 28 x 28 input padded by 2."""
    nodes: tuple[Node, ...] = (
        conv("conv1", "input", (6, 1, 5, 5), bits, padding=2),
        MaxPool("pool1", "conv1", (2, 2), (2, 2)),
        conv("conv2", "pool1", (16, 6, 5, 5), bits),
        MaxPool("pool2", "conv2", (2, 2), (2, 2)),
        conv("conv3", "pool2", (120, 16, 5, 5), bits),
        Reshape("flatten", "conv3", (120,)),
        linear("fc1", "flatten", (84, 120), bits),
        linear("fc2", "fc1", (10, 84), bits, last=True),
    )
    return IntegerNetwork((1, 28, 28), ActivationGrid(bits.activations, 1.0, 0), nodes)


def chain(layers: int, channels: int, size: int, bits: Bits) -> IntegerNetwork:
    """`layers` equal 3x3 convolutions over a `size` x `size` image."""
    nodes: list[Node] = []
    for index in range(layers):
        source = f"conv{index - 1}" if index else "input"
        nodes.append(conv(f"conv{index}", source, (channels, channels, 3, 3), bits, padding=1))
    grid = ActivationGrid(bits.activations, 1.0, 0)
    return IntegerNetwork((channels, size, size), grid, tuple(nodes))


def packed(network: IntegerNetwork, form: str = "dense") -> dict[str, tuple[str, int]]:
    """Packed bits of every layer as `dense` (N b), or as `csr` or `bitmap` by their formulas."""
    sizes = {}
    for layer in network.layers:
        weights = layer.weights
        rows, columns = layer.rows, weights.values[0].size
        nonzeros, bits = weights.nonzeros, weights.bits
        size = {
            "dense": rows * columns * bits,
            "bitmap": rows * columns + nonzeros * bits,
            "csr": nonzeros * (bits + (columns - 1).bit_length())
            + (rows + 1) * nonzeros.bit_length(),
        }[form]
        sizes[layer.name] = (form, size)
    return sizes


def add(name: str, sources: tuple[str, ...], bits: Bits) -> Add:
    """The sum of tensors on one grid."""
    grid = ActivationGrid(bits.activations, 1.0, 0)
    return Add.from_scales(name, sources, [1.0] * len(sources), grid)


def residual(blocks: int, channels: int, size: int, bits: Bits) -> IntegerNetwork:
    """A stem and `blocks` of two 3x3 convolutions with a shortcut, on a `size` x `size` image."""
    nodes: list[Node] = [conv("stem", "input", (channels, 3, 3, 3), bits, padding=1)]
    for index in range(blocks):
        source, shape = nodes[-1].name, (channels, channels, 3, 3)
        nodes += [
            conv(f"a{index}", source, shape, bits, padding=1),
            conv(f"b{index}", f"a{index}", shape, bits, padding=1),
            add(f"sum{index}", (source, f"b{index}"), bits),
        ]
    mean = AveragePool("mean", nodes[-1].name, (size, size), (1, 1), (0, 0), requantizer(bits))
    nodes += [mean, Reshape("flatten", "mean", (channels,))]
    nodes.append(linear("fc", "flatten", (10, channels), bits, last=True))
    return IntegerNetwork((3, size, size), ActivationGrid(bits.activations, 1.0, 0), tuple(nodes))
