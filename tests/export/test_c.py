"""The generated C: names, types, text; and as C++ with exact widths, as HLS reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dse.export import c, check
from dse.export._c_text import SUFFIXES, CType, array, comment, identifiers
from dse.integer import (
    LINEAR,
    ActivationGrid,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    MaxPool,
    Requantizer,
)
from tests.export.deployments import deployment_of, lively

AP_INT = """// ap_int for tests: int64 that must never leave its width when it is stored.
#pragma once
#include <cstdint>
#include <cstdlib>
template <int W, bool S> struct ap_number {
    int64_t v = 0;
    ap_number() = default;
    constexpr ap_number(int64_t x) : v(x) {
        if (S ? (x < -(INT64_C(1) << (W - 1)) || x >= INT64_C(1) << (W - 1))
              : (x < 0 || x >= INT64_C(1) << W)) abort();
    }
    constexpr operator int64_t() const { return v; }
    ap_number &operator+=(int64_t x) { return *this = ap_number(v + x); }
};
template <int W> using ap_int = ap_number<W, true>;
template <int W> using ap_uint = ap_number<W, false>;
"""


def test_names_become_distinct_identifiers() -> None:
    names = ["block.0", "block_0", "int", "1st", "a", "a_bias", "model_run", "output", "é", "A"]
    found = identifiers(names)
    assert [found[name] for name in ("block.0", "block_0", "int", "1st", "a", "A")] == [
        *("block_0", "block_0_2", "n_int", "n_1st", "a", "A")
    ]
    everything = [found[name] + suffix for name in names for suffix in SUFFIXES]
    assert len(everything) == len(set(everything))
    assert all(re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) for name in found.values())


@pytest.mark.parametrize(
    ("low", "high", "standard", "exact"),
    [
        (0, 0, "uint8_t", "ap_uint<1>"),
        (0, 256, "uint16_t", "ap_uint<9>"),
        (-1, 0, "int8_t", "ap_int<1>"),
        (-128, 127, "int8_t", "ap_int<8>"),
        (-129, 0, "int16_t", "ap_int<9>"),
        (-1, 1 << 31, "int64_t", "ap_int<33>"),
    ],
)
def test_types_hold_their_range_exactly(low: int, high: int, standard: str, exact: str) -> None:
    kind = CType("t", low, high)
    assert (kind.standard, kind.exact) == (standard, exact)


def test_arrays() -> None:
    assert array("int8_t", "a", np.array([1, -2])) == "static const int8_t a[2] = {1, -2};"
    assert array("int8_t", "a", np.array([], dtype=np.int64)) == "static const int8_t a[1] = {0};"
    assert "INT64_C(4294967296)" in array("int64_t", "a", np.array([1 << 32]))
    assert all(len(line) <= 96 for line in array("t", "a", np.arange(500)).splitlines())


def test_a_comment_cannot_end_early() -> None:
    assert comment("a */ b /* c\nd é") == "a * / b / * c d ?"


def test_hostile_names_still_compile(tmp_path: Path) -> None:
    weights = IntegerWeights(np.array([[1, -1]], dtype=np.int32), 2, 1, np.array([1.0]))
    name = 'é */ "x\\'
    layer = Layer(name, "input", weights, np.array([0]), None)
    network = IntegerNetwork((2,), ActivationGrid(4, 1.0, 0), (layer,))
    c.write(deployment_of(network), tmp_path)
    done = subprocess.run(["make", "-C", tmp_path / "c", "test"], capture_output=True, text=True)
    assert (done.returncode, "10 images, 0 mismatches" in done.stdout) == (0, True), done.stderr


def test_padding_code_is_only_where_there_is_padding(tmp_path: Path) -> None:
    c.write(deployment_of(lively(0, 4)), tmp_path)
    text = (tmp_path / "c/model.c").read_text()
    assert text.count("continue;") == 3  # conv1, pool and conv2 are padded
    assert "malloc" not in text
    assert max(len(line) for line in text.splitlines()) <= 140


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
@pytest.mark.parametrize(("bits", "mid_rise"), [(1, True), (4, False), (13, False)])
def test_exact_widths_never_overflow_in_cpp(bits: int, mid_rise: bool, tmp_path: Path) -> None:
    deployment = deployment_of(lively(5, bits, mid_rise), images=10)
    c.write(deployment, tmp_path)
    (tmp_path / "c/ap_int.h").write_text(AP_INT)
    compiled = ["g++", "-x", "c++", "-std=c++14", "-DMODEL_AP_INT", "-I.", "-o", "t"]
    for command in ([*compiled, "test.c", "model.c"], ["./t", "vectors.bin"]):
        done = subprocess.run(command, cwd=tmp_path / "c", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "10 images, 0 mismatches\n"


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(
    ("shape", "kernel"), [((2, 1, 7), (1, 3)), ((1, 7, 1), (3, 1)), ((1, 1, 1), (1, 1))]
)
def test_images_one_pixel_wide_compile_without_a_warning(
    shape: tuple[int, int, int], kernel: tuple[int, int], padding: int, tmp_path: Path
) -> None:
    # found by hypothesis: an index that a size of 1 makes useless was an unused variable to gcc
    rng = np.random.default_rng(0)
    values = rng.integers(-1, 2, (3, shape[0], *kernel)).astype(np.int32)
    weights = IntegerWeights(values, 2, 1, np.array([1.0]))
    grid = ActivationGrid(3, 1.0, 1)
    geometry = ConvGeometry(padding=(padding, 0))
    requantizer = Requantizer(np.array([20000]), np.array([14]), grid, *LINEAR.codes(grid))
    bias = np.zeros(3, dtype=np.int64)
    layer = Layer("conv", "input", weights, bias, requantizer, geometry)
    pool = MaxPool("pool", "conv", (1, 1), (1, 1))
    deployment = deployment_of(IntegerNetwork(shape, grid, (layer, pool)))
    c.write(deployment, tmp_path)
    found = check("c", deployment, tmp_path)
    assert (found.status, found.first_difference) == ("passed", "")
