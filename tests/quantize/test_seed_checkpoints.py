"""Checkpoints of the seed's own classes load, quantize and evaluate, or are refused clearly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dse.errors import InputError
from dse.integer import reference
from dse.integer.kernels import quantize_input
from dse.quantize import QuanConv2d, QuanLinear, QuanNet

from .nets import SHAPE, images

State = dict[str, Tensor]
BITS, TOP = 8, 255
SCALARS = ("ins", "inz", "outs", "outz", "ws", "wz", "bs", "bz", "mn", "mqm0", "n_bits")
LAYERS = ("conv1", "conv2", "fc1", "fc2")


class SeedNet(QuanNet):
    """A network as the seed writes them; every layer has a bias, for it crashes without."""

    def __init__(self) -> None:
        super().__init__(BITS)
        self.conv1 = QuanConv2d(1, 4, 3, padding=1)
        self.conv2 = QuanConv2d(4, 6, 3)
        self.fc1 = QuanLinear(24, 16)
        self.fc2 = QuanLinear(16, 10)

    def forward_(self, x: Tensor) -> Tensor:
        """Images (N, 1, 8, 8) to logits (N, 10)."""
        x = F.max_pool2d(self.conv1.relu(self.conv1(x)), (2, 2))
        x = self.conv2.relu(self.conv2(x))
        x = x.view(x.size()[0], -1)
        x = self.fc1.relu(self.fc1(x))
        return self.fc2(x)


class Swapped(SeedNet):
    """The same, with two layers defined in another order than they run."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = QuanLinear(24, 24), QuanLinear(24, 24)

    def forward_(self, x: Tensor) -> Tensor:
        """fc2 runs before fc1."""
        x = F.max_pool2d(self.conv1.relu(self.conv1(x)), (2, 2))
        x = self.conv2.relu(self.conv2(x))
        x = self.fc2.relu(self.fc2(x.view(x.size()[0], -1)))
        return self.fc1(x)


