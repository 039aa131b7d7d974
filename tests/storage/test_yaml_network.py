"""A YAML model is a whole network: written, read back from nothing, equal in every field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings

from dse.errors import InputError
from dse.integer import INPUT, IntegerNetwork
from dse.storage import load_network, write_yaml_models
from dse.storage.model_state import read_state
from dse.storage.yaml_write import integer_document

from .states import model_state
from .strategies import assert_same_network, lenet5, networks

INTEGER_FILES = ("model_int.yml", "model_int_coo.yml", "model_int_csr.yml", "model_int_csc.yml")


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(network=networks())
def test_all_four_integer_files_are_the_network(network: IntegerNetwork, tmp_path: Path) -> None:
    assume(network.layers)
    write_yaml_models(network, tmp_path)
    for name in INTEGER_FILES:
        assert_same_network(network, load_network(tmp_path / name))


def test_what_the_graph_says(content: Any) -> None:
    graph = content["graph"]
    assert graph["input"] == {"shape": [1, 28, 28], "bits": 4, "zero_point": 8, "scale": 0.125}
    first, pool = graph["nodes"][:2]
    assert (first["kind"], first["name"], first["source"]) == ("conv", "conv1", INPUT)
    assert (first["padding"], first["groups"], first["shares"]) == ([2, 2], 1, None)
    assert first["clamp"] == {"low": 8, "high": 15, "leak": 0}
    assert pool == {
        "kind": "max_pool",
        "name": "conv1_pool",
        "source": "conv1",
        "kernel": [2, 2],
        "stride": [2, 2],
        "padding": [0, 0],
    }
    assert graph["nodes"][-1]["clamp"] is None


def test_a_file_without_a_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seed.yml"
    path.write_text(integer_document(read_state(model_state(), "state"), "dense"))
    with pytest.raises(InputError, match=r"seed\.yml: has no graph"):
        load_network(path)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What is in a sparse file of LeNet-5."""
    folder = tmp_path_factory.mktemp("models")
    write_yaml_models(lenet5(4, density=0.02), folder)
    return yaml.load((folder / "model_int_coo.yml").read_text(), yaml.CSafeLoader)


def _set(*keys: Any, value: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("graph", "nodes", 0, "kind", value="cnov"), "unknown 'cnov'; did you mean 'conv'"),
        (_set("graph", "nodes", 0, "name", value="conv9"), "has a layer 'conv9' where the file"),
        (_set("graph", "nodes", 1, "source", value="con"), "reads 'con', which no earlier node"),
        (_set("graph", "nodes", 1, "kernel", value=[2]), "kernel: expected 2 integers from 1 up"),
        (_set("graph", "nodes", 0, "clamp", "high", value=16), "0 <= low <= high <= 15 must hold"),
        (_set("graph", "nodes", 0, "groups", value=0), "conv1: expects 0 channels, but reads 1"),
        (_set("graph", "input", "bits", value=5), "layer 'conv1' says that it reads codes"),
        (_set("graph", "nodes", value=[]), "needs at least one node"),
        (lambda content: content["graph"]["nodes"].pop(), "holds more layers than its graph"),
        (lambda content: content["layers"].pop(), "where the file holds no more layers"),
        (lambda content: content["layers"][0].pop("mid_rise"), "'conv1' has no 'mid_rise'"),
        (_set("layers", 0, "mqm0", value=1), "multiplier must lie in 16384"),
    ],
)
def test_contradictions_are_refused(
    change: Callable[[Any], None], message: str, tmp_path: Path, content: Any
) -> None:
    path = tmp_path / "model_int_coo.yml"
    content = copy.deepcopy(content)
    change(content)
    path.write_text(yaml.dump(content, Dumper=yaml.CSafeDumper))
    with pytest.raises(InputError, match=message):
        load_network(path)
