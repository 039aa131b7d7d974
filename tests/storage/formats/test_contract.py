"""What every storage format promises; a new file in the registry inherits all of it."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given

from dse.integer import IntegerWeights
from dse.storage import formats
from dse.storage.bits import BitReader
from dse.storage.formats import Format
from dse.storage.layout import Layout

from ..strategies import random_weights, weights

every_format = pytest.mark.parametrize("name", formats.names())


def _ternary(rows: list[list[int]]) -> IntegerWeights:
    return IntegerWeights(np.array(rows, dtype=np.int32), 2, 1, np.ones(1))


def decode_after_junk(module: Format, given_weights: IntegerWeights) -> np.ndarray:
    """Decode from the middle of a longer stream, and check that nothing else was read."""
    encoded = module.encode(given_weights)
    junk = np.ones(5, dtype=np.uint8)
    reader = BitReader(np.concatenate([junk, encoded.bits, junk]))
    reader.bits(5)
    values = module.decode(reader, Layout.of(given_weights), encoded.count, encoded.parameter)
    assert reader.remaining == 5
    return values


@every_format
@given(given_weights=weights())
@example(given_weights=_ternary([[0, 0], [0, 0]]))
@example(given_weights=_ternary([[1]]))
@example(given_weights=_ternary([[0] * 600 + [1] + [0] * 300 + [-1]]))
def test_decode_restores_what_encode_packed(name: str, given_weights: IntegerWeights) -> None:
    module = formats.registry()[name]
    if not module.supports(given_weights):
        with pytest.raises(ValueError, match="absent"):
            module.encode(given_weights)
        return
    values = decode_after_junk(module, given_weights)
    assert values.dtype == np.int32
    np.testing.assert_array_equal(given_weights.values, values)


@every_format
@given(given_weights=weights())
def test_size_is_the_length_of_what_is_packed(name: str, given_weights: IntegerWeights) -> None:
    module = formats.registry()[name]
    if module.supports(given_weights):
        encoded = module.encode(given_weights)
        assert len(encoded.bits) == module.size_bits(given_weights)
        assert set(np.unique(encoded.bits)) <= {0, 1}
        assert 0 <= encoded.count <= given_weights.values.size
        assert 0 <= encoded.parameter < 1 << module.PARAMETER_BITS
        assert module.COUNTED or encoded.count == 0


@every_format
@pytest.mark.parametrize("bits", range(1, 17))
@pytest.mark.parametrize("mid_rise", [False, True])
def test_every_width_with_long_gaps(name: str, bits: int, mid_rise: bool) -> None:
    rng = np.random.default_rng(bits)
    module = formats.registry()[name]
    for density in (0.001, 0.1, 1.0):
        packed = random_weights((7, 3, 20, 19), bits, rng, density, mid_rise)
        if module.supports(packed):
            np.testing.assert_array_equal(packed.values, decode_after_junk(module, packed))


@every_format
@pytest.mark.parametrize("zero_point", [0, 1, 7, 15])
def test_every_zero_point_position(name: str, zero_point: int) -> None:
    values = np.arange(-zero_point, 16 - zero_point, dtype=np.int32).reshape(4, 4)
    packed = IntegerWeights(values, 4, zero_point, np.ones(4))
    module = formats.registry()[name]
    np.testing.assert_array_equal(values, decode_after_junk(module, packed))


@every_format
def test_truncated_bits_are_refused(name: str) -> None:
    module = formats.registry()[name]
    packed = random_weights((6, 40), 5, np.random.default_rng(3), 0.3)
    encoded = module.encode(packed)
    for kept in range(0, len(encoded.bits), 7):
        with pytest.raises(ValueError, match="expected"):
            module.decode(
                BitReader(encoded.bits[:kept]),
                Layout.of(packed),
                encoded.count,
                encoded.parameter,
            )


@every_format
def test_all_pruned_needs_no_entries(name: str) -> None:
    module = formats.registry()[name]
    nothing = IntegerWeights(np.zeros((3, 4), dtype=np.int32), 4, 8, np.ones(1))
    without_entries = {"dense": 12 * 4, "bitmap": 12}
    assert module.size_bits(nothing) == without_entries.get(name, 0)


def test_identifiers_are_unique_and_fit_the_header() -> None:
    identifiers = [module.IDENTIFIER for module in formats.registry().values()]
    assert identifiers == sorted(set(identifiers))
    assert max(identifiers) < 16


@every_format
def test_a_format_imports_numpy_and_the_integers_only(name: str) -> None:
    path = Path(str(formats.__file__)).with_name(f"{name}.py")
    imported = {
        node.module
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    allowed = {"__future__", "dse.integer.grid"}
    allowed |= {f"dse.storage.{module}" for module in ("adaptive", "bits", "encoded", "layout")}
    assert imported <= allowed
