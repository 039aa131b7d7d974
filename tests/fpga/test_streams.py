"""Streams: what pools, adds, concats and upsamplings cost, by hand and in random graphs."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings

from dse.errors import InputError
from dse.fpga import StreamWorkload, Window, describe, estimate, load_device
from dse.fpga.arithmetic import WINDOW_CONTROL_LUT
from dse.fpga.pool import CONTROL_LUT
from dse.fpga.schedule import fifo_pixels
from dse.fpga.streams import QUEUE_LUT, stream_options
from dse.fpga.unit import CONVERTER, FIFO_LUT
from dse.fpga.workload import StreamKind
from dse.integer import ActivationGrid, Concat, IntegerNetwork
from tests.fpga.networks import Bits, conv, packed, residual
from tests.integer.graphs import graphs

DEVICE = dataclasses.replace(load_device("xc7z020"), shell=None)
LUT, FF, DSP, BRAM, LUTRAM = 0, 1, 2, 3, 5
REQUANTIZER = 4 + 3
"""LUTs of a requantizer to 4 bits."""


def _stream(kind: StreamKind, sources: int = 1, **changes: object) -> StreamWorkload:
    """A node over 4 channels of 4 bits and 8 x 8 pixels."""
    names = tuple(f"s{index}" for index in range(sources))
    window = Window.pixelwise((8, 8))
    node = StreamWorkload("node", kind, names, 4, 4, (4,) * sources, (4,) * sources, window)
    return dataclasses.replace(node, **changes)  # type: ignore[arg-type]


def _one_lane(node: StreamWorkload, fifo: tuple[int, ...] = ()) -> np.ndarray:
    options = stream_options(node, fifo, 0, DEVICE)
    assert options.lanes[-1] == 1
    return options.resources[-1]


def test_lanes_are_the_least_of_every_quotient() -> None:
    options = stream_options(
        _stream("add", 2, channels=10, source_channels=(10, 10)), (), 0, DEVICE
    )
    assert options.lanes.tolist() == [10, 5, 4, 3, 2, 1]
    assert options.cycles.tolist() == [64 * passes for passes in (1, 2, 3, 4, 5, 10)]
    # 63 cycles cannot be met, 64..127 need all lanes, 200 allows 4, anything slow takes one
    assert options.slowest(np.array([63, 64, 127, 200, 9999])).tolist() == [0, 0, 0, 2, 5]


def test_an_add_by_hand() -> None:
    node = _stream("add", 2, accumulator_bits=22, rescaled=2)
    needs = _one_lane(node)
    # a DSP per source (4 x 16 bits); one 22-bit adder, the requantizer's shift and clamp, and a
    # register of 4 bits behind
    assert needs[DSP] == 2
    assert needs[LUT] == 22 + REQUANTIZER + 4
    assert needs[FF] == 22 + 4
    # FIFOs: 27 pixels of 4 channels of 4 bits are 108 words, in LUTs: 2 x 2 RAM64M of 4 LUTs, three
    # counters of 7 bits, a flag, the word read; 1 pixel is 4 words: a shift register per bit and a
    # counter of 3 bits
    waits = _one_lane(node, (27, 1))
    assert waits[LUT] - needs[LUT] == math.ceil(16 + 7 * QUEUE_LUT + 4 + 3 * FIFO_LUT)
    assert waits[FF] - needs[FF] == 3 * 7 + 1 + 4 + 3
    assert waits[LUTRAM] == 20


def test_a_deep_fifo_takes_block_ram() -> None:
    node = _stream("add", 2, channels=64, source_channels=(64, 64), accumulator_bits=22)
    # 400 pixels of 64 words of 4 bits are 25,600 x 4: 7 of 4K x 4 (or 25 of 16K x 1 ... more)
    assert _one_lane(node, (400, 1))[BRAM] == 7


def test_a_concat_is_a_multiplexer_unless_it_rescales() -> None:
    node = _stream("concat", 3, channels=12)
    # three sources of 4 bits are one LUT per bit; a register of 4 bits behind
    assert _one_lane(node)[LUT] == 4 + 4
    assert _one_lane(node)[DSP] == 0
    rescaled = _one_lane(dataclasses.replace(node, rescaled=1))
    assert (rescaled[LUT], rescaled[DSP]) == (8 + REQUANTIZER, 1)


def test_a_global_average_keeps_a_sum_per_channel() -> None:
    window = Window((8, 8), (1, 1), (0, 0), (1, 1), (8, 8), (1, 1))
    node = _stream("average_pool", window=window, accumulator_bits=11, requantizes=True)
    needs = _one_lane(node)
    # four sums of 11 bits in LUTs: two RAM32M; adder 11; requantizer 7; four counters of 8 pixels
    # (4 bits each), one of 4 groups (3) and an address of 4 words (2)
    assert needs[LUT] == math.ceil(8 + 11 + REQUANTIZER + (4 * 4 + 3 + 2) * CONTROL_LUT)
    assert needs[FF] == 4 * 4 + 3 + 2 + 11 + 1
    assert needs[DSP] == 1
    # the stride of a single window does not matter
    strided = dataclasses.replace(node, window=dataclasses.replace(window, stride=(8, 8)))
    assert _one_lane(strided)[LUT] == needs[LUT]


def test_an_upsampling_keeps_two_rows() -> None:
    node = _stream("upsample", window=Window.pixelwise((8, 8), (2, 2)))
    # 2 rows of 8 pixels of 4 channels: 64 words of 4 bits in LUTs, two RAM64M
    needs = _one_lane(node)
    assert needs[LUT] == 8 + WINDOW_CONTROL_LUT + 4
    # 256 pixels are written, 4 channels one by one
    assert stream_options(node, (), 0, DEVICE).cycles[-1] == 1024
    wide = _one_lane(_stream("upsample", window=Window.pixelwise((8, 8), (1, 2))))
    assert wide[LUT] < WINDOW_CONTROL_LUT, "copies along a row need one pixel"


def test_a_concat_reads_its_sources() -> None:
    bits = Bits()
    grid = ActivationGrid(4, 1.0, 0)
    nodes = (
        conv("a", "input", (2, 1, 1, 1), bits),
        conv("b", "input", (3, 1, 1, 1), bits),
        Concat.from_grids("both", ("a", "b"), [grid, ActivationGrid(4, 0.5, 0)], grid),
        conv("c", "both", (4, 5, 1, 1), bits),
    )
    network = IntegerNetwork((1, 4, 4), grid, nodes)
    (both,) = describe(network, packed(network)).streams
    assert (both.kind, both.channels, both.source_channels) == ("concat", 5, (2, 3))
    assert both.rescaled == 1


@given(graphs())
@settings(max_examples=40, deadline=None)
def test_every_graph_has_a_cost(network: IntegerNetwork) -> None:
    if not network.layers:
        with pytest.raises(InputError, match="no layer with weights"):
            describe(network, packed(network))
        return
    workload = describe(network, packed(network))
    report = estimate(workload, DEVICE)
    names = [node.name for node in workload.streams]
    assert [part.name for part in report.parts] == names
    slowest = max(one.cycles for one in (*report.layers, *report.parts))
    assert report.initiation_interval_cycles >= slowest
    assert report.latency_cycles > 0
    for part in report.parts:
        depths = fifo_pixels(workload).get(part.name, ())
        assert part.fifo_pixels == depths
        if len(depths) > 1:
            assert min(depths) == 1, "what a join waits for waits for nothing"
    assert report.packed_bits == sum(
        bits for name, (_, bits) in packed(network).items() if _owns(network, name)
    )


def _owns(network: IntegerNetwork, name: str) -> bool:
    return next(layer for layer in network.layers if layer.name == name).shares is None


def test_a_residual_network_folds_and_scales_with_the_device() -> None:
    network = residual(2, 8, 16, Bits())
    workload = describe(network, packed(network))
    rates = [
        estimate(workload, load_device(name)).fps for name in ("xc7z010", "xc7z020", "xc7z045")
    ]
    assert rates == sorted(rates)
    modest = estimate(workload, load_device("xc7z020"), target_fps=100)
    assert modest.fps >= 100
    sums = [part for part in modest.parts if part.kind == "add"]
    assert [part.lanes for part in sums] == [1, 1]
    assert all(part.fifo_pixels[0] > 2 * 16 and part.fifo_pixels[1] == 1 for part in sums)


def test_more_lanes_cost_more_logic() -> None:
    node = _stream("add", 2, channels=16, source_channels=(16, 16))
    luts = stream_options(node, (), 0, DEVICE).resources[:, LUT].tolist()
    assert luts == sorted(luts, reverse=True)
    # where there is one lane, no word is gathered from either source
    assert luts[0] == 16 * luts[-1] + 2 * CONVERTER
