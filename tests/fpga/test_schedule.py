"""The pixel recurrence on pipelines small enough to follow by hand."""

from __future__ import annotations

from dse.fpga import describe
from dse.fpga.schedule import latency_cycles
from dse.integer import ActivationGrid, IntegerNetwork
from tests.fpga.networks import Bits, chain, conv, linear, packed


def test_one_linear_layer() -> None:
    nodes = (linear("fc", "input", (3, 7), Bits(), last=True),)
    network = IntegerNetwork((7,), ActivationGrid(4, 1.0, 0), nodes)
    # seven inputs one by one, 21 MACs one by one, two pipeline registers
    assert latency_cycles(describe(network, packed(network)), {"fc": 21}, {"fc": 1}) == 7 + 21 + 2


def test_a_1x1_pipeline_overlaps() -> None:
    nodes = tuple(
        conv(name, source, (1, 1, 1, 1), Bits()) for name, source in (("a", "input"), ("b", "a"))
    )
    network = IntegerNetwork((1, 2, 2), ActivationGrid(4, 1.0, 0), nodes)
    # a: input 1, each pixel 3, last done 1 + 4*3 + 2 = 15; b takes it in 1, computes 3, + 2 = 21
    words, lanes = {"a": 3, "b": 3}, {"a": 1, "b": 1}
    assert latency_cycles(describe(network, packed(network)), words, lanes) == 21


def test_latency_is_below_the_sum_and_above_the_slowest() -> None:
    network = chain(4, 4, 8, Bits())
    workloads = describe(network, packed(network))
    names = [layer.name for layer in workloads.layers]
    latency = latency_cycles(workloads, dict.fromkeys(names, 36), dict.fromkeys(names, 1))
    assert 36 * 64 < latency < 4 * 36 * 64
