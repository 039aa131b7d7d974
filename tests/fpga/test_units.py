"""Layers as their Verilog has them: the unit without what surrounds it, and its integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dse.fpga import LayerWorkload, describe
from dse.fpga.specimens import Matrix, dense_unit, sparse_unit
from dse.fpga.truth import errors
from dse.fpga.units import matrix_vector, parts_of, unit_parts
from tests.fpga.cnv import golden
from tests.fpga.lenet5_units import (
    CONFIGURATIONS,
    FOLDING,
    LANES,
    layer_matrix,
    lenet5_with_biases,
)
from tests.fpga.networks import Bits, packed

PRUNED = Bits(3, 6, density=0.2)


def _layers(bits: Bits, form: str = "dense") -> dict[str, LayerWorkload]:
    network = lenet5_with_biases(bits)
    return {layer.name: layer for layer in describe(network, packed(network, form)).layers}


def test_a_unit_has_neither_window_nor_requantizer() -> None:
    layers = _layers(Bits(4, 4))
    alone = matrix_vector(layers["conv2"])
    assert (alone.columns, alone.macs) == (150, 16 * 150)
    # a matrix of the same shape is the same unit, whether it slides over an image or not
    linear = replace(
        layers["fc1"],
        name="conv2",
        out_channels=16,
        in_channels=150,
        row_nonzeros=alone.row_nonzeros,
        accumulator_bits=alone.accumulator_bits,
        multipliers=0,
    )
    assert parts_of(alone, (4, 15), False, 14) == parts_of(linear, (4, 15), False, 14)


def test_what_has_no_verilog_is_refused() -> None:
    grouped = replace(_layers(Bits(4, 4))["conv2"], groups=2)
    with pytest.raises(ValueError, match="conv2: a unit of 2 groups has no Verilog"):
        matrix_vector(grouped)
    with pytest.raises(ValueError, match="2 biases for weights"):
        Matrix(np.zeros((3, 4), dtype=np.int64), np.zeros(2, dtype=np.int64), 4, 4, 12)


def test_a_layer_is_estimated_as_a_line_of_the_table_is() -> None:
    layer = matrix_vector(_layers(Bits(4, 4))["fc1"])
    row = {
        "kind": "dense",
        "rows": "84",
        "columns": "120",
        "pe": "6",
        "simd": "8",
        "weight_bits": "4",
        "activation_bits": "4",
        "density": "1.0",
        "acc_bits": str(layer.accumulator_bits),
        "bias_bits": "4",
    }
    assert parts_of(layer, (6, 8), False, 4) == unit_parts(row)


def test_block_rams_of_a_dense_and_of_a_sparse_unit() -> None:
    # fc1, 84 x 120 at 3 bits: 6 PEs of 14 x 15 words of 24 bits, a block each (512 x 36)
    dense = parts_of(matrix_vector(_layers(PRUNED)["fc1"]), FOLDING["fc1"], False, 13)
    assert dense.bram18 == 6
    # 2 lanes of about 1,000 words of 3 + 7 bits, and of 2 x 120 inputs of 6 bits: two blocks each
    sparse = parts_of(matrix_vector(_layers(PRUNED, "csr")["fc1"]), (LANES["fc1"], 1), True, 13)
    assert sparse.bram18 == 4


def test_layers_of_lenet5_are_predicted_that_no_constant_was_fitted_to() -> None:
    found: dict[str, list[tuple[float, int]]] = {}
    for row in golden("lenet5_units"):
        width, skips = int(row["weight_bits"]), row["kind"] == "sparse"
        bits = next(one for one in CONFIGURATIONS if one.weights == width)
        layer = _layers(bits, "csr" if skips else "dense")[row["layer"]]
        folding = (LANES[layer.name], 1) if skips else FOLDING[layer.name]
        parts = parts_of(matrix_vector(layer), folding, skips, layer.accumulator_bits)
        for name, value in (("lut", parts.lut(1.0)), ("ff", parts.ff), ("bram18", parts.bram18)):
            found.setdefault(f"{row['kind']} {name}", []).append((value, int(row[name])))
    assert {name: len(pairs) for name, pairs in found.items()}["dense lut"] == 15
    worst = {name: errors(pairs).worst for name, pairs in found.items()}
    assert worst["dense bram18"] == 0
    assert worst["dense lut"] <= 0.21
    assert worst["dense ff"] <= 0.14
    assert worst["sparse ff"] <= 0.15
    assert errors(found["sparse lut"]).median <= 0.09
    assert worst["sparse lut"] <= 0.33  # conv3, of whose memory yosys builds a part in LUTs


def test_units_of_a_layer_have_its_widths_and_memories() -> None:
    network = lenet5_with_biases(PRUNED)
    layer = network.layers[0]
    matrix = layer_matrix(network, layer)
    assert (matrix.weights.shape, matrix.weight_bits, matrix.activation_bits) == ((6, 25), 3, 6)
    assert np.array_equal(matrix.bias, layer.bias)  # codes have no zero point
    assert matrix.bias.any()
    dense = dense_unit("conv1", matrix, FOLDING["conv1"])
    assert set(dense.files) == {f"conv1_{i}.mem" for i in ("000", "001", "002", "bias")}
    assert (dense.inputs["in_data"], dense.outputs["out_data"]) == (5 * 6, 3 * matrix.acc_bits)
    # 2 passes x 5 steps of 5 weights of 3 bits are small: yosys may put them into LUTs
    assert dense.parameters["WEIGHT_STYLE"] == "auto"
    lanes = sparse_unit("conv1", matrix, 1)
    assert lanes.parameters["DEPTH"] == np.count_nonzero(matrix.weights)
    assert set(lanes.files) == {"conv1_000.mem", "conv1_000_rows.mem"}
