"""Whatever is in a study file, reading it gives a study or an InputError, never a traceback."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dse.errors import InputError
from dse.study.load import load_study, resolved
from dse.study.spec import StudySpec

LENET5 = Path(__file__).parents[2] / "studies" / "lenet5.yml"
GOOD = yaml.safe_load(LENET5.read_text())

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 20),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.binary(max_size=3),
    st.sampled_from(["1e-3", "auto", "coo", "tpe", "30 min", ">= 3", "<= 1 KiB", "a.py:B", "b.py"]),
)
keys = st.one_of(
    st.sampled_from(["low", "high", "choices", "name", "layers", "conv1", "weight_bits", "fits"]),
    st.text(max_size=5),
    st.integers(0, 3),
    st.none(),
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)


def paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Path of every value inside a mapping."""
    if not isinstance(value, dict):
        return []
    inner = [(*prefix, key) for key in value]
    return inner + [path for key in value for path in paths(value[key], (*prefix, key))]


@st.composite
def mutated(draw: st.DrawFn) -> dict[Any, Any]:
    """The good study with up to three values replaced, removed or added."""
    study = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths(study)))
        section = study
        for key in path[:-1]:
            section = section[key]
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "remove" and len(study) > 1:
            del section[path[-1]]
        else:
            section[path[-1] if action == "replace" else draw(keys)] = draw(values)
    return study


def check(path: Path, overrides: tuple[str, ...] = ()) -> None:
    try:
        spec = load_study(path, overrides)
    except InputError:
        return
    assert isinstance(spec, StudySpec)
    path.write_text(yaml.safe_dump(resolved(spec)))
    assert load_study(path) == spec


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any") / "study.yml"


many = settings(max_examples=150, deadline=None)


@many
@given(study=mutated())
def test_any_values(path: Path, study: dict[Any, Any]) -> None:
    path.write_text(yaml.safe_dump(study, allow_unicode=True))
    check(path)


@many
@given(start=st.integers(0, 3000), length=st.integers(0, 6), text=st.text(max_size=6))
@example(start=0, length=0, text='"\\0": ')
def test_any_text(path: Path, start: int, length: int, text: str) -> None:
    good = "\n".join(line.split("#")[0].rstrip() for line in LENET5.read_text().splitlines())
    start %= len(good)
    content = good[:start] + text + good[start + length :]
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    check(path)


@many
@given(key=st.sampled_from([".".join(map(str, path)) for path in paths(GOOD)]), value=st.text())
def test_any_override(path: Path, key: str, value: str) -> None:
    path.write_text(LENET5.read_text())
    check(path, (f"{key}={value}", value))


@pytest.mark.parametrize(
    "line",
    [
        "seed: 0x" + "f" * 5000,
        "seed: " + "9" * 5000,
        "budget: {timeout: 0x" + "f" * 5000 + "}",
        "dataset: {name: digits, fallback: 0x" + "f" * 5000 + "}",
        "storage: [0x" + "f" * 5000 + "]",
        "0x" + "f" * 5000 + ": 1",
        "device: " + "x" * 5000 + ".yml",
        'device: "\\0.yml"',
        'model: "\\0.py:A"',
        "model: " + "x" * 5000 + ".py:A",
        "seed: !!timestamp x",
        "seed: !!bool x",
        "seed: !!int x",
        "seed: !!float x",
        "? [a]\n: 1",
        "? {a: 1}\n: 1",
        "<<: 3",
        "<<: [1]",
        "seed: !!set {a, b}",
        "seed: !!omap [a: 1]",
        "constraints: {fps: &a {b: *a}}",
        "storage: &a [*a]",
        "storage: &a [coo, *a, *a]",
    ],
    ids=range(23),
)
def test_odd_yaml(path: Path, line: str) -> None:
    path.write_text(f"{line}\n")
    with pytest.raises(InputError):
        load_study(path)
