"""Rules of pruning: criterion, scope and structure, at once and gradually, down to the integers."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dse import prune, train
from dse.config import Config, LayerConfig
from dse.data import Split
from dse.errors import InputError
from dse.integer import IntegerNetwork
from dse.models.lenet5 import LeNet5
from dse.prune import RAMP_INTERVAL, GradualPruning, Plan, Rule
from dse.quantize import QuanConv2d, QuanNet
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


def plan(net: LeNet5, config: Config, rule: Rule = prune.MAGNITUDE) -> Plan:
    return Plan(config, net.graph((1, 28, 28)), rule)


def carried_out(plan: Plan, net: LeNet5, gradual: bool) -> None:
    """The plan applied at once, or in training."""
    if gradual:
        trained_gradually(net, plan)
    else:
        plan.apply(net)


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
        ({"structure": "rows"}, "must be weights, or N:M .* but got 'rows'"),
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
        plan(net, {"conv9": LayerConfig(0.5, 8, 8)}).apply(net)


@pytest.mark.parametrize("gradual", [False, True])
@pytest.mark.parametrize("criterion", prune.CRITERIA)
def test_channels_go_whole_and_so_do_the_weights_that_read_them(
    net: LeNet5, criterion: str, gradual: bool
) -> None:
    config = {name: LayerConfig(0.0, 8, 8, channel_ratio=0.5) for name in LAYERS}
    carried_out(plan(net, config, Rule(criterion)), net, gradual)
    # half of its own channels (not of the 10 outputs), half of those it reads (not of the image)
    kept = {"conv1": 3 * 25, "conv2": 8 * 3 * 25, "conv3": 60 * 8 * 25, "fc1": 42 * 60, "fc2": 420}
    assert {name: int((~zero).sum()) for name, zero in zeros(net).items()} == kept
    for name in LAYERS[:-1]:
        layer = net.layers[name]
        gone = zeros(net)[name].reshape(len(layer.weight), -1).all(axis=1)
        assert gone.sum() == len(gone) / 2
        assert not layer.bias[torch.from_numpy(gone)].any()
    assert net.fc2.bias.all()


@pytest.mark.parametrize("gradual", [False, True])
def test_the_prune_ratio_counts_the_weights_of_lost_channels(net: LeNet5, gradual: bool) -> None:
    config = {"conv3": LayerConfig(0.9, 8, 8, channel_ratio=0.75)}
    carried_out(plan(net, config), net, gradual)
    zero = zeros(net)["conv3"].reshape(120, 400)
    assert zero.all(axis=1).sum() == 90
    assert (~zero).sum() == 4800
    assert zeros(net)["fc1"].reshape(84, 120).all(axis=0).sum() == 90


class Averaged(QuanNet):
    """A classifier without a linear layer: the mean of each channel of a sum of two branches."""

    def __init__(self) -> None:
        super().__init__(8)
        self.first = QuanConv2d(1, 8, 3)
        self.left = QuanConv2d(8, 4, 1)
        self.right = QuanConv2d(8, 4, 1)

    def forward_(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, 1, 6, 6) to logits (N, 4)."""
        x = self.first.relu(self.first(x))
        return F.avg_pool2d(self.left(x) + self.right(x), 4).flatten(1)


def test_channels_that_reach_the_output_stay_whatever_lies_between() -> None:
    net = Averaged()
    config = dict.fromkeys(net.layers, LayerConfig(0.0, 8, 8, channel_ratio=0.5))
    plan = Plan(config, net.graph((1, 6, 6)))
    assert plan.narrowed == ("first",)
    plan.apply(net)
    assert net.left.weight.flatten(1).any(dim=1).all()
    assert int((net.left.weight == 0).sum()) == 4 * 4  # the inputs that went


