"""What the report reads from a study folder, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from dse.errors import InputError
from dse.report.results import front_of, lut_share, read_results
from dse.storage import formats
from dse.study.folder import StudyFolder

from .studies import WEIGHTS, complete_trial, random_trials, unfinished_trial, write_study


def test_front_by_hand() -> None:
    # 2 is beaten by 1 in both; 3 equals 1 and comes later; 5 is infeasible whatever it holds.
    trials = [
        complete_trial(0, 0.99, 9000),
        complete_trial(1, 0.98, 5000),
        complete_trial(2, 0.97, 6000),
        complete_trial(3, 0.98, 5000),
        complete_trial(4, 0.90, 3000),
        unfinished_trial(5, "infeasible", "fits", {"memory_bytes": 10.0}),
    ]
    assert [record.number for record in front_of(trials)] == [4, 1, 0]


def test_equal_trials_keep_the_lowest_number_whatever_the_order() -> None:
    trials = [complete_trial(number, 0.98, 5000) for number in (7, 3, 5)]
    assert [record.number for record in front_of(trials)] == [3]


def test_same_memory_keeps_the_more_accurate() -> None:
    trials = [complete_trial(0, 0.97, 5000), complete_trial(1, 0.98, 5000)]
    assert [record.number for record in front_of(trials)] == [1]


def test_layers_are_in_network_order_not_alphabetical(tmp_path: Path) -> None:
    order = ["fc3", "conv1", "fc1", "conv2", "fc2"]
    folder = write_study(tmp_path / "study", random_trials(3), layer_names=order)
    assert list(read_results(folder).layer_names) == order


def test_tests_are_those_of_the_front(searched: StudyFolder) -> None:
    results = read_results(searched)
    dominated = next(r for r in results.with_state("complete") if r not in results.front)
    score = next(iter(results.tests.values()))
    searched.write_test_score(dominated.number, score)  # left by a run before the front moved on
    assert set(read_results(searched).tests) == {record.number for record in results.front}


@pytest.mark.parametrize(
    ("changes", "title", "note"),
    [
        ({}, "lenet5 on mnist, xc7z020", None),
        ({"name": "night"}, "night: lenet5 on mnist, xc7z020", None),
        (
            {"dataset_used": {"name": "digits", "fallback": True, "fingerprint": "1"}},
            "lenet5 on digits, xc7z020",
            "FALLBACK: digits (mnist was not available)",
        ),
    ],
)
def test_heading(tmp_path: Path, changes: dict[str, object], title: str, note: str | None) -> None:
    heading = read_results(write_study(tmp_path / "study", [], **changes)).heading
    assert (heading.title, heading.fallback_note) == (title, note)


def test_lut_share_needs_a_cost_report() -> None:
    record = complete_trial(0, 0.98, 5000)
    assert lut_share(record) == pytest.approx(11_800 / 53_200)
    assert lut_share(dataclasses.replace(record, cost={})) is None


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such folder"):
        read_results(StudyFolder(tmp_path / "nowhere"))


def test_no_study_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no study\.yml"):
        read_results(StudyFolder(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "cannot be read as a study"),
        ("- 1\n", "must be a mapping, but is a list"),
        ("name: x\nmodel: y\n", "lacks device, dataset, dataset_used, layer_names"),
    ],
)
def test_damaged_study_file(searched: StudyFolder, text: str, message: str) -> None:
    searched.study.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_results(searched)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("dataset_used", "mnist", "must name the dataset"), ("layer_names", "conv1", "a list")],
)
def test_wrong_study_values(tmp_path: Path, key: str, value: str, message: str) -> None:
    folder = write_study(tmp_path / "study", [], **{key: value})
    with pytest.raises(InputError, match=message):
        read_results(folder)


@pytest.mark.parametrize(
    ("metric", "value", "message"),
    [
        ("accuracy", float("nan"), "accuracy of a complete trial must be in"),
        ("accuracy", 1.5, "but is 1.5"),
        ("memory_bytes", 0, "must be positive, but is 0"),
        ("lut", "many", "metric lut must be a number, but is 'many'"),
    ],
)
def test_made_up_metrics_are_refused(
    searched: StudyFolder, metric: str, value: object, message: str
) -> None:
    number = read_results(searched).front[0].number
    path = searched.trial(number) / "result.json"
    raw = json.loads(path.read_text())
    raw["metrics"][metric] = value
    path.write_text(json.dumps(raw))
    with pytest.raises(InputError, match=message):
        read_results(searched)


def test_a_complete_trial_has_every_layer(tmp_path: Path) -> None:
    names = [*WEIGHTS, "fc4"]
    folder = write_study(tmp_path / "study", [complete_trial(0, 0.9, 10)], layer_names=names)
    with pytest.raises(InputError, match="lacks layer fc4"):
        read_results(folder)


@pytest.mark.parametrize("damaged", ["test", "references"])
def test_damaged_scores(searched: StudyFolder, damaged: str) -> None:
    number = read_results(searched).front[0].number
    path = {"test": searched.trial(number) / "test.json", "references": searched.references}
    path[damaged].write_text('{"accuracy": ')
    with pytest.raises(InputError, match="cannot be read"):
        read_results(searched)


@pytest.mark.parametrize(
    ("constraints", "wished"),
    [
        ({"fits": True, "fps": ">= 1000.0"}, 1000.0),
        ({"fps": "<= 1000.0"}, None),
        ({"fps": ">= many"}, None),
        ({}, None),
        (None, None),
        ("fast", None),
    ],
)
def test_the_rate_a_study_folds_for(tmp_path: Path, constraints: object, wished: object) -> None:
    folder = write_study(tmp_path / "study", [], constraints=constraints)
    assert read_results(folder).target_fps == wished


def test_what_a_study_builds_by_default_and_as_it_says(tmp_path: Path) -> None:
    plain = read_results(write_study(tmp_path / "plain", []))
    assert (plain.template, plain.formats) == ("dataflow", formats.names())
    own = write_study(tmp_path / "own", [], template="engine", storage=["csr", "dense"])
    assert (read_results(own).template, read_results(own).formats) == ("engine", ("csr", "dense"))
