"""Conversion: a plain module's quantizable form computes the same, or is refused by name."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dse.config import LayerConfig
from dse.errors import InputError
from dse.integer import Concat, reference
from dse.integer.kernels import Evaluator, quantize_input
from dse.quantize import ConvertedNet, QuanNet, convert
from dse.quantize.fake import FakeQuantized
from dse.quantize.fold import fold_norm

from .nets import small_net
from .plain import Drawn, pictures, plain_networks

Forward = Callable[[nn.Module, Tensor], Tensor]

few = settings(max_examples=30, deadline=None)
widths = st.sampled_from([2, 4, 8, 16])


@few
@given(net=plain_networks())
def test_the_converted_network_computes_the_module(net: Drawn) -> None:
    images = pictures(net, 5)
    converted = convert(net, images).eval()
    torch.testing.assert_close(converted(images), net(images), rtol=1e-3, atol=1e-4)


@few
@given(net=plain_networks(), bits=widths)
def test_the_integer_network_is_that_of_the_reference(net: Drawn, bits: int) -> None:
    images = pictures(net, 6)
    converted = convert(net, images)
    converted.quantize(images, weight_bits=bits, activation_bits=bits)
    network = converted.integer_network(net.shapes[0])
    codes = quantize_input(network, images)
    expected = reference.evaluate(network, codes.numpy())[network.output]
    assert torch.equal(Evaluator(network)(codes), torch.from_numpy(expected))
    converted.quan_mode()
    assert torch.equal(converted(images), torch.from_numpy(expected))


@few
@given(net=plain_networks(), bits=widths)
def test_a_state_dict_holds_the_whole_integer_network(net: Drawn, bits: int) -> None:
    images = pictures(net, 6)
    converted = convert(net, images)
    converted.quantize(images, weight_bits=bits, activation_bits=8)
    again = convert(net, images)
    again.load_state_dict(converted.state_dict())
    converted.quan_mode()
    again.quan_mode()
    assert torch.equal(again(images), converted(images))


@few
@given(net=plain_networks(), bits=st.sampled_from([4, 8]))
def test_fake_quantization_computes_what_the_integers_will(net: Drawn, bits: int) -> None:
    images = pictures(net, 32)
    converted = convert(net, images)
    fake = FakeQuantized(
        converted, dict.fromkeys(converted.layers, LayerConfig(0.0, bits, bits)), images
    )
    network = fake.to_integers()
    last = network.layers[-1]
    scale = float(last.weights.scale[0]) * network.input_grid_of(last).scale
    expected = Evaluator(network)(quantize_input(network, images)) * scale
    with torch.no_grad():
        error = (fake(images) - expected).abs()
    # a tie that float32 rounds the other way moves one code by a step; most images have none
    step = float(network.input_grid_of(last).scale * last.weights.scale[0] * 2**bits)
    assert float(error.median()) <= max(1e-3 * float(expected.std()), 0.02 * step)


class Written(nn.Module):
    """Layers to use, and a forward given as a function of the network and x."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.norm2 = nn.BatchNorm2d(4)
        self.free = nn.BatchNorm2d(4, track_running_stats=False)
        self.line = nn.Conv1d(8, 3, 5, stride=2, padding=2)
        self.line_norm = nn.BatchNorm1d(3)
        self.same = nn.Conv2d(2, 4, 3, padding="same", dilation=2)
        self.even = nn.Conv2d(2, 4, 2, padding="same")
        self.circular = nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular")
        self.swish = nn.SiLU()
        self.fc = nn.Linear(256, 3)
        self.fc_norm = nn.BatchNorm1d(3)
        self.fill = nn.ReLU(inplace=True)
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


IMAGES = torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))


def written(forward: Forward) -> Written:
    """A network in eval mode whose normalizations have seen images."""
    torch.manual_seed(0)
    net = Written(forward)
    for name in ("norm", "norm2"):
        net.get_submodule(name)(torch.randn(9, 4, 8, 8) + 1)
    net.fc_norm(torch.randn(9, 3))
    net.line_norm(torch.randn(9, 3, 4))
    return net.eval()


