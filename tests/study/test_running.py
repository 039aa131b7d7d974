"""Sampler, groups, patterns and where trials run, as a study file says them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dse.errors import InputError
from dse.study.load import load_study, resolved
from dse.study.running import SAMPLERS
from dse.study.spec import BitChoices, ParallelSpec, RatioRange, SamplerSpec, StudySpec

Write = Callable[..., Path]

OWN_SAMPLER = """
from optuna.samplers import RandomSampler
class Mine(RandomSampler): ...
class Seedless(RandomSampler):
    def __init__(self): super().__init__()
def function(seed): ...
"""


def again(spec: StudySpec, tmp_path: Path) -> StudySpec:
    """Written by a run and read back."""
    path = tmp_path / "again.yml"
    path.write_text(yaml.safe_dump(resolved(spec)))
    return load_study(path)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_by_name(write: Write, tmp_path: Path, name: str) -> None:
    spec = load_study(write(f"sampler: {name}"))
    only = ("sensitivity",) if name == "sensitivity" else ("uniform", "sensitivity")
    assert spec.sampler == SamplerSpec(name, only)
    assert again(spec, tmp_path) == spec


def test_an_optuna_sampler_by_import_path(write: Write, tmp_path: Path) -> None:
    lines = "sampler: {name: 'optuna.samplers:QMCSampler', options: {seed: 3, scramble: true}}"
    spec = load_study(write(lines))
    assert spec.sampler.name == "optuna.samplers:QMCSampler"
    assert spec.sampler.options == {"seed": 3, "scramble": True}
    assert again(spec, tmp_path) == spec


def test_a_users_own_sampler_is_found_beside_the_study(write: Write, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN_SAMPLER)
    spec = load_study(write("sampler: mine.py:Mine"))
    assert spec.sampler.name == f"{tmp_path.resolve() / 'mine.py'}:Mine"
    assert again(spec, tmp_path) == spec


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        ("optuna.sampler:TPESampler", "sampler.name: module 'optuna.sampler' cannot be imported"),
        ("optuna.samplers:TPESample", "has no 'TPESample'; did you mean 'TPESampler'?"),
        ("optuna.samplers:PartialFixedSampler", "PartialFixedSampler takes no seed"),
        ("mine.py:Seedless", "Seedless takes no seed, so its trials could not be repeated"),
        ("mine.py:function", "function must be a class, but is a function"),
        ("other.py:Mine", "sampler.name: no file 'other.py'"),
        ("{name: tpe, options: {a: 1}}", "sampler.options: are for samplers named 'module:Class'"),
        (
            "{name: 'optuna.samplers:QMCSampler', options: {scrambl: 1}}",
            "sampler.options.scrambl: unknown key; did you mean 'scramble'",
        ),
        ("{name: sensitivity, warm_start: []}", "sampler.warm_start: must not be empty"),
        ("nsga", "sampler.name: no sampler 'nsga'; did you mean 'nsga2'?"),
    ],
)
def test_a_wrong_sampler(write: Write, tmp_path: Path, sampler: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(OWN_SAMPLER)
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        load_study(write(yaml.safe_dump({"sampler": yaml.safe_load(sampler)})))


def test_groups_tie_layers_by_pattern(write: Write, tmp_path: Path) -> None:
    spec = load_study(write("groups: {body: conv?, head: [fc1, 'fc[2-9]']}"))
    groups = {name: layer.group for name, layer in spec.search_space.items()}
    assert groups == dict.fromkeys(("conv1", "conv2", "conv3"), "body") | dict.fromkeys(
        ("fc1", "fc2"), "head"
    )
    assert again(spec, tmp_path) == spec


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("{a: conv9}", "groups.a: the model has no layer 'conv9'; did you mean 'conv3'"),
        ("{a: 'x*'}", r"groups.a: the model has no layer 'x\*'"),
        ("{a: conv1, b: 'conv*'}", "groups.b: layer 'conv1' is in group 'a' already"),
        ("{a: []}", "groups.a: must be a pattern of layer names or a list of them"),
        ("{a: 3}", "groups.a: must be a pattern .* but got 3"),
        ("{conv1: conv2}", "groups.conv1: must be a name that is not a layer's"),
        ("[conv1]", "groups: must be a mapping of keys to values"),
    ],
)
def test_wrong_groups(write: Write, groups: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_study(write(f"groups: {groups}"))


def test_layers_of_one_group_need_one_space(write: Write) -> None:
    lines = "groups: {a: 'conv*'}\nsearch_space: {layers: {conv2: {weight_bits: 4}}}"
    with pytest.raises(InputError, match=r"groups\.a: 'conv1' and 'conv2' have different search"):
        load_study(write(lines))


def test_a_pattern_changes_every_layer_it_matches_and_the_later_wins(write: Write) -> None:
    lines = """
