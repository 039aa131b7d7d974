"""Rules of pruning: criterion, scope and structure, at once and gradually, down to the integers."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dse import prune, train
from dse.config import LayerConfig
from dse.data import Split
from dse.errors import InputError
from dse.integer import IntegerNetwork
from dse.models.lenet5 import LeNet5
from dse.prune import RAMP_INTERVAL, GradualPruning, Plan, Rule
from dse.trial import compact

LAYERS = ("conv1", "conv2", "conv3", "fc1", "fc2")
HALF = dict.fromkeys(LAYERS, LayerConfig(0.5, 4, 8))
SHAPES = {"conv1": (6, 25), "conv2": (16, 150), "conv3": (120, 400), "fc1": (84, 120)}
STEPS = 2 * RAMP_INTERVAL


@pytest.fixture
def net() -> LeNet5:
    torch.manual_seed(0)
    return LeNet5(8)


def zeros(net: LeNet5) -> dict[str, np.ndarray]:
    return {name: layer.weight.detach().numpy() == 0 for name, layer in net.layers.items()}


def trained_gradually(net: LeNet5, plan: Plan) -> None:
    """Plain gradient steps on noise until well after the ramp's end."""
    images, labels = torch.rand(16, 1, 28, 28), torch.arange(16) % 10
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    pruning = GradualPruning(net, plan, STEPS)
    for _ in range(STEPS + 5):
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()
        pruning.after_optimizer_step()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"criterion": "tailor"}, "no criterion 'tailor'; did you mean 'taylor'"),
        ({"scope": "layers"}, "no scope 'layers'; did you mean 'layer'"),
        ({"structure": "rows"}, "must be weights, channels, or N:M .* but got 'rows'"),
        ({"structure": "4:4"}, "N below M"),
        ({"structure": "0:4"}, "N below M"),
        ({"structure": "2:4", "scope": "global"}, "global only for the structure weights"),
    ],
)
def test_rules_that_make_no_sense(rule: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Rule(**rule)


def test_a_plan_for_an_unknown_layer_names_the_nearest(net: LeNet5) -> None:
    with pytest.raises(InputError, match="no layer 'conv9'; did you mean 'conv"):
        Plan({"conv9": LayerConfig(0.5, 8, 8)}).apply(net)


@pytest.mark.parametrize("gradual", [False, True])
@pytest.mark.parametrize("criterion", prune.CRITERIA)
def test_channels_go_whole_but_those_of_the_output_layer(
    net: LeNet5, criterion: str, gradual: bool
) -> None:
    plan = Plan(HALF, Rule(criterion, structure="channels"), frozenset({"fc2"}))
    if gradual:
        trained_gradually(net, plan)
    else:
        plan.apply(net)
    for name, zero in zeros(net).items():
        by_channel = zero.reshape(len(zero), -1).all(axis=1)
        if name == "fc2":
            assert by_channel.sum() == 0
            assert zero.sum() == zero.size / 2
        else:
            assert by_channel.sum() == len(zero) / 2
            assert zero.sum() == zero.size / 2  # nothing else went


@pytest.mark.parametrize("gradual", [False, True])
@pytest.mark.parametrize("criterion", prune.CRITERIA)
def test_the_pattern_holds_in_every_group(net: LeNet5, criterion: str, gradual: bool) -> None:
    plan = Plan(HALF, Rule(criterion, structure="1:5"))
    if gradual:
        trained_gradually(net, plan)
    else:
        plan.apply(net)
    for name, (rows, columns) in SHAPES.items():  # all rows are multiples of 5
        groups = zeros(net)[name].reshape(rows, columns // 5, 5)
        assert (groups.sum(axis=2) == 4).all()


@pytest.mark.parametrize("gradual", [False, True])
@pytest.mark.parametrize("criterion", prune.CRITERIA)
def test_global_scope_spreads_what_the_layers_ratios_add_up_to(
    net: LeNet5, criterion: str, gradual: bool
) -> None:
    config = {**HALF, "conv3": LayerConfig(0.9, 4, 8)}
    plan = Plan(config, Rule(criterion, "global"))
    if gradual:
        trained_gradually(net, plan)
    else:
        plan.apply(net)
    found = zeros(net)
    # 0.9 * 48,000 + 0.5 * (61,470 - 48,000)
    assert sum(int(zero.sum()) for zero in found.values()) == 49_935
    assert abs(found["conv1"].mean() - 0.5) > 0.05  # a layer's own ratio no longer holds


def test_gradual_taylor_keeps_what_the_gradients_of_training_say(net: LeNet5) -> None:
    """One weight's gradient is made large: it stays although it is the smallest."""
    layer, plan = net.fc2, Plan({"fc2": LayerConfig(0.9, 8, 8)}, Rule("taylor"))
    layer.weight.data[3, 7] = 1e-6
    pruning = GradualPruning(net, plan, RAMP_INTERVAL)
    for _ in range(RAMP_INTERVAL):
        layer.weight.grad = torch.rand_like(layer.weight)
        layer.weight.grad[3, 7] = 1e9
        pruning.after_optimizer_step()
    assert bool(layer.weight[3, 7] != 0)
    assert int((layer.weight != 0).sum()) == 84


def finetuned(net: LeNet5, rule: Rule, gradual: float) -> IntegerNetwork:
    """The integer network after finetuning on noise."""
    split = Split(torch.rand(96, 1, 28, 28), torch.arange(96) % 10)
    schedule = train.Schedule(2, 0.01, batch_size=16, gradual=gradual, rule=rule)
    lessons = train.Lessons(split, train.logits_of(net, split.images))
    return train.finetune(net, HALF, lessons, schedule, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("gradual", [0.0, 0.5])
def test_finetuned_integers_hold_two_of_four(net: LeNet5, gradual: float) -> None:
    network = finetuned(net, Rule(structure="2:4"), gradual)
    for layer in network.layers:
        rows = layer.weights.values.reshape(layer.rows, -1)
        rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
        assert np.count_nonzero(rows.reshape(layer.rows, -1, 4), axis=2).max() <= 2


@pytest.mark.parametrize("gradual", [0.0, 0.5])
def test_finetuned_channels_leave_a_smaller_network(net: LeNet5, gradual: float) -> None:
    network = compact(finetuned(net, Rule(structure="channels"), gradual))
    shapes = {layer.name: layer.weights.shape for layer in network.layers}
    assert shapes["conv1"] == (3, 1, 5, 5)
    assert shapes["conv2"][:2] == (8, 3)
    assert shapes["conv3"][:2] == (60, 8)
    assert shapes["fc2"][0] == 10


def test_pruning_at_once_is_where_gradual_pruning_ends(net: LeNet5) -> None:
    """Counts by layer, for every rule: what a trial's cost is estimated from before training."""
    split = Split(torch.rand(32, 1, 28, 28), torch.arange(32) % 10)
    for rule in (Rule(), Rule("taylor"), Rule(structure="channels"), Rule(structure="2:4")):
        once, slowly = copy.deepcopy(net), copy.deepcopy(net)
        plan = train.prune_at_once(once, HALF, split, rule)
        assert plan.outputs == {"fc2"}
        trained_gradually(slowly, replace(plan))
        for name, zero in zeros(once).items():
            assert zero.sum() == zeros(slowly)[name].sum(), (rule, name)
