"""Tracing: what `forward_` may hold, what it becomes, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dse.errors import InputError
from dse.integer import MaxPool, Reshape
from dse.models.lenet5 import LeNet5
from dse.quantize import QuanConv2d, QuanLinear, QuanNet
from dse.quantize.graph import LayerCall, trace

from .nets import SHAPE, Written, images

Forward = Callable[[QuanNet, Tensor], Tensor]


def test_the_seeds_lenet5() -> None:
    graph = LeNet5(8).graph((1, 28, 28))
    assert graph.nodes == (
        LayerCall("conv1", "input", relu=True),
        MaxPool("pool1", "conv1", (2, 2), (2, 2)),
        LayerCall("conv2", "pool1", relu=True),
        MaxPool("pool2", "conv2", (2, 2), (2, 2)),
        LayerCall("conv3", "pool2", relu=True),
        Reshape("reshape1", "conv3", (120,)),
        LayerCall("fc1", "reshape1", relu=True),
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
        LayerCall("conv1", "input", relu=True),
        LayerCall("fc", graph.nodes[-2].name),
    )
    assert [type(node) for node in graph.nodes] == [LayerCall, MaxPool, Reshape, LayerCall]


@pytest.mark.parametrize("forward", SAME_NET.values(), ids=SAME_NET.keys())
def test_running_the_graph_computes_the_float_network(
    forward: Forward, narrow: Callable[[Forward], Written]
) -> None:
    net = narrow(forward)

    def call(node: LayerCall, x: Tensor) -> Tensor:
        y: Tensor = net.layers[node.name](x)
        return y.relu() if node.relu else y

    torch.testing.assert_close(net.graph(SHAPE).run(images(4), call), net(images(4)))


class _Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = QuanConv2d(1, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def test_layers_inside_blocks_keep_their_dotted_names() -> None:
    net = Written(lambda n, x: n.fc(n.flat(n.block(x))))
    net.block = torch.nn.Sequential(_Block(), torch.nn.ReLU())
    assert net.graph(SHAPE).calls[0] == LayerCall("block.0.conv", "input", relu=True)


def test_a_pools_name_is_never_that_of_a_layer() -> None:
    net = Written(lambda n, x: n.fc(n.flat(n.pool1(n.pool(n.conv1(x))))))
    net.pool1 = QuanConv2d(4, 16, 1)
    assert [node.name for node in net.graph(SHAPE).nodes] == [
        "conv1", "pool2", "pool1", "reshape1", "fc",
    ]  # fmt: skip


def _read_before(n: QuanNet, x: Tensor) -> Tensor:
    raw = n.conv1(x)
    n.conv2(raw)
    return n.fc(n.flat(F.relu(raw)))


def _read_after(n: QuanNet, x: Tensor) -> Tensor:
    raw = n.conv1(x)
    F.relu(raw)
    return n.fc(n.flat(raw))


def _returned_raw(n: QuanNet, x: Tensor) -> Tensor:
    raw = n.conv1(x)
    F.relu(raw)
    return raw


def _returned_early(n: QuanNet, x: Tensor) -> Tensor:
    y = n.conv1(x)
    n.conv2(y)
    return y


REFUSED: dict[str, tuple[Forward, str]] = {
    "unsupported module": (lambda n, x: n.norm(n.conv1(x)), r"norm \(norm\) is not supported"),
    "unsupported function": (lambda n, x: torch.tanh(n.conv1(x)), r"tanh.* is not supported"),
    "unsupported method": (lambda n, x: n.conv1(x).permute(0, 2, 3, 1), r"permute.* not supported"),
    "arithmetic on tensors": (lambda n, x: n.fc(n.flat(n.conv1(x) * 2)), r"mul.* not supported"),
    "slicing": (lambda n, x: n.conv1(x)[:, :1], r"getitem.* is not supported"),
    "supported list": (lambda n, x: torch.tanh(n.conv1(x)), r"supported: QuanConv2d, QuanLinear"),
    "used twice": (lambda n, x: n.conv2(n.conv2(n.conv1(x))), "layer 'conv2' is used twice"),
    "raw read before relu": (_read_before, "'conv1' is read with and without ReLU"),
    "raw read after relu": (_read_after, r"conv1.* is read with and without ReLU"),
    "raw returned after relu": (_returned_raw, r"conv1.* is read with and without ReLU"),
    "relu of the input": (lambda n, x: n.conv1(F.relu(x)), "ReLU of the network's input"),
    "batch axis moved": (
        lambda n, x: n.conv1(x).view(-1, 2),
        "must keep the batch axis first",
    ),
    "flattened with the batch": (lambda n, x: torch.flatten(n.conv1(x)), "batch axis first"),
    "ceil mode": (lambda n, x: F.max_pool2d(n.conv1(x), 3, ceil_mode=True), "ceil_mode False"),
    "dilated pool": (lambda n, x: F.max_pool2d(n.conv1(x), 2, 2, 0, 2), "needs dilation 1"),
    "two results": (lambda n, x: (n.conv1(x), x), "must return one tensor"),
    "not the last result": (_returned_early, "must return the tensor that it computes last"),
    "no layer": (lambda n, x: F.max_pool2d(x, 2), "uses no QuanConv2d or QuanLinear"),
    "control flow": (lambda n, x: n.conv1(x) if x.sum() > 0 else x, "cannot be traced"),
    "misfit": (lambda n, x: n.fc(n.flat(n.pool(n.conv1(x)))), r"fc \(fc\): mat1 and mat2"),
}


@pytest.mark.parametrize(("forward", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_integers_cannot_compute_is_refused_by_name(forward: Forward, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Written(forward).graph(SHAPE)


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 20, 20), (784,)])
def test_a_wrong_input_size_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="forward_: "):
        LeNet5(8).graph(shape)


def test_a_layer_named_input_is_refused() -> None:
    net = Written(lambda n, x: getattr(n, "input")(x))  # noqa: B009
    net.input = QuanConv2d(1, 4, 3)
    with pytest.raises(InputError, match="no layer can be named 'input'"):
        net.graph(SHAPE)


def test_a_network_without_forward_is_refused() -> None:
    with pytest.raises(InputError, match="must define forward_"):
        trace(QuanNet(8), SHAPE)
