"""Lanes: dealing rows, and decoders by storage format."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.fpga import describe
from dse.fpga.sparse import (
    can_skip_zeros,
    decoder_cost,
    divisors,
    entry_bits,
    lane_format,
    lane_words,
)
from tests.fpga.networks import Bits, lenet5, packed

SIMD = np.array([1, 2, 4])
rows = st.lists(st.integers(0, 60), min_size=1, max_size=24)


def test_rows_are_dealt_there_and_back() -> None:
    # sorted 9 7 4 1; two lanes hold 9 + 1 and 7 + 4, four lanes one row each;
    # simd 2 takes ceil(n / 2)
    words = lane_words(np.array([1, 9, 4, 7]), np.array([1, 2]))
    assert words.tolist() == [[21, 11, 9], [12, 6, 5]]


def test_an_empty_row_takes_a_cycle() -> None:
    assert lane_words(np.zeros(6, dtype=np.int64), np.array([1])).tolist() == [[6, 3, 2, 1]]


@given(rows)
def test_busiest_lane_is_bounded(nonzeros: list[int]) -> None:
    counts = np.array(nonzeros)
    words = lane_words(counts, SIMD)
    for column, lanes in enumerate(divisors(len(counts))):
        for line, simd in enumerate(SIMD):
            cycles = np.maximum(1, -(-counts // simd))
            mean = cycles.sum() / lanes
            assert mean <= words[line, column] <= mean + cycles.max()


@given(rows, st.data())
def test_more_nonzeros_never_take_fewer_cycles(nonzeros: list[int], data: st.DataObject) -> None:
    extra = data.draw(st.lists(st.integers(0, 9), min_size=len(nonzeros), max_size=len(nonzeros)))
    before, after = np.array(nonzeros), np.array(nonzeros) + np.array(extra)
    assert (lane_words(after, SIMD) >= lane_words(before, SIMD)).all()


@pytest.mark.parametrize("form", ["csr", "bitmap"])
def test_entry_bits_share_the_whole_packed_layer(form: str) -> None:
    network = lenet5(Bits(4, 4, 0.1))
    for workload in describe(network, packed(network, form)).layers:
        assert can_skip_zeros(workload)
        # the ends of the rows of CSR lie with the biases
        ends = (workload.out_channels + 1) * workload.nonzeros.bit_length() * (form == "csr")
        spare = entry_bits(workload) * workload.nonzeros - (workload.packed_bits - ends)
        assert 0 <= spare < workload.nonzeros
        assert (min(decoder_cost(workload)) > 0) == (form == "bitmap")  # CSR stores the columns


def test_lanes_read_the_smallest_format_they_can_whatever_is_stored() -> None:
    network = lenet5(Bits(4, 4, 0.1))
    csr, bitmap = packed(network, "csr"), packed(network, "bitmap")
    stored = {name: ("rice", bits // 2) for name, (_, bits) in csr.items()}
    sizes = {n: {"csr": csr[n][1], "bitmap": bitmap[n][1], "dense": 1} for n in csr}
    for workload in describe(network, stored, sizes).layers:
        name = workload.name
        smaller = min(("csr", csr[name][1]), ("bitmap", bitmap[name][1]), key=lambda pair: pair[1])
        assert can_skip_zeros(workload)
        assert lane_format(workload) == smaller
        indexed = workload.weight_bits + (workload.columns - 1).bit_length()
        shared = -(-smaller[1] // workload.nonzeros)
        assert entry_bits(workload) == (indexed if smaller[0] == "csr" else shared)
        assert workload.packed_bits == stored[name][1]
    assert not any(can_skip_zeros(one) for one in describe(network, stored).layers)


def test_dense_storage_cannot_skip_zeros() -> None:
    network = lenet5(Bits(4, 4, 0.1))
    workloads = describe(network, packed(network)).layers
    assert not any(can_skip_zeros(workload) for workload in workloads)


def test_lane_cycles_of_a_quarter_density() -> None:
    # measured: 80 cycles sparse, 288 dense
    rng = np.random.default_rng(0)
    nonzeros = (rng.random((16, 144)) < 0.25).sum(1)
    words = lane_words(nonzeros, np.array([1]))[0, divisors(16).index(8)]
    assert 65 <= words <= 90
