"""Windows, pools, requantizers, width converters and FIFOs in Verilog against numpy and the integer
network's own definitions, on drawn shapes and widths, with and without stalls."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.fpga import sliding, stage
from dse.fpga.rtl_bench import Simulation, simulate, write_bench
from dse.fpga.rtl_network import Pipeline
from dse.fpga.stage import Stage, Words
from dse.fpga.workload import Window
from dse.integer import ActivationGrid, AveragePool, IntegerNetwork, MaxPool, Requantizer
from dse.integer.grid import IntArray
from dse.integer.reference import evaluate

pytestmark = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="iverilog is not installed"
)

drawn = settings(max_examples=12, deadline=None)
stalls = st.sampled_from([0, 35])


def run(stages: tuple[Stage, ...], fed: IntArray, expected: IntArray, stall: int = 0) -> Simulation:
    """Stages on images `fed` (N, C, y, x), whose results are `expected` in the stream's order."""
    with tempfile.TemporaryDirectory() as scratch:
        write_bench(Pipeline((("node", stages),), {}), (fed, expected), Path(scratch))
        return simulate(Path(scratch), stall)


def codes(shape: tuple[int, ...], bits: int) -> IntArray:
    """Random codes."""
    return np.random.default_rng([*shape, bits]).integers(0, 1 << bits, shape)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Windows over images of up to 7 x 7, of any stride and padding below the kernel."""
    axes = []
    for _ in range(2):
        size, kernel = draw(st.integers(1, 7)), draw(st.integers(1, 4))
        padding = draw(st.integers(0, kernel - 1))
        kernel = min(kernel, size + 2 * padding)
        padding = min(padding, kernel - 1)
        stride = draw(st.integers(1, 3))
        kernel = min(kernel, size + 2 * padding)
        axes.append((kernel, stride, padding, size, (size + 2 * padding - kernel) // stride + 1))
    kernels, strides, paddings, sizes, outs = zip(*axes, strict=True)
    return Window(kernels, strides, paddings, (1, 1), sizes, outs)


def columns_of(images: IntArray, window: Window, outside: int) -> IntArray:
    """(N, ky * kx * C, y, x): pixels of every window, its rows first, channels last."""
    (py, px), (sy, sx) = window.padding, window.stride
    padded = np.pad(images, ((0, 0), (0, 0), (py, py), (px, px)), constant_values=outside)
    slid = np.lib.stride_tricks.sliding_window_view(padded, window.kernel, axis=(2, 3))
    slid = slid[:, :, ::sy, ::sx].transpose(0, 4, 5, 1, 2, 3)
    return slid.reshape(len(images), -1, *slid.shape[-2:])


@drawn
@given(windows(), st.integers(1, 6), st.integers(1, 16), st.data())
def test_a_window_hands_on_the_columns_of_every_output_pixel(
    window: Window, channels: int, bits: int, data: st.DataObject
) -> None:
    columns = channels * math.prod(window.kernel)
    simd = data.draw(st.sampled_from([n for n in range(1, columns + 1) if columns % n == 0]))
    outside = data.draw(st.integers(0, (1 << bits) - 1))
    images = codes((3, channels, *window.input_size), bits)
    share = data.draw(st.sampled_from([0.1, 1.0]))
    slides = stage.slide("layer", channels, window, (simd, bits, outside), share)
    assert slides.writes.count >= simd
    found = run((slides,), images, columns_of(images, window, outside), data.draw(stalls))
    assert found.wrong == 0, found.difference


def test_a_window_of_one_code_takes_a_cycle_per_column() -> None:
    # 3 x 3 windows of 2 channels: 18 codes per output pixel, 9 output pixels
    window = Window((3, 3), (1, 1), (0, 0), (1, 1), (5, 5), (3, 3))
    images = codes((4, 2, 5, 5), 4)
    slides = stage.slide("layer", 2, window, (1, 4, 0), 1.0)
    assert run((slides,), images, columns_of(images, window, 0)).interval == 18 * 9


def test_a_window_of_all_codes_takes_a_cycle_per_pixel() -> None:
    # 5 x 5 windows, padding 2: as many output pixels as input pixels, 6 x 7
    window = Window((5, 5), (1, 1), (2, 2), (1, 1), (6, 7), (6, 7))
    images = codes((4, 1, 6, 7), 3)
    slides = stage.slide("layer", 1, window, (25, 3, 0), 1.0)
    assert run((slides,), images, columns_of(images, window, 0)).interval == 6 * 7


@pytest.mark.parametrize(
    ("channels", "kernel", "simd", "block"),
    [
        (6, (5, 5), 4, (6, 1, 1)),  # 4 codes: no part of a pixel, so all of it
        (6, (5, 5), 3, (3, 1, 1)),
        (6, (5, 5), 15, (6, 5, 1)),  # two and a half pixels: a row of five
        (1, (4, 4), 2, (1, 2, 1)),
        (1, (5, 5), 25, (1, 5, 5)),
        (6, (5, 5), 50, (6, 5, 5)),
    ],
)
def test_words_of_a_window_are_whole_parts_of_it(
    channels: int, kernel: tuple[int, int], simd: int, block: tuple[int, int, int]
) -> None:
    assert sliding.window_block(channels, kernel, simd) == block


@pytest.mark.parametrize(
    ("size", "out", "kernel", "padding", "share", "rows"),
    [
        # 5 of 14 rows are in when the first window starts, and as many of the next image when the
        # last row of windows, which begins in row 9, has been read: 14 + 5 - 9
        (14, 10, 5, 0, 0.0, 10),
        # one window of all the image: read at once, or all the time while the next image comes in
        (5, 1, 5, 0, 0.0, 6),
        (5, 1, 5, 0, 1.0, 10),
        (28, 28, 5, 2, 0.0, 6),
    ],
)
def test_rows_kept_by_a_window(
    size: int, out: int, kernel: int, padding: int, share: float, rows: int
) -> None:
    square = (size, size), (out, out)
    window = Window((kernel, kernel), (1, 1), (padding, padding), (1, 1), *square)
    assert sliding.ring_rows(window, share, 1) == rows
    assert sliding.ring_rows(window, share, 4) == math.ceil(rows / 4) * 4


@drawn
@given(st.data())
def test_requantizers_are_exact(data: st.DataObject) -> None:
    words, rows = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    channels, bits = words * rows, data.draw(st.integers(1, 16))
    acc_bits = data.draw(st.integers(2, 46))
    scales = data.draw(st.sampled_from([1, channels]))
    shift = st.integers(-8, 62) if data.draw(st.booleans()) else st.integers(10, 20)
    grid = ActivationGrid(bits, 1.0, data.draw(st.integers(0, (1 << bits) - 1)))
    low = data.draw(st.integers(0, grid.max_code))
    requantizer = Requantizer(
        np.array(
            data.draw(
                st.lists(st.integers(1 << 14, (1 << 15) - 1), min_size=scales, max_size=scales)
            )
        ),
        np.array(data.draw(st.lists(shift, min_size=scales, max_size=scales))),
        grid,
        low,
        data.draw(st.integers(low, grid.max_code)),
        data.draw(st.sampled_from([0, 0, 1, 15])),
    )
    half = 1 << (acc_bits - 1)
    ends = st.sampled_from([-half, -1, 0, 1, half - 1])
    sums = st.one_of(
        ends, st.integers(-half, half - 1), st.integers(max(-half, -999), min(half - 1, 999))
    )
    drawn_sums = data.draw(st.lists(sums, min_size=8 * channels, max_size=8 * channels))
    accumulators = np.array(drawn_sums, dtype=np.int64).reshape(8, channels)
    one = stage.requantize("layer", channels, Words(rows, acc_bits), requantizer)
    found = run((one,), accumulators, requantizer(accumulators), data.draw(stalls))
    assert found.wrong == 0, found.difference


@drawn
@given(windows(), st.integers(1, 4), st.integers(1, 16), st.booleans(), stalls)
def test_pools_are_exact(window: Window, lanes: int, bits: int, average: bool, stall: int) -> None:
    # kernels without padding and with their own stride: what lies side by side
    channels, size, kernel = lanes * 2, window.input_size, window.kernel
    kernel = (min(kernel[0], size[0]), min(kernel[1], size[1]))
    out = (size[0] // kernel[0], size[1] // kernel[1])
    tiles = Window(kernel, kernel, (0, 0), (1, 1), size, out)
    grid = ActivationGrid(bits, 1.0, (1 << bits) // 3)
    node: AveragePool | MaxPool = MaxPool("pool", "input", kernel, kernel)
    sums = None
    if average:
        node = AveragePool("pool", "input", kernel, kernel, (0, 0), None)
    network = IntegerNetwork((channels, *size), grid, (node,))
    if average:
        sums = network.bounds["pool"].bits, -grid.zero_point * math.prod(kernel)
    images = codes((2, channels, *size), bits)
    one = stage.pool("node", channels, tiles, Words(lanes, bits), sums)
    found = run((one,), images, evaluate(network, images)["pool"], stall)
    assert found.wrong == 0, found.difference


@drawn
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 16), st.integers(2, 50), stalls)
def test_width_converters_and_fifos_keep_the_order(
    before: int, after: int, bits: int, depth: int, stall: int
) -> None:
    values = codes((40, math.lcm(before, after)), bits)
    stages = (
        stage.fifo("first", Words(before, bits)),
        *stage.adapt("turn", Words(before, bits), after),
        stage.fifo("second", Words(after, bits), depth),
    )
    found = run(stages, values, values, stall)
    assert found.wrong == 0, found.difference


def test_converters_lose_no_cycle() -> None:
    # 6 codes to a word, then 4: by way of 12, so that of three words in four a word comes out
    values = codes((4, 48), 5)
    found = run(stage.adapt("turn", Words(6, 5), 4), values, values)
    assert (found.wrong, found.interval) == (0, 48 // 4)


def test_equal_words_need_no_converter() -> None:
    assert stage.adapt("turn", Words(6, 5), 6) == ()


def test_the_bench_sees_a_wrong_word() -> None:
    values = codes((2, 4), 3)
    wrong = values.copy()
    wrong[1, 2] ^= 1
    found = run((stage.fifo("only", Words(2, 3)),), values, wrong)
    assert found.wrong == 1
    assert found.difference.startswith("image 1, word 1:")


def test_a_stream_that_stops_is_an_error(tmp_path: Path) -> None:
    values = codes((2, 4), 3)
    only = Pipeline((("node", (stage.fifo("only", Words(2, 3)),)),), {})
    write_bench(only, (values, np.concatenate([values, values], axis=1)), tmp_path)
    with pytest.raises(RuntimeError, match=r"(?s)did not end.*no end after .* 4 words in, 4 out"):
        simulate(tmp_path, patience=100)
