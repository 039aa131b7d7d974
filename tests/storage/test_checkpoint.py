"""The seed's two functions: a torch checkpoint in, YAML files out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from dse import storage
from dse.errors import InputError

from .states import model_state

SMALL = {"block1.conv": (3, 2, 2, 3), "fc": (2, 5)}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    state = model_state(SMALL)
    torch.save({key: torch.as_tensor(value) for key, value in state.items()}, path)
    return path


def test_save_quan_model(checkpoint: Path, tmp_path: Path) -> None:
    storage.save_quan_model(str(checkpoint), str(tmp_path / "f.yml"), str(tmp_path / "i.yml"))
    state = model_state(SMALL)
    floats = yaml.safe_load((tmp_path / "f.yml").read_text())
    integers = yaml.safe_load((tmp_path / "i.yml").read_text())
    assert floats["head"] == "float_value"
    assert [layer["name"] for layer in integers["layers"]] == ["block1.conv", "fc"]
    assert floats["layers"][1]["weight"]["data"] == state["fc.weight"].tolist()
    assert integers["layers"][1]["weight"]["data"] == state["fc.quan_weight"].tolist()


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("form", ["coo", "csr", "csc"])
def test_save_sparse_model(form: str, binary: bool, checkpoint: Path, tmp_path: Path) -> None:
    paths = tmp_path / "f.yml", tmp_path / "i.yml"
    storage.save_sparse_model(checkpoint, *paths, binary_int=binary, form=form)
    for path, key in zip(paths, ("weight", "quan_weight"), strict=True):
        for layer in storage.load_model(path).layers:
            np.testing.assert_array_equal(model_state(SMALL)[f"{layer.name}.{key}"], layer.weight)


def test_the_default_form_is_coo(checkpoint: Path, tmp_path: Path) -> None:
    storage.save_sparse_model(checkpoint, tmp_path / "f.yml", tmp_path / "i.yml")
    weight = yaml.safe_load((tmp_path / "i.yml").read_text())["layers"][0]["weight"]
    assert list(weight) == ["size", "indices", "values", "nnz"]


def test_an_unknown_form_names_the_nearest(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no sparse form 'csrr'; did you mean 'csr'\?"):
        storage.save_sparse_model(checkpoint, tmp_path / "f", tmp_path / "i", form="csrr")


def test_an_unquantized_checkpoint_is_refused(tmp_path: Path) -> None:
    state = model_state(SMALL)
    state["fc.n_bits"] = np.array(0)
    path = tmp_path / "float.pt"
    torch.save({key: torch.as_tensor(value) for key, value in state.items()}, path)
    with pytest.raises(InputError, match=r"float\.pt: the network is not quantized; call quantize"):
        storage.save_quan_model(path, tmp_path / "f.yml", tmp_path / "i.yml")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 broken zip", b"\x80\x02."])
def test_a_file_that_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.pt"):
        storage.save_quan_model(path, tmp_path / "f.yml", tmp_path / "i.yml")


def test_a_truncated_checkpoint_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    data = checkpoint.read_bytes()
    checkpoint.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"model\.pt"):
        storage.save_quan_model(checkpoint, tmp_path / "f.yml", tmp_path / "i.yml")


@pytest.mark.parametrize("content", [[1, 2], {"fc.weight": 3}, torch.zeros(2)])
def test_a_checkpoint_of_something_else_is_refused(content: object, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(InputError, match="is no state dict"):
        storage.save_quan_model(path, tmp_path / "f.yml", tmp_path / "i.yml")


def test_missing_files_and_folders(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        storage.save_quan_model(tmp_path / "none.pt", tmp_path / "f.yml", tmp_path / "i.yml")
    with pytest.raises(InputError, match="cannot be written"):
        storage.save_quan_model(checkpoint, tmp_path / "no" / "f.yml", tmp_path / "i.yml")


def test_formats_are_read_without_torch() -> None:
    program = (
        "import sys; import dse.storage.formats as f; f.registry(); "
        "assert not {'torch', 'optuna', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
