"""What if: changes of one layer against networks that really have them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse import storage
from dse.errors import InputError
from dse.fpga import NetworkWorkload, describe, estimate, load_device
from dse.fpga.narrow import with_code_bits
from dse.integer import ActivationGrid, IntegerNetwork, MaxPool, Reshape
from dse.integer.shrink import shrink
from dse.integer.simplify import simplify
from dse.storage.formats import names
from dse.what_if import RANKINGS, Build, Effect, _pruned, _reweighted, ranked, what_if
from tests.fpga.networks import Bits, conv, linear, residual

BUILD = Build(load_device("xc7z020"), names())


def small(bits: Bits) -> IntegerNetwork:
    """Two convolutions and a linear layer."""
    nodes = (
        conv("conv1", "input", (6, 2, 3, 3), bits),
        MaxPool("pool", "conv1", (2, 2), (2, 2)),
        conv("conv2", "pool", (16, 6, 3, 3), bits),
        Reshape("flat", "conv2", (64,)),
        linear("fc1", "flat", (10, 64), bits, last=True),
    )
    return IntegerNetwork((2, 10, 10), ActivationGrid(bits.activations, 1.0, 0), nodes)


NETWORK = small(Bits(4, 4, 0.3))


def _effects(network: IntegerNetwork, build: Build = BUILD, *layers: str) -> Mapping[str, Effect]:
    packed = storage.pack(network, build.formats)
    found = what_if(network, packed, build, layers)
    return {f"{effect.layer}: {effect.change}": effect for effect in found}


def test_every_layer_and_kind_of_change_is_there() -> None:
    found = _effects(NETWORK)
    for layer in ("conv1", "conv2", "fc1"):
        for change in ("weights 4 -> 3 bits", "weights 4 -> 2 bits", "weights 4 -> 5 bits"):
            assert f"{layer}: {change}" in found
        for change in ("25% fewer weights", "50% fewer weights", "codes read 4 -> 3 bits"):
            assert f"{layer}: {change}" in found
        assert any(key.startswith(f"{layer}: format ") for key in found)


def test_memory_is_that_of_the_packed_network() -> None:
    packed = storage.pack(NETWORK, names())
    (form, _), found = packed.stored["conv2"], _effects(NETWORK, BUILD, "conv2")
    for other in ("coo", "csc", "dense"):
        if other != form:
            size = {layer.name: layer.sizes for layer in packed.layers}["conv2"][other]
            grown = found[f"conv2: format {form} -> {other}"].memory_bytes
            # a header may hold a few bytes that one format has and the other has not
            assert abs(grown - (size - packed.stored["conv2"][1]) / 8) <= 4
    fewer = found["conv2: 50% fewer weights"].memory_bytes
    # half of 864 x 0.3 weights of 4 bits and their places go
    assert -0.7 < fewer / (packed.stored["conv2"][1] / 8) < -0.3
    assert fewer < found["conv2: 25% fewer weights"].memory_bytes < 0
    assert found["conv2: codes read 4 -> 3 bits"].memory_bytes == 0


def test_bytes_are_those_of_the_whole_network_packed_again() -> None:
    found = _effects(NETWORK, BUILD, "conv2")
    before = len(storage.pack(NETWORK, names()).data)
    (old,) = [layer for layer in NETWORK.layers if layer.name == "conv2"]
    pruned = _pruned(old.weights, 0.5)
    assert pruned.nonzeros == round(old.weights.nonzeros / 2)
    nodes = tuple(
        dataclasses.replace(old, weights=pruned) if node is old else node for node in NETWORK.nodes
    )
    after = shrink(simplify(dataclasses.replace(NETWORK, nodes=nodes)))
    exact = len(storage.pack(after, names()).data) - before
    assert abs(found["conv2: 50% fewer weights"].memory_bytes - exact) <= 1


def test_hardware_is_that_of_the_changed_network() -> None:
    build = dataclasses.replace(BUILD, target_fps=1000.0)
    found = _effects(NETWORK, build, "conv2")
    wider = found["conv2: weights 4 -> 5 bits"]
    narrower = found["conv2: weights 4 -> 2 bits"]
    assert narrower.memory_bytes < 0 < wider.memory_bytes
    assert (narrower.lut, narrower.bram18) < (wider.lut, wider.bram18)
    assert all(effect.fits for effect in found.values())


def test_a_change_that_makes_room_says_so() -> None:
    network = small(Bits(8, 8))
    workload = describe(network, storage.pack(network, ("dense",)).stored)
    # the smallest design of all is a LUT too large
    smallest = estimate(workload, dataclasses.replace(BUILD.device, lut=1, shell=None)).lut
    tight = dataclasses.replace(BUILD.device, lut=smallest - 1, shell=None)
    build = dataclasses.replace(BUILD, device=tight, formats=("dense",))
    assert not build.cost(workload).fits
    found = _effects(network, build, "conv2")
    assert found["conv2: weights 8 -> 4 bits"].fits
    assert not found["conv2: weights 8 -> 9 bits"].fits


def test_ranking_puts_the_most_saved_first() -> None:
    effects = tuple(_effects(NETWORK, BUILD, "conv2", "fc1").values())
    for by in RANKINGS:
        values = [getattr(effect, by) for effect in ranked(effects, by)]
        assert values == sorted(values, reverse=by == "fps")
        assert set(ranked(effects, by)) == set(effects)
    with pytest.raises(InputError, match="cannot rank by 'luts'; did you mean 'lut'"):
        ranked(effects, "luts")


def test_an_unknown_layer_is_named() -> None:
    with pytest.raises(InputError, match="no layer 'conv9'; did you mean 'conv"):
        _effects(NETWORK, BUILD, "conv9")


def test_a_dense_store_prunes_nothing_away_but_still_narrows() -> None:
    build = dataclasses.replace(BUILD, formats=("dense",))
    network = small(Bits(1, 1, 1.0, True))
    found = _effects(network, build, "fc1")
    # absent +-1 weights cannot be stored dense, so pruning is no change that could be made
    assert not any("fewer" in key for key in found)
    assert "fc1: weights 1 -> 2 bits" in found


def test_weights_that_are_used_again_change_everywhere() -> None:
    first = conv("a", "input", (3, 3, 3, 3), Bits(), padding=1)
    again = dataclasses.replace(first, name="b", source="a", shares="a")
    network = IntegerNetwork((3, 6, 6), ActivationGrid(4, 1.0, 0), (first, again))
    found = _effects(network)
    assert {effect.layer for effect in found.values()} == {"a"}
    assert found["a: weights 4 -> 2 bits"].memory_bytes < 0


@given(st.integers(1, 8), st.booleans())
@settings(max_examples=10, deadline=None)
def test_narrower_codes_are_those_of_a_network_that_has_them(bits: int, pooled: bool) -> None:
    def network(middle: int) -> IntegerNetwork:
        first = conv("a", "input", (3, 2, 3, 3), Bits(4, middle), padding=1)
        pool = (MaxPool("p", "a", (2, 2), (2, 2)),) if pooled else ()
        source = "p" if pooled else "a"
        nodes = (first, *pool, conv("b", source, (2, 3, 1, 1), Bits(4, 5)))
        return IntegerNetwork((2, 6, 6), ActivationGrid(6, 1.0, 0), nodes)

    def workload(middle: int) -> NetworkWorkload:
        built = network(middle)
        return describe(built, storage.pack(built, ("dense",)).stored)

    changed, real = with_code_bits(workload(8), "a", bits), workload(bits)
    for one, other in zip(changed.nodes, real.nodes, strict=True):
        if isinstance(one, type(real.layers[0])):
            for name in ("activation_bits", "output_bits"):
                assert getattr(one, name) == getattr(other, name)
            assert abs(one.accumulator_bits - other.accumulator_bits) <= 1
        else:
            assert (one.bits, one.source_bits) == (other.bits, other.source_bits)


def test_codes_of_the_input_and_of_a_shortcut() -> None:
    network = residual(1, 4, 6, Bits())
    workload = describe(network, storage.pack(network, names()).stored)
    narrow = with_code_bits(workload, "input", 2)
    assert (narrow.input_bits, narrow.layers[0].activation_bits) == (2, 2)
    stem = with_code_bits(workload, "stem", 3)
    (total,) = [stream for stream in stem.streams if stream.kind == "add"]
    assert total.source_bits == (3, 4)
    assert stem.layers[0].output_bits == stem.layers[1].activation_bits == 3


def test_quantizing_again_keeps_what_the_weights_stand_for() -> None:
    network = IntegerNetwork(
        (7,), ActivationGrid(4, 0.5, 0), (linear("fc", "input", (3, 7), Bits(6), last=True),)
    )
    (layer,) = network.layers
    layer = dataclasses.replace(layer, bias=np.array([8, -8, 4], dtype=np.int64))
    wider = dataclasses.replace(layer.weights, scale=layer.weights.scale * 2)
    # weights of twice the scale: a bias is half as many of its steps
    assert _reweighted(layer, wider, network).bias.tolist() == [4, -4, 2]
