"""Hard-wired layers: digits of constants, a small layer by hand, and pruning in proportion."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.errors import InputError
from dse.fpga import CannotBuild, describe, estimate, load_device
from dse.fpga.arithmetic import dot_lut, requantizer_lut
from dse.fpga.hardwired import LUT_PER_ADDITION, LUT_PER_BIT, csd_digits, dot_luts
from dse.fpga.memory import fifo_luts
from dse.integer import ActivationGrid, IntegerNetwork, IntegerWeights, Layer, Requantizer
from tests.fpga.cnv import golden
from tests.fpga.networks import Bits, conv, lenet5, packed

DEVICE = load_device("alveo-u250")


def _digits(weight: int) -> int:
    """Non-zero digits of the non-adjacent form, digit by digit."""
    count = 0
    while weight:
        if weight % 2:
            weight -= 2 - weight % 4
            count += 1
        weight //= 2
    return count


@given(st.integers(-(1 << 16), 1 << 16))
def test_digits_are_those_of_the_non_adjacent_form(weight: int) -> None:
    assert csd_digits(np.array([weight]))[0] == _digits(weight)


def test_digits_by_hand() -> None:
    # 7 = 8 - 1, 11 = 8 + 4 - 1, 15 = 16 - 1, -6 = -8 + 2
    assert csd_digits(np.array([0, 1, 7, 11, 15, -6, 64])).tolist() == [0, 1, 2, 3, 2, 2, 1]


def test_a_small_layer_by_hand() -> None:
    values = np.array([[7, 0, 1], [0, 0, -6]], dtype=np.int32)
    weights = IntegerWeights(values, 4, 8, np.ones(1))
    scale = Requantizer(
        np.array([0b101 << 12]), np.array([20]), ActivationGrid(4, 1.0, 0), low=0, high=15
    )
    layer = Layer("fc", "input", weights, np.zeros(2, dtype=np.int64), scale)
    network = IntegerNetwork((3,), ActivationGrid(4, 1.0, 0), (layer,))
    workload = describe(network, packed(network))
    report = estimate(workload, DEVICE, template="hardwired", target_fps=1e6)
    (cost,) = report.layers
    sums = workload.layers[0].accumulator_bits
    # rows of 3 and 2 digits; each adds its bias; 2 constant multipliers of 2 digits; 8 bits written
    dots = float(dot_luts(np.array([3, 2]), 4).sum())
    scales = 2 * float(dot_luts(np.array([2]), sums)[0])
    fifo = int(fifo_luts(np.array([8]), 32)[0])
    plain = dots + 2 * sums + fifo + 2 * requantizer_lut(4)
    assert cost.lut in (np.ceil(plain), np.ceil(plain + scales))
    assert cost.dsp == (2 if cost.lut == np.ceil(plain) else 0)
    # a register per adder, 3 inputs of 4 bits and what is written
    assert cost.ff == np.ceil(dots + 2 * sums + 8 + 12)
    assert (cost.compute, cost.weight_memory, cost.cycles) == ("constant", "none", 1)
    assert (cost.pe, cost.simd) == (2, 3)


def test_pruning_saves_luts_in_proportion() -> None:
    luts = {}
    for density in (1.0, 0.5, 0.25):
        network = lenet5(Bits(4, 4, density))
        report = estimate(describe(network, packed(network)), DEVICE, template="hardwired")
        luts[density] = sum(layer.lut for layer in report.layers)
    assert luts[0.5] / luts[1.0] == pytest.approx(0.5, abs=0.04)
    assert luts[0.25] / luts[1.0] == pytest.approx(0.25, abs=0.04)


def test_the_published_errors_hold_with_each_case_left_out() -> None:
    rows = [row for row in golden("constant_dot") if int(row["lut"]) > 40]
    table = np.array(
        [[int(row["digits"]) - 2, int(row["code_bits"]), int(row["lut"])] for row in rows]
    )
    scaled = np.stack([table[:, 0] * table[:, 1], table[:, 0]], axis=1) / table[:, 2:]
    fitted = np.linalg.lstsq(scaled, np.ones(len(rows)), rcond=None)[0]
    assert fitted == pytest.approx([LUT_PER_BIT, LUT_PER_ADDITION], abs=0.01)
    errors = []
    for index in range(len(rows)):
        rest = np.delete(scaled, index, axis=0)
        found = np.linalg.lstsq(rest, np.ones(len(rest)), rcond=None)[0]
        errors.append(abs(float(scaled[index] @ found) - 1))
    assert len(errors) == 30
    assert np.median(errors) <= 0.065
    assert max(errors) <= 0.28


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_a_constant_dot_product_is_about_half_of_a_general_one(bits: int) -> None:
    rng = np.random.default_rng(bits)
    weights = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (200, 16))
    constant = float(dot_luts(csd_digits(weights).sum(axis=1), bits).mean())
    assert 0.3 <= constant / dot_lut(16, bits, bits) <= 0.6


def test_a_pixel_per_cycle() -> None:
    network = lenet5(Bits(2, 2, 0.1))
    report = estimate(describe(network, packed(network)), DEVICE, template="hardwired")
    assert [layer.cycles for layer in report.layers] == [784, 196, 25, 1, 1]
    assert report.template == "hardwired"
    # 28 x 28 pixels in, and a few cycles per layer until the last is out
    assert 784 <= report.latency_cycles <= 1000


def test_line_buffers_hold_rows_of_all_channels() -> None:
    network = IntegerNetwork(
        (4, 100, 100), ActivationGrid(4, 1.0, 0), (conv("a", "input", (2, 4, 3, 3), Bits()),)
    )
    report = estimate(describe(network, packed(network)), DEVICE, template="hardwired")
    # two rows of 100 words of 16 bits: 1,600 bits each, a block RAM each
    assert report.layers[0].bram18 == 2


def test_what_cannot_be_is_said() -> None:
    network = lenet5(Bits(2, 2, 0.1))
    workload = describe(network, packed(network))
    with pytest.raises(InputError, match="constant weights do not fold"):
        estimate(workload, DEVICE, template="hardwired", folding={"conv1": (1, 1)})
    layers = {layer.name: dataclasses.replace(layer, values=None) for layer in workload.layers}
    nodes = tuple(layers.get(node.name, node) for node in workload.nodes)
    with pytest.raises(CannotBuild, match="conv1: only counts of its weights are known"):
        estimate(dataclasses.replace(workload, nodes=nodes), DEVICE, template="hardwired")
