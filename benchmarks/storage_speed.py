"""Times the storage room: sizing and packing every format, and the YAML files of a LeNet-5.

    python benchmarks/storage_speed.py

Random 90 % masks; every number is the best of a few runs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dse.integer import (
    RELU,
    ActivationGrid,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    MaxPool,
    Node,
    Requantizer,
    Reshape,
)
from dse.storage import formats, load, load_model, manifest, pack, write_yaml_models
from dse.storage.bits import BitReader
from dse.storage.layout import Layout

LENET5 = {
    "conv1": (6, 1, 5, 5),
    "conv2": (16, 6, 5, 5),
    "conv3": (120, 16, 5, 5),
    "fc1": (84, 120),
    "fc2": (10, 84),
}


def random_weights(shape: tuple[int, ...], bits: int, density: float) -> IntegerWeights:
    """Affine weights, non-zero with probability `density`."""
    rng = np.random.default_rng(0)
    zero_point = 1 << (bits - 1)
    values = rng.integers(1, zero_point, shape) * rng.choice([-1, 1], shape)
    values[rng.random(shape) >= density] = 0
    return IntegerWeights(values.astype(np.int32), bits, zero_point, np.ones(1))


def seconds(action: Callable[[], object], runs: int) -> float:
    """Shortest of `runs` runs of `action`."""
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - start)
    return best


def time_lenet5(bits: int) -> None:
    """Sizes and sizing time of LeNet-5."""
    registry = formats.registry()
    layers = [random_weights(shape, bits, 0.1) for shape in LENET5.values()]
    sized = [formats.sizes(layer, registry) for layer in layers]
    total = {name: sum(sizes[name] for sizes in sized) for name in registry}
    best = sum(min(sizes.values()) for sizes in sized)
    taken = seconds(lambda: [formats.sizes(layer, registry) for layer in layers], 20)
    print(f"LeNet-5, {bits} bits: {total}, best per layer {best}; sized in {taken * 1e3:.2f} ms")


def time_large_layer(density: float) -> None:
    """Ten million weights through every format."""
    weights = random_weights((2500, 4000), 8, density)
    layout = Layout.of(weights)
    for name, module in formats.registry().items():
        encoded = module.encode(weights)

        def decode() -> object:
            reader = BitReader(encoded.bits)  # noqa: B023 (called in this round)
            return module.decode(reader, layout, encoded.count, encoded.parameter)  # noqa: B023

        sizing = seconds(lambda: module.size_bits(weights), 2)  # noqa: B023
        packing = seconds(lambda: np.packbits(module.encode(weights).bits), 2)  # noqa: B023
        print(
            f"10 million weights, density {density}, {name}: sized {sizing:.3f} s, "
            f"packed {packing:.3f} s, read {seconds(decode, 2):.3f} s"
        )


def time_packed_model() -> None:
    """One linear network with the weights of LeNet-5's fully connected layers, there and back."""
    grid = ActivationGrid(4, 1.0, 0)
    weights = random_weights((84, 730), 4, 0.1)  # 61,320 weights in one layer
    layer = Layer("fc", "input", weights, np.arange(84), None)
    network = IntegerNetwork((730,), grid, (layer,))
    packed = pack(network, formats.names())
    described = manifest(network, packed)
    print(f"pack 61,320 weights: {seconds(lambda: pack(network, formats.names()), 5) * 1e3:.1f} ms")
    print(f"load them: {seconds(lambda: load(described, packed.data), 5) * 1e3:.1f} ms")


def lenet5(density: float) -> IntegerNetwork:
    """LeNet-5's layers at 8 bits."""
    grid = ActivationGrid(8, 0.01, 7)
    requantizer = Requantizer.from_scales(np.array([0.001]), grid, RELU)
    nodes: list[Node] = []
    for name, shape in LENET5.items():
        weights, geometry = random_weights(shape, 8, density), None
        source = nodes[-1].name if nodes else "input"
        if len(shape) == 4:
            geometry = ConvGeometry(padding=(2, 2)) if name == "conv1" else ConvGeometry()
        elif name == "fc1":
            nodes.append(Reshape("flat", source, (120,)))
            source = "flat"
        held = None if name == "fc2" else requantizer
        nodes.append(Layer(name, source, weights, np.arange(shape[0]), held, geometry))
        if name in ("conv1", "conv2"):
            nodes.append(MaxPool(f"{name}_pool", name, (2, 2), (2, 2)))
    return IntegerNetwork((1, 28, 28), grid, tuple(nodes))


def time_yaml() -> None:
    """All eight YAML files of LeNet-5, and reading the dense integer one."""
    with tempfile.TemporaryDirectory() as folder:
        for density in (0.1, 1.0):
            network = lenet5(density)
            paths = write_yaml_models(network, Path(folder))
            writing = seconds(lambda: write_yaml_models(network, Path(folder)), 5)  # noqa: B023
            size = sum(path.stat().st_size for path in paths)
            print(f"8 YAML files, density {density}: {writing:.3f} s, {size:,} bytes")
            for path in paths:
                reading = seconds(lambda: load_model(path), 2)  # noqa: B023
                print(f"  read {path.name}: {reading:.3f} s")


if __name__ == "__main__":
    time_lenet5(8)
    time_lenet5(4)
    for share in (0.1, 1.0):
        time_large_layer(share)
    time_packed_model()
    time_yaml()
