"""The search: against brute force on small pipelines, and targets beyond every layer's cycles."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from dse.fpga import Device, NetworkWorkload, describe, estimate, load_device
from dse.fpga.device import RESOURCES
from dse.fpga.options import build_options
from dse.fpga.schedule import fifo_pixels
from dse.fpga.streams import stream_options
from dse.integer import ActivationGrid, IntegerNetwork, MaxPool
from tests.fpga.networks import Bits, add, conv, packed

DEVICE = dataclasses.replace(load_device("xc7z020"), shell=None)


def _pooled(bits: Bits) -> NetworkWorkload:
    nodes = (
        conv("a", "input", (4, 2, 3, 3), bits, padding=1),
        MaxPool("pool", "a", (2, 2), (2, 2)),
        conv("b", "pool", (4, 4, 1, 1), bits),
    )
    network = IntegerNetwork((2, 8, 8), ActivationGrid(4, 1.0, 0), nodes)
    return describe(network, packed(network))


def _branching(bits: Bits) -> NetworkWorkload:
    nodes = (
        conv("a", "input", (4, 2, 1, 1), bits),
        conv("b", "a", (4, 4, 3, 3), bits, padding=1),
        add("sum", ("a", "b"), bits),
    )
    network = IntegerNetwork((2, 6, 6), ActivationGrid(4, 1.0, 0), nodes)
    return describe(network, packed(network))


def _fastest(network: NetworkWorkload, device: Device) -> int | None:
    """Least interval of any combination of options of layers and streams that fits."""
    options, depths = build_options(network, device, None), fifo_pixels(network)
    ways = []
    for index in range(len(network.layers)):
        own = options.of_layer(index)
        ways.append(list(zip(options.cycles[own], options.resources[own], strict=True)))
    for node in network.streams:
        copies = network.readers[node.name] - 1
        found = stream_options(node, depths.get(node.name, ()), copies, device)
        ways.append(list(zip(found.cycles, found.resources, strict=True)))
    limits = np.array([device.available.get(name, np.inf) for name in RESOURCES])
    best: int | None = None
    for combination in itertools.product(*(_undominated(one) for one in ways)):
        interval = max(int(cycles) for cycles, _ in combination)
        if best is not None and interval >= best:
            continue
        if (sum(needs for _, needs in combination) <= limits).all():
            best = interval
    return best


def _undominated(ways: list[tuple[int, np.ndarray]]) -> list[tuple[int, np.ndarray]]:
    """Ways that no other beats in cycles and every resource; enough for an exact answer."""
    kept: list[tuple[int, np.ndarray]] = []
    for cycles, needs in sorted(ways, key=lambda way: (way[0], float(way[1].sum()))):
        if not any((other <= needs).all() for _, other in kept):
            kept.append((cycles, needs))
    return kept


def test_close_to_brute_force() -> None:
    rng, ratios = np.random.default_rng(1), []
    for _ in range(40):
        build = (_pooled, _branching)[int(rng.integers(2))]
        network = build(Bits(int(rng.integers(2, 6)), 4))
        lut, dsp = int(rng.integers(1000, 4000)), int(rng.integers(4, 60))
        device = dataclasses.replace(DEVICE, lut=lut, dsp=dsp, bram18=8)
        found, exact = estimate(network, device), _fastest(network, device)
        assert found.fits == (exact is not None)
        if exact is not None:
            ratios.append(found.initiation_interval_cycles / exact)
    # price vectors reach the convex hull of the options only: within a step of the divisors
    assert min(ratios) >= 1
    assert max(ratios) <= 2
    assert sum(ratio == 1 for ratio in ratios) >= 31


def test_a_stream_slower_than_every_layer_sets_the_target() -> None:
    # layers: conv a computes 64 pixels in a cycle each; the pool of 4 channels may take 64, 128,
    # 256 cycles. A target of 256 is beyond every option of b (1x1 on 16 pixels: 16..256)
    network = _pooled(Bits(2, 2))
    slow = estimate(network, DEVICE, target_fps=1)
    assert [part.lanes for part in slow.parts] == [1]
    assert {layer.pe * layer.simd for layer in slow.layers} == {1}
    quick = estimate(network, DEVICE)
    assert quick.parts[0].cycles <= quick.initiation_interval_cycles < 256
