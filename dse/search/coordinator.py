"""The coordinator: asks the sampler, hands trials to workers, tells results, in a fixed order."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Protocol

import optuna
from optuna.trial import TrialState

from dse.errors import InputError
from dse.search import guesses, journal, prepare, sampler, workers
from dse.search.guesses import Guess
from dse.search.workers import GetExecutor, Task
from dse.study.folder import StudyFolder, TrialRecord
from dse.study.spec import StudySpec
from dse.trial import violation

LAG = 4
"""Trial n is asked for right after trial n - LAG was told, so what the sampler knew does not depend
on how many workers there are or which was faster. It keeps up to four workers busy; with more, the
lag is their number, and a study differs from one with fewer."""

MAX_ATTEMPTS = 3
"""A trial whose process died this often is failed: most likely it is the trial that kills."""


class Progress(Protocol):
    """Who watches a running study."""

    def stage(self, text: str) -> None:
        """A step before or after the trials begins."""

    def trials(self, finished: Sequence[TrialRecord], total: int | None) -> None:
        """The finished trials so far, also those of an earlier run."""


def optimize(spec: StudySpec, folder: StudyFolder, progress: Progress) -> None:
    """Run or resume the study in `folder` until its budget is spent.

    Raises InputError when the folder holds another study or another process runs it.
    KeyboardInterrupt leaves it resumable.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if spec.parallel.address or spec.parallel.journal:
        raise InputError("parallel: dask and a shared journal are not available yet")
    sampler.sampler_for(spec.sampler, spec.seed, 0)  # refused before minutes of training
    with journal.only_coordinator(folder.lock):
        folder.remove_scraps()
        started = time.monotonic()
        context = prepare.prepare(spec, folder, progress.stage)
        first = guesses.first_guesses(context, folder, progress.stage)
        dimensions = sampler.dimensions(spec.search_space)
        study = journal.open_journal(folder.journal, spec.objectives, dimensions)
        deadline = math.inf if spec.timeout_s is None else started + spec.timeout_s
        dialogue = _Dialogue(spec, study, first, deadline)
        with workers.executor(spec.workers, context, folder) as get_executor:
            _run(dialogue, folder, get_executor, progress)
        progress.stage("scoring the front on the test images")
        prepare.score_front(context, folder)


class _Dialogue:
    """Asks and tells in an order that depends on nothing but the results."""

    def __init__(
        self, spec: StudySpec, study: optuna.Study, first: Sequence[Guess], deadline: float
    ) -> None:
        self.spec, self.deadline = spec, deadline
        self._study, self._guesses = study, first
        self._lag = max(LAG, spec.workers)
        self._asked: dict[int, optuna.Trial] = {}
        self._results: dict[int, TrialRecord] = {}
        trials = study.get_trials(deepcopy=False)
        self._told = sum(trial.state.is_finished() for trial in trials)
        self.queue: deque[Task] = deque()
        for frozen in trials:  # being evaluated when an earlier run ended: same number, same config
            if not frozen.state.is_finished() and self._in_budget(frozen.number):
                self._use_sampler(frozen.number)
                self._suggest(optuna.Trial(study, frozen._trial_id))
        self._ask()

    def tell(self, record: TrialRecord) -> None:
        """Take a result; tell it and those waiting for it, asking anew after each."""
        self._results[record.number] = record
        while self._told in self._results:
            self._tell(self._results.pop(self._told))
            self._told += 1
            self._ask()

    def _ask(self) -> None:
        while time.monotonic() < self.deadline:
            number = len(self._study.get_trials(deepcopy=False))
            if not self._in_budget(number) or number >= self._told + self._lag:
                return
            self._use_sampler(number)
            self._suggest(self._study.ask())

    def _in_budget(self, number: int) -> bool:
        if self.spec.sampler.name == "sensitivity" and number >= len(self._guesses):
            return False  # nobody proposes anything beyond the guesses
        return self.spec.trials is None or number < self.spec.trials

    def _use_sampler(self, number: int) -> None:
        chosen = sampler.sampler_for(self.spec.sampler, self.spec.seed, number)
        if number < len(self._guesses):
            guess = self._guesses[number].config
            chosen = sampler.fixed_to(guess, self.spec.search_space, chosen)
        self._study.sampler = chosen

    def _suggest(self, trial: optuna.Trial) -> None:
        number = trial.number
        guessed = number < len(self._guesses)
        origin = self._guesses[number].origin if guessed else self.spec.sampler.name
        self._asked[number] = trial
        self.queue.append(Task(number, origin, sampler.suggest(trial, self.spec.search_space)))

    def _tell(self, record: TrialRecord) -> None:
        trial = self._asked.pop(record.number)
        for index, constraint in enumerate(self.spec.constraints):
            key = f"{index}.{constraint.metric}"
            if key not in trial.constraints:  # killed between this and the tell
                trial.set_constraint(key, violation(constraint, record.metrics))
        if record.state == "complete":
            values = [_objective(record, name) for name in self.spec.objectives]
            self._study.tell(trial, values)
        else:  # never with invented values
            refused = record.state == "infeasible"
            self._study.tell(trial, state=TrialState.PRUNED if refused else TrialState.FAIL)


