"""Manifest and data together are the network, through JSON, and contradict each other never."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from dse.errors import InputError
from dse.integer import IntegerNetwork
from dse.integer.reference import evaluate
from dse.storage import formats, load, manifest, pack

from .strategies import assert_same_network, lenet5, networks

AUTO = formats.names()


@settings(deadline=None)
@given(networks())
def test_load_restores_the_network(network: IntegerNetwork) -> None:
    packed = pack(network, AUTO)
    text = json.dumps(manifest(network, packed), allow_nan=False)
    assert_same_network(network, load(json.loads(text), packed.data))


def test_the_loaded_network_computes_the_same() -> None:
    network = lenet5(4, density=0.2)
    packed = pack(network, AUTO)
    loaded = load(manifest(network, packed), packed.data)
    codes = np.random.default_rng(0).integers(0, 16, (2, 1, 28, 28))
    expected, actual = evaluate(network, codes), evaluate(loaded, codes)
    for name in expected:
        np.testing.assert_array_equal(expected[name], actual[name])


def test_what_a_layer_entry_says() -> None:
    network = lenet5(4, density=0.1)
    packed = pack(network, AUTO)
    written = manifest(network, packed)
    assert [node["kind"] for node in written["nodes"]] == [
        *("conv", "max_pool", "conv", "max_pool", "conv", "reshape", "linear", "linear")
    ]
    first = written["layers"][0]
    assert first["name"] == "conv1"
    assert first["shape"] == [6, 1, 5, 5]
    assert (first["stride"], first["padding"], first["groups"]) == ([1, 1], [2, 2], 1)
    assert first["output"]["multiplier"] == [20000]
    assert first["format"] == packed.layers[0].format
    assert first["packed_bits"] == packed.layers[0].packed_bits
    assert written["layers"][-1]["output"] is None
    assert written["output_shape"] == [10]


def _written() -> tuple[dict[str, Any], bytes]:
    network = lenet5(3, density=0.1)
    packed = pack(network, ("dense", "csr", "rice"))  # quick to read hundreds of times
    return manifest(network, packed), packed.data


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, child in children:
        nested = isinstance(child, dict | list) and child
        found += _leaves(child, (*path, key)) if nested else [(*path, key)]
    return found


@pytest.mark.parametrize("wrong", [None, "text", -3, 0, 1e300, [], {}, [1, 2, 3], True])
def test_any_wrong_value_is_refused(wrong: Any) -> None:
    written, data = _written()
    for path in _leaves(written):
        damaged = copy.deepcopy(written)
        target = damaged
        for key in path[:-1]:
            target = target[key]
        if target[path[-1]] == wrong or path[-1] == "scale" or "scale" in path:
            continue
        target[path[-1]] = wrong
        with pytest.raises(InputError, match="manifest"):
            load(damaged, data)


def test_any_missing_key_is_refused() -> None:
    written, data = _written()
    for path in _leaves(written):
        if not isinstance(path[-1], str):
            continue
        damaged = copy.deepcopy(written)
        target = damaged
        for key in path[:-1]:
            target = target[key]
        del target[path[-1]]
        with pytest.raises(InputError, match="manifest"):
            load(damaged, data)


@pytest.mark.parametrize("scale", [[], [0.0], [-1.0], [float("nan")], ["1"], [1.0, 1.0], None])
def test_wrong_weight_scales_are_refused(scale: Any) -> None:
    written, data = _written()
    written["layers"][0]["scale"] = scale
    with pytest.raises(InputError, match="manifest"):
        load(written, data)


def test_other_data_is_refused() -> None:
    written, data = _written()
    network = lenet5(4, density=0.1)
    with pytest.raises(InputError, match="sha256"):
        load(written, pack(network, AUTO).data)
    with pytest.raises(InputError, match="sha256"):
        load(written, data[:-1])


def test_a_contradiction_is_named() -> None:
    written, data = _written()
    written["layers"][1]["zero_point"] += 1
    with pytest.raises(InputError, match=r"manifest\.layers\[1\]\.zero_point: says"):
        load(written, data)
    written["layers"][1]["zero_point"] -= 1
    written["nodes"][1]["kind"] = "max_pol"
    with pytest.raises(InputError, match=r"nodes\[1\].kind: unknown 'max_pol'; did you mean"):
        load(written, data)


def test_keys_of_others_are_left_alone() -> None:
    written, data = _written()
    assert_same_network(lenet5(3, density=0.1), load({**written, "files": []}, data))
