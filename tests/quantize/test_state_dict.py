"""Checkpoints of our own: a round trip gives the same integers, new float weights void them."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dse.errors import InputError
from dse.integer import IntegerNetwork, Layer, Requantizer
from dse.quantize import QuanLinear

from .nets import SHAPE, SmallNet, images, small_net


def saved(net: SmallNet) -> dict[str, torch.Tensor]:
    """The state dict after a trip through a file."""
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    return dict(torch.load(file, weights_only=True))


def with_scales_per_row(network: IntegerNetwork) -> IntegerNetwork:
    """The same network with another scale and multiplier for every row but the last layer's."""
    nodes = []
    for node in network.nodes:
        if isinstance(node, Layer) and node.requantizer:
            scale = node.weights.scale * np.linspace(0.5, 1, node.rows)
            source = network.input_grid_of(node)
            requantizer = Requantizer.from_scales(scale * source.scale, node.requantizer.grid)
            requantizer = replace(requantizer, low=node.requantizer.low)
            weights = replace(node.weights, scale=scale)
            node = replace(node, weights=weights, requantizer=requantizer)
        nodes.append(node)
    return replace(network, nodes=tuple(nodes))


def quantized(per_row: bool = False, **options: Any) -> SmallNet:
    net = small_net()
    net.quantize(images(), **options)
    if per_row:
        net.keep(with_scales_per_row(net.integer_network(SHAPE)))
    net.quan_mode()
    return net


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("options", [{}, {"weight_bits": 1, "activation_bits": 3}])
def test_a_round_trip_gives_the_same_integers(
    strict: bool, per_row: bool, options: dict[str, Any]
) -> None:
    net, other = quantized(per_row, **options), small_net(seed=1)
    other.load_state_dict(saved(net), strict=strict)
    other.quan_mode()
    assert torch.equal(other(images(20)), net(images(20)))


def test_scales_per_row_survive_and_matter() -> None:
    net, plain = quantized(per_row=True), quantized()
    assert net.state_dict()["conv1.ws"].shape == (4,)
    assert not torch.equal(net(images(20)), plain(images(20)))


def test_every_buffer_of_a_state_dict_is_restored() -> None:
    net, other = quantized(), SmallNet()
    other.load_state_dict(saved(net))
    for name, tensor in net.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


def test_loading_in_quan_mode_takes_effect_at_once() -> None:
    net, other = quantized(), quantized(weight_bits=2)
    other(images(2))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(images(4)), net(images(4)))


@pytest.mark.parametrize("strict", [True, False])
def test_a_float_checkpoint_voids_an_old_quantization(strict: bool) -> None:
    net = quantized()
    net.load_state_dict(small_net(seed=1).state_dict(), strict=strict)
    with pytest.raises(InputError, match="layer 'conv1' is not quantized"):
        net(images(2))


def test_a_checkpoint_of_plain_torch_layers_loads() -> None:
    net, source = small_net(seed=1), small_net()
    plain = {name: value.detach() for name, value in source.named_parameters()}
    net.load_state_dict(plain, strict=False)
    assert torch.equal(net(images(4)), source(images(4)))


def test_a_checkpoint_of_another_shape_is_torchs_error() -> None:
    net = quantized()
    net.fc2 = QuanLinear(8, 5)
    with pytest.raises(RuntimeError, match=r"size mismatch for fc2\.weight"):
        net.load_state_dict(saved(quantized()))


@pytest.mark.parametrize(("key", "value"), [("quan_weight", 0.5), ("wz", 0.5), ("inz", np.nan)])
def test_integers_with_fractions_are_refused_by_name(key: str, value: float) -> None:
    state = saved(quantized())
    state[f"fc1.{key}"] = state[f"fc1.{key}"].double() + value
    with pytest.raises(InputError, match=rf"fc1\.{key} must hold integers"):
        small_net().load_state_dict(state)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("fc1.ws", 0.0, "layer 'fc1' holds an unusable quantization: weight scales"),
        ("fc1.inz", 999, "layer 'fc1' holds an unusable quantization: zero point"),
        ("fc1.wz", 300, "layer 'fc1' holds an unusable quantization: zero point"),
        ("fc1.weight_bits", 2, "layer 'fc1' holds an unusable quantization"),
        ("conv1.bz", 1, "layer 'conv1': its bias must have scale ws"),
        ("_ins", 0.0, "the network holds an unusable quantization: scale"),
        ("_ins", 0.25, "layer 'conv1' was quantized for inputs with scale"),
        ("_inz", 1, "layer 'conv1' was quantized for inputs with scale"),
    ],
)
def test_buffers_that_make_no_network_are_refused(key: str, value: float, message: str) -> None:
    state = saved(quantized())
    state[key] = torch.full_like(state[key], value)
    net = small_net()
    net.load_state_dict(state)
    net.quan_mode()
    with pytest.raises(InputError, match=message):
        net(images(2))
