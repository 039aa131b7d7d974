"""Hostile and damaged YAML models: read or refused with a clear error, never anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dse.errors import InputError
from dse.storage import load_model, load_network, write_yaml_models

from .strategies import random_network


def nested(levels: int, style: str) -> str:
    """A model file whose weight is nested `levels` deep."""
    if style == "flow":
        return "head: int_values\nlayers: " + "[" * levels + "]" * levels
    if style == "dashes":
        return "layers:\n" + "- " * levels + "1"
    return "\n".join(" " * level + "a:" for level in range(levels))


SPITE = [b"[", b"]", b"{", b"}", b"-1", b"1e999", b".nan", b"9" * 30, b"null", b"!!", b"- ", b": "]
BOMB = "a: &a [1, 1]\nb: &b [*a, *a]\nhead: float_value\nlayers: [*b, *b]\n"
HUGE = "{size: [100000, 100000], indices: [[0], [0]], values: [1.0], nnz: 1}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "no anchors or aliases"),
        (nested(100_000, "flow"), "nested deeper than 50 levels"),
        (nested(100_000, "dashes"), "nested deeper than 50 levels"),
        (nested(2_000, "indent"), "nested deeper than 50 levels"),
        ("!!python/object/apply:os.system [id]", "is not YAML"),
        (f"head: float_value\nlayers: [{{name: x, weight: {HUGE}}}]", r"size: \(100000, 100000\)"),
        ("head: float_value\nlayers: [{name: x, weight: {size: [], form: csr}}]", r"size: \(\)"),
    ],
    ids=["aliases", "brackets", "dashes", "indentation", "tag", "huge tensor", "no dimensions"],
)
def test_hostile_files_are_refused_without_parsing_them_to_death(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.yml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_model(path)


def test_a_file_too_large_to_parse_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.yml"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole: takes no space
    with pytest.raises(
        InputError, match="has 1,099,511,627,776 bytes, and YAML models are read up"
    ):
        load_model(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every kind of file of a small network."""
    paths = write_yaml_models(random_network(0), tmp_path_factory.mktemp("whole"))
    return {path.name: path.read_bytes() for path in paths}


@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_mutation_is_read_or_refused(
    data: st.DataObject, whole: dict[str, bytes], tmp_path: Path
) -> None:
    text = bytearray(whole[data.draw(st.sampled_from(sorted(whole)))])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text) - 1))
        stop = start + data.draw(st.integers(0, 8))
        text[start:stop] = data.draw(st.binary(max_size=6) | st.sampled_from(SPITE))
        text = text or bytearray(b" ")
    path = tmp_path / "model.yml"
    path.write_bytes(bytes(text))
    try:
        load_model(path)
        load_network(path)
    except InputError:
        return
