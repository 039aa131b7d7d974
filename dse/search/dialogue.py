"""The dialogue with the sampler: asks and tells in an order that depends on nothing but results."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import optuna
from optuna.trial import TrialState

from dse.search import journal, sampler
from dse.search.advice import Advice
from dse.search.lineage import lineage_of
from dse.study.record import TrialRecord
from dse.study.spec import Constraint, StudySpec
from dse.trial import Task, violation

LAG = 4
"""Trial n is asked for right after trial n - LAG was told, so what the sampler knew does not depend
on how many workers there are or which was faster. It keeps up to four workers busy."""

AHEAD = 2
"""The lag of more workers is so many times their number, and a study differs from one with fewer.
Results are told in order, so one slow trial holds up all that are asked for after it: with a lag of
their number, 64 workers whose trials vary by a third are busy 62 % of the time, with twice or four
times that 93 % (`python benchmarks/search_scale.py`)."""

STATES = {
    "complete": TrialState.COMPLETE,
    "infeasible": TrialState.PRUNED,
    "skipped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class Dialogue:
    """What was asked for and not yet begun is in `queue`; results are told by number."""

    def __init__(
        self,
        spec: StudySpec,
        study: optuna.Study,
        advice: Advice,
        finished: Iterable[TrialRecord],
        deadline: float,
    ) -> None:
        """Go on with the trials in `study` until `deadline`, a time of `time.monotonic`.

        `finished` are the results of earlier runs.
        """
        self.spec, self.deadline = spec, deadline
        self._study, self._advice = study, advice
        self._records = {record.number: record for record in finished}
        self._configs = {number: record.config for number, record in self._records.items()}
        self._lag = LAG if spec.workers <= LAG else AHEAD * spec.workers
        self._asked: dict[int, optuna.Trial] = {}
        self._results: dict[int, TrialRecord] = {}
        trials = study.get_trials(deepcopy=False)
        self._told = sum(trial.state.is_finished() for trial in trials)
        self.queue: deque[Task] = deque()
        for frozen in trials:  # being evaluated when an earlier run ended: same number, same config
            if not frozen.state.is_finished() and self._in_budget(frozen.number):
                self._suggest(frozen.number, partial(optuna.Trial, study, frozen._trial_id))

    @property
    def total(self) -> int | None:
        """How many trials the study will have, None when only time limits it."""
        return self._advice.total

    def take(self, record: TrialRecord) -> None:
        """Take a result; `step` tells it when those before it are told."""
        self._results[record.number] = self._records[record.number] = record

    def step(self) -> bool:
        """Ask for one more trial, or tell a result that was taken; False when there is neither.

        One at a time, so that in between free workers can be given what is in `queue`.
        """
        number = len(self._study.get_trials(deepcopy=False))
        due = self._in_budget(number) and number < self._told + self._lag
        if due and time.monotonic() < self.deadline:
            self._suggest(number, self._study.ask)
            return True
        if self._told not in self._results:
            return False
        self._tell(self._results.pop(self._told))
        self._told += 1
        return True

    def _in_budget(self, number: int) -> bool:
        return self.total is None or number < self.total

    def _suggest(self, number: int, ask: Callable[[], optuna.Trial]) -> None:
        """Ask for trial `number`, with what was told when it is first asked for: no later result
        counts when an interrupted run asks once more."""
        told = max(0, number - self._lag + 1)
        results = [self._records[n] for n in range(told) if n in self._records]
        pending = [self._configs[n] for n in range(told, number) if n in self._configs]
        guess = self._advice.guess(number, results, pending)
        widest = self._advice.widest
        chosen = sampler.sampler_for(self.spec.sampler, self.spec.seed, number, widest)
        if guess is not None:
            chosen = sampler.fixed_to(guess.config, self.spec.search_space, chosen)
        self._study.sampler = chosen
        with journal.in_one_write(self._study):
            trial = ask()
            assert trial.number == number
            config = sampler.suggest(trial, self.spec.search_space)
        self._asked[number], self._configs[number] = trial, config
        origin = self.spec.sampler.name if guess is None else guess.origin
        screen = self._advice.screen(number, config, results)
        lineage = lineage_of(config, results) if self.spec.finetune.warm_start else ()
        self.queue.append(Task(number, origin, config, screen, lineage))

    def _tell(self, record: TrialRecord) -> None:
        trial = self._asked.pop(record.number)
        values = None  # never invented ones
        if record.state == "complete":
            values = objective_values(record, self.spec.objectives)
        # lost with the power, it is told again from the result, or that is computed again
        with journal.in_one_write(self._study, lasting=False):
            for key, value in constraint_values(record, self.spec.constraints).items():
                if key not in trial.constraints:  # killed between this and the tell
                    trial.set_constraint(key, value)
            self._study.tell(trial, values, STATES[record.state])


def constraint_values(record: TrialRecord, constraints: Sequence[Constraint]) -> dict[str, float]:
    """By how much each constraint is broken, by the key it has in every trial."""
    return {
        f"{index}.{constraint.metric}": violation(constraint, record.metrics)
        for index, constraint in enumerate(constraints)
    }


def objective_values(record: TrialRecord, names: Iterable[str]) -> list[float]:
    """What the sampler sees: costs as logarithms, since a byte matters more where there are few."""
    return [
        record.metrics[name] if name == "accuracy" else math.log10(max(record.metrics[name], 1e-12))
        for name in names
    ]
