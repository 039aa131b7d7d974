"""The YAML files: the seed's schema to the letter, exact round trips, clear refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import yaml

from dse.errors import InputError
from dse.storage import load_model, write_yaml_models
from dse.storage.model_state import LAYER_SCALARS, read_state
from dse.storage.yaml_write import FORMS, Form, float_document, integer_document

from .states import model_state
from .strategies import lenet5

SMALL = {"block1.conv": (3, 2, 2, 3), "fc": (2, 5)}


def _parsed(document: str) -> Any:
    return yaml.safe_load(document)


def _small(per_row: bool = False) -> dict[str, Any]:
    return model_state(SMALL, per_row)


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("binary", [False, True])
def test_integer_files_round_trip(form: Form, binary: bool, per_row: bool, tmp_path: Path) -> None:
    state = _small(per_row)
    path = tmp_path / "int.yml"
    path.write_text(integer_document(read_state(state, "state"), form, binary))
    model = load_model(path)
    assert {key: value.item() for key, value in model.scalars.items()} == {
        "ins": 2.0**-7,
        "inz": 128,
        "outs": 0.25,
        "outz": 0,
    }
    assert list(SMALL) == [layer.name for layer in model.layers]
    for layer in model.layers:
        np.testing.assert_array_equal(state[f"{layer.name}.quan_weight"], layer.weight)
        np.testing.assert_array_equal(state[f"{layer.name}.quan_bias"], layer.bias)
        assert layer.weight.dtype == np.int64
        for key in LAYER_SCALARS:
            np.testing.assert_array_equal(state[f"{layer.name}.{key}"], layer.scalars[key])


@pytest.mark.parametrize("form", FORMS)
def test_float_files_round_trip(form: Form, tmp_path: Path) -> None:
    state = _small()
    path = tmp_path / "float.yml"
    path.write_text(float_document(read_state(state, "state"), form))
    for layer in load_model(path).layers:
        np.testing.assert_array_equal(state[f"{layer.name}.weight"], layer.weight)
        np.testing.assert_array_equal(state[f"{layer.name}.bias"], layer.bias)


def test_dense_integer_file_has_the_seeds_keys() -> None:
    state = _small()
    content = _parsed(integer_document(read_state(state, "state"), "dense"))
    assert content["head"] == "int_values"
    assert {"ins", "inz", "outs", "outz", "layers"} <= content.keys()
    layer = content["layers"][0]
    assert list(layer)[:14] == ["name", "weight", "bias", *LAYER_SCALARS]
    assert layer["weight"]["size"] == [3, 2, 2, 3]
    assert layer["weight"]["data"] == state["block1.conv.quan_weight"].tolist()
    assert layer["bias"] == {"size": [3], "data": state["block1.conv.quan_bias"].tolist()}
    assert layer["weight_bits"] == 8
    assert isinstance(layer["outs"], float)
    assert isinstance(layer["mn"], int)


def test_coo_file_holds_what_differs_from_the_zero_point() -> None:
    state = _small()
    content = _parsed(integer_document(read_state(state, "state"), "coo"))
    for layer in content["layers"]:
        codes = state[f"{layer['name']}.quan_weight"]
        indices = np.nonzero(codes != layer["wz"])
        assert layer["weight"] == {
            "size": list(codes.shape),
            "indices": [axis.tolist() for axis in indices],
            "values": codes[indices].tolist(),
            "nnz": len(indices[0]),
        }
        bias = state[f"{layer['name']}.quan_bias"]
        assert layer["bias"]["indices"] == [np.flatnonzero(bias).tolist()]


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_compressed_files_agree_with_scipy(form: Form) -> None:
    state = model_state()
    content = _parsed(integer_document(read_state(state, "state"), form))
    assert content["form"] == form
    for layer in content["layers"]:
        weight = layer["weight"]
        codes = state[f"{layer['name']}.quan_weight"]
        table = codes.reshape(len(codes), -1) - layer["wz"]
        sparse = getattr(scipy.sparse, f"{form}_array")(table)
        assert weight["form"] == form
        assert weight["size"] == list(codes.shape)
        assert weight["indptr"] == sparse.indptr.tolist()
        assert weight["indices"] == sparse.indices.tolist()
        assert [code - layer["wz"] for code in weight["values"]] == sparse.data.tolist()
        assert weight["nnz"] == sparse.nnz


def test_yaml_1_1_readers_see_floats() -> None:
    values = [1e-05, -1e-05, 1.5e-07, 1e16, 12345678.0, 0.0, -0.0, 1e-300, 3e22]
    state = model_state({"fc": (1, len(values))})
    state["fc.weight"] = np.array([values])
    state["fc.ws"] = np.array(1e-05)
    text = float_document(read_state(state, "state"), "dense")
    assert "1.0e-05" in text
    data = _parsed(text)["layers"][0]["weight"]["data"][0]
    assert all(isinstance(value, float) for value in data)
    assert np.array(values).tobytes() == np.array(data).tobytes()
    scale = _parsed(integer_document(read_state(state, "state"), "coo"))["layers"][0]["ws"]
    assert scale == 1e-05


def test_lists_are_wrapped_and_indented() -> None:
    text = integer_document(read_state(model_state({"fc": (4, 400)}), "state"), "dense")
    lines = text.splitlines()
    assert max(map(len, lines)) < 120
    assert all(line.startswith((" ", "-")) or ": " in line or line.endswith(":") for line in lines)


def test_a_layer_without_bias_gets_zeros() -> None:
    state = _small()
    for key in ("bias", "quan_bias", "bs", "bz"):
        del state[f"fc.{key}"]
    model = read_state(state, "state")
    layer = _parsed(integer_document(model, "dense"))["layers"][1]
    assert layer["bias"] == {"size": [2], "data": [0, 0]}
    assert layer["bz"] == 0
    layer = _parsed(float_document(model, "coo"))["layers"][1]
    assert layer["bias"] == {"size": [2], "indices": [[]], "values": [], "nnz": 0}


def test_binary_tensors_are_small() -> None:
    model = read_state(model_state(), "state")
    plain = integer_document(model, "dense")
    packed = integer_document(model, "dense", binary=True)
    assert len(packed) < len(plain) / 3
    weight = _parsed(packed)["layers"][0]["weight"]
    assert (weight["size"], weight["dtype"]) == ([6, 1, 5, 5], "uint8")
    assert isinstance(weight["packed"], bytes)


def test_all_eight_files(tmp_path: Path) -> None:
    paths = write_yaml_models(lenet5(8, density=0.3), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert {path.name for path in paths} == {
        f"model_{kind}{ending}.yml"
        for kind in ("float", "int")
        for ending in ("", "_coo", "_csr", "_csc")
    }
    weights = [[layer.weight for layer in load_model(path).layers] for path in sorted(paths)]
    for kind in (weights[:4], weights[4:]):
        for other in kind[1:]:
            for one, two in zip(kind[0], other, strict=True):
                np.testing.assert_array_equal(one, two)


def test_reads_the_seeds_block_style_with_empty_names(tmp_path: Path) -> None:
    content = _parsed(integer_document(read_state(_small(), "state"), "coo"))
    del content["form"]
    for layer in content["layers"]:
        layer["name"] = ""
    path = tmp_path / "seed.yml"
    path.write_text(yaml.dump(content, default_flow_style=False))
    layers = load_model(path).layers
    assert [layer.name for layer in layers] == ["", ""]
    np.testing.assert_array_equal(_small()["fc.quan_weight"], layers[1].weight)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("fc.n_bits", 0, "not quantized; call quantize"),
        ("fc.ws", np.nan, "fc.ws: some values are not finite"),
        ("fc.mn", 1.5, "fc.mn: expected integers"),
        ("fc.mn", np.zeros(7), r"fc.mn: expected shape \(2,\), but got \(7,\)"),
        ("fc.wz", np.zeros(2), "fc.wz: expected one zero point"),
        ("fc.quan_weight", np.zeros((2, 4)), "is not of shape"),
        ("fc.quan_weight", np.full((2, 5), np.inf), "fc.quan_weight: expected integers"),
        ("fc.bias", np.zeros(3), r"fc.bias: expected shape \(2,\)"),
        ("head.weight", np.zeros((3, 2)), "layer 'head' is no quantizable layer"),
    ],
)
def test_wrong_states_are_refused(key: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_state({**_small(), key: np.asarray(value)}, "state")


@pytest.mark.parametrize("missing", ["_ins", "fc.quan_weight", "fc.quan_bias", "fc.mqm0", "fc.ws"])
def test_missing_buffers_are_named(missing: str) -> None:
    state = _small()
    del state[missing]
    with pytest.raises(InputError, match=f"'{missing.rpartition('.')[2]}' is missing"):
        read_state(state, "state")


def test_a_float_state_is_told_to_quantize() -> None:
    with pytest.raises(InputError, match="call quantize"):
        read_state({}, "state")


def _write_changed(path: Path, keys: tuple[Any, ...], value: Any, form: Form) -> Path:
    content = _parsed(integer_document(read_state(_small(), "state"), form))
    target = content
    for key in keys[:-1]:
        target = target[key]
    target[keys[-1]] = value
    path.write_text(yaml.safe_dump(content))
    return path


WEIGHT = ("layers", 1, "weight")


@pytest.mark.parametrize(
    ("form", "keys", "value", "message"),
    [
        ("dense", ("head",), "int_value", "head: unknown 'int_value'; did you mean"),
        ("dense", ("layers",), 3, r"bad\.yml: layers: expected a list, but got 3"),
        ("dense", ("layers", 1), [], r"layers\[1\]: expected a mapping"),
        ("dense", (*WEIGHT, "size"), [2, 6], r"data: has shape \(2, 5\), but size is \(2, 6\)"),
        ("dense", (*WEIGHT, "size"), "big", "size: expected a list"),
        ("dense", (*WEIGHT, "size"), [-2, -5], "size: expected integers from 0 up"),
        ("dense", (*WEIGHT, "data"), [[1, 2], [3]], "data: lists of different lengths"),
        ("dense", (*WEIGHT, "data"), "text", "data: expected integers"),
        ("dense", (*WEIGHT, "data"), [[0.5] * 5, [0.25] * 5], "data: expected integers"),
        ("dense", ("layers", 0, "mn"), "x", "mn: expected integers"),
        ("coo", (*WEIGHT, "nnz"), 99, "indices, values and nnz do not agree"),
        ("coo", (*WEIGHT, "values"), [], "indices, values and nnz do not agree"),
        ("coo", (*WEIGHT, "indices"), [[0]], "indices: expected 2 lists"),
        ("coo", (*WEIGHT, "indices"), [[9], [0]], r"an index is outside 0\.\.1"),
        ("coo", (*WEIGHT, "indices"), [[0, 1], [0]], "lists of different lengths"),
        ("csr", (*WEIGHT, "form"), "csx", "form: unknown 'csx'"),
        ("csr", (*WEIGHT, "indptr"), [0, 1], "indptr: expected 3 numbers"),
        ("csr", (*WEIGHT, "indptr"), [0, 5, 9], "indptr: ends at 9"),
        ("csc", (*WEIGHT, "indices"), [-1], "an index is outside"),
    ],
)
def test_malformed_files_are_refused(
    form: Form, keys: tuple[Any, ...], value: Any, message: str, tmp_path: Path
) -> None:
    path = _write_changed(tmp_path / "bad.yml", keys, value, form)
    with pytest.raises(InputError, match=message):
        load_model(path)


@pytest.mark.parametrize(
    "text", ["", "just text", "[1, 2", "head: float_value", "a: *b", "\0", "head: {a: b", "- 1"]
)
def test_files_that_are_no_model(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"bad\.yml"):
        load_model(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_model(tmp_path / "missing.yml")


def test_damaged_binary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "int.yml"
    text = integer_document(read_state(_small(), "state"), "dense", binary=True)
    content = _parsed(text)
    content["layers"][1]["weight"]["packed"] = b"short"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r"packed: is not \(2, 5\) numbers of type uint8"):
        load_model(path)