SUPPORTED: dict[str, Forward] = {
    "batch norm": lambda n, x: n.norm(n.conv(x)),
    "batch norm 1d": lambda n, x: n.fc_norm(n.fc(n.conv(x).flatten(1))),
    "batch norm and relu": lambda n, x: F.relu(n.norm(n.conv(x))),
    "residual": lambda n, x: F.relu(n.norm(n.conv2(y := n.conv(x))) + y),
    "residual in place": lambda n, x: n.fill(n.conv2(y := n.conv(x)).add_(y)),
    "torch.add": lambda n, x: torch.add(n.conv(x), n.same(x)),
    "added to itself": lambda n, x: (y := n.conv(x)) + y,
    "three terms": lambda n, x: n.conv(x) + n.same(x) + n.norm(n.conv2(n.conv(x))),
    "concat": lambda n, x: torch.cat([n.conv(x), F.relu(n.same(x)), x], dim=1),
    "concat of rows": lambda n, x: torch.cat(
        [n.fc((y := n.conv(x)).flatten(1)), y.mean((2, 3))], 1
    ),
    "same padding": lambda n, x: n.same(x),
    "sequence": lambda n, x: F.relu(n.line_norm(n.line(n.conv(x).reshape(-1, 8, 32)))),
    "sequences": lambda n, x: F.max_pool1d(F.avg_pool1d(n.line(n.conv(x).view(-1, 8, 32)), 2), 2),
    "mean of a sequence": lambda n, x: n.line(n.conv(x).view(-1, 8, 32)).mean(2),
    "adaptive 1d": lambda n, x: F.adaptive_avg_pool1d(n.line(n.conv(x).view(-1, 8, 32)), 1),
    "adaptive": lambda n, x: F.adaptive_avg_pool2d(n.conv(x), 1).flatten(1),
    "adaptive to two": lambda n, x: F.adaptive_avg_pool2d(n.conv(x), (2, 4)),
    "mean": lambda n, x: n.conv(x).mean(dim=[-2, -1]),
    "mean kept": lambda n, x: torch.mean(n.conv(x), (2, 3), keepdim=True),
    "mean and relu6": lambda n, x: F.relu6(n.conv(x).mean((2, 3))),
    "padded average": lambda n, x: F.avg_pool2d(n.conv(x), 3, 2, 1),
    "upsampled": lambda n, x: F.interpolate(n.conv(x), scale_factor=2, mode="nearest"),
    "called twice": lambda n, x: n.norm(n.conv2(F.relu(n.norm(n.conv2(n.conv(x)))))),
    "squeezed": lambda n, x: F.adaptive_avg_pool2d(n.conv(x), 1).squeeze(3).squeeze(2),
    "permuted harmlessly": lambda n, x: n.conv(x).mean((2, 3), True).permute(0, 2, 3, 1),
    "transposed harmlessly": lambda n, x: n.conv(x).mean((2, 3)).unsqueeze(1).transpose(1, 2),
    "dropout": lambda n, x: F.dropout(n.conv(x), 0.5, n.training),
    "sizes computed": lambda n, x: (y := n.conv(x)).view(y.shape[0], y.size(1) * 64),
    "relu with and without": lambda n, x: n.conv2(F.relu(y := n.conv(x))) + y,
    "leaky": lambda n, x: F.leaky_relu(F.max_pool2d(n.conv(x), 2), 0.125),
    "averages at the end": lambda n, x: F.avg_pool2d(F.relu(n.conv(x)), 8).flatten(1),
}


@pytest.mark.parametrize("forward", SUPPORTED.values(), ids=SUPPORTED.keys())
def test_supported(forward: Forward) -> None:
    net = written(forward)
    converted = convert(net, IMAGES)
    torch.testing.assert_close(converted(IMAGES), net(IMAGES), rtol=1e-4, atol=1e-5)
    converted.quantize(IMAGES)
    converted.quan_mode()
    assert converted(IMAGES).shape == net(IMAGES).shape


def test_the_module_stays_as_it_is() -> None:
    net = written(SUPPORTED["residual"]).train()
    before = copy.deepcopy(net.state_dict())
    convert(net, IMAGES)
    assert net.training
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_random_weights_of_others_are_the_same_after_a_conversion() -> None:
    net = written(SUPPORTED["residual"])
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    convert(net, IMAGES)
    assert torch.equal(torch.rand(1), expected)


def test_layers_keep_their_paths_in_the_order_of_definition() -> None:
    blocks = nn.Sequential(nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)), nn.Conv2d(3, 2, 1))
    assert list(convert(blocks, IMAGES).layers) == ["0.0", "1"]
    assert list(convert(written(lambda n, x: n.conv2(n.conv(x))), IMAGES).layers) == [
        "conv",
        "conv2",
    ]


def test_fold_norm_by_hand() -> None:
    norm = nn.BatchNorm2d(2, eps=0.0).eval()
    with torch.no_grad():
        norm.running_mean.copy_(torch.tensor([1.0, -2.0]))
        norm.running_var.copy_(torch.tensor([4.0, 0.25]))
        norm.weight.copy_(torch.tensor([3.0, -1.0]))
        norm.bias.copy_(torch.tensor([0.5, 0.0]))
    weight = torch.tensor([[[[2.0]]], [[[1.0]]]])
    # g = 3 / 2 and -1 / 0.5; w' = 2 * 1.5 and 1 * -2; b' = 0.5 + (7 - 1) * 1.5 and (3 + 2) * -2
    folded, bias = fold_norm(weight, torch.tensor([7.0, 3.0]), norm)
    assert folded.flatten().tolist() == [3.0, -2.0]
    assert bias.tolist() == [9.5, -10.0]
    # without a bias: b' = 0.5 - 1 * 1.5 and 0 + 2 * -2
    assert fold_norm(weight, None, norm)[1].tolist() == [-1.0, -4.0]


