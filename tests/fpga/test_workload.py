"""Workloads: what is read from an integer network."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml

from dse.errors import InputError
from dse.fpga import describe
from dse.fpga.options import fork_resources
from dse.integer import ActivationGrid, IntegerNetwork, IntegerWeights, Layer, MaxPool
from dse.integer.reference import evaluate
from tests.fpga.networks import Bits, conv, lenet5, linear, packed

LENET = yaml.safe_load((Path(__file__).parent / "golden" / "lenet5.yml").read_text())


def test_lenet5_macs_and_weights() -> None:
    network = lenet5(Bits())
    workloads = describe(network, packed(network)).layers
    assert {w.name: w.macs for w in workloads} == LENET["macs"]
    assert sum(w.macs for w in workloads) == 416_520
    assert {w.name: w.weights for w in workloads} == LENET["weights"]


def test_lenet5_codes_and_pools() -> None:
    network = lenet5(Bits(weights=3, activations=5))
    workloads = describe(network, packed(network)).layers
    assert [w.activation_bits for w in workloads] == [5] * 5
    assert [w.output_bits for w in workloads[:4]] == [5] * 4
    last = workloads[-1]
    assert last.output_bits == last.accumulator_bits == network.bounds["fc2"].bits
    assert (last.multipliers, last.shifts) == (0, 0)


def test_pools_are_nodes_of_their_own_and_reshapes_dissolve() -> None:
    network = lenet5(Bits(weights=3, activations=5))
    workload = describe(network, packed(network))
    names = ["conv1", "pool1", "conv2", "pool2", "conv3", "fc1", "fc2"]
    assert [node.name for node in workload.nodes] == names
    pool, fc1 = workload.streams[0], workload.layers[3]
    assert (pool.kind, pool.channels, pool.bits) == ("max_pool", 6, 5)
    assert pool.window.output_size == (14, 14)
    assert fc1.source == "conv3"
    # 784 codes of 5 bits are 490 bytes
    assert workload.boundary_bytes == 490 + -(-10 * network.bounds["fc2"].bits // 8)


def test_accumulators_hold_what_the_reference_computes() -> None:
    network = lenet5(Bits(2, 2, 0.5))
    workloads = describe(network, packed(network)).layers
    tensors = evaluate(network, np.random.default_rng(0).integers(0, 4, (2, 1, 28, 28)))
    for workload in workloads:
        sums = tensors[f"{workload.name}.accumulators"]
        limit = 1 << (workload.accumulator_bits - 1)
        assert -limit <= sums.min()
        assert sums.max() < limit


def test_row_nonzeros_are_counted_in_the_integer_weights() -> None:
    network = lenet5(Bits(density=0.3))
    workloads = describe(network, packed(network)).layers
    for workload, layer in zip(workloads, network.layers, strict=True):
        values = layer.weights.values.reshape(layer.rows, -1)
        assert workload.row_nonzeros.tolist() == (values != 0).sum(1).tolist()
        assert workload.nonzeros == layer.weights.nonzeros


@pytest.mark.parametrize(
    ("values", "bits", "zero", "mid_rise", "expected"),
    [
        ([-1, 1], 1, 0, True, (1, 1, 1)),  # binary: XNOR
        ([-1, 0], 1, 0, True, (2, 2, 1)),  # a hole needs a second bit, unless zeros are skipped
        ([-3, 3], 2, 0, True, (2, 3, 3)),  # odd integers of b + 1 bits
        ([-3, 0], 2, 0, True, (3, 3, 3)),
        ([-8, 7], 4, 8, False, (4, 4, 4)),
        ([-7, 8], 4, 7, False, (4, 5, 5)),  # 8 does not fit 4 signed bits
        ([0, 1], 1, 0, False, (1, 2, 2)),  # affine 1 bit is {0, 1}, not +-1
        ([0, 15], 4, 0, False, (4, 5, 5)),
    ],
)
def test_operand_widths(
    values: list[int], bits: int, zero: int, mid_rise: bool, expected: tuple[int, int, int]
) -> None:
    weights = IntegerWeights(np.array([values], dtype=np.int32), bits, zero, np.ones(1), mid_rise)
    layer = Layer("fc", "input", weights, np.zeros(1, dtype=np.int64), None)
    network = IntegerNetwork((2,), ActivationGrid(4, 1.0, 0), (layer,))
    (workload,) = describe(network, packed(network)).layers
    widths = (workload.dense_bits, workload.operand_bits, workload.sparse_operand_bits)
    assert widths == expected


def test_a_fork_is_read_twice_and_a_copy_costs_a_register_per_bit() -> None:
    bits = Bits()
    nodes = (
        conv("a", "input", (2, 2, 1, 1), bits),
        conv("b", "a", (2, 2, 1, 1), bits),
        conv("c", "a", (2, 2, 1, 1), bits),
    )
    network = IntegerNetwork((2, 4, 4), ActivationGrid(4, 1.0, 0), nodes)
    workload = describe(network, packed(network))
    assert workload.readers == {"input": 1, "a": 2, "b": 0, "c": 1}
    forks = fork_resources(workload, np.array([0, 1, 2]), np.array([2, 1, 1]))
    # a writes 2 lanes of 4 bits to one more reader: 8 LUTs and 8 FFs; the others to none
    assert forks[:, 0].tolist() == forks[:, 1].tolist() == [8, 0, 0]


def test_a_missing_layer_is_named() -> None:
    network = lenet5(Bits())
    sizes = packed(network)
    del sizes["fc1"]
    with pytest.raises(InputError, match="no packed size for layer 'fc1'"):
        describe(network, sizes)


def test_a_pool_on_the_input_is_kept() -> None:
    pool = MaxPool("first", "input", (2, 2), (2, 2))
    nodes = (pool, conv("a", "first", (2, 1, 3, 3), Bits()))
    network = IntegerNetwork((1, 8, 8), ActivationGrid(4, 1.0, 0), nodes)
    workload = describe(network, packed(network))
    assert [(s.name, s.sources) for s in workload.streams] == [("first", ("input",))]
    assert workload.layers[0].window.input_size == (4, 4)


def test_pooled_accumulators_are_as_wide_as_they_are() -> None:
    bare = dataclasses.replace(conv("a", "input", (2, 1, 1, 1), Bits()), requantizer=None)
    nodes = (bare, MaxPool("pool", "a", (2, 2), (2, 2)))
    network = IntegerNetwork((1, 4, 4), ActivationGrid(4, 1.0, 0), nodes)
    (pool,) = describe(network, packed(network)).streams
    assert pool.bits == pool.source_bits[0] == network.bounds["a"].bits


def test_a_network_without_layers_is_refused() -> None:
    pool = MaxPool("pool", "input", (2, 2), (2, 2))
    with pytest.raises(InputError, match="no layer with weights"):
        describe(IntegerNetwork((1, 4, 4), ActivationGrid(4, 1.0, 0), (pool,)), {})


def test_a_linear_layer_is_one_pixel() -> None:
    network = IntegerNetwork(
        (7,), ActivationGrid(4, 1.0, 0), (linear("fc", "input", (3, 7), Bits(), last=True),)
    )
    (workload,) = describe(network, packed(network)).layers
    assert workload.linear
    assert (workload.macs, workload.window.output_pixels, workload.columns) == (21, 1, 7)
