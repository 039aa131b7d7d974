"""Pruning: the smallest weights go, in the share asked for, and stay away."""

from __future__ import annotations

import pytest
import torch

from dse.config import LayerConfig
from dse.errors import InputError
from dse.models.lenet5 import LeNet5
from dse.prune import (
    RAMP_INTERVAL,
    GradualPruning,
    Plan,
    PruningTrainPlugin,
    prune_layer,
    prune_layers,
    sparsity_of_tensors,
)
from dse.quantize import QuanLinear

LAYERS = ("conv1", "conv2", "conv3", "fc1", "fc2")


def linear(*weights: float) -> QuanLinear:
    """A layer of one row with these weights."""
    layer = QuanLinear(len(weights), 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([weights]))
    return layer


def uniform(ratio: float) -> dict[str, LayerConfig]:
    return dict.fromkeys(LAYERS, LayerConfig(ratio, 8, 8))


def plan(net: LeNet5, ratio: float) -> Plan:
    return Plan(uniform(ratio), net.graph((1, 28, 28)))


@pytest.mark.parametrize(
    ("ratio", "left"),
    [
        (0.0, [3, -1, 2, -4]),
        (0.25, [3, 0, 2, -4]),
        (0.5, [3, 0, 0, -4]),
        (0.6, [3, 0, 0, -4]),  # 2.4 weights round to 2
        (1.0, [0, 0, 0, 0]),
    ],
)
def test_the_smallest_magnitudes_go(ratio: float, left: list[float]) -> None:
    layer = linear(3, -1, 2, -4)
    prune_layer(layer, ratio)
    assert layer.weight.tolist() == [left]


def test_weights_that_are_zero_already_count() -> None:
    layer = linear(0, 0, 1, 2)
    prune_layer(layer, 0.5)
    assert layer.weight.tolist() == [[0, 0, 1, 2]]


def test_a_pruned_layer_keeps_its_parameter_so_that_optimizers_still_move_it() -> None:
    layer = linear(1, 2)
    before = layer.weight
    prune_layer(layer, 0.5)
    assert layer.weight is before
    assert set(dict(layer.named_parameters())) == {"weight", "bias"}


def test_each_layer_gets_its_own_ratio() -> None:
    net = LeNet5(8)
    config = {n: LayerConfig(i / 5, 8, 8) for i, n in enumerate(LAYERS)}
    prune_layers(net, config)
    for name, choice in config.items():
        sparsity = sparsity_of_tensors([net.layers[name].weight])
        assert sparsity == pytest.approx(choice.prune_ratio, abs=1 / 150)


def test_an_unknown_layer_names_the_nearest() -> None:
    with pytest.raises(InputError, match="no layer 'conv9'; did you mean 'conv"):
        prune_layers(LeNet5(8), {"conv9": LayerConfig(0.5, 8, 8)})


# 1 of 2 and 2 of 6 elements: 3 of 8 together
@pytest.mark.parametrize(("value", "share"), [(0, 3 / 8), (7, 1 / 8), (9, 0.0)])
def test_sparsity_counts_the_elements_of_all_tensors(value: float, share: float) -> None:
    tensors = [torch.tensor([0.0, 1.0]), torch.tensor([[0.0, 7.0, 2.0], [3.0, 0.0, 4.0]])]
    assert sparsity_of_tensors(tensors, value) == share


@pytest.mark.parametrize("tensors", [[], [torch.zeros(0, 3)]])
def test_sparsity_of_nothing_is_refused(tensors: list[torch.Tensor]) -> None:
    with pytest.raises(InputError, match="at least one element, but got none"):
        sparsity_of_tensors(tensors)


def step_everywhere(net: torch.nn.Module) -> None:
    """What an optimizer with momentum does: it moves every parameter."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 1


def test_the_plugin_keeps_zero_weights_and_frees_all_others() -> None:
    layer, plugin = linear(0, 1, 0, -2), PruningTrainPlugin()
    with torch.no_grad():
        layer.bias.zero_()
    plugin.set_net_named_parameters(layer.named_parameters())
    step_everywhere(layer)
    plugin.after_optimizer_step()
    assert layer.weight.tolist() == [[0, 2, 0, -1]]
    assert layer.bias.tolist() == [1]  # a bias of zero was not pruned


def test_a_weight_that_passes_through_zero_later_is_not_frozen() -> None:
    layer, plugin = linear(-1, 1), PruningTrainPlugin()
    plugin.set_net_named_parameters(layer.named_parameters())
    for _ in range(2):
        step_everywhere(layer)
        plugin.after_optimizer_step()
    assert layer.weight.tolist() == [[1, 3]]


def test_the_plugin_refuses_a_step_before_it_knows_the_weights() -> None:
    with pytest.raises(InputError, match=r"call set_net_named_parameters\(\) before"):
        PruningTrainPlugin().after_optimizer_step()


def test_gradual_pruning_rises_cubically_to_its_target() -> None:
    net, steps = LeNet5(8), 4 * RAMP_INTERVAL
    pruning = GradualPruning(net, plan(net, 0.8), steps)
    seen = []
    for step in range(1, steps + 1):
        pruning.after_optimizer_step()
        if step % RAMP_INTERVAL == 0:
            seen.append(sparsity_of_tensors([net.conv3.weight]))
    # 0.8 * (1 - (1 - t)^3) at t = 1/4, 1/2, 3/4, 1
    assert seen == pytest.approx([0.4625, 0.7, 0.7875, 0.8], abs=1e-4)


@pytest.mark.parametrize("steps", [0, 1, 7, 45])
def test_gradual_pruning_keeps_its_target_after_the_last_step(steps: int) -> None:
    net = LeNet5(8)
    if steps == 0:
        prune_layers(net, uniform(0.5))
    pruning = GradualPruning(net, plan(net, 0.5), steps)
    for _ in range(steps):
        pruning.after_optimizer_step()
    zeros = {name: layer.weight.detach() == 0 for name, layer in net.layers.items()}
    step_everywhere(net)
    pruning.after_optimizer_step()
    for name, layer in net.layers.items():
        assert torch.equal(layer.weight == 0, zeros[name])
        assert float(zeros[name].float().mean()) == pytest.approx(0.5, abs=1 / 150)