search_space:
  layers:
    "conv*": {weight_bits: 8, prune_ratio: {high: 0.5}}
    conv2: {weight_bits: {low: 2, high: 3}}
"""
    space = load_study(write(lines)).search_space
    widths = [space[name].weight_bits.bits for name in ("conv1", "conv2", "conv3")]
    assert widths == [(8,), (2, 3), (8,)]
    assert space["conv2"].prune_ratio == RatioRange(0.0, 0.5)
    assert space["fc1"].weight_bits == BitChoices(tuple(range(1, 17)))


def test_a_mistake_under_a_pattern_is_said_once(write: Write) -> None:
    with pytest.raises(InputError) as caught:
        load_study(write("search_space: {layers: {'conv*': {weight_bits: 17}}}"))
    assert str(caught.value).count("weight_bits") == 1


def test_where_trials_run(write: Write, tmp_path: Path) -> None:
    lines = "parallel: {workers: 8, engine: dask, address: 'tcp://10.0.0.1:8786'}"
    spec = load_study(write(lines))
    assert spec.parallel == ParallelSpec(8, "tcp://10.0.0.1:8786")
    assert again(spec, tmp_path) == spec
    spec = load_study(write("parallel: {trial_timeout: 10 min}"))
    assert spec.parallel == ParallelSpec(trial_timeout_s=600.0)
    spec = load_study(write("parallel: {journal: 'postgresql://me@db:5432/dse'}"))
    assert spec.parallel == ParallelSpec(journal="postgresql://me@db:5432/dse")
    assert again(spec, tmp_path) == spec


@pytest.mark.parametrize(
    ("parallel", "message"),
    [
        ("{trial_timeout: soon}", "parallel.trial_timeout: must be seconds above 0, .* 'soon'"),
        ("{trial_timeout: 0}", "parallel.trial_timeout: must be seconds above 0"),
        (
            "{trial_timeout: 9, journal: 'postgresql://me@db:5432/dse'}",
            "parallel.trial_timeout: is for trials in processes of their own",
        ),
        ("{engine: dusk}", "parallel.engine: no engine 'dusk'; did you mean 'dask'"),
        ("{engine: dask}", "parallel.address: is missing: give the scheduler's, like 'tcp://"),
        ("{address: 'tcp://a:1'}", "parallel.address: is for engine 'dask', but .* 'local'"),
        ("{engine: dask, address: here}", "parallel.address: must be like 'tcp://.* got 'here'"),
        ("{engine: dask, address: 'tcp://a:b'}", "parallel.address: must be like"),
        ("{journal: 'sqlite:///a.db'}", "parallel.journal: must be like 'postgresql://"),
        ("{journal: 'postgresql://host'}", "parallel.journal: must be like"),
        (
            "{journal: 'postgresql://me:secret@db/dse'}",
            "parallel.journal: must not hold a password, .* into PGPASSWORD or ~/.pgpass$",
        ),
        (
            "{engine: dask, address: 'tcp://a:1', journal: 'postgresql://db/dse'}",
            "parallel.journal: .* not for dask",
        ),
    ],
)
def test_wrong_parallel(write: Write, parallel: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_study(write(f"parallel: {parallel}"))
    assert "secret" not in str(caught.value)
