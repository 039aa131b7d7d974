"""The dialogue with the sampler: only results decide what is asked for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from dse.config import LayerConfig
from dse.search.advice import REFINED, Advice
from dse.search.dialogue import AHEAD, LAG, Dialogue
from dse.search.guesses import Guess
from dse.study.load import load_study
from dse.study.record import LayerSensitivity, TrialRecord
from dse.study.spec import Constraint, ParallelSpec, SamplerSpec, StudySpec
from dse.trial import Task

from . import tiny

TRIALS = 40


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> StudySpec:
    path = tiny.write(tmp_path_factory.mktemp("study"), budget={"trials": TRIALS})
    return replace(load_study(path), constraints=(Constraint("memory_bytes", "<=", 2000),))


@pytest.fixture(scope="module")
def calm(spec: StudySpec) -> dict[int, Task]:
    """Tasks by number when one worker does them in order."""
    return searched(dialogue(spec, new_study()))


def new_study() -> optuna.Study:
    return optuna.create_study(directions=["maximize", "minimize"])


def dialogue(
    spec: StudySpec,
    study: optuna.Study,
    deadline: float = math.inf,
    before: Sequence[TrialRecord] = (),
) -> Dialogue:
    advice = Advice(spec, [Guess(GUESS, "guess")], MEASURED)
    return settled(Dialogue(spec, study, advice, before, deadline))


def settled(talk: Dialogue, *records: TrialRecord) -> Dialogue:
    """After it was given the records, told them and asked as far ahead as it may."""
    for record in records:
        talk.take(record)
    while talk.step():
        pass
    return talk


GUESS = {"conv": LayerConfig(0.5, 8, 8), "fc": LayerConfig(0.5, 8, 8)}

MEASURED = {
    name: LayerSensitivity(
        tuple(
            (ratio, bits, ratio**4 + 2.0 ** (1 - 2 * bits), round(800 * (1 - ratio) * bits) + 1)
            for ratio in (0.0, 0.5, 0.9, 0.98)
            for bits in (1, 4, 16)
        ),
        tuple((bits, 4.0**-bits) for bits in (1, 4, 16)),
    )
    for name in GUESS
}


def result(task: Task) -> TrialRecord:
    """What a trial gives, invented from its config alone; some are refused, some fail."""
    digest = hashlib.sha256(str(task.config).encode()).digest()
    size = 20.0 + sum(100 * choice.density * choice.weight_bits for choice in task.config.values())
    state = "failed" if digest[1] < 20 else "infeasible" if size > 2000 else "complete"
    if state == "complete" and task.screen and size >= task.screen.memory_bytes:
        state = "skipped"
    metrics = {"memory_bytes": size} if state != "failed" else {}
    if state == "complete":
        metrics["accuracy"] = 0.9 - sum(
            c.prune_ratio**4 / 4 + 2.0**-c.weight_bits / 4 for c in task.config.values()
        )
    return TrialRecord(
        task.number, state, "", task.origin, task.config, metrics, lineage=task.lineage
    )


def searched(
    talk: Dialogue, choose: Callable[[int], int] = lambda _: 0, workers: int = 1
) -> dict[int, Task]:
    """Tasks of a dialogue, when the one of up to `workers` running that `choose` says ends."""
    asked: dict[int, Task] = {}
    running: list[Task] = []
    while talk.queue or running:
        while talk.queue and len(running) < workers:
            running.append(talk.queue.popleft())
            assert running[-1].number not in asked
            asked[running[-1].number] = running[-1]
        settled(talk, result(running.pop(choose(len(running)))))
    return asked


@settings(max_examples=4, deadline=None)
@given(st.data(), st.integers(2, LAG))
def test_the_order_in_which_trials_end_changes_no_task(
    spec: StudySpec, calm: dict[int, Task], data: st.DataObject, workers: int
) -> None:
    shuffled = searched(
        dialogue(spec, new_study()), lambda count: data.draw(st.integers(0, count - 1)), workers
    )
    assert shuffled == calm
    assert list(shuffled) == list(range(TRIALS))


@pytest.mark.parametrize(
    ("name", "trials"),
    [("tpe", 24), ("gp", 14), ("nsga2", 48), ("random", 12), ("optuna.samplers:QMCSampler", 12)],
)
def test_a_sampler_alone_asks_for_the_same_whatever_the_workers(
    spec: StudySpec, name: str, trials: int
) -> None:
    """Of three workers the one that began last ends first."""
    options = {"seed": 0} if name.endswith("QMCSampler") else {}  # a sequence has one for all
    sampler = SamplerSpec(name, (), options, refine=0, screen=False)
    alone = replace(spec, trials=trials, sampler=sampler)
    one = searched(dialogue(alone, new_study()))
    assert searched(dialogue(alone, new_study()), lambda count: count - 1, workers=3) == one
    assert len({str(task.config) for task in one.values()}) > trials / 2


def test_tasks_come_from_everyone(calm: dict[int, Task]) -> None:
    """What the other tests compare is of every kind."""
    assert {task.origin for task in calm.values()} == {"guess", REFINED, "tpe"}
    assert any(task.screen for task in calm.values())


@pytest.mark.parametrize("told", [0, 1, 5, 17, TRIALS - 1])
def test_a_study_resumed_after_any_trial_asks_for_the_same_tasks(
    spec: StudySpec, calm: dict[int, Task], told: int
) -> None:
    """Trials end two at a time, the later one first, so that some are told long after another."""
    study = new_study()
    talk = dialogue(spec, study)
    asked, before = {}, []
    while len(before) < told:
        for task in [talk.queue.popleft() for _ in range(min(2, len(talk.queue)))][::-1]:
            asked[task.number] = task
            before.append(result(task))
            settled(talk, before[-1])
    asked |= searched(dialogue(spec, study, before=before))
    assert asked == calm


def test_the_first_trial_is_the_first_guess(spec: StudySpec) -> None:
    first = dialogue(spec, new_study()).queue[0]
    assert (first.config, first.origin) == (GUESS, "guess")


def test_trials_after_the_guesses_come_from_the_sampler(spec: StudySpec) -> None:
    assert {task.origin for task in islice(dialogue(spec, new_study()).queue, 1, None)} == {"tpe"}


def test_one_step_is_one_ask_or_one_tell(spec: StudySpec) -> None:
    """So that a worker that gets free waits for one ask at most."""
    study = new_study()
    talk = Dialogue(spec, study, Advice(spec, [], {}), [], math.inf)
    assert not talk.queue
    for asked in range(1, LAG + 1):
        assert talk.step()
        assert len(study.trials) == asked
    assert not talk.step()  # nothing until a result comes
    talk.take(result(talk.queue[0]))
    assert talk.step()
    states = [trial.state.is_finished() for trial in study.trials]
    assert states == [True] + [False] * (LAG - 1)
    assert talk.step()
    assert len(study.trials) == LAG + 1
    assert not talk.step()


def test_at_most_the_lag_is_asked_ahead(spec: StudySpec) -> None:
    assert [task.number for task in dialogue(spec, new_study()).queue] == list(range(LAG))


@pytest.mark.parametrize(
    ("workers", "asked"), [(1, LAG), (LAG, LAG), (LAG + 1, AHEAD * (LAG + 1)), (100, TRIALS)]
)
def test_more_workers_than_the_lag_all_have_a_trial_and_a_next_one(
    spec: StudySpec, workers: int, asked: int
) -> None:
    many = replace(spec, parallel=ParallelSpec(workers))
    assert len(dialogue(many, new_study()).queue) == asked


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
        ("skipped", TrialState.PRUNED),
        ("failed", TrialState.FAIL),
    ],
)
def test_how_a_trial_ended_is_told_to_optuna(spec: StudySpec, state: str, told: TrialState) -> None:
    study = new_study()
    talk = dialogue(spec, study)
    task = talk.queue[0]
    metrics = {"memory_bytes": 3000.0} | ({"accuracy": 0.5} if state == "complete" else {})
    settled(talk, TrialRecord(task.number, state, "why", "", task.config, metrics))
    assert study.trials[0].state == told


def test_the_constraint_value_is_told_with_a_refused_trial(spec: StudySpec) -> None:
    study = new_study()
    talk = dialogue(spec, study)
    task = talk.queue[0]
    settled(
        talk,
        TrialRecord(
            task.number, "infeasible", "too big", "", task.config, {"memory_bytes": 3000.0}
        ),
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
    settled(dialogue(spec, study), TrialRecord(task.number, "failed", "", "", task.config))
    assert not [str(warning.message) for warning in recwarn if "constraint" in str(warning.message)]


def test_optuna_sees_costs_as_logarithms(spec: StudySpec) -> None:
    study = new_study()
    talk = dialogue(spec, study)
    task = talk.queue[0]
    metrics = {"memory_bytes": 100.0, "accuracy": 0.75}
    settled(talk, TrialRecord(task.number, "complete", "", "", task.config, metrics))
    assert study.trials[0].values == [0.75, pytest.approx(2.0)]


def test_sensitivity_alone_ends_with_its_guesses(spec: StudySpec) -> None:
    only = replace(spec, sampler=SamplerSpec("sensitivity", ("sensitivity",)))
    talk = dialogue(only, new_study())
    assert (talk.total, [task.config for task in talk.queue]) == (1, [GUESS])
    assert dialogue(replace(only, trials=None), new_study()).total == 1
