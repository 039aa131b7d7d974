"""Ways to calibrate: entropy, per-channel scales, bias correction, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dse.errors import InputError
from dse.integer import reference
from dse.integer.grid import ActivationGrid
from dse.integer.kernels import quantize_input
from dse.models.lenet5 import LeNet5
from dse.quantize import Calibration
from dse.quantize.clipping import divergence
from dse.quantize.weights import quantize_weights


def lenet() -> tuple[LeNet5, torch.Tensor]:
    torch.manual_seed(0)
    return LeNet5(8), torch.rand(60, 1, 28, 28)


@pytest.mark.parametrize("method", ["mse", "minmax", "entropy", 0.9])
@pytest.mark.parametrize("per_channel", [False, True])
def test_every_calibration_gives_the_references_accumulators(
    method: str | float, per_channel: bool
) -> None:
    net, images = lenet()
    net.quantize(images, calibration=Calibration(method, per_channel, bias_correction=True))
    network = net.integer_network((1, 28, 28))
    scales = [layer.weights.scale.size for layer in network.layers]
    assert scales == ([6, 16, 120, 84, 1] if per_channel else [1] * 5)
    net.quan_mode()
    codes = quantize_input(network, images[:5]).numpy()
    assert np.array_equal(net(images[:5]).numpy(), reference.evaluate(network, codes)["fc2"])


def test_per_channel_scales_survive_a_state_dict() -> None:
    net, images = lenet()
    net.quantize(images, calibration=Calibration(per_channel=True))
    other = LeNet5(8)
    other.load_state_dict(net.state_dict(), strict=False)
    for held in (net, other):
        held.quan_mode()
    assert torch.equal(net(images), other(images))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_per_channel_scales_lose_less_when_channels_differ_in_size(bits: int) -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(8, 50)) * np.geomspace(0.01, 1, 8)[:, None]

    def lost(per_channel: bool) -> float:
        held = quantize_weights(weight, bits, False, "mse", per_channel)
        return float(np.square(weight - held.scale.reshape(-1, 1) * held.values).sum())

    assert lost(per_channel=True) < lost(per_channel=False)


def test_an_all_zero_row_has_a_positive_scale_of_its_own() -> None:
    weight = np.array([[0.0, 0.0], [0.5, -0.25]])
    held = quantize_weights(weight, 4, False, "mse", True)
    assert (held.scale > 0).all()
    assert held.values[0].tolist() == [0, 0]


@pytest.mark.parametrize("bits", [2, 3])
def test_bias_correction_restores_the_channels_means(bits: int) -> None:
    net, images = lenet()

    def mean_error(correct: bool) -> float:
        net.float_mode()
        with torch.no_grad():
            expected = net.conv1(images).mean(dim=(0, 2, 3))
        net.quantize(
            images,
            weight_bits=bits,
            activation_bits=16,
            calibration=Calibration(bias_correction=correct),
        )
        network = net.integer_network((1, 28, 28))
        layer, grid = network.layers[0], network.input_grid
        sums = reference.evaluate(network, quantize_input(network, images).numpy())
        real = sums["conv1.accumulators"] * layer.weights.scale[0] * grid.scale
        return float(np.abs(real.mean(axis=(0, 2, 3)) - expected.numpy()).max())

    assert mean_error(correct=True) < 0.1 * mean_error(correct=False)


def test_the_input_keeps_its_power_of_two_under_every_method() -> None:
    net, images = lenet()
    for method in ("mse", "minmax", "entropy", 0.9):
        net.quantize(images, calibration=Calibration(method))
        scale = net.integer_network((1, 28, 28)).input_grid.scale
        assert np.log2(scale) == int(np.log2(scale))


# 8 bins over [0, 8), their centres 0.5, 1.5, ...; a 2-bit grid of scale 1 has codes 0..3, so it
# holds values up to 3.5 and clips the bins beyond.
CENTRES = np.arange(8) + 0.5


def test_divergence_is_zero_when_each_code_has_one_bin_and_nothing_is_clipped() -> None:
    counts = np.array([3.0, 1, 4, 0, 0, 0, 0, 0])
    assert divergence(counts, CENTRES, ActivationGrid(4, 1.0, 0)) == pytest.approx(0)


def test_divergence_of_two_bins_under_one_code_is_that_of_their_mean() -> None:
    # scale 2: bins 0.5 -> code 0; 1.5 and 2.5 -> code 1 (half up). p = (0, 3/4, 1/4) against
    # q = (0, 1/2, 1/2): 3/4 ln(3/2) + 1/4 ln(1/2)
    counts = np.array([0.0, 3, 1, 0, 0, 0, 0, 0])
    expected = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert divergence(counts, CENTRES, ActivationGrid(4, 2.0, 0)) == pytest.approx(expected)


@given(st.lists(st.integers(0, 50), min_size=8, max_size=8), st.integers(1, 4))
def test_divergence_is_never_negative(counts: list[int], bits: int) -> None:
    found = divergence(np.array(counts, dtype=float), CENTRES, ActivationGrid(bits, 1.0, 0))
    assert found >= -1e-12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "mes"}, "no calibration method 'mes'; did you mean 'mse'"),
        ({"method": 1.5}, r"coverage must be in \(0, 1\], but got 1.5"),
        ({"method": True}, r"coverage must be in \(0, 1\], but got True"),
        ({"batch_size": 0}, "batch_size must be at least 1, but got 0"),
    ],
)
def test_a_wrong_calibration_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Calibration(**arguments)  # type: ignore[arg-type]


def test_a_coverage_and_a_calibration_together_are_refused() -> None:
    net, images = lenet()
    with pytest.raises(InputError, match="out_cover_f or calibration, not both"):
        net.quantize(images, 0.9, calibration=Calibration())
