"""The seed's own program, `examples/lenet5.py`, run from training to YAML files on digits."""

from __future__ import annotations

import functools
import itertools
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from dse import data, storage
from dse.prune import sparsity_of_tensors
from dse.quantize import QuanNet

PROGRAM = Path(__file__).parents[1] / "examples" / "lenet5.py"
LAYERS = ("conv1", "conv2", "conv3", "fc1", "fc2")
WEIGHTS = tuple(f"{name}.weight" for name in LAYERS)
STEM = "lenet5_sparse_quantized"


@dataclass(frozen=True)
class Run:
    """What the program left: its folder, its variables and what it printed."""

    folder: Path
    variables: dict[str, Any]

    def checkpoint(self, name: str) -> dict[str, torch.Tensor]:
        return dict(torch.load(self.folder / f"{name}.pt", weights_only=True))

    def layers_in(self, file: str) -> list[dict[str, Any]]:
        return _layers_in(self.folder / file)


@functools.cache
def _layers_in(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(file.read_text(encoding="utf-8"))["layers"])


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On networks this small, more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The program's five steps on digits, at ten times its rate: a few epochs are enough."""
    folder = tmp_path_factory.mktemp("seed") / "made_by_the_program"
    digits, adadelta = data.load("digits"), torch.optim.Adadelta
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        patch.setattr(data, "load", lambda name, fallback: digits)
        patch.setattr(torch.optim, "Adadelta", lambda p, lr: adadelta(p, lr=10 * lr))
        patch.setattr("sys.argv", [str(PROGRAM), str(folder), "5"])
        torch.manual_seed(0)
        return Run(folder, runpy.run_path(str(PROGRAM)))


def test_ninety_per_cent_of_the_weights_are_pruned(run: Run) -> None:
    state = run.checkpoint("lenet5_sparse_float")
    sparsity = sparsity_of_tensors([state[name] for name in WEIGHTS])
    assert sparsity == pytest.approx(0.9, abs=1e-4)


def test_zeros_stay_zero_while_the_rest_is_retrained(run: Run) -> None:
    dense, sparse = (run.checkpoint(f"lenet5_{kind}_float") for kind in ("dense", "sparse"))
    magnitudes = torch.cat([dense[name].abs().flatten() for name in WEIGHTS])
    threshold = magnitudes.sort().values[round(0.9 * len(magnitudes))]
    for name in WEIGHTS:
        kept = dense[name].abs() >= threshold
        assert (sparse[name][~kept] == 0).all()
        assert (sparse[name][kept] != dense[name][kept]).float().mean() > 0.5


def test_the_sparse_float_network_has_learned(run: Run) -> None:
    assert run.variables["float_accuracy"] > 0.6


def test_quantization_costs_at_most_three_points(run: Run) -> None:
    assert run.variables["quantized_accuracy"] > run.variables["float_accuracy"] - 0.03


def test_the_reloaded_network_gives_identical_outputs(run: Run) -> None:
    quantized, reloaded = run.variables["quantized_net"], run.variables["net"]
    images = run.variables["test_data"]
    assert isinstance(reloaded, QuanNet)
    assert reloaded is not quantized
    assert torch.equal(reloaded(images), quantized(images))


@pytest.mark.parametrize("ending", ["float", "int", "float_coo", "int_coo"])
def test_every_yaml_file_names_every_layer(run: Run, ending: str) -> None:
    assert [layer["name"] for layer in run.layers_in(f"{STEM}_{ending}.yml")] == list(LAYERS)


def test_the_dense_integers_are_the_checkpoints_codes(run: Run) -> None:
    state = run.checkpoint(STEM)
    for layer in run.layers_in(f"{STEM}_int.yml"):
        codes = state[f"{layer['name']}.quan_weight"]
        assert layer["weight"]["size"] == list(codes.shape)
        assert np.array_equal(layer["weight"]["data"], codes.numpy())


def test_coo_entries_are_the_codes_that_differ_from_the_zero_point(run: Run) -> None:
    state = run.checkpoint(STEM)
    for layer in run.layers_in(f"{STEM}_int_coo.yml"):
        codes, tensor = state[f"{layer['name']}.quan_weight"], layer["weight"]
        expected = torch.nonzero(codes != layer["wz"])
        assert np.array_equal(np.transpose(tensor["indices"]), expected.numpy())
        assert tensor["values"] == codes[tuple(expected.T)].tolist()
        assert tensor["nnz"] == len(expected)


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_compressed_rows_and_columns_hold_the_same_codes(
    run: Run, form: str, tmp_path: Path
) -> None:
    checkpoint, file = run.folder / f"{STEM}.pt", tmp_path / "int.yml"
    storage.save_sparse_model(checkpoint, tmp_path / "float.yml", file, form=form)
    state = run.checkpoint(STEM)
    for layer in yaml.safe_load(file.read_text(encoding="utf-8"))["layers"]:
        codes, tensor = state[f"{layer['name']}.quan_weight"].flatten(1), layer["weight"]
        major = codes if form == "csr" else codes.T
        rebuilt = np.full(major.shape, layer["wz"])
        starts = tensor["indptr"]
        for row, (start, end) in enumerate(itertools.pairwise(starts)):
            rebuilt[row, tensor["indices"][start:end]] = tensor["values"][start:end]
        assert np.array_equal(rebuilt, major.numpy())
