"""QuanNet: modes, bit widths, and integer outputs that are those of its integer network."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dse.errors import InputError
from dse.integer import reference
from dse.integer.kernels import quantize_input
from dse.quantize import QuanConv2d, QuanLinear, QuanNet

from .nets import SHAPE, SmallNet, Written, images, small_net

NOT_A_WIDTH = [0, 17, -1, True, 2.5, "8"]


def quantized(**options: Any) -> SmallNet:
    """A quantized network in quan mode."""
    net = small_net()
    net.quantize(images(), **options)
    net.quan_mode()
    return net


def reference_outputs(net: QuanNet, batch: Tensor) -> np.ndarray:
    network = net.integer_network(tuple(batch.shape[1:]))
    codes = quantize_input(network, batch).numpy()
    return np.asarray(reference.evaluate(network, codes)[network.output])


def test_a_new_network_computes_in_float() -> None:
    net = small_net()
    assert torch.equal(net(images(4)), net.forward_(images(4)))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("coverage", [None, 0.75, 1.0])
def test_quan_mode_returns_the_references_accumulators(bits: int, coverage: float | None) -> None:
    net = quantized(out_cover_f=coverage, weight_bits=bits, activation_bits=bits)
    outputs = net(images(9, seed=1))
    assert outputs.dtype == torch.int64
    np.testing.assert_array_equal(outputs.numpy(), reference_outputs(net, images(9, seed=1)))


@pytest.mark.parametrize(("bits", "share"), [(16, 1e-3), (8, 0.03), (6, 0.12)])
def test_accumulators_times_their_scale_are_close_to_the_float_logits(
    bits: int, share: float
) -> None:
    net = quantized(weight_bits=bits, activation_bits=bits)
    logits = net(images()) * float(net._outs)
    net.float_mode()
    expected = net(images()).detach()
    assert (logits - expected).abs().max() < share * (expected.max() - expected.min())


def test_pruned_weights_are_zero_in_the_integer_network() -> None:
    net = quantized()
    for layer in net.integer_network(SHAPE).layers:
        pruned = net.layers[layer.name].weight.detach().numpy() == 0
        assert (layer.weights.values[pruned] == 0).all()


def test_float_mode_returns_to_the_float_network() -> None:
    net = quantized()
    net.float_mode()
    assert torch.equal(net(images(4)), net.forward_(images(4)))


def test_quantizing_again_replaces_the_old_integers() -> None:
    net = quantized(weight_bits=2)
    before = net(images(4))
    net.float_mode()
    net.quantize(images(), weight_bits=8)
    net.quan_mode()
    assert not torch.equal(net(images(4)), before)
    np.testing.assert_array_equal(net(images(4)).numpy(), reference_outputs(net, images(4)))


def test_evaluation_leaves_float64_images_alone() -> None:
    batch = images(4).double()
    quantized()(batch)
    assert torch.equal(batch, images(4).double())


def test_a_network_may_end_in_a_reshape() -> None:
    net = Written(lambda n, x: n.head(F.max_pool2d(n.act(n.conv1(x)), 2)).flatten(1))
    net.head = QuanConv2d(4, 3, 4)
    net.quantize(images())
    net.quan_mode()
    assert net(images(5)).shape == (5, 3)
    np.testing.assert_array_equal(net(images(5)).numpy(), reference_outputs(net, images(5)))


def test_bits_by_layer_name_reach_the_layers_that_have_them() -> None:
    net = quantized(
        weight_bits={"conv1": 3, "fc2": 1}, activation_bits={"conv1": 5, "conv2": 2, "fc1": 7}
    )
    network = net.integer_network(SHAPE)
    assert [layer.weights.bits for layer in network.layers] == [3, 8, 8, 1]
    assert [network.input_grid_of(layer).bits for layer in network.layers] == [5, 2, 7, 8]
    assert [layer.weights.mid_rise for layer in network.layers] == [False, False, False, True]


def test_the_networks_width_is_the_default() -> None:
    net = small_net(n_bits=5)
    net.quantize(images())
    network = net.integer_network(SHAPE)
    assert {layer.weights.bits for layer in network.layers} == {5}
    assert {network.input_grid_of(layer).bits for layer in network.layers} == {5}


def test_the_buffers_follow_the_seeds_schema() -> None:
    net = quantized(weight_bits=4, activation_bits=6)
    layers = list(net.layers.values())
    for layer, following in itertools.pairwise(layers):
        assert layer.get_buffer("outs") == following.get_buffer("ins")
        assert layer.get_buffer("outz") == following.get_buffer("inz")
    for layer in layers:
        scales = {name: float(layer.get_buffer(name)) for name in ("ins", "outs", "ws", "bs")}
        assert scales["bs"] == scales["ws"] * scales["ins"]
        # M = mqm0 * 2^-(mn + n_bits), within the multiplier's 15 bits; 1 for the last layer
        shift = int(layer.get_buffer("mn")) + int(layer.get_buffer("n_bits"))
        ratio = int(layer.get_buffer("mqm0")) * 2.0**-shift
        assert ratio == pytest.approx(scales["bs"] / scales["outs"], rel=2.0**-15)


@pytest.mark.parametrize("bits", NOT_A_WIDTH)
def test_a_networks_width_is_checked(bits: Any) -> None:
    with pytest.raises(InputError, match=r"n_bits must be a whole number in 1\.\.16, got "):
        QuanNet(bits)


@pytest.mark.parametrize("bits", [0, 17, True, 2.5])
@pytest.mark.parametrize("name", ["weight_bits", "activation_bits"])
def test_widths_given_to_quantize_are_checked(name: str, bits: Any) -> None:
    with pytest.raises(InputError, match=rf"{name} must be a whole number in 1\.\.16"):
        small_net().quantize(images(), **{name: bits})
    with pytest.raises(InputError, match=rf"{name}\[fc1\] must be a whole number in 1\.\.16"):
        small_net().quantize(images(), **{name: {"fc1": bits}})


@pytest.mark.parametrize("name", ["weight_bits", "activation_bits"])
def test_an_unknown_layer_names_the_nearest(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name}: no layer 'conv3'; did you mean 'conv"):
        small_net().quantize(images(), **{name: {"conv3": 8}})


@pytest.mark.parametrize("coverage", [0.0, -0.5, 1.5, math.nan])
def test_a_coverage_outside_its_range_is_refused(coverage: float) -> None:
    with pytest.raises(InputError, match=r"coverage must be in \(0, 1\], but got"):
        small_net().quantize(images(), coverage)


@pytest.mark.parametrize("batch", [images(0), torch.zeros(3), torch.tensor(1.0)])
def test_quantize_needs_a_batch_of_images(batch: Tensor) -> None:
    with pytest.raises(InputError, match="needs a batch of images"):
        small_net().quantize(batch)


def test_quantize_refuses_quan_mode() -> None:
    with pytest.raises(InputError, match="must be called in float mode"):
        quantized().quantize(images())


def test_evaluating_before_quantizing_is_refused() -> None:
    net = small_net()
    net.quan_mode()
    with pytest.raises(InputError, match=r"layer 'conv1' is not quantized; call quantize\(\)"):
        net(images(2))


@pytest.mark.parametrize(
    ("parameter", "message"),
    [("fc1.weight", "tensor 'fc1' holds NaN"), ("conv1.bias", "tensor 'conv1' holds NaN")],
)
def test_parameters_that_are_not_finite_are_refused(parameter: str, message: str) -> None:
    net = small_net()
    with torch.no_grad():
        net.get_parameter(parameter).view(-1)[0] = math.nan
    with pytest.raises(InputError, match=message):
        net.quantize(images())


def test_a_bias_beyond_every_accumulator_is_refused() -> None:
    net = small_net()
    with torch.no_grad():
        net.fc2.weight.mul_(1e-30)
    with pytest.raises(InputError, match=r"fc2: accumulators need \d+ bits, at most 46"):
        net.quantize(images())


def test_a_relu_on_the_output_gives_codes() -> None:
    net = Written(lambda n, x: n.act(n.fc(n.flat(n.conv1(x)))))
    net.quantize(images())
    (*_, last) = net.integer_network(SHAPE).layers
    assert last.requantizer
    assert last.requantizer.grid.bits == 16
    assert last.requantizer.low == last.requantizer.grid.zero_point


def test_a_linear_layer_over_an_image_is_refused() -> None:
    net = Written(lambda n, x: n.last(n.conv1(x)))
    net.last = QuanLinear(8, 2)
    with pytest.raises(InputError, match=r"last \(QuanLinear\): reads values of shape \(4, 8, 8\)"):
        net.quantize(images())


@pytest.mark.parametrize("options", [{"padding": "same"}, {"padding_mode": "circular"}])
def test_padding_other_than_zeros_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="padding must be numbers with padding_mode 'zeros'"):
        QuanConv2d(1, 2, 3, **options)


def pickled(net: QuanNet) -> QuanNet:
    copied: QuanNet = pickle.loads(pickle.dumps(net))
    return copied


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copy_computes_the_same_integers(copied: Any) -> None:
    net = quantized()
    expected = net(images(4))  # its evaluator exists now
    assert torch.equal(copied(net)(images(4)), expected)