def test_a_shared_layers_weights_are_equal_and_stored_once() -> None:
    converted = convert(written(SUPPORTED["called twice"]), IMAGES)
    converted.quantize(IMAGES)
    first, second = converted.integer_network((2, 8, 8)).layers[1:]
    assert (second.shares, first.shares) == (first.name, None)
    assert (first.weights.values == second.weights.values).all()
    assert list(converted.layers) == ["conv", "conv2"]


def test_a_concatenation_of_layers_rounds_once() -> None:
    converted = convert(written(SUPPORTED["concat"]), IMAGES)
    converted.quantize(IMAGES)
    (concat,) = (n for n in converted.integer_network((2, 8, 8)).nodes if isinstance(n, Concat))
    assert [requantizer is None for requantizer in concat.requantizers] == [True, True, False]


def test_a_quannet_is_converted_too() -> None:
    net = small_net(n_bits=5)
    net.sparse_storage = False
    converted = convert(net, torch.rand(2, 1, 8, 8))
    assert isinstance(converted, ConvertedNet)
    assert isinstance(converted, QuanNet)
    assert (converted.n_bits, converted.sparse_storage) == (5, False)
    assert list(converted.layers) == list(net.layers)


def _in_place_behind_the_trace(n: nn.Module, x: Tensor) -> Tensor:
    y = n.conv(x)
    z = n.fill(y)
    return z + n.conv2(y) + y


def _changed_after_reading(n: nn.Module, x: Tensor) -> Tensor:
    y = n.conv(x)
    y += n.same(x)
    F.relu(y, inplace=True)
    return n.conv2(y)


def _noise(n: nn.Module, x: Tensor) -> Tensor:
    return F.dropout(n.conv(x), 0.5)


REFUSED: dict[str, tuple[Forward, str]] = {
    "module": (
        lambda n, x: n.swish(n.conv(x)),
        r"^swish \(SiLU\) is not supported; instead of it use ReLU, ReLU6",
    ),
    "norm of a sum": (
        lambda n, x: n.norm(n.conv(x) + n.same(x)),
        r"^norm \(batch normalization\) must directly follow a convolution",
    ),
    "norm behind a relu": (lambda n, x: n.norm(F.relu(n.conv(x))), "must directly follow"),
    "norm of a layer that is read twice": (
        lambda n, x: n.norm(y := n.conv(x)) + y,
        "that nothing else reads",
    ),
    "norm of a norm": (
        lambda n, x: n.norm2(n.norm(n.conv(x))),
        "norm2 .* follows another one, norm",
    ),
    "no statistics": (lambda n, x: n.free(n.conv(x)), "^free: .*needs running statistics"),
    "two norms of one layer": (
        lambda n, x: n.norm2(n.conv2(n.norm(n.conv2(n.conv(x))))),
        r"conv2 is called again with another batch normalization behind it \(norm, then norm2\)",
    ),
    "uneven padding": (lambda n, x: n.even(x), "^even: padding 'same' pads one side more"),
    "circular": (lambda n, x: n.circular(x), "^circular: padding_mode must be 'zeros'"),
    "in place": (_changed_after_reading, "computes something else than its trace"),
    "noise": (_noise, r"computes something else than its trace, by \d.*draw random numbers"),
    "control flow": (
        lambda n, x: n.conv(x) if x.mean() > 0 else n.same(x),
        r"Written.forward cannot be traced for images of shape \(2, 8, 8\): it branches",
    ),
    "another type": (lambda n, x: n.fc(3), "Written.*cannot be traced|fc"),
}


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize(("forward", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(forward: Forward, message: str) -> None:
    with pytest.raises(InputError, match=message):
        convert(written(forward), IMAGES)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 8, 8), r"conv \(Conv2d\): .*expected input.*3, 8, 8.* to have 2 channels"),
        ((2, 9, 8), r"fc \(Linear\): mat1 and mat2 shapes"),
    ],
)
def test_images_of_another_shape(shape: tuple[int, ...], message: str) -> None:
    net = written(lambda n, x: n.fc(n.conv(x).flatten(1)))
    with pytest.raises(InputError, match=message):
        convert(net, torch.rand(2, *shape))
    converted = convert(net, IMAGES)
    with pytest.raises(
        InputError, match=r"was converted for images of shape \(2, 8, 8\), but gets"
    ):
        converted.quantize(torch.rand(2, *shape))


def test_the_path_in_a_nested_module_is_named() -> None:
    class Block(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.sigmoid(x) * x

    net = nn.Sequential(nn.Conv2d(2, 4, 1), nn.Sequential(nn.ReLU(), Block()))
    with pytest.raises(InputError, match=r"^1\.1 \(Block\) calls sigmoid is not supported"):
        convert(net, IMAGES)
