"""The pixel recurrence on pipelines small enough to follow by hand; `test_rtl_cycles` simulates."""

from __future__ import annotations

import pytest

from dse.fpga import NetworkWorkload, describe
from dse.fpga.latency import Pace, latency_cycles
from dse.integer import ActivationGrid, AveragePool, IntegerNetwork, MaxPool, Node, Upsample
from tests.fpga.networks import Bits, add, chain, conv, linear, packed, requantizer

BEHIND = 2 + 2 + 1
"""Registers of a unit and its requantizer, and the FIFO."""


def workload(shape: tuple[int, ...], *nodes: Node) -> NetworkWorkload:
    """What the model sees of `nodes` over an image of `shape`."""
    network = IntegerNetwork(shape, ActivationGrid(4, 1.0, 0), nodes)
    return describe(network, packed(network, "csr"))


def test_one_linear_layer() -> None:
    network = workload((7,), linear("fc", "input", (3, 7), Bits(), last=True))
    # the last of seven inputs at 7, a cycle through the FIFO of the next vector; the first pass
    # took them as they came, two more take 14. Two registers, no requantizer, a FIFO
    assert latency_cycles(network, {"fc": Pace(1, 1, 21, 1)}) == 7 + 1 + 14 + 2 + 1


def test_a_1x1_pipeline_overlaps() -> None:
    network = workload(
        (1, 2, 2), conv("a", "input", (3, 1, 1, 1), Bits()), conv("b", "a", (1, 3, 1, 1), Bits())
    )
    # a: input at 1, a pixel every 3 cycles: 3 6 9 12, and behind it 8 11 14 17. b has read two
    # channels of a pixel when the third comes
    paces = {"a": Pace(1, 1, 3, 1), "b": Pace(1, 1, 3, 1)}
    assert latency_cycles(network, paces) == 17 + BEHIND


def test_channels_that_come_at_once_are_narrowed_first() -> None:
    network = workload(
        (1, 2, 2), conv("a", "input", (3, 1, 1, 1), Bits()), conv("b", "a", (1, 3, 1, 1), Bits())
    )
    # a: pixels at 1 2 3 4, behind it 6 7 8 9. b: a register of the converter, then three cycles
    # each from 7 on: 9 12 15 18
    paces = {"a": Pace(1, 3, 1, 1), "b": Pace(1, 1, 3, 1)}
    assert latency_cycles(network, paces) == 18 + BEHIND


def test_a_window_is_waited_for() -> None:
    network = workload((1, 4, 4), conv("a", "input", (1, 1, 3, 3), Bits()))
    # the first window needs the eleventh pixel, two cycles to its first word of three; the four
    # windows then take three cycles each, as all have come by then
    assert latency_cycles(network, {"a": Pace(1, 1, 3, 3)}) == 11 + 2 + 4 * 3 - 1 + BEHIND


def test_lanes_copy_a_window_then_compute_then_hand_on() -> None:
    network = workload((1, 3, 3), conv("a", "input", (2, 1, 3, 3), Bits()))
    # nine pixels, two cycles to the window, its nine codes; 12 words in the lanes; six cycles later
    # the first of two rows, requantized
    pace = Pace(1, 1, 12, skips=True)
    assert latency_cycles(network, {"a": pace}) == 9 + 2 + 8 + 12 + 6 + 1 + 3


@pytest.mark.parametrize(
    ("lanes", "cycles"),
    [
        # the last of 4 x 4 pixels at 16, of two channels at 32; a register, a FIFO of the bursts
        (2, 16 + 1 + 1),
        (1, 32 + 1 + 1),
    ],
)
def test_a_pool_takes_its_pixels(lanes: int, cycles: int) -> None:
    network = workload(
        (2, 4, 4), MaxPool("pool", "input", (2, 2), (2, 2)), conv("a", "pool", (1, 2, 1, 1), Bits())
    )
    paces = {"pool": Pace(lanes, lanes), "a": Pace(lanes, 1, 1, 2)}
    widened = int(lanes == 1)
    assert latency_cycles(network, paces) == cycles + widened + BEHIND


@pytest.mark.parametrize(("lanes", "words"), [(2, 1), (1, 9 * 2)])
def test_lanes_for_all_channels_take_whole_windows(lanes: int, words: int) -> None:
    pool = AveragePool("pool", "input", (3, 3), (2, 2), (1, 1), requantizer(Bits()))
    network = workload((2, 3, 3), pool, conv("a", "pool", (1, 2, 1, 1), Bits()))
    # two cycles to a window, a register, two of the mean's requantizer and a FIFO behind it
    paces = {"pool": Pace(lanes, lanes), "a": Pace(2, 1, 1, 2)}
    if lanes == 2:
        assert latency_cycles(network, paces) == 9 + 2 + 1 + 2 + 1 + BEHIND
    else:
        # the first window needs pixel (1, 1), the fifth: ten words, two cycles; four windows
        assert latency_cycles(network, paces) == 10 + 2 + 4 * words - 1 + 1 + 2 + 1 + 1 + BEHIND


def test_latency_of_a_join() -> None:
    network = workload(
        (1, 2, 2), conv("a", "input", (1, 1, 1, 1), Bits()), add("sum", ("input", "a"), Bits())
    )
    # a: 3 6 9 12, behind it 8 11 14 17; the sum takes a pixel a cycle later, its own register, and
    # two of the multiplier
    paces = {"a": Pace(1, 1, 3, 1), "sum": Pace(1, 1)}
    assert latency_cycles(network, paces) == 17 + 1 + 1 + 2


def test_upsampled_pixels_come_one_by_one() -> None:
    network = workload(
        (1, 1, 2), Upsample("up", "input", (1, 2)), conv("a", "up", (1, 1, 1, 1), Bits())
    )
    # input at 1 2; copies ready at 1 1 2 2, written at 2 3 4 5
    assert latency_cycles(network, {"up": Pace(1, 1), "a": Pace(1, 1, 1, 1)}) == 5 + BEHIND


def test_latency_is_below_the_sum_and_above_the_slowest() -> None:
    network = chain(4, 4, 8, Bits())
    workloads = describe(network, packed(network))
    paces = {layer.name: Pace(1, 1, 36 * 4, 1) for layer in workloads.layers}
    assert 144 * 64 < latency_cycles(workloads, paces) < 4 * 144 * 64
