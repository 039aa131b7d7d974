"""What every network in the registry keeps to, and a user's own with all that can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dse import models
from dse.errors import InputError
from dse.quantize import QuanNet


@pytest.mark.parametrize("name", models.model_names())
def test_registered_model(name: str) -> None:
    net = models.build(name)
    names = models.layer_names(net)
    assert len(set(names)) == len(names) >= 1
    assert all(hasattr(net.get_submodule(layer), "weight") for layer in names)


def test_lenet5() -> None:
    net = models.build("lenet5")
    assert models.layer_names(net) == ("conv1", "conv2", "conv3", "fc1", "fc2")
    assert sum(parameter.numel() for parameter in net.parameters()) == 61_706
    assert net(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_same_seed_same_weights() -> None:
    nets = []
    for _ in range(2):
        torch.manual_seed(3)
        nets.append(models.build("lenet5"))
    for one, two in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(one, two)


MYNET = """
from sibling import SIZE
from torch import nn
from dse.quantize import QuanLinear, QuanNet
class MyNet(QuanNet):
    def __init__(self, n_bits):
        super().__init__(n_bits)
        self.block = nn.Sequential(QuanLinear(SIZE, 3), QuanLinear(3, 2))
    def forward_(self, x):
        return self.block(x)
class Broken(QuanNet):
    def __init__(self, n_bits):
        raise RuntimeError("no such thing")
class Empty(QuanNet):
    pass
class Other:
    pass
class Plain(nn.Module):
    def __init__(self, width=4, dropped=False):
        super().__init__()
        self.unused = nn.Linear(4, 9)
        self.last = nn.Linear(width, 2)
        self.first = nn.Linear(4, width)
    def forward(self, x):
        return self.last(self.first(x))
class Branching(Plain):
    def forward(self, x):
        return self.last(self.first(x)) if x.sum() > 0 else x
class NoLayer(nn.Module):
    def forward(self, x):
        return x
def make(width):
    return Plain(width)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mynet.py").write_text(MYNET)
    (tmp_path / "sibling.py").write_text("SIZE = 4\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_user_model(folder: Path) -> None:
    net = models.build("mynet.py:MyNet")
    assert models.layer_names(net) == ("block.0", "block.1")
    assert type(models.build(str(folder / "mynet.py:MyNet"))) is type(net)


def test_plain_module_with_arguments(folder: Path) -> None:
    net = models.build("mynet.py:Plain", {"width": 7})
    assert net.get_parameter("first.weight").shape == (7, 4)
    assert models.layer_names(net) == ("last", "first")  # in use, in the order of definition


def test_a_function_may_make_the_module(folder: Path) -> None:
    net = models.build("mynet.py:make", {"width": 5})
    assert net.get_parameter("last.weight").shape == (2, 5)


def test_a_quannet_is_given_bits_and_arguments(folder: Path) -> None:
    (folder / "wide.py").write_text(
        MYNET.replace("def __init__(self, n_bits)", "def __init__(self, n_bits, extra=0)")
    )
    net = models.build("wide.py:MyNet", {"extra": 1}, n_bits=5)
    assert isinstance(net, QuanNet)
    assert net.n_bits == 5


def test_edited_user_model_is_run_again(folder: Path) -> None:
    models.build("mynet.py:MyNet")
    (folder / "mynet.py").write_text(MYNET.replace("block", "body"))
    assert models.layer_names(models.build("mynet.py:MyNet")) == ("body.0", "body.1")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("lenet", "no model 'lenet'; did you mean 'lenet5'"),
        ("mynet", "no model 'mynet'"),
        ("mynet.py:MyNets", "has no 'MyNets'; did you mean 'MyNet'"),
        ("mynet.py:Other", "must make a torch.nn.Module, but made <mynet.*Other object|Other"),
        ("mynet.py:SIZE", "must be a class derived from torch.nn.Module, but got 4"),
        ("mynet.py:make", r"constructor, given no arguments, raised TypeError: .* 'width'"),
        ("mynet.py:Broken", r"constructor, given n_bits=8, raised RuntimeError: no such thing"),
        ("mynet.py", "must be like 'file.py:name', but got 'mynet.py'"),
        ("mynet:MyNet", "must be like 'file.py:name'"),
        ("missing.py:MyNet", "no file 'missing.py'"),
        ("exits.py:MyNet", "exits.py: raised SystemExit"),
    ],
)
def test_wrong_model(folder: Path, reference: str, message: str) -> None:
    (folder / "exits.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(InputError, match=message):
        models.build(reference)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("mynet.py:Empty", "Empty: must use a convolution or linear layer, but has none"),
        ("mynet.py:NoLayer", "NoLayer: must use a convolution or linear layer, but has none"),
        ("mynet.py:Branching", r"Branching.forward cannot be traced: .*dynamic control flow"),
    ],
)
def test_a_model_without_layers(folder: Path, reference: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        models.layer_names(models.build(reference))
