"""The search: against brute force on small pipelines, and targets beyond every layer's cycles."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from dse.fpga import Device, NetworkWorkload, describe, estimate, load_device, search
from dse.fpga.device import RESOURCES
from dse.fpga.exact import is_small
from dse.fpga.options import build_options
from dse.fpga.schedule import fifo_pixels
from dse.fpga.streams import stream_options
from dse.integer import ActivationGrid, IntegerNetwork, MaxPool
from tests.fpga.networks import Bits, add, chain, conv, lenet5, packed

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


def _brute_force(
    network: NetworkWorkload, device: Device, goal: int | None = None
) -> tuple[int, float] | None:
    """(interval, sum of shares) of the best combination of options of layers and streams that fits:
    the least interval, or where it is within the goal the least share."""
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
    best: tuple[int, float] | None = None
    for combination in itertools.product(*(_undominated(one) for one in ways)):
        interval = max(int(cycles) for cycles, _ in combination)
        key = (interval if goal is None else max(interval, goal), 0.0)
        if best is not None and key > best:
            continue
        total = sum(needs for _, needs in combination)
        if (total <= limits).all():
            key = (key[0], float((total / limits).sum()))
            best = key if best is None else min(best, key)
    return best


def _undominated(ways: list[tuple[int, np.ndarray]]) -> list[tuple[int, np.ndarray]]:
    """Ways that no other beats in cycles and every resource; enough for an exact answer."""
    kept: list[tuple[int, np.ndarray]] = []
    for cycles, needs in sorted(ways, key=lambda way: (way[0], float(way[1].sum()))):
        if not any((other <= needs).all() for _, other in kept):
            kept.append((cycles, needs))
    return kept


def _tight(rng: np.random.Generator) -> tuple[NetworkWorkload, Device]:
    """A small pipeline and a device that it hardly fits."""
    build = (_pooled, _branching)[int(rng.integers(2))]
    network = build(Bits(int(rng.integers(2, 6)), 4))
    lut, dsp = int(rng.integers(900, 4000)), int(rng.integers(4, 60))
    return network, dataclasses.replace(DEVICE, lut=lut, dsp=dsp, bram18=8)


def test_small_pipelines_are_as_fast_as_brute_force() -> None:
    rng, fitting = np.random.default_rng(1), 0
    for _ in range(40):
        network, device = _tight(rng)
        found, best = estimate(network, device), _brute_force(network, device)
        assert found.fits == (best is not None)
        if best is not None:
            assert found.initiation_interval_cycles == max(best[0], 1)
            fitting += 1
    assert fitting >= 35


def test_small_pipelines_reach_a_rate_with_the_least() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        network, device = _tight(rng)
        goal = int(rng.integers(64, 4000))
        fps = device.clock_hz / goal
        found, best = estimate(network, device, target_fps=fps), _brute_force(network, device, goal)
        assert found.fits == (best is not None)
        if best is not None:
            assert max(found.initiation_interval_cycles, goal) == best[0]
            shares = sum(getattr(found, name) / n for name, n in device.available.items())
            assert shares == pytest.approx(best[1])


def test_equal_layers_may_be_built_in_two_ways() -> None:
    # under one price vector all six layers are alike: 32,768 cycles are the fastest to fit so
    network = chain(6, 32, 16, Bits(4, 4))
    device = dataclasses.replace(DEVICE, lut=18_400, dsp=80, bram18=120)
    found = estimate(describe(network, packed(network)), device)
    assert (found.fits, found.initiation_interval_cycles) == (True, 24_576)
    assert len({(layer.pe, layer.simd, layer.multipliers) for layer in found.layers}) > 1


def test_price_vectors_alone_are_within_a_step_of_the_divisors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # what a network too large for the exact search gets
    monkeypatch.setattr(search, "is_small", lambda options: False)
    rng, ratios = np.random.default_rng(1), []
    for _ in range(40):
        network, device = _tight(rng)
        found, best = estimate(network, device), _brute_force(network, device)
        assert found.fits <= (best is not None)
        if found.fits and best is not None:
            ratios.append(found.initiation_interval_cycles / best[0])
    assert min(ratios) >= 1
    assert max(ratios) <= 2
    assert sum(ratio == 1 for ratio in ratios) >= 0.75 * len(ratios)


def test_a_larger_device_is_no_slower_whatever_is_searched_exactly() -> None:
    rng = np.random.default_rng(3)
    for _ in range(15):
        network, small = _tight(rng)
        _no_slower(network, small, rng)


def test_a_larger_device_is_no_slower_where_the_search_is_not_exact() -> None:
    rng = np.random.default_rng(4)
    network = chain(5, 16, 8, Bits(4, 4))
    workload = describe(network, packed(network))
    assert not is_small(build_options(workload, DEVICE, None))
    for _ in range(15):
        counts = {"lut": int(rng.integers(1500, 9000)), "dsp": int(rng.integers(5, 80))}
        _no_slower(workload, dataclasses.replace(DEVICE, bram18=20, **counts), rng)


def _no_slower(network: NetworkWorkload, small: Device, rng: np.random.Generator) -> None:
    counts = {
        name: int(getattr(small, name) * rng.uniform(1, 2))
        for name in ("lut", "ff", "dsp", "bram18")
    }
    before = estimate(network, small)
    after = estimate(network, dataclasses.replace(small, **counts))
    assert after.fits >= before.fits
    assert not before.fits or after.fps >= before.fps


def test_only_few_options_are_searched_exactly() -> None:
    lenet, pipeline = lenet5(Bits(4, 4)), _pooled(Bits(4, 4))
    assert is_small(build_options(pipeline, DEVICE, None))
    assert not is_small(build_options(describe(lenet, packed(lenet)), DEVICE, None))
    # URAM adds options, but takes no network out of the search
    ultra = dataclasses.replace(DEVICE, uram=96)
    assert is_small(build_options(pipeline, ultra, None))


def test_a_stream_slower_than_every_layer_sets_the_target() -> None:
    # layers: conv a computes 64 pixels in a cycle each; the pool of 4 channels may take 64, 128,
    # 256 cycles. A target of 256 is beyond every option of b (1x1 on 16 pixels: 16..256)
    network = _pooled(Bits(2, 2))
    slow = estimate(network, DEVICE, target_fps=1)
    assert [part.lanes for part in slow.parts] == [1]
    assert {layer.pe * layer.simd for layer in slow.layers} == {1}
    quick = estimate(network, DEVICE)
    assert quick.parts[0].cycles <= quick.initiation_interval_cycles < 256
