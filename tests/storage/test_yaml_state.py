"""A YAML model read back into a network computes the same integers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from dse import storage
from dse.errors import InputError
from dse.models.lenet5 import LeNet5
from dse.quantize import Calibration

IMAGES = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def quantized() -> LeNet5:
    torch.manual_seed(0)
    net = LeNet5(8)
    bits = {"conv1": 6, "conv2": 1, "conv3": 3, "fc1": 2, "fc2": 9}
    net.quantize(
        IMAGES, weight_bits=bits, activation_bits=5, calibration=Calibration(per_channel=True)
    )
    net.quan_mode()
    return net


def written(net: LeNet5, folder: Path, form: str | None) -> Path:
    torch.save(net.state_dict(), folder / "net.pt")
    paths = (str(folder / "net.pt"), str(folder / "float.yml"), str(folder / "int.yml"))
    if form is None:
        storage.save_quan_model(*paths)
    else:
        storage.save_sparse_model(*paths, form=form)
    return folder / "int.yml"


@pytest.mark.parametrize("form", [None, "coo", "csr", "csc"])
def test_the_network_computes_the_files_integers(
    quantized: LeNet5, form: str | None, tmp_path: Path
) -> None:
    other = LeNet5(8)
    state = storage.load_state(written(quantized, tmp_path, form))
    other.load_state_dict(state, strict=False)
    other.quan_mode()
    assert torch.equal(other(IMAGES), quantized(IMAGES))


def test_unnamed_layers_take_the_names_given(quantized: LeNet5, tmp_path: Path) -> None:
    path = written(quantized, tmp_path, "coo")
    content = yaml.load(path.read_text(), yaml.CSafeLoader)
    for layer in content["layers"]:
        layer["name"] = ""
    path.write_text(yaml.dump(content, Dumper=yaml.CSafeDumper))
    with pytest.raises(InputError, match="holds 5 layers, some unnamed"):
        storage.load_state(path)
    other = LeNet5(8)
    other.load_state_dict(storage.load_state(path, list(other.layers)), strict=False)
    other.quan_mode()
    assert torch.equal(other(IMAGES), quantized(IMAGES))


def test_a_float_file_is_refused(quantized: LeNet5, tmp_path: Path) -> None:
    written(quantized, tmp_path, None)
    with pytest.raises(InputError, match="holds float values"):
        storage.load_state(tmp_path / "float.yml")


def test_too_few_names_are_refused(quantized: LeNet5, tmp_path: Path) -> None:
    path = written(quantized, tmp_path, None)
    with pytest.raises(InputError, match="holds 5 layers, but 1 names were given: 'conv1'"):
        storage.load_state(path, ["conv1"])
