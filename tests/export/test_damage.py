"""A damaged file makes its reader fail and name the layer; nothing passes by accident."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from dse import export
from dse.export import Deployment, check
from tests.export.deployments import deployment_of, lively

FIRST_HEX = re.compile(r"^([0-9a-f]+)", re.MULTILINE)


@pytest.fixture(scope="module")
def deployment() -> Deployment:
    return deployment_of(lively(3, 4), images=12)


@pytest.fixture(scope="module")
def intact(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deploy")
    export.write(deployment, folder)
    return folder


@pytest.fixture
def folder(intact: Path, tmp_path: Path) -> Path:
    shutil.copytree(intact, tmp_path / "deploy")
    return tmp_path / "deploy"


def change(path: Path, edit: Callable[[str], str]) -> None:
    before = path.read_text()
    after = edit(before)
    assert after != before
    path.write_text(after)


def other_word(text: str) -> str:
    return FIRST_HEX.sub(lambda word: "00" if int(word[1], 16) else "01", text, count=1)


@pytest.mark.parametrize("reader", ["memory", "iverilog"])
def test_another_weight_in_a_mem_file(reader: str, deployment: Deployment, folder: Path) -> None:
    change(folder / "mem" / "conv2.mem", other_word)
    found = check(reader, deployment, folder)
    if found.status != "not run":
        assert found.status == "failed"
        assert found.first_difference.startswith("layer conv2, ")


@pytest.mark.parametrize("name", ["conv2.coe", "conv2_packed.mem", "conv2_bias.mem"])
def test_another_word_beside_it(name: str, deployment: Deployment, folder: Path) -> None:
    path = folder / "mem" / name
    change(path, lambda text: re.sub(r"\n([0-9a-f]+)(,?)\n", r"\n7\2\n", text, count=1))
    found = check("memory", deployment, folder)
    assert found.status == "failed"
    assert "conv2" in found.first_difference


@pytest.mark.parametrize("text", ["zz\n", "é\n", "1\n"])
def test_a_mem_file_that_is_none(text: str, deployment: Deployment, folder: Path) -> None:
    (folder / "mem" / "fc1.mem").write_text(text, encoding="utf-8")
    assert check("memory", deployment, folder).status == "failed"


def test_another_weight_in_the_c(deployment: Deployment, folder: Path) -> None:
    bias = re.compile(r"(conv2_bias\[\d+\] = \{)(-?\d+)")
    change(folder / "c/model.c", lambda t: bias.sub(lambda m: f"{m[1]}{int(m[2]) + 1}", t))
    found = check("c", deployment, folder)
    assert found.status == "failed"
    assert found.first_difference.startswith("layer conv2, image 0, position 0, expected ")
    assert found.mismatches > 0


def test_another_multiplier_in_the_c_shows_in_the_next_layer(
    deployment: Deployment, folder: Path
) -> None:
    change(
        folder / "c/model.c",
        lambda t: t.replace("conv1_multiplier[4] = {", "conv1_multiplier[4] = {1", 1),
    )
    found = check("c", deployment, folder)
    assert found.status == "failed"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("int row)", "int row, int unused)", "does not compile"),
        ('#include "model.h"', '#include "model.h"\n#error broken', "broken"),
    ],
)
def test_c_that_gcc_refuses(
    old: str, new: str, message: str, deployment: Deployment, folder: Path
) -> None:
    change(folder / "c/model.c", lambda text: text.replace(old, new))
    found = check("c", deployment, folder)
    assert found.status == "failed"
    assert message in found.first_difference


@pytest.mark.parametrize("keep", [10, 1000])
def test_truncated_vectors(keep: int, deployment: Deployment, folder: Path) -> None:
    path = folder / "c/vectors.bin"
    path.write_bytes(path.read_bytes()[:keep])
    assert check("c", deployment, folder).status == "failed"


def test_a_fault_that_only_a_later_image_shows_is_traced(
    deployment: Deployment, folder: Path
) -> None:
    path = folder / "c/model.c"
    late = deployment.codes[10].ravel()
    places = [
        i
        for i, code in enumerate(late)
        if (deployment.codes[:10].reshape(10, -1)[:, i] != code).all()
    ]
    conditions = " && ".join(f"input[{i}] == {late[i]}" for i in places[:6])
    spoiled = f"if ({conditions}) conv2_out[0] ^= 1;\n    flat("
    change(path, lambda text: text.replace("    flat(conv2_out", f"    {spoiled}conv2_out", 1))
    found = check("c", deployment, folder)
    assert found.status == "failed"
    assert "layer fc1, " in found.first_difference


def test_another_constant_in_the_onnx(deployment: Deployment, folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    add = next(n for n in model.graph.node if n.output[0] == "conv2.accumulators")
    bias = next(c for c in model.graph.initializer if c.name == add.input[1])
    values = onnx.numpy_helper.to_array(bias).copy()
    values.flat[2] += 1
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    found = check("onnxruntime", deployment, folder)
    assert found.status == "failed"
    assert found.first_difference.startswith("layer conv2, accumulators [0, 2, 0, 0]: expected ")


def test_no_onnx_at_all(deployment: Deployment, folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"not a model")
    found = check("onnxruntime", deployment, folder)
    assert found.status == "failed"
    assert "\n" not in found.first_difference


def test_qonnx_with_another_weight(deployment: Deployment, folder: Path) -> None:
    model = onnx.load(folder / "model.qonnx.onnx")
    conv = next(c for c in model.graph.initializer if len(c.dims) == 4)
    conv.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(conv), conv.name))
    (folder / "model.qonnx.onnx").write_bytes(model.SerializeToString())
    assert check("qonnx", deployment, folder).status == "failed"


@pytest.mark.parametrize("position", [0, 9, -1])
def test_a_flipped_bit_in_the_packed_model(
    position: int, deployment: Deployment, folder: Path
) -> None:
    data = bytearray((folder / "weights.bin").read_bytes())
    data[position] ^= 1
    (folder / "weights.bin").write_bytes(data)
    found = check("binary", deployment, folder)
    assert found.status == "failed"
    assert "the packed model is not the one described here" in found.first_difference


def test_another_number_in_the_vectors(deployment: Deployment, folder: Path) -> None:
    with np.load(folder / "vectors.npz") as file:
        arrays = dict(file)
    arrays["conv2"] = arrays["conv2"] + 1
    np.savez(folder / "vectors.npz", **arrays)
    found = check("vectors", deployment, folder)
    assert found.status == "failed"
    assert found.first_difference.startswith("node conv2, codes [0, 0, 0, 0]: expected ")
