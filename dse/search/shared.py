"""A shared study: several runs ask one PostgreSQL database for trials, with nobody in charge.

For those who start plain Optuna workers, on machines that see one results' folder. Whoever starts
first prepares the study; a run that dies is noticed by its missing heartbeat. Who is told what when
depends on timing, so two such studies differ; each of their trials can still be repeated.
"""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from dse.errors import InputError
from dse.search import sampler
from dse.search.advice import Advice
from dse.search.attempts import MOST
from dse.search.dialogue import constraint_values, objective_values
from dse.search.lineage import lineage_of
from dse.search.workers import evaluate
from dse.study.folder import StudyFolder
from dse.study.record import TrialRecord
from dse.study.spec import StudySpec
from dse.trial import Task

HEARTBEAT_S, GRACE_S = 20, 60
"""A run that said nothing for GRACE_S is dead, and its trial is tried by another."""

CONNECT = {"connect_timeout": 10}
"""Seconds, as psycopg names it."""


class _Refused(Exception):
    """The trial failed for a reason that is in its record."""


class _Database(RDBStorage):
    """Heartbeats come from a thread of Optuna's, which would print a traceback and end."""

    def record_heartbeat(self, trial_id: int) -> None:
        """Say that the trial lives. A database that is away is told of by the next ask or tell, and
        where it is back by then, later heartbeats reach it."""
        try:
            super().record_heartbeat(trial_id)
        except Exception as error:
            if _of_the_database(error) is None:
                raise


def check(url: str) -> None:
    """Raises InputError unless the database at `url` can be connected to."""
    with _answering(url):
        engine = sqlalchemy.create_engine(_driver(url), connect_args=CONNECT)
        engine.connect().close()
        engine.dispose()


def open_shared(url: str, spec: StudySpec, folder: StudyFolder) -> optuna.Study:
    """The Optuna study in the database at `url`, created when missing.

    Raises InputError when the database cannot be reached or refuses.
    """
    if not folder.shared_id.exists():
        folder.shared_id.write_text(uuid.uuid4().hex[:8] + "\n")  # a fresh study, a fresh name
    # it logs, with tracebacks, what is in a failed trial's record or in our message of the database
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _answering(url), _without_warnings():
        storage = _Database(
            _driver(url),
            engine_kwargs={"connect_args": CONNECT},
            heartbeat_interval=HEARTBEAT_S,
            grace_period=GRACE_S,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=MOST - 1),
        )
        study = optuna.create_study(
            study_name=f"{spec.name}-{folder.shared_id.read_text().strip()}",
            storage=storage,
            directions=list(spec.objectives.values()),
            load_if_exists=True,
        )
        study.set_metric_names(list(spec.objectives))
    return study


def _driver(url: str) -> str:
    """SQLAlchemy would take an older driver."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


@contextmanager
def _answering(url: str) -> Iterator[None]:
    """Says in one line what the database answered."""
    try:
        yield
    except ImportError as error:
        message = "parallel.journal: needs psycopg; pip install 'dse[cluster]'"
        raise InputError(message) from error
    except Exception as error:
        found = _of_the_database(error)
        if found is None:
            raise
        reason = str(getattr(found, "orig", None) or found.__cause__ or found).strip()
        raise InputError(
            f"parallel.journal: {url} cannot be used: {reason.splitlines()[0].strip()}; what is "
            "finished is kept: mend that and run the same command again"
        ) from error


def _of_the_database(error: BaseException | None) -> BaseException | None:
    """The database's error that led to this one: Optuna's own handling of it may fail, too."""
    while error and not isinstance(error, (SQLAlchemyError, StorageInternalError)):
        error = error.__cause__ or error.__context__
    return error


def run_shared(
    spec: StudySpec, study: optuna.Study, advice: Advice, folder: StudyFolder, deadline: float
) -> Iterator[list[TrialRecord]]:
    """Evaluate trials here until all runs together have made the study's, or time is up.

    Yields the finished trials of all runs, after each trial of this one.
    """
    finished = _Finished(folder)

    def objective(trial: optuna.Trial) -> list[float]:
        config = sampler.suggest(trial, spec.search_space)
        results = finished.by_number()
        screen = advice.screen(trial.number, config, results)
        guess = advice.guess(trial.number, results, ())
        origin = guess.origin if guess and guess.config == config else spec.sampler.name
        lineage = lineage_of(config, results) if spec.finetune.warm_start else ()
        record = evaluate(Task(trial.number, origin, config, screen, lineage), spec, folder)
        for key, value in constraint_values(record, spec.constraints).items():
            trial.set_constraint(key, value)
        if record.state == "complete":
            return objective_values(record, spec.objectives)
        if record.state == "failed":
            raise _Refused(record.reason)
        raise optuna.TrialPruned(record.reason)

    study.sampler = _Numbered(spec, advice, finished)
    while time.monotonic() < deadline:
        with _answering(spec.parallel.journal or ""):
            if not _left(study, advice.total):
                return
            study.optimize(objective, n_trials=1, catch=(_Refused,))
        yield finished.by_number()


def _left(study: optuna.Study, total: int | None) -> bool:
    """Whether trials are left to begin. Those of dead runs are counted until they are failed."""
    if total is None:
        return True
    with _without_warnings():
        optuna.storages.fail_stale_trials(study)
    trials = study.get_trials(deepcopy=False)
    waiting = any(trial.state == TrialState.WAITING for trial in trials)
    died = sum("failed_trial" in trial.system_attrs for trial in trials)  # a retry names it
    return waiting or len(trials) - died < total


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Heartbeats count as experimental in Optuna, since 2021."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


class _Finished:
    """The finished trials of all runs, each read once."""

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder
        self._read: dict[int, TrialRecord] = {}

    def by_number(self) -> list[TrialRecord]:
        """What is on disk now."""
        for number in self._folder.finished():
            if number not in self._read:
                self._read[number] = self._folder.read_trial(number)
        return [self._read[number] for number in sorted(self._read)]


class _Numbered(BaseSampler):
    """Gives each trial the sampler, or the guess, that its number asks for."""

    def __init__(self, spec: StudySpec, advice: Advice, finished: _Finished) -> None:
        self._spec, self._advice, self._finished = spec, advice, finished
        self._own: BaseSampler = sampler.sampler_for(spec.sampler, spec.seed, 0)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Choose before anything is sampled."""
        guess = self._advice.guess(trial.number, self._finished.by_number(), ())
        spec, widest = self._spec, self._advice.widest
        self._own = sampler.sampler_for(spec.sampler, spec.seed, trial.number, widest)
        if guess is not None:
            self._own = sampler.fixed_to(guess.config, self._spec.search_space, self._own)
        self._own.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The chosen sampler's."""
        return self._own.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The chosen sampler's."""
        return self._own.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The chosen sampler's."""
        return self._own.sample_independent(study, trial, param_name, param_distribution)
