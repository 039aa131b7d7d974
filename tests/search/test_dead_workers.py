"""When workers die: innocent trials finish, the one that kills fails after three more."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import optuna
import pytest

from dse.search import coordinator, workers
from dse.search.advice import Advice
from dse.search.attempts import MOST, Attempts
from dse.search.dialogue import LAG, Dialogue
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.study.record import TrialRecord
from dse.study.spec import StudySpec
from dse.trial import Task

from . import tiny
from .test_dialogue import result

TRIALS = 8
SOON_S, LATER_S = 0.02, 0.06


class Pool(Executor):
    """Like a pool of processes: when one dies all running trials are lost and it takes no more."""

    def __init__(self, deadly: set[int], log: list[tuple[int, frozenset[int]]]) -> None:
        self.broken = False
        self._deadly, self._log = deadly, log
        self._running: dict[int, Future[TrialRecord]] = {}
        self._lock = threading.Lock()

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[TrialRecord]:
        if self.broken:
            raise workers.WorkerDied
        task: Task = args[0]
        future: Future[TrialRecord] = Future()
        with self._lock:
            self._log.append((task.number, frozenset(self._running)))
            self._running[task.number] = future
        dies = task.number in self._deadly
        end = self._die if dies else self._finish
        threading.Timer(SOON_S if dies else LATER_S, end, [task]).start()
        return future

    def _finish(self, task: Task) -> None:
        with self._lock:
            if not self.broken:
                self._running.pop(task.number).set_result(result(task))

    def _die(self, task: Task) -> None:
        with self._lock:
            if not self.broken:
                self.broken = True
                for future in self._running.values():
                    future.set_exception(workers.WorkerDied())


class Watched:
    """Keeps what a progress display is told."""

    def __init__(self) -> None:
        self.finished: Sequence[TrialRecord] = ()

    def stage(self, text: str) -> None: ...

    def trials(self, finished: Sequence[TrialRecord], total: int | None) -> None:
        self.finished = finished


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> StudySpec:
    path = tiny.write(
        tmp_path_factory.mktemp("study"), budget={"trials": TRIALS}, parallel={"workers": 3}
    )
    return load_study(path)


def run(
    spec: StudySpec, folder: Path, deadly: set[int]
) -> tuple[dict[int, TrialRecord], list[tuple[int, frozenset[int]]]]:
    """The finished trials, and for each start of a trial what ran beside it."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    log: list[tuple[int, frozenset[int]]] = []
    pools = [Pool(deadly, log)]

    def get_executor() -> Executor:
        if pools[-1].broken:
            pools.append(Pool(deadly, log))
        return pools[-1]

    folder.mkdir(exist_ok=True)
    watched = Watched()
    talk = Dialogue(spec, study, Advice(spec, [], {}), [], math.inf)
    coordinator._run(talk, [], get_executor, StudyFolder(folder), watched)
    return {record.number: record for record in watched.finished}, log


@pytest.mark.parametrize("deadly", [{0}, {2}, {1, 2}, {0, 3, 7}])
def test_only_trials_that_kill_fail(spec: StudySpec, tmp_path: Path, deadly: set[int]) -> None:
    finished, _ = run(spec, tmp_path, deadly)
    assert sorted(finished) == list(range(TRIALS))
    killers = {
        n for n, record in finished.items() if f"worker process died {MOST}" in record.reason
    }
    assert killers == deadly
    assert {finished[number].state for number in deadly} == {"failed"}


def test_a_trial_that_kills_is_tried_three_times_more(spec: StudySpec, tmp_path: Path) -> None:
    _, log = run(spec, tmp_path, {2})
    assert [number for number, _ in log].count(2) == MOST


def test_a_second_attempt_runs_alone(spec: StudySpec, tmp_path: Path) -> None:
    _, log = run(spec, tmp_path, {1, 4})
    seen: set[int] = set()
    for number, beside in log:
        if number in seen:
            assert beside == frozenset()
        seen.add(number)


def test_the_failure_is_written_for_the_next_run(spec: StudySpec, tmp_path: Path) -> None:
    finished, _ = run(spec, tmp_path, {5})
    assert StudyFolder(tmp_path).read_trials() == [finished[5]]


def test_deaths_change_no_other_config(spec: StudySpec, tmp_path: Path) -> None:
    """Trials asked for before the killer was told are those of a study without it."""
    calm, _ = run(spec, tmp_path / "calm", set())
    stormy, _ = run(spec, tmp_path / "stormy", {0})
    first = range(LAG)
    assert [stormy[n].config for n in first] == [calm[n].config for n in first]


def test_an_executor_found_broken_at_submission_is_replaced(
    spec: StudySpec, tmp_path: Path
) -> None:
    broken, sound = Pool(set(), []), Pool(set(), [])
    broken.broken = True
    given = iter([broken, sound])
    task, folder = Task(0, "", {"conv": tiny.choice(0.5, 4)}), StudyFolder(tmp_path)
    future = coordinator._submit(lambda: next(given), task, spec, folder, Attempts(folder))
    assert future.result(timeout=5).number == 0
