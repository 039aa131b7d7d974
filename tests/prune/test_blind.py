"""Weights that read nothing but zeros go, whatever lies between the channel and its reader."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dse.prune.blind import drop_blind_weights
from dse.quantize import QuanConv2d, QuanLinear, QuanNet


class Residual(QuanNet):
    """Two branches that are added, and one that is concatenated to the sum."""

    def __init__(self) -> None:
        super().__init__(8)
        self.left = QuanConv2d(1, 3, (1, 1))
        self.right = QuanConv2d(1, 3, (1, 1))
        self.last = QuanConv2d(6, 2, (1, 1))

    def forward_(self, x: Tensor) -> Tensor:
        left = self.left.relu(self.left(x))
        both = left + self.right.relu(self.right(x))
        return self.last(torch.cat([both, left], 1))


class Grouped(QuanNet):
    """A pool and a flattening between layers, one of them in groups."""

    def __init__(self) -> None:
        super().__init__(8)
        self.first = QuanConv2d(1, 4, (3, 3))
        self.groups = QuanConv2d(4, 6, (3, 3), groups=2, bias=False)
        self.last = QuanLinear(6 * 4, 3)

    def forward_(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.first.relu(self.first(x)), 2)
        return self.last(self.groups.relu(self.groups(x)).flatten(1))


@pytest.fixture
def net() -> Grouped:
    torch.manual_seed(0)
    return Grouped()


def silence(layer: QuanConv2d, channel: int) -> None:
    layer.weight.data[channel] = 0
    if layer.bias is not None:
        layer.bias.data[channel] = 0


def dropped(net: Grouped) -> None:
    drop_blind_weights(net, net.graph((1, 10, 10)))


def test_nothing_goes_from_a_network_that_is_whole(net: Grouped) -> None:
    dropped(net)
    assert all(bool(layer.weight.all()) for layer in net.layers.values())


def test_readers_in_groups_and_behind_a_flattening(net: Grouped) -> None:
    silence(net.first, 3)
    silence(net.groups, 4)
    dropped(net)
    zero = net.groups.weight == 0
    assert zero[:3].sum() == 0  # the first group reads channels 0 and 1
    assert zero[3:, 1].all()  # the second one's second input is channel 3
    assert zero[[3, 5], 0].sum() == 0
    assert (net.last.weight == 0).sum(0).tolist() == [0] * 16 + [3] * 4 + [0] * 4


def test_silence_travels_on(net: Grouped) -> None:
    """Two silent channels are a whole group's input, so its outputs are silent too."""
    silence(net.first, 0)
    silence(net.first, 1)
    dropped(net)
    assert (net.groups.weight[:3] == 0).all()
    assert (net.last.weight[:, :12] == 0).all()
    assert net.last.weight[:, 12:].all()


def test_a_sum_is_silent_where_both_branches_are() -> None:
    net = Residual()
    for layer, channels in ((net.left, (0, 1)), (net.right, (1, 2))):
        for channel in channels:
            silence(layer, channel)
    drop_blind_weights(net, net.graph((1, 4, 4)))
    # added: only channel 1 is silent twice; concatenated: left's own channels 0 and 1
    assert (net.last.weight == 0).all(0).flatten().tolist() == [0, 1, 0, 1, 1, 0]


def test_a_bias_speaks(net: Grouped) -> None:
    net.first.weight.data[3] = 0
    dropped(net)
    assert net.groups.weight.all()


def test_the_outputs_stay_as_they_are(net: Grouped) -> None:
    silence(net.first, 2)
    silence(net.groups, 0)
    images = torch.rand(5, 1, 10, 10)
    before = net(images)
    dropped(net)
    torch.testing.assert_close(net(images), before)
