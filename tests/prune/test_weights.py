"""Other ways to prune: globally, by first-order importance, whole channels, N of M."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dse import prune
from dse.errors import InputError
from dse.integer.kernels import Evaluator, quantize_input
from dse.integer.shrink import shrink
from dse.integer.simplify import simplify
from dse.models.lenet5 import LeNet5
from dse.quantize import QuanLinear


@pytest.fixture
def net() -> LeNet5:
    torch.manual_seed(0)
    return LeNet5(8)


def weights_of(net: LeNet5) -> torch.Tensor:
    return torch.cat([layer.weight.detach().flatten() for layer in net.layers.values()])


def test_global_pruning_keeps_the_largest_weights_of_all_layers(net: LeNet5) -> None:
    before = weights_of(net).abs()
    prune.prune_globally(net, 0.9)
    kept = weights_of(net) != 0
    assert int(kept.sum()) == len(before) - round(0.9 * len(before))
    assert before[kept].min() >= before[~kept].max()


def test_global_pruning_follows_the_scores_it_is_given(net: LeNet5) -> None:
    scores = {name: torch.rand_like(layer.weight) for name, layer in net.layers.items()}
    flat = torch.cat([score.flatten() for score in scores.values()])
    prune.prune_globally(net, 0.5, scores)
    kept = weights_of(net) != 0
    assert flat[kept].min() >= flat[~kept].max()


def test_taylor_scores_are_weight_times_gradient_squared_by_batch(net: LeNet5) -> None:
    images, labels = torch.rand(8, 1, 28, 28), torch.arange(8)
    scores = prune.taylor_scores(net, images, labels, batch_size=4)
    assert all(parameter.grad is None for parameter in net.parameters())
    expected = {name: torch.zeros_like(layer.weight) for name, layer in net.layers.items()}
    for batch in (slice(0, 4), slice(4, 8)):
        net.zero_grad()
        F.cross_entropy(net(images[batch]), labels[batch]).backward()
        for name, layer in net.layers.items():
            expected[name] += (layer.weight * layer.weight.grad).square().detach() / 2
    for name, score in expected.items():
        torch.testing.assert_close(scores[name], score, atol=1e-10, rtol=1e-3)


def test_pruned_channels_leave_a_network_that_is_really_smaller(net: LeNet5) -> None:
    prune.prune_channels(net.conv2, 0.5)
    prune.prune_channels(net.fc1, 0.25)
    images = torch.rand(50, 1, 28, 28)
    net.quantize(images)
    network = net.integer_network((1, 28, 28))
    small = shrink(simplify(network))
    shapes = {layer.name: layer.weights.shape for layer in small.layers}
    assert shapes["conv2"] == (8, 6, 5, 5)
    assert shapes["conv3"] == (120, 8, 5, 5)
    assert (shapes["fc1"], shapes["fc2"]) == ((63, 120), (10, 63))
    codes = quantize_input(network, images)
    assert torch.equal(Evaluator(small)(codes), Evaluator(network)(codes))


def test_two_of_four_keeps_the_two_largest_of_each_group() -> None:
    layer = QuanLinear(10, 1)
    row = [1.0, -4.0, 3.0, 2.0, 0.5, 0.1, -0.2, 0.3, 9.0, 8.0]
    layer.weight.data[:] = torch.tensor([row])
    prune.prune_n_of_m(layer, 2, 4)
    assert layer.weight.tolist() == [[0, -4.0, 3.0, 0, 0.5, 0, 0, pytest.approx(0.3), 9.0, 8.0]]


@pytest.mark.parametrize(("n", "m"), [(0, 4), (5, 4)])
def test_n_of_m_needs_n_within_m(n: int, m: int) -> None:
    with pytest.raises(InputError, match=f"0 < n <= m, but got {n}:{m}"):
        prune.prune_n_of_m(QuanLinear(8, 2), n, m)
