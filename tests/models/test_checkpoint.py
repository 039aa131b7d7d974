"""Float checkpoints: what fits is loaded, and what does not is listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dse.errors import InputError
from dse.models import build, load_weights


def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path / "net.pt")
    return path / "net.pt"


@pytest.mark.parametrize("nested", [False, True])
def test_weights_and_statistics_are_those_of_the_file(nested: bool, tmp_path: Path) -> None:
    source, target = net(), net()
    source(torch.rand(9, 1, 4, 4))  # moves the running statistics
    state = source.state_dict()
    load_weights(target, saved(tmp_path, {"state_dict": state, "epoch": 3} if nested else state))
    found = target.state_dict()
    assert all(torch.equal(found[key], value) for key, value in state.items())


def test_a_quannet_takes_the_weights_of_a_plain_twin(tmp_path: Path) -> None:
    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
            self.conv2 = nn.Conv2d(6, 16, 5)
            self.conv3 = nn.Conv2d(16, 120, 5)
            self.fc1 = nn.Linear(120, 84)
            self.fc2 = nn.Linear(84, 10)

    twin, target = Twin(), build("lenet5")
    load_weights(target, saved(tmp_path, twin.state_dict()))
    for name, value in twin.named_parameters():
        assert torch.equal(target.get_parameter(name), value)
    state = twin.state_dict()
    del state["conv1.weight"]
    path = saved(tmp_path, state)
    with pytest.raises(InputError, match=r"LeNet5\n  missing: conv1.weight$"):
        load_weights(target, path)


def test_everything_that_does_not_fit_is_listed(tmp_path: Path) -> None:
    state = net().state_dict()
    del state["0.bias"], state["1.running_mean"]
    state |= {"head.weight": torch.zeros(1), "3.weight": torch.zeros(3, 9)}
    with pytest.raises(InputError) as caught:
        load_weights(net(), saved(tmp_path, state))
    assert str(caught.value).splitlines()[1:] == [
        "  missing: 0.bias, 1.running_mean",
        "  unexpected: head.weight",
        "  of another shape: 3.weight has shape [3, 9], must have [3, 8]",
    ]


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    state = {f"k{i}": torch.zeros(1) for i in range(11)} | net().state_dict()
    with pytest.raises(InputError, match=r"unexpected: k0, .*, k7 and 3 more$"):
        load_weights(net(), saved(tmp_path, state))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(value: float, tmp_path: Path) -> None:
    state = net().state_dict()
    key = next(iter(state))
    state[key] = torch.full_like(state[key], value)
    with pytest.raises(InputError, match=rf"does not fit .*\n  NaN or infinite: {key}$"):
        load_weights(net(), saved(tmp_path, state))


class Payload:
    """What a pickle could run."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Payload(), "cannot be read as a checkpoint of tensors alone"),
        ({"weight": 3}, "must hold tensors by name, .* but holds dict"),
        ([torch.zeros(1)], "must hold tensors by name, .* but holds list"),
    ],
)
def test_what_is_no_state_dict(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_weights(net(), saved(tmp_path, content))
    assert "\x1b" not in str(caught.value)  # torch prints its warning in bold


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no checkpoint"])
def test_a_damaged_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"net.pt: cannot be read as a checkpoint"):
        load_weights(net(), tmp_path / "net.pt")