def _objective(record: TrialRecord, name: str) -> float:
    """What the sampler sees: costs as logarithms, since a byte matters more where there are few."""
    value = record.metrics[name]
    return value if name == "accuracy" else math.log10(max(value, 1e-12))


def _run(
    dialogue: _Dialogue, folder: StudyFolder, get_executor: GetExecutor, progress: Progress
) -> None:
    """Keep the workers busy until nothing is asked for any more."""
    spec, queue = dialogue.spec, dialogue.queue
    finished = {record.number: record for record in folder.read_trials()}
    progress.trials(list(finished.values()), spec.trials)
    running: dict[Future[TrialRecord], Task] = {}
    deaths: Counter[int] = Counter()
    while True:
        if time.monotonic() >= dialogue.deadline:
            queue.clear()  # asked but not begun: the next run takes them up
        while queue and _may_begin(queue[0], running.values(), deaths, spec.workers):
            task = queue.popleft()
            running[_submit(get_executor, task, spec, folder)] = task
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            task = running.pop(future)
            record = _result(future, task, folder, deaths)
            if record is None:
                queue.appendleft(task)
                continue
            finished[record.number] = record
            dialogue.tell(record)
            progress.trials(list(finished.values()), spec.trials)


def _may_begin(
    task: Task, running: Collection[Task], deaths: Mapping[int, int], workers: int
) -> bool:
    """Whether a worker is free. When one dies all running trials are suspects; each is tried again
    alone, so that only the trial that kills is blamed."""
    alone = any(suspect.number in deaths for suspect in (task, *running))
    return len(running) < (1 if alone else workers)


def _submit(
    get_executor: GetExecutor, task: Task, spec: StudySpec, folder: StudyFolder
) -> Future[TrialRecord]:
    while True:
        try:
            return get_executor().submit(workers.evaluate, task, spec, folder)
        except workers.WorkerDied:  # an idle worker was killed just now; the next executor is new
            continue


def _result(
    future: Future[TrialRecord], task: Task, folder: StudyFolder, deaths: Counter[int]
) -> TrialRecord | None:
    """The record of a finished future; None when its worker died and it may be tried again."""
    try:
        return future.result()
    except workers.WorkerDied:
        deaths[task.number] += 1
        if deaths[task.number] < MAX_ATTEMPTS:
            return None
        reason = f"its worker process died {MAX_ATTEMPTS} times (killed, or out of memory?)"
    except InputError:
        raise  # the study's input vanished or changed: no trial can succeed
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    record = TrialRecord(task.number, "failed", reason, task.origin, task.config)
    with folder.new_trial(task.number) as scratch:
        (scratch / "result.json").write_text(record.to_json())
    return record
