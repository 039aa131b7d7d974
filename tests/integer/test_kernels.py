"""The fast kernels equal the reference on every bit, whichever path their bounds choose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.integer import (
    LINEAR,
    ActivationGrid,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    MaxPool,
    Node,
    Requantizer,
    kernels,
    reference,
)
from dse.integer.kernels import FLOAT32_EXACT, Evaluator, accuracy_of, max_pool, quantize_input

from .graphs import graphs
from .strategies import generators, networks, random_codes


@settings(max_examples=150, deadline=None)
@given(network=st.one_of(networks(), graphs()), rng=generators())
def test_evaluator_equals_reference(network: IntegerNetwork, rng: np.random.Generator) -> None:
    codes = random_codes(network, 3, rng)
    expected = reference.evaluate(network, codes)[network.output]
    actual = Evaluator(network)(torch.from_numpy(codes))
    np.testing.assert_array_equal(actual.numpy(), expected)


def linear_network(columns: int, top: int, bias: int, shift: int | None = None) -> IntegerNetwork:
    """One row of `columns` weights 2^16 - 1 over 8-bit codes clamped to `top` by their width."""
    weights = IntegerWeights(
        np.full((1, columns), (1 << 16) - 1, dtype=np.int32), 16, 0, np.ones(1)
    )
    requantizer = None
    if shift is not None:
        grid = ActivationGrid(16, 1.0, 12345)
        requantizer = Requantizer(np.array([32767]), np.array([shift]), grid, *LINEAR.codes(grid))
    layer = Layer("fc", "input", weights, np.array([bias]), requantizer)
    grid = ActivationGrid(top.bit_length(), 1.0, 0)
    return IntegerNetwork((columns,), grid, (layer,))


@pytest.mark.parametrize(
    ("excess", "dtype"), [(0, torch.float32), (1, torch.float64)], ids=["2^24", "2^24+1"]
)
def test_float32_is_left_just_above_its_exact_range(
    excess: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 65535 * 255 = 16,711,425, so the bias that fills 2^24 = 16,777,216 is 65,791
    network = linear_network(columns=1, top=255, bias=65_791 + excess)
    assert network.bounds["fc"].magnitude == FLOAT32_EXACT + excess
    used = []
    linear = torch.nn.functional.linear

    def spy(x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        used.append(x.dtype)
        return linear(x, *rest)

    monkeypatch.setattr(kernels.F, "linear", spy)
    outputs = Evaluator(network)(torch.tensor([[255], [254]]))
    assert used == [dtype]
    assert outputs.tolist() == [[16_777_216 + excess], [16_711_681 + excess]]


def test_float32_is_not_used_when_torch_may_round_its_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    monkeypatch.setattr(kernels.F, "linear", lambda x, weight, bias: weight.new_zeros(1, 1))
    outputs = kernels._layer_operation(*_only_layer(linear_network(1, 255, 0)), None)
    assert outputs(torch.zeros(1, 1)).dtype == torch.float64


def _only_layer(network: IntegerNetwork) -> tuple[IntegerNetwork, Layer]:
    return network, network.layers[0]


# magnitude * 2^15 + 2^(n-1) < 2^53 is what float64 holds. One weight 65535 over 8 bits reaches
# 2^24 * 2^15 = 2^39; the shift 53 contributes 2^52, and 54 contributes 2^53.
@pytest.mark.parametrize(("shift", "calls"), [(20, 0), (53, 0), (54, 1), (62, 1)])
def test_requantization_leaves_float64_just_above_its_exact_range(
    shift: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = linear_network(columns=1, top=255, bias=0, shift=shift)
    codes = np.arange(0, 256, 3).reshape(-1, 1)
    expected = reference.evaluate(network, codes)["fc"]
    used = []
    original = Requantizer.__call__

    def spy(self: Requantizer, accumulators: np.ndarray) -> np.ndarray:
        used.append(accumulators.dtype)
        return original(self, accumulators)

    monkeypatch.setattr(Requantizer, "__call__", spy)
    actual = Evaluator(network)(torch.from_numpy(codes))
    assert used == [np.int64] * calls
    np.testing.assert_array_equal(actual.numpy(), expected)


def test_wide_accumulators_are_requantized_exactly_where_float64_would_round() -> None:
    # acc = 2^44 + k, M0 = 32767, n = 44: acc * M0 needs 59 bits. The code grows by one where
    # k * 32767 + 2^43 reaches 2^44, so just above k = 2^43 / 32767.
    step = (1 << 43) // 32767
    accumulators = [(1 << 44) + k for k in range(step - 2, step + 3)]
    exact = [12345 + (a * 32767 + (1 << 43)) // (1 << 44) for a in accumulators]
    zero = torch.zeros(1, 1, dtype=torch.int64)
    networks = [linear_network(columns=1, top=1, bias=a, shift=44) for a in accumulators]
    assert len(set(exact)) == 2
    assert [int(Evaluator(network)(zero)) for network in networks] == exact


def _small_convolution(pool: MaxPool | None) -> IntegerNetwork:
    rng = np.random.default_rng(0)
    weights = IntegerWeights(rng.integers(-8, 8, (2, 1, 3, 3)).astype(np.int32), 4, 8, np.ones(1))
    grid = ActivationGrid(4, 1.0, 5)
    requantizer = Requantizer(np.array([20000]), np.array([20]), grid, *LINEAR.codes(grid))
    conv = Layer("conv", "input", weights, np.zeros(2, dtype=np.int64), requantizer, ConvGeometry())
    nodes: tuple[Node, ...] = (conv, pool) if pool else (conv,)
    return IntegerNetwork((1, 8, 8), ActivationGrid(8, 1.0, 100), nodes)


def test_a_tensor_read_by_a_pool_and_by_another_node_is_requantized_for_both() -> None:
    pooled = _small_convolution(MaxPool("pool", "conv", (2, 2), (2, 2)))
    second = MaxPool("other", "conv", (3, 3), (1, 1))
    network = IntegerNetwork(pooled.input_shape, pooled.input_grid, (*pooled.nodes, second))
    codes = random_codes(network, 4, np.random.default_rng(1))
    expected = reference.evaluate(network, codes)["other"]
    np.testing.assert_array_equal(Evaluator(network)(torch.from_numpy(codes)).numpy(), expected)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_the_batch_size_changes_no_output(batch_size: int) -> None:
    network = _small_convolution(None)
    codes = torch.from_numpy(random_codes(network, 7, np.random.default_rng(2)))
    assert torch.equal(Evaluator(network)(codes, batch_size), Evaluator(network)(codes))


def test_evaluation_leaves_the_callers_codes_alone() -> None:
    codes = torch.full((1, 1, 8, 8), 7.0)
    Evaluator(_small_convolution(None))(codes)
    assert bool((codes == 7).all())


def test_max_pool_equals_torchs() -> None:
    pool = MaxPool("pool", "conv", (3, 2), (2, 1), (1, 1))
    x = torch.randn(2, 3, 7, 6, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.max_pool2d(x, pool.kernel, pool.stride, pool.padding)
    assert torch.equal(max_pool(x, pool), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_input_codes_equal_the_grids_and_leave_the_images_alone(dtype: torch.dtype) -> None:
    network = _small_convolution(None)
    images = torch.linspace(-200, 300, 64, dtype=dtype).reshape(1, 1, 8, 8)
    before = images.clone()
    expected = network.input_grid.quantize(images.numpy())
    np.testing.assert_array_equal(quantize_input(network, images).numpy(), expected)
    assert torch.equal(images, before)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_images_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="the images hold NaN or infinite values"):
        quantize_input(_small_convolution(None), torch.full((1, 1, 8, 8), value))


def test_accuracy_counts_the_first_of_equal_outputs() -> None:
    outputs = torch.tensor([[3, 3, 1], [0, 2, 1], [5, 1, 5]])
    assert accuracy_of(outputs, torch.tensor([0, 1, 2])) == (2, 3)