@pytest.mark.parametrize("gradual", [False, True])
@pytest.mark.parametrize("criterion", prune.CRITERIA)
def test_the_pattern_holds_in_every_group(net: LeNet5, criterion: str, gradual: bool) -> None:
    carried_out(plan(net, HALF, Rule(criterion, structure="1:5")), net, gradual)
    for name, (rows, columns) in SHAPES.items():  # all rows are multiples of 5
        groups = zeros(net)[name].reshape(rows, columns // 5, 5)
        assert (groups.sum(axis=2) == 4).all()


@pytest.mark.parametrize("gradual", [False, True])
@pytest.mark.parametrize("criterion", prune.CRITERIA)
def test_global_scope_spreads_what_the_layers_ratios_add_up_to(
    net: LeNet5, criterion: str, gradual: bool
) -> None:
    config = {**HALF, "conv3": LayerConfig(0.9, 4, 8)}
    carried_out(plan(net, config, Rule(criterion, "global")), net, gradual)
    found = zeros(net)
    # 0.9 * 48,000 + 0.5 * (61,470 - 48,000)
    assert sum(int(zero.sum()) for zero in found.values()) == 49_935
    assert abs(found["conv1"].mean() - 0.5) > 0.05  # a layer's own ratio no longer holds


def test_gradual_taylor_keeps_what_the_gradients_of_training_say(net: LeNet5) -> None:
    """One weight's gradient is made large: it stays although it is the smallest."""
    layer, config = net.fc2, {"fc2": LayerConfig(0.9, 8, 8)}
    layer.weight.data[3, 7] = 1e-6
    pruning = GradualPruning(net, plan(net, config, Rule("taylor")), RAMP_INTERVAL)
    for _ in range(RAMP_INTERVAL):
        layer.weight.grad = torch.rand_like(layer.weight)
        layer.weight.grad[3, 7] = 1e9
        pruning.after_optimizer_step()
    assert bool(layer.weight[3, 7] != 0)
    assert int((layer.weight != 0).sum()) == 84


def finetuned(net: LeNet5, config: Config, rule: Rule, gradual: float) -> IntegerNetwork:
    """The integer network after finetuning on noise."""
    split = Split(torch.rand(96, 1, 28, 28), torch.arange(96) % 10)
    schedule = train.Schedule(2, 0.01, batch_size=16, gradual=gradual, rule=rule)
    lessons = train.Lessons(split, train.logits_of(net, split.images))
    return train.finetune(net, config, lessons, schedule, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("gradual", [0.0, 0.5])
def test_finetuned_integers_hold_two_of_four(net: LeNet5, gradual: float) -> None:
    network = finetuned(net, HALF, Rule(structure="2:4"), gradual)
    for layer in network.layers:
        rows = layer.weights.values.reshape(layer.rows, -1)
        rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
        assert np.count_nonzero(rows.reshape(layer.rows, -1, 4), axis=2).max() <= 2


@pytest.mark.parametrize("gradual", [0.0, 0.5])
def test_finetuned_channels_leave_a_smaller_network(net: LeNet5, gradual: float) -> None:
    config = {name: LayerConfig(0.7, 4, 8, channel_ratio=0.5) for name in LAYERS}
    network = compact(finetuned(net, config, prune.MAGNITUDE, gradual))
    shapes = {layer.name: layer.weights.shape[:2] for layer in network.layers}
    for name, most in {"conv1": (3, 1), "conv2": (8, 3), "conv3": (60, 8), "fc1": (42, 60)}.items():
        assert shapes[name] <= most
    assert shapes["fc2"][0] == 10


def test_pruning_at_once_is_where_gradual_pruning_ends(net: LeNet5) -> None:
    """Counts by layer, for every rule: what a trial's cost is estimated from before training."""
    split = Split(torch.rand(32, 1, 28, 28), torch.arange(32) % 10)
    narrow = {name: LayerConfig(0.7, 4, 8, channel_ratio=0.5) for name in LAYERS}
    for config, rule in (
        (HALF, Rule()),
        (HALF, Rule("taylor")),
        (HALF, Rule(structure="2:4")),
        (narrow, Rule()),
    ):
        once, slowly = copy.deepcopy(net), copy.deepcopy(net)
        trained_gradually(slowly, train.prune_at_once(once, config, split, rule))
        for name, zero in zeros(once).items():
            assert zero.sum() == zeros(slowly)[name].sum(), (rule, name)
