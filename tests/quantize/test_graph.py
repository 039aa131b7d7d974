"""Tracing: what `forward_` may hold, what it becomes, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dse.errors import InputError
from dse.integer import RELU, MaxPool, Nonlinearity, Reshape
from dse.models.lenet5 import LeNet5
from dse.quantize import QuanConv2d, QuanLinear, QuanNet
from dse.quantize.graph import (
    AddCall,
    AverageCall,
    ConcatCall,
    Graph,
    LayerCall,
    Maker,
    bent,
    float_value,
)
from dse.quantize.trace import trace

from .nets import SHAPE, Written, images

Forward = Callable[[QuanNet, Tensor], Tensor]


def test_the_seeds_lenet5() -> None:
    graph = LeNet5(8).graph((1, 28, 28))
    assert graph.nodes == (
        LayerCall("conv1", "input", RELU),
        MaxPool("pool1", "conv1", (2, 2), (2, 2)),
        LayerCall("conv2", "pool1", RELU),
        MaxPool("pool2", "conv2", (2, 2), (2, 2)),
        LayerCall("conv3", "pool2", RELU),
        Reshape("reshape1", "conv3", (120,)),
        LayerCall("fc1", "reshape1", RELU),
        LayerCall("fc2", "fc1"),
    )


def test_origins_and_readers_look_through_pools_and_reshapes() -> None:
    graph = LeNet5(8).graph((1, 28, 28))
    assert [graph.origin(name) for name in ("input", "pool2", "reshape1")] == [
        "input",
        "conv2",
        "conv3",
    ]
    assert [call.name for call in graph.readers("conv3")] == ["fc1"]
    assert graph.readers("fc2") == ()


def test_the_pool_behind_a_maker_is_the_one_that_alone_reads_it() -> None:
    graph = LeNet5(8).graph((1, 28, 28))
    pools = {call.name: graph.pool_behind(call) for call in graph.calls}
    assert pools == {
        "conv1": MaxPool("pool1", "conv1", (2, 2), (2, 2)),
        "conv2": MaxPool("pool2", "conv2", (2, 2), (2, 2)),
        **dict.fromkeys(("conv3", "fc1", "fc2")),
    }

    def read_twice(net: QuanNet, x: Tensor) -> Tensor:
        seen = net.conv1(x)
        return net.fc((F.interpolate(F.max_pool2d(seen, 2), scale_factor=2) + seen).flatten(1))

    twice = Written(read_twice).graph(SHAPE)
    assert any(isinstance(node, MaxPool) for node in twice.nodes)
    assert twice.pool_behind(twice.calls[0]) is None


SAME_NET: dict[str, Forward] = {
    "layer's relu": lambda n, x: n.fc(F.max_pool2d(n.conv1.relu(n.conv1(x)), 2).flatten(1)),
    "F.relu": lambda n, x: n.fc(F.max_pool2d(F.relu(n.conv1(x)), 2, 2).flatten(1)),
    "F.relu inplace": lambda n, x: n.fc(F.max_pool2d(F.relu(n.conv1(x), True), 2).flatten(1)),
    "torch.relu": lambda n, x: n.fc(torch.max_pool2d(torch.relu(n.conv1(x)), 2).flatten(1)),
    "x.relu": lambda n, x: n.fc(F.max_pool2d(n.conv1(x).relu(), kernel_size=2).flatten(1)),
    "nn modules": lambda n, x: n.fc(n.drop(n.flat(n.pool(n.act(n.conv1(x)))))),
    "relu after pool": lambda n, x: n.fc(n.flat(n.act(n.pool(n.conv1(x))))),
    "relu after reshape": lambda n, x: n.fc(n.act(n.flat(n.pool(n.conv1(x))))),
    "relu twice": lambda n, x: n.fc(n.flat(n.act(n.pool(n.act(n.conv1(x)))))),
    "view": lambda n, x: n.fc((y := n.pool(n.act(n.conv1(x)))).view(y.size(0), -1)),
    "reshape by shape": lambda n, x: n.fc(
        torch.reshape((y := n.pool(n.act(n.conv1(x)))), (y.shape[0], y.shape[1] * 16))
    ),
}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Callable[[Forward], Written]:
    """A Written network whose fc reads a pooled conv1 (4 x 4 x 4 values)."""

    def make(forward: Forward) -> Written:
        torch.manual_seed(0)
        net = Written(forward)
        net.fc = QuanLinear(64, 3)
        return net.eval()

    return make


@pytest.mark.parametrize("forward", SAME_NET.values(), ids=SAME_NET.keys())
def test_every_way_to_write_it_is_the_same_graph(
    forward: Forward, narrow: Callable[[Forward], Written]
) -> None:
    net = narrow(forward)
    graph = net.graph(SHAPE)
    assert graph.calls == (
        LayerCall("conv1", "input", RELU),
        LayerCall("fc", graph.nodes[-2].name),
    )
    assert [type(node) for node in graph.nodes] == [LayerCall, MaxPool, Reshape, LayerCall]


@pytest.mark.parametrize("forward", SAME_NET.values(), ids=SAME_NET.keys())
def test_running_the_graph_computes_the_float_network(
    forward: Forward, narrow: Callable[[Forward], Written]
) -> None:
    net = narrow(forward)

    def make(node: Maker, sources: list[Tensor]) -> Tensor:
        return bent(float_value(node, sources, net.layers), node.nonlinearity)

    torch.testing.assert_close(net.graph(SHAPE).run(images(4), make), net(images(4)))


class _Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = QuanConv2d(1, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def test_layers_inside_blocks_keep_their_dotted_names() -> None:
    net = Written(lambda n, x: n.fc(n.flat(n.block(x))))
    net.block = torch.nn.Sequential(_Block(), torch.nn.ReLU())
    assert net.graph(SHAPE).calls[0] == LayerCall("block.0.conv", "input", RELU)


def test_a_pools_name_is_never_that_of_a_layer() -> None:
    net = Written(lambda n, x: n.fc(n.flat(n.pool1(n.pool(n.conv1(x))))))
    net.pool1 = QuanConv2d(4, 16, 1)
    assert [node.name for node in net.graph(SHAPE).nodes] == [
        "conv1", "pool2", "pool1", "reshape1", "fc",
    ]  # fmt: skip


def _read_with_and_without(n: QuanNet, x: Tensor) -> Tensor:
    raw = n.conv1(x)
    return n.fc(n.flat(n.conv2(F.relu(raw)) + raw))


def test_what_is_read_with_and_without_relu_keeps_the_relu_apart() -> None:
    assert Written(_read_with_and_without).graph(SHAPE).nodes == (
        LayerCall("conv1", "input"),
        ConcatCall("clamp1", ("conv1",), RELU),
        LayerCall("conv2", "clamp1"),
        AddCall("add1", ("conv2", "conv1")),
        Reshape("reshape1", "add1", (256,)),
        LayerCall("fc", "reshape1"),
    )


def test_relu_of_the_input_is_a_node() -> None:
    graph = Written(lambda n, x: n.conv1(F.relu(x))).graph(SHAPE)
    assert graph.nodes == (ConcatCall("clamp1", ("input",), RELU), LayerCall("conv1", "clamp1"))


def test_a_layer_used_again_shares_its_weights() -> None:
    graph = Written(lambda n, x: n.conv2(F.relu(n.conv2(n.conv1(x))))).graph(SHAPE)
    assert graph.calls == (
        LayerCall("conv1", "input"),
        LayerCall("conv2", "conv1", RELU),
        LayerCall("conv2_2", "conv2", shares="conv2"),
    )
    assert [call.module for call in graph.calls] == ["conv1", "conv2", "conv2"]


def test_what_the_output_does_not_need_is_left_out() -> None:
    def forward(n: QuanNet, x: Tensor) -> Tensor:
        y = n.conv1(x)
        n.conv2(y)
        return y

    assert Written(forward).graph(SHAPE).nodes == (LayerCall("conv1", "input"),)


def test_relu_behind_an_average_is_the_averages_own() -> None:
    graph = Written(lambda n, x: F.relu(F.avg_pool2d(n.conv1(x), 2))).graph(SHAPE)
    assert graph.nodes == (
        LayerCall("conv1", "input"),
        AverageCall("average1", "conv1", (2, 2), (2, 2), nonlinearity=RELU),
    )


CLAMPS: dict[str, tuple[Forward, Nonlinearity]] = {
    "relu6": (lambda n, x: F.relu6(n.conv1(x)), Nonlinearity(0.0, 6.0)),
    "hardtanh": (lambda n, x: F.hardtanh(n.conv1(x)), Nonlinearity(-1.0, 1.0)),
    "hardtanh ends": (lambda n, x: F.hardtanh(n.conv1(x), -2, 3), Nonlinearity(-2.0, 3.0)),
    "clamp": (lambda n, x: torch.clamp(n.conv1(x), max=4), Nonlinearity(high=4.0)),
    "x.clamp": (lambda n, x: n.conv1(x).clamp(-1, 2), Nonlinearity(-1.0, 2.0)),
    "leaky": (lambda n, x: F.leaky_relu(n.conv1(x), 0.125), Nonlinearity(leak=3)),
    "leaky, relu6": (lambda n, x: F.relu6(F.leaky_relu(n.conv1(x), 0.5)), Nonlinearity(0, 6, 1)),
    "relu, relu6": (lambda n, x: F.relu6(F.relu(n.conv1(x))), Nonlinearity(0.0, 6.0)),
    "relu, leaky": (lambda n, x: F.leaky_relu(F.relu(n.conv1(x)), 0.5), RELU),
    "after a pool": (lambda n, x: F.relu6(n.pool(n.conv1(x))), Nonlinearity(0.0, 6.0)),
}


@pytest.mark.parametrize(("forward", "expected"), CLAMPS.values(), ids=CLAMPS.keys())
def test_nonlinearities_become_the_layers_clamp(forward: Forward, expected: Nonlinearity) -> None:
    (call,) = Written(forward).graph(SHAPE).makers
    assert call.nonlinearity == expected


def test_two_leaks_stay_apart() -> None:
    graph = Written(lambda n, x: F.leaky_relu(F.leaky_relu(n.conv1(x), 0.5), 0.5)).graph(SHAPE)
    leak = Nonlinearity(leak=1)
    assert graph.nodes == (
        LayerCall("conv1", "input", leak),
        ConcatCall("clamp2", ("conv1",), leak),
    )


def branching() -> Graph:
    """conv1 is added to conv2 of itself; the sum is averaged; fc reads the average."""
    torch.manual_seed(0)
    net = Written(lambda n, x: n.fc(n.flat(F.avg_pool2d((y := n.conv1(x)) + n.conv2(y), 2))))
    net.fc = QuanLinear(64, 3)
    return net.graph(SHAPE)


def test_widths_are_what_the_readers_need() -> None:
    bits = {"conv1": 3, "conv2": 4, "fc": 6}
    # conv1 is read by conv2 (4) and by the sum, which is averaged for fc (6): the widest is 6
    assert branching().widths(bits) == {
        "input": 3, "conv1": 6, "conv2": 6, "add1": 6, "average1": 6,
    }  # fmt: skip
    assert branching().widths({**bits, "conv2": 8})["conv1"] == 8


def test_the_output_has_no_grid_where_its_sums_are_the_answer() -> None:
    for forward, grids in (
        (lambda n, x: n.conv1(x), ["input"]),
        (lambda n, x: F.avg_pool2d(n.conv1(x), 8), ["input", "conv1"]),
        (lambda n, x: F.relu(n.conv1(x)), ["input", "conv1"]),
        (lambda n, x: n.conv1(x) + n.conv1(x), ["input", "conv1", "conv1_2", "add1"]),
    ):
        widths = Written(forward).graph(SHAPE).widths({"conv1": 5})
        assert list(widths) == grids
        assert set(widths.values()) <= {5, 16}  # what nothing multiplies has the widest


def test_what_only_a_concatenation_reads_lies_on_its_grid() -> None:
    net = Written(
        lambda n, x: n.fc(n.flat(torch.cat([n.conv1(x), F.relu(n.conv2(n.conv1(x)))], 1)))
    )
    net.fc = QuanLinear(512, 3)
    graph = net.graph(SHAPE)
    assert graph.calls[1] == LayerCall("conv1_2", "input", shares="conv1")
    owners = {maker.name: graph.grid_owner(maker.name) for maker in graph.makers}
    assert owners == {
        "conv1": "concat1", "conv1_2": "conv1_2", "conv2": "concat1", "concat1": "concat1",
        "fc": "fc",
    }  # fmt: skip


REFUSED: dict[str, tuple[Forward, str]] = {
    "function": (
        lambda n, x: torch.tanh(n.conv1(x)),
        "^Written calls tanh is not supported; instead of it use ReLU, ReLU6, Hardtanh",
    ),
    "module": (
        lambda n, x: n.swish(n.conv1(x)),
        r"^swish \(SiLU\) is not supported; instead of it use ReLU",
    ),
    "permute": (lambda n, x: n.conv1(x).permute(0, 2, 3, 1), "permute: reorders the values of"),
    "product": (lambda n, x: n.conv1(x) * n.conv1(x), "calls mul is not supported"),
    "constant": (lambda n, x: n.conv1(x) + 1, "add: reads something that is not an activation"),
    "parameter": (
        lambda n, x: n.conv1(x) + n.conv1.bias.reshape(1, 4, 1, 1),
        "reads the parameter or buffer conv1.bias is not supported",
    ),
    "slicing": (lambda n, x: n.conv1(x)[:, :1], "getitem is not supported; .* one layer for each"),
    "unknown": (
        lambda n, x: torch.cumsum(n.conv1(x), 1),
        r"cumsum is not supported \(supported: Conv1d, Conv2d, Linear, .*Identity\)",
    ),
    "broadcast": (
        lambda n, x: n.conv1(x) + F.avg_pool2d(n.conv1(x), 8),
        r"adds tensors of shapes \(4, 8, 8\) and \(4, 1, 1\)",
    ),
    "alpha": (lambda n, x: torch.add(n.conv1(x), n.conv1(x), alpha=2), "without alpha"),
    "concat of rows": (lambda n, x: torch.cat([n.conv1(x)] * 2, 2), "along the channels, dim=1"),
    "batch norm": (lambda n, x: n.norm(n.conv1(x)), r"norm\); dse.quantize.convert\(net, images\)"),
    "leak": (
        lambda n, x: F.leaky_relu(n.conv1(x)),
        r"power of two.* but got 0.01; the nearest is 2\*\*-7 = 0.0078125",
    ),
    "batch axis moved": (lambda n, x: n.conv1(x).view(-1, 2), "must keep the batch axis first"),
    "flattened with the batch": (lambda n, x: torch.flatten(n.conv1(x)), "batch axis first"),
    "ceil mode": (lambda n, x: F.max_pool2d(n.conv1(x), 3, ceil_mode=True), "ceil_mode False"),
    "dilated pool": (lambda n, x: F.max_pool2d(n.conv1(x), 2, 2, 0, 2), "needs dilation 1"),
    "border left out": (
        lambda n, x: F.avg_pool2d(n.conv1(x), 3, 1, 1, count_include_pad=False),
        "count_include_pad True where it pads",
    ),
    "uneven windows": (
        lambda n, x: F.adaptive_avg_pool2d(n.conv1(x), 3),
        r"windows differ in size from \(8, 8\) to \(3, 3\)",
    ),
    "mean of channels": (lambda n, x: n.conv1(x).mean(1), "over all pixels, and only over them"),
    "bilinear": (
        lambda n, x: F.interpolate(n.conv1(x), scale_factor=2, mode="bilinear"),
        "needs mode 'nearest'",
    ),
    "uneven upsampling": (lambda n, x: F.interpolate(n.conv1(x), (12, 12)), "whole factors"),
    "linear layer of an image": (
        lambda n, x: torch.nn.functional.relu(n.row(x)),
        r"row \(QuanLinear\): reads values of shape \(1, 8, 8\); .*flatten\(1\)",
    ),
    "two results": (lambda n, x: (n.conv1(x), x), "must return one tensor"),
    "no layer": (lambda n, x: F.max_pool2d(x, 2), "uses no convolution and no linear layer"),
    "control flow": (
        lambda n, x: n.conv1(x) if x.sum() > 0 else x,
        "cannot be traced for images of shape .*branches or loops on a value",
    ),
    "misfit": (lambda n, x: n.fc(n.flat(n.pool(n.conv1(x)))), r"fc \(QuanLinear\): mat1 and mat2"),
}


@pytest.mark.parametrize(("forward", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_integers_cannot_compute_is_refused_by_name(forward: Forward, message: str) -> None:
    net = Written(forward)
    net.row, net.swish = QuanLinear(8, 2), torch.nn.SiLU()
    with pytest.raises(InputError, match=message):
        net.graph(SHAPE)


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 20, 20), (784,)])
def test_a_wrong_input_size_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"^(conv1|conv3) \(QuanConv2d\): |^LeNet5 calls view"):
        LeNet5(8).graph(shape)


def test_a_layer_named_input_is_refused() -> None:
    net = Written(lambda n, x: getattr(n, "input")(x))  # noqa: B009
    net.input = QuanConv2d(1, 4, 3)
    with pytest.raises(InputError, match="no layer can be named 'input'"):
        net.graph(SHAPE)


def test_a_network_without_forward_is_refused() -> None:
    with pytest.raises(InputError, match="must define forward_"):
        trace(QuanNet(8), SHAPE, "forward_")