def range_grid(low: float, high: float) -> tuple[Tensor, Tensor]:
    """The seed's asymmetric min/max scale and zero point, as it keeps them: float32, 0-d."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = torch.tensor((high - low) / TOP)
    return scale, (-low / scale).round()


def float_state(net: QuanNet) -> State:
    """What the seed saves before quantize(): its buffers as torch.randn left them."""
    state = {name: value.detach() for name, value in net.named_parameters()}
    state |= {f"_{name}": torch.zeros(()) for name in SCALARS[:4]}
    for name, layer in net.layers.items():
        state |= {f"{name}.{key}": torch.zeros(()) for key in SCALARS}
        state |= {f"{name}.quan_{key}": torch.randn_like(layer.get_parameter(key)).detach()
                  for key in ("weight", "bias")}  # fmt: skip
    return state


@torch.no_grad()
def quantized_state(net: QuanNet, batch: Tensor, order: tuple[str, ...] = LAYERS) -> State:
    """What the seed saves after quantize(): grids chained in the `order` of definition."""
    outputs: dict[str, Tensor] = {}
    for name, layer in net.layers.items():
        layer.register_forward_hook(
            lambda module, inputs, output, name=name: outputs.update({name: output.relu()})
        )
    outputs[order[-1]] = net(batch)
    state, grid = float_state(net), range_grid(float(batch.min()), float(batch.max()))
    state["_ins"], state["_inz"] = grid
    for name in order:
        layer = net.layers[name]
        weight, bias = layer.weight.detach(), layer.bias.detach()
        ws, wz = range_grid(float(weight.min()), float(weight.max()))
        written = range_grid(float(outputs[name].min()), float(outputs[name].max()))
        bs = ws * grid[0]
        mantissa, exponent = torch.frexp(bs / written[0])
        values = (*grid, *written, ws, wz, bs, torch.zeros(()), -exponent.float(),
                  (mantissa * 2**BITS).round(), torch.tensor(float(BITS)))  # fmt: skip
        state |= {f"{name}.{key}": v for key, v in zip(SCALARS, values, strict=True)}
        state[f"{name}.quan_weight"] = (weight / ws + wz).round().clamp(0, TOP)
        state[f"{name}.quan_bias"] = (bias / bs).round()
        grid = written
    state["_outs"], state["_outz"] = grid
    return state


@pytest.fixture(scope="module")
def trained() -> SeedNet:
    """A float network whose logits differ by image (torch's initial weights are too small)."""
    torch.manual_seed(0)
    net = SeedNet()
    with torch.no_grad():
        for layer in net.layers.values():
            layer.weight *= 3
    return net


@pytest.fixture(scope="module")
def checkpoint(trained: SeedNet) -> State:
    return quantized_state(trained, images(200))


def loaded(state: State, net: QuanNet | None = None, strict: bool = True) -> QuanNet:
    net = net or SeedNet()
    net.load_state_dict(state, strict=strict)
    net.quan_mode()
    return net


@torch.no_grad()
def simulated(state: State, batch: Tensor) -> Tensor:
    """The dequantized network in float64: every activation rounded to its grid and saturated."""

    def rounded(x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        codes = (x / scale.double() + zero + 0.5).floor().clamp(0, TOP)
        return (codes - zero) * scale

    def compute(name: str, x: Tensor) -> Tensor:
        keys = (*SCALARS, "quan_weight", "quan_bias")
        of = {key: state[f"{name}.{key}"].double() for key in keys}
        x = rounded(x, of["ins"], of["inz"])
        weight = (of["quan_weight"] - of["wz"]) * of["ws"]
        bias = of["quan_bias"] * of["bs"]
        if name.startswith("conv"):
            return F.conv2d(x, weight, bias, padding=1 if name == "conv1" else 0)
        return F.linear(x, weight, bias)

    x = F.max_pool2d(compute("conv1", batch.double()).relu(), 2)
    x = compute("conv2", x).relu().flatten(1)
    return compute("fc2", compute("fc1", x).relu())


@pytest.mark.parametrize("strict", [True, False])
def test_a_float_checkpoint_loads_and_can_be_quantized(trained: SeedNet, strict: bool) -> None:
    net = SeedNet()
    net.load_state_dict(float_state(trained), strict=strict)
    assert torch.equal(net(images(4)), trained(images(4)))
    net.quantize(images())
    net.quan_mode()
    assert net(images(4)).dtype == torch.int64


def test_a_float_checkpoint_is_not_quantized(trained: SeedNet) -> None:
    with pytest.raises(InputError, match="layer 'conv1' is not quantized"):
        loaded(float_state(trained))(images(2))


@pytest.mark.parametrize("strict", [True, False])
def test_a_quantized_checkpoint_evaluates_as_its_dequantized_network(
    checkpoint: State, strict: bool
) -> None:
    batch = images(500, seed=3)
    outputs, expected = loaded(checkpoint, strict=strict)(batch), simulated(checkpoint, batch)
    assert (outputs.argmax(1) == expected.argmax(1)).float().mean() >= 0.99
    real = outputs * checkpoint["fc2.bs"].double()
    assert (real - expected).abs().mean() < 5e-3 * expected.std()


def test_a_quantized_checkpoint_is_bit_exact_with_the_reference(checkpoint: State) -> None:
    net, batch = loaded(checkpoint), images(50, seed=4)
    network = net.integer_network(SHAPE)
    expected = reference.evaluate(network, quantize_input(network, batch).numpy())["fc2"]
    np.testing.assert_array_equal(net(batch).numpy(), expected)


def test_its_integer_weights_are_codes_minus_zero_point(checkpoint: State) -> None:
    for layer in loaded(checkpoint).integer_network(SHAPE).layers:
        codes = checkpoint[f"{layer.name}.quan_weight"] - checkpoint[f"{layer.name}.wz"]
        assert layer.weights.bits == BITS
        np.testing.assert_array_equal(layer.weights.values, codes.numpy())


def test_an_older_one_bit_quantization_leaves_no_trace(checkpoint: State) -> None:
    net = SeedNet()
    net.quantize(images(), weight_bits=1)  # one bit is mid-rise, of which the seed knows nothing
    assert torch.equal(loaded(checkpoint, net)(images(4)), loaded(checkpoint)(images(4)))


def test_its_integers_survive_our_own_round_trip(checkpoint: State) -> None:
    net = loaded(checkpoint)
    again = loaded(dict(net.state_dict()))
    assert torch.equal(again(images(4)), net(images(4)))


@pytest.mark.parametrize("key", ["quan_weight", "quan_bias"])
def test_fractions_are_refused(checkpoint: State, key: str) -> None:
    state = {**checkpoint, f"conv2.{key}": checkpoint[f"conv2.{key}"] + 0.25}
    with pytest.raises(InputError, match=rf"conv2\.{key} must hold integers, but has fractions"):
        loaded(state)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        # all-positive weights push the seed's zero point below its codes
        ("conv2.wz", -20.0, "layer 'conv2' holds an unusable quantization: zero point must be a"),
        ("fc1.outz", 256.0, "layer 'fc1' holds an unusable quantization: zero point must be a"),
        ("fc1.ins", 0.5, "layer 'fc1': its bias must have scale ws"),
        ("fc1.bs", 0.5, "layer 'fc1': its bias must have scale ws"),
        ("fc1.bz", 3.0, "layer 'fc1': its bias must have scale ws"),
        ("fc1.inz", 7.0, "'fc1' was quantized for inputs .* zero point 7, but reads"),
        ("conv2.outs", 0.5, "'fc1' was quantized for inputs .* but reads scale 0.5"),
    ],
)
def test_a_quantization_we_cannot_compute_is_refused(
    checkpoint: State, key: str, value: float, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        loaded({**checkpoint, key: torch.tensor(value)})(images(2))


def test_layers_defined_in_another_order_than_they_run_are_refused() -> None:
    torch.manual_seed(1)
    net = Swapped()
    state = quantized_state(net, images(50))
    with pytest.raises(InputError, match="were the layers defined in another order than they run"):
        loaded(state, Swapped())(images(2))
