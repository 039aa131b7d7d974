"""Fake quantization: agrees with its own integers, learns by LSQ's formula, keeps zeros."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dse.config import LayerConfig
from dse.integer.kernels import Evaluator, quantize_input
from dse.prune import PruningTrainPlugin
from dse.quantize.fake import FakeQuantized, round_to_grid, round_to_odd

from .nets import SmallNet, images, small_net

WIDTHS = [(8, 8), (16, 16), (4, 4), (2, 3), (1, 2), (1, 1)]


def fake_of(net: SmallNet, weight_bits: int = 4, activation_bits: int = 4) -> FakeQuantized:
    choice = LayerConfig(0.0, weight_bits, activation_bits)
    return FakeQuantized(net, dict.fromkeys(net.layers, choice), images())


def train(fake: FakeQuantized, steps: int, lr: float) -> None:
    """Adam steps on random labels, pruned weights kept at zero."""
    plugin = PruningTrainPlugin()
    plugin.set_net_named_parameters(fake.named_parameters())
    optimizer = torch.optim.Adam(fake.parameters(), lr=lr)
    labels = torch.arange(64) % 3
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(fake(images()), labels).backward()
        optimizer.step()
        plugin.after_optimizer_step()


@torch.no_grad()
def logits_of_integers(fake: FakeQuantized, batch: Tensor) -> Tensor:
    """Accumulators of the integer network times their scale."""
    network = fake.to_integers()
    last = network.layers[-1]
    scale = float(last.weights.scale[0]) * network.input_grid_of(last).scale
    return Evaluator(network)(quantize_input(network, batch)) * scale


@pytest.mark.parametrize("steps", [0, 10])
@pytest.mark.parametrize(("weight_bits", "activation_bits"), WIDTHS)
def test_logits_are_those_of_the_integer_network(
    weight_bits: int, activation_bits: int, steps: int
) -> None:
    fake, batch = fake_of(small_net(), weight_bits, activation_bits), images(300, seed=1)
    train(fake, steps, lr=0.01)
    expected = logits_of_integers(fake, batch)
    logits = fake(batch).detach().to(expected.dtype)
    # the 15-bit multiplier, and ties that float32 rounds the other way, move few codes by one
    assert (logits - expected).abs().mean() <= 2e-3 * expected.std()
    # where integers are equal the float logits may prefer either
    answers = expected.gather(1, logits.argmax(1, keepdim=True)).squeeze(1)
    assert (answers < expected.amax(1) - 1e-3 * expected.std()).float().mean() <= 0.01


def lsq_step_gradient(x: float, scale: float, low: int, high: int) -> float:
    """Esser et al. 2020, eq. 3: d(output) / d(scale)."""
    if x / scale <= low:
        return low
    if x / scale >= high:
        return high
    return -x / scale + math.floor(x / scale + 0.5)


@pytest.mark.parametrize("scale", [0.5, 0.37])
@pytest.mark.parametrize("x", [-9.0, -1.3, -0.6, -0.1, 0.0, 0.2, 0.45, 1.1, 9.0])
def test_gradients_follow_lsq(x: float, scale: float) -> None:
    low, high = -2, 3
    value = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    log_scale = torch.tensor(math.log(scale), dtype=torch.float64, requires_grad=True)
    round_to_grid(value, log_scale, low, high).backward(torch.tensor([2.0], dtype=torch.float64))
    assert value.grad is not None
    assert log_scale.grad is not None
    inside = low < x / scale < high
    assert float(value.grad) == (2.0 if inside else 0.0)
    # d / d log(scale) = scale * d / d scale
    expected = 2.0 * scale * lsq_step_gradient(x, scale, low, high)
    assert float(log_scale.grad) == pytest.approx(expected, abs=1e-12)


# scale 0.5, top 3: x / scale = 1.2 rounds to the odd 1, -2.2 to -3, 9 saturates at 3
@pytest.mark.parametrize(
    ("x", "value", "passes", "step"),
    [
        (0.6, 0.5, True, 1 - 1.2),
        (-1.1, -1.5, True, -3 + 2.2),
        (1.8, 1.5, True, 3.0),  # the outer half of the last cell: saturated, still moving
        (4.5, 1.5, False, 3.0),
        (0.0, 0.0, False, 0.0),  # pruned
    ],
)
def test_mid_rise_values_and_gradients(x: float, value: float, passes: bool, step: float) -> None:
    weight = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    log_scale = torch.tensor(math.log(0.5), dtype=torch.float64, requires_grad=True)
    rounded = round_to_odd(weight, log_scale, 3)
    rounded.sum().backward()
    assert weight.grad is not None
    assert log_scale.grad is not None
    assert float(rounded.detach()) == pytest.approx(value)
    assert float(weight.grad) == float(passes)
    assert float(log_scale.grad) == pytest.approx(0.5 * step, abs=1e-12)


@pytest.mark.parametrize(("weight_bits", "activation_bits"), WIDTHS)
def test_zeros_stay_zero_through_training_and_in_the_integers(
    weight_bits: int, activation_bits: int
) -> None:
    net = small_net()
    pruned = {name: layer.weight.detach() == 0 for name, layer in net.layers.items()}
    fake = fake_of(net, weight_bits, activation_bits)
    train(fake, 10, lr=0.01)
    for layer in fake.to_integers().layers:
        assert (net.layers[layer.name].weight[pruned[layer.name]] == 0).all()
        assert (layer.weights.values[pruned[layer.name].numpy()] == 0).all()


@pytest.mark.parametrize(("weight_bits", "activation_bits"), WIDTHS)
def test_every_step_and_every_layer_learns(weight_bits: int, activation_bits: int) -> None:
    fake = fake_of(small_net(), weight_bits, activation_bits)
    before = {name: p.detach().clone() for name, p in fake.named_parameters()}
    train(fake, 3, lr=0.01)
    assert [n for n, p in fake.named_parameters() if torch.equal(p, before[n])] == []


def test_learned_steps_stay_positive_under_a_high_rate() -> None:
    fake = fake_of(small_net())
    train(fake, 20, lr=1.0)
    network = fake.to_integers()
    steps = [float(layer.weights.scale[0]) for layer in network.layers]
    steps += [grid.scale for grid in network.grids.values() if grid]
    assert min(steps) > 0


def test_training_moves_the_weights_of_the_network_it_was_made_from() -> None:
    net = small_net()
    before = net.fc2.weight.detach().clone()
    train(fake_of(net), 1, lr=0.01)
    assert not torch.equal(net.fc2.weight, before)


def test_widths_are_those_of_the_config() -> None:
    net = small_net()
    weight_bits = {"conv1": 3, "conv2": 1, "fc1": 5, "fc2": 16}
    activation_bits = {"conv1": 8, "conv2": 2, "fc1": 1, "fc2": 11}
    config = {
        name: LayerConfig(0.0, bits, activation_bits[name]) for name, bits in weight_bits.items()
    }
    fake = FakeQuantized(net, config, images())
    network = fake.to_integers()
    assert {layer.name: layer.weights.bits for layer in network.layers} == weight_bits
    read = {layer.name: network.input_grid_of(layer).bits for layer in network.layers}
    assert read == activation_bits


# On a grid of 0..3 with step 1 the gradient passes from 0 to 3, both included: a ReLU's zero, and
# the top code, still move. The float32 numbers next to them do not.
@pytest.mark.parametrize(
    ("x", "passes"),
    [
        (0.0, 1.0),
        (-0.0, 1.0),
        (-1e-45, 0.0),
        (3.0 - 2**-22, 1.0),
        (3.0, 1.0),
        (3.0 + 2**-21, 0.0),
        (3.1, 0.0),
    ],
)
def test_the_gradient_passes_up_to_the_ends_of_the_grid(x: float, passes: float) -> None:
    value = torch.tensor([x], requires_grad=True)
    round_to_grid(value, torch.tensor(0.0, requires_grad=True), 0, 3).sum().backward()
    assert value.grad is not None
    assert value.grad.item() == passes
