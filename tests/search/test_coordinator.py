"""The coordinator's dialogue with the sampler: only results decide what is asked for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from dse.config import Config, LayerConfig
from dse.search import coordinator
from dse.search.coordinator import LAG, _Dialogue
from dse.search.guesses import Guess
from dse.search.workers import Task
from dse.study.folder import TrialRecord
from dse.study.load import load_study
from dse.study.spec import Constraint, ParallelSpec, StudySpec

from . import tiny

TRIALS = 14


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> StudySpec:
    path = tiny.write(tmp_path_factory.mktemp("study"), budget={"trials": TRIALS})
    return replace(load_study(path), constraints=(Constraint("memory_bytes", "<=", 600),))


def new_study() -> optuna.Study:
    return optuna.create_study(directions=["maximize", "minimize"])


def dialogue(spec: StudySpec, study: optuna.Study, deadline: float = math.inf) -> _Dialogue:
    return _Dialogue(spec, study, [Guess(GUESS, "guess")], deadline)


GUESS = {"conv": LayerConfig(0.5, 8, 8), "fc": LayerConfig(0.5, 8, 8)}


def result(task: Task) -> TrialRecord:
    """What a trial gives, invented from its config alone; some are refused, some fail."""
    digest = hashlib.sha256(str(task.config).encode()).digest()
    size = 100.0 + digest[0] * 3
    state = "infeasible" if size > 600 else "failed" if digest[1] < 40 else "complete"
    metrics = {"memory_bytes": size} if state != "failed" else {}
    if state == "complete":
        metrics["accuracy"] = digest[2] / 255
    return TrialRecord(task.number, state, "", task.origin, task.config, metrics)


def searched(
    spec: StudySpec, choose: Callable[[int], int], workers: int, study: optuna.Study | None = None
) -> dict[int, Config]:
    """Configs asked for, when the one of up to `workers` running trials that `choose` says ends."""
    talk = dialogue(spec, study or new_study())
    asked: dict[int, Config] = {}
    running: list[Task] = []
    while talk.queue or running:
        while talk.queue and len(running) < workers:
            running.append(talk.queue.popleft())
            assert running[-1].number not in asked
            asked[running[-1].number] = running[-1].config
        talk.tell(result(running.pop(choose(len(running)))))
    return asked


@settings(max_examples=15, deadline=None)
@given(st.data(), st.integers(2, LAG))
def test_the_order_in_which_trials_end_changes_no_config(
    spec: StudySpec, data: st.DataObject, workers: int
) -> None:
    shuffled = searched(spec, lambda count: data.draw(st.integers(0, count - 1)), workers)
    assert shuffled == searched(spec, lambda _: 0, 1)
    assert list(shuffled) == list(range(TRIALS))


@pytest.mark.parametrize("told", [0, 1, 5, TRIALS - 1])
def test_a_study_resumed_after_any_trial_asks_for_the_same_configs(
    spec: StudySpec, told: int
) -> None:
    study = new_study()
    talk = dialogue(spec, study)
    asked = {}
    for _ in range(told):
        task = talk.queue.popleft()
        asked[task.number] = task.config
        talk.tell(result(task))
    asked |= searched(spec, lambda _: 0, 1, study)
    assert asked == searched(spec, lambda _: 0, 1)


def test_the_first_trial_is_the_first_guess(spec: StudySpec) -> None:
    first = dialogue(spec, new_study()).queue[0]
    assert (first.config, first.origin) == (GUESS, "guess")


def test_trials_after_the_guesses_come_from_the_sampler(spec: StudySpec) -> None:
    assert {task.origin for task in islice(dialogue(spec, new_study()).queue, 1, None)} == {"tpe"}


def test_at_most_the_lag_is_asked_ahead(spec: StudySpec) -> None:
    assert [task.number for task in dialogue(spec, new_study()).queue] == list(range(LAG))


def test_more_workers_than_the_lag_all_have_a_trial(spec: StudySpec) -> None:
    assert (
        len(dialogue(replace(spec, parallel=ParallelSpec(LAG + 2)), new_study()).queue) == LAG + 2
    )


def test_nothing_is_asked_after_the_deadline(spec: StudySpec) -> None:
    assert not dialogue(spec, new_study(), deadline=0.0).queue


def test_a_smaller_budget_leaves_asked_trials_for_later(spec: StudySpec) -> None:
    study = new_study()
    dialogue(spec, study)  # asks for LAG trials and is killed
    assert len(dialogue(replace(spec, trials=2), study).queue) == 2
    assert len(dialogue(spec, study).queue) == LAG


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("complete", TrialState.COMPLETE),
        ("infeasible", TrialState.PRUNED),
        ("failed", TrialState.FAIL),
    ],
)
def test_how_a_trial_ended_is_told_to_optuna(spec: StudySpec, state: str, told: TrialState) -> None:
    study = new_study()
    talk = dialogue(spec, study)
    task = talk.queue[0]
    metrics = {"memory_bytes": 900.0} | ({"accuracy": 0.5} if state == "complete" else {})
    talk.tell(TrialRecord(task.number, state, "why", "", task.config, metrics))
    assert study.trials[0].state == told


def test_the_constraint_value_is_told_with_a_refused_trial(spec: StudySpec) -> None:
    study = new_study()
    talk = dialogue(spec, study)
    task = talk.queue[0]
    talk.tell(
        TrialRecord(task.number, "infeasible", "too big", "", task.config, {"memory_bytes": 900.0})
    )
    assert study.trials[0].constraints == {"0.memory_bytes": pytest.approx(0.5)}
    assert study.trials[0].values is None


def test_a_trial_killed_between_constraint_and_tell_is_told_without_complaint(
    spec: StudySpec, recwarn: pytest.WarningsRecorder
) -> None:
    study = new_study()
    first = dialogue(spec, study)
    first._asked[0].set_constraint("0.memory_bytes", 0.5)
    task = dialogue(spec, study).queue[0]
    dialogue(spec, study).tell(TrialRecord(task.number, "failed", "", "", task.config))
    assert not [str(warning.message) for warning in recwarn if "constraint" in str(warning.message)]


def test_optuna_sees_costs_as_logarithms(spec: StudySpec) -> None:
    study = new_study()
    talk = dialogue(spec, study)
    task = talk.queue[0]
    metrics = {"memory_bytes": 100.0, "accuracy": 0.75}
    talk.tell(TrialRecord(task.number, "complete", "", "", task.config, metrics))
    assert study.trials[0].values == [0.75, pytest.approx(2.0)]


def task(number: int) -> Task:
    return Task(number, "", GUESS)


@pytest.mark.parametrize(
    ("next_one", "running", "deaths", "begins"),
    [
        (2, [0], {}, True),
        (2, [0, 1], {}, False),
        (2, [0], {2: 1}, False),
        (2, [], {2: 1}, True),
        (2, [0], {0: 1}, False),
    ],
    ids=["a worker is free", "none is free", "suspect waits", "suspect alone", "beside a suspect"],
)
def test_a_trial_whose_worker_died_runs_alone(
    next_one: int, running: list[int], deaths: dict[int, int], begins: bool
) -> None:
    tasks = [task(number) for number in running]
    assert coordinator._may_begin(task(next_one), tasks, deaths, workers=2) is begins
