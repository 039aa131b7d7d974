"""Warm-started finetuning: whose weights a trial goes on with, and that it can be repeated."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dse import search
from dse.config import Config, LayerConfig
from dse.errors import InputError
from dse.search.lineage import distance, lineage_of
from dse.search.workers import load_context
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.study.record import State, TrialRecord
from dse.study.weights import read_weights
from dse.trial import Task
from dse.trial import run as run_trial

from . import tiny
from .test_workers import Silent

TRIALS = 10

layer_choices = st.builds(
    LayerConfig, st.sampled_from([0.0, 0.5, 0.9]), st.integers(1, 16), st.integers(1, 16)
)
configs = st.fixed_dictionaries({"conv": layer_choices, "fc": layer_choices})


def config(ratio: float, bits: int) -> Config:
    return {"conv": tiny.choice(ratio, bits), "fc": tiny.choice(ratio, bits)}


def record(
    number: int, given_config: Config, state: State = "complete", lineage: tuple[int, ...] = ()
) -> TrialRecord:
    return TrialRecord(number, state, "", "", given_config, lineage=lineage)


# Per layer the densities 1/2 and 1/8 are 2 octaves apart, 8 and 4 bits of weights and of
# activations 1 each: 4, and twice that in two layers.
def test_distance_by_hand() -> None:
    assert distance(config(0.5, 8), config(0.875, 4)) == pytest.approx(8)
    assert distance(config(0.5, 8), config(0.5, 8)) == 0


@given(configs, configs)
def test_distance_is_the_same_both_ways(one: Config, other: Config) -> None:
    assert distance(one, other) == pytest.approx(distance(other, one))
    assert (distance(one, other) == 0) == (one == other)


def test_an_empty_layer_is_far_but_not_infinitely() -> None:
    assert math.isfinite(distance(config(1.0, 8), config(0.0, 8)))


def test_the_nearest_parent_that_is_pruned_no_more() -> None:
    results = [
        record(0, config(0.2, 8)),
        record(1, config(0.6, 8), lineage=(0,)),
        record(2, config(0.9, 8)),  # nearer, but its zeros would stay
        record(3, config(0.8, 8), "infeasible"),
        record(4, config(0.6, 8)),  # as near as trial 1
    ]
    assert lineage_of(config(0.85, 8), results) == (0, 1)
    assert lineage_of(config(0.3, 8), results) == (0,)
    assert lineage_of(config(0.1, 8), results) == ()


def test_channels_that_are_gone_do_not_come_back() -> None:
    layer = LayerConfig(0.0, 8, 8, channel_ratio=0.5)
    assert lineage_of(config(0.9, 8), [record(0, {"conv": layer, "fc": layer})]) == ()


@given(st.lists(configs, max_size=6), configs)
def test_the_order_of_results_does_not_matter(before: list[Config], child: Config) -> None:
    results = [record(number, each) for number, each in enumerate(before)]
    assert lineage_of(child, results) == lineage_of(child, results[::-1])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("lineage")
    warm = {**tiny.STUDY["finetune"], "warm_start": True}
    tiny.write(place, budget={"trials": TRIALS}, finetune=warm)
    return place


def finished(place: Path, name: str, *options: str) -> StudyFolder:
    folder = StudyFolder(place / name)
    search.optimize(load_study(place / "tiny.yml", options), folder, Silent())
    return folder


def trials(folder: StudyFolder) -> dict[str, bytes]:
    """Every file of every trial."""
    files = folder.path.glob("trials/*/*")
    return {
        str(file.relative_to(folder.path)): file.read_bytes()
        for file in files
        if file.name != "timing.json"
    }


@pytest.fixture(scope="module")
def undisturbed(place: Path) -> StudyFolder:
    return finished(place, "undisturbed")


def test_trials_go_on_with_the_weights_of_finished_ones(undisturbed: StudyFolder) -> None:
    records = undisturbed.read_trials()
    children = [r for r in records if r.lineage]
    assert children
    for child in children:
        parent = undisturbed.read_trial(child.lineage[-1])
        assert parent.number <= child.number - 4  # told before the child was asked for
        assert child.lineage == (*parent.lineage, parent.number)
        ended, began = (read_weights(undisturbed, r.number) for r in (child, parent))
        assert not ended["fc.weight"][began["fc.weight"] == 0].any()  # what is zero stays zero


def test_a_trial_is_repeated_from_its_lineage(
    undisturbed: StudyFolder, place: Path, tmp_path: Path
) -> None:
    """In another folder, nothing but its ancestors before it: the same bytes."""
    context = load_context(load_study(place / "tiny.yml"), undisturbed)
    child = max(undisturbed.read_trials(), key=lambda r: len(r.lineage))
    again = StudyFolder(tmp_path)
    for number in (*child.lineage, child.number):
        told = undisturbed.read_trial(number)
        task = Task(number, told.origin, told.config, lineage=told.lineage)
        run_trial(task, context, again)
        for file in undisturbed.trial(number).iterdir():
            if file.name not in ("timing.json", "test.json"):
                assert (again.trial(number) / file.name).read_bytes() == file.read_bytes()

    alone = Task(child.number, child.origin, child.config)
    assert run_trial(alone, context, StudyFolder(tmp_path / "alone")).lineage == ()
    from_baseline = read_weights(StudyFolder(tmp_path / "alone"), child.number)
    assert not torch.equal(
        from_baseline["fc.weight"], read_weights(again, child.number)["fc.weight"]
    )


def test_a_resumed_study_has_the_same_lineage(place: Path, undisturbed: StudyFolder) -> None:
    finished(place, "resumed", "budget.trials=6")
    resumed = finished(place, "resumed")
    assert trials(resumed) == trials(undisturbed)


@pytest.mark.slow
def test_two_workers_give_the_same_lineage(place: Path, undisturbed: StudyFolder) -> None:
    two = finished(place, "two", "parallel.workers=2")
    assert trials(two) == trials(undisturbed)


def test_a_parent_whose_weights_are_gone_is_named(place: Path, undisturbed: StudyFolder) -> None:
    context = load_context(load_study(place / "tiny.yml"), undisturbed)
    with pytest.raises(InputError, match=r"7.weights\.pt: cannot be read .*warm_start needs it"):
        run_trial(Task(8, "", config(0.5, 4), lineage=(7,)), context, StudyFolder(place / "gone"))


def test_without_warm_start_there_is_neither_lineage_nor_weights(place: Path) -> None:
    cold = finished(place, "cold", "finetune.warm_start=false", "budget.trials=5")
    assert [r.lineage for r in cold.read_trials()] == [()] * 5
    assert not list(cold.path.glob("trials/*/weights.pt"))


def test_records_of_earlier_versions_have_no_lineage() -> None:
    content = json.loads(record(0, config(0.5, 4), lineage=(3, 5)).to_json())
    assert TrialRecord.from_json(json.dumps(content)).lineage == (3, 5)
    del content["lineage"]
    assert TrialRecord.from_json(json.dumps(content)).lineage == ()
