"""The coordinator: hands what the sampler asks for to workers, and outlives their deaths."""

from __future__ import annotations

import dataclasses
import errno
import math
import time
from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from typing import Protocol

import optuna

from dse import device_type
from dse.errors import InputError
from dse.search import cluster, guesses, journal, prepare, sampler, shared, workers
from dse.search.advice import Advice
from dse.search.attempts import MOST, Attempts, counted
from dse.search.dialogue import Dialogue
from dse.search.exports import Exports
from dse.search.workers import GetExecutor
from dse.study.folder import StudyFolder
from dse.study.record import TrialRecord
from dse.study.spec import ParallelSpec, StudySpec
from dse.trial import Context, Task

NO_ROOM = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),  # the disk, the user's share of it, a file's limit
    *(errno.EROFS, errno.EACCES, errno.EPERM),  # read-only
    errno.EIO,
}


class Progress(Protocol):
    """Who watches a running study."""

    def stage(self, text: str) -> None:
        """A step before or after the trials begins."""

    def trials(self, finished: Sequence[TrialRecord], total: int | None) -> None:
        """The finished trials so far, also those of an earlier run."""


def optimize(spec: StudySpec, folder: StudyFolder, progress: Progress) -> None:
    """Run or resume the study in `folder` until its budget is spent.

    Raises InputError when the folder holds another study, another process runs it, or it cannot be
    written any more. KeyboardInterrupt leaves it resumable.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spec = _with_device_type(spec)  # all refused before minutes of training
    if spec.parallel.device_type != "cpu":
        progress.stage(f"training on {spec.parallel.device_type}; --device-type cpu for the CPU")
    sampler.try_out(spec)
    url, address = spec.parallel.journal, spec.parallel.address
    if address:
        cluster.check(address)
    if url:
        shared.check(url)
    try:
        with journal.only_coordinator(folder.lock, shared=url is not None):
            if url:
                _share(url, spec, folder, progress)
            else:
                _optimize(spec, folder, progress)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise InputError(
            f"{folder.path}: cannot be written to ({error.strerror}); what is finished is kept: "
            "mend that and run the same command again"
        ) from error


def _with_device_type(spec: StudySpec) -> StudySpec:
    """The study with its device type found here, once for all its workers."""
    found = device_type.ready(spec.parallel.device_type)
    return dataclasses.replace(spec, parallel=dataclasses.replace(spec.parallel, device_type=found))


def _tell_of_mixture(device_type: str, finished: Sequence[TrialRecord], progress: Progress) -> None:
    """Say when trials of earlier runs were trained on something else than this run's will be."""
    others = {record.device_type for record in finished if record.device_type} - {device_type}
    if others:
        progress.stage(
            f"earlier trials were trained on {', '.join(others)}, these are on {device_type}: the "
            "same config does not give the same bytes on both"
        )


def _check_results(
    study: optuna.Study, finished: Sequence[TrialRecord], folder: StudyFolder
) -> None:
    """Raises InputError for a trial that was told and has lost its result since."""
    told = {trial.number for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()}
    lost = told - {record.number for record in finished}
    if lost:
        raise InputError(
            f"{folder.trial(min(lost))}: is gone, but {folder.journal.name} has its result; delete "
            "that file and run again: the trial is evaluated again, others are kept"
        )


def _optimize(spec: StudySpec, folder: StudyFolder, progress: Progress) -> None:
    """As the one coordinator of this study."""
    folder.remove_scraps()
    deadline = _deadline(spec)
    context, advice = _prepared(spec, folder, progress)
    dimensions = sampler.dimensions(spec.search_space)
    study = journal.open_journal(folder.journal, spec.objectives, dimensions)
    finished = folder.read_trials()
    _check_results(study, finished, folder)
    _tell_of_mixture(spec.parallel.device_type, finished, progress)
    dialogue = Dialogue(spec, study, advice, finished, deadline)
    engine = cluster.executor if spec.parallel.address else workers.executor
    with engine(spec.parallel, context, folder) as get_executor:
        _run(dialogue, finished, get_executor, folder, progress)
    folder.remove_scraps()  # what workers were writing when they were killed
    progress.stage("scoring the front on the test images")
    prepare.score_front(context, folder)


def _share(url: str, spec: StudySpec, folder: StudyFolder, progress: Progress) -> None:
    """As one of several runs that share a database."""
    deadline = _deadline(spec)
    with journal.one_at_a_time(folder.prepare_lock):
        context, advice = _prepared(spec, folder, progress)
        study = shared.open_shared(url, spec, folder)
    with workers.executor(ParallelSpec(), context, folder):
        for finished in shared.run_shared(spec, study, advice, folder, deadline):
            progress.trials(finished, advice.total)
    Exports(spec.keep, folder, folder.read_trials())
    progress.stage("scoring the front on the test images")
    with journal.one_at_a_time(folder.prepare_lock):
        prepare.score_front(context, folder)


def _deadline(spec: StudySpec) -> float:
    return math.inf if spec.timeout_s is None else time.monotonic() + spec.timeout_s


def _prepared(spec: StudySpec, folder: StudyFolder, progress: Progress) -> tuple[Context, Advice]:
    context = prepare.prepare(spec, folder, progress.stage)
    first = guesses.first_guesses(context, folder, progress.stage)
    return context, Advice(spec, first, folder.read_sensitivity())


def _run(
    dialogue: Dialogue,
    before: Sequence[TrialRecord],
    get_executor: GetExecutor,
    folder: StudyFolder,
    progress: Progress,
) -> None:
    """Keep the workers busy until nothing is asked for any more."""
    spec, queue = dialogue.spec, dialogue.queue
    finished = {record.number: record for record in before}
    progress.trials(list(finished.values()), dialogue.total)
    exports = Exports(spec.keep, folder, before)
    running: dict[Future[TrialRecord], Task] = {}
    with counted(folder) as attempts:
        while True:
            if time.monotonic() >= dialogue.deadline:
                queue.clear()  # asked but not begun: the next run takes them up
            while queue and _may_begin(queue[0], running.values(), attempts, spec.workers):
                task = queue.popleft()
                running[_submit(get_executor, task, spec, folder, attempts)] = task
            more = dialogue.step()  # while the workers work
            if not (running or more):
                return
            for future in wait(running, 0 if more else None, FIRST_COMPLETED).done:
                task = running.pop(future)
                record = _result(future, task, folder, attempts)
                if record is None:
                    queue.appendleft(task)
                    continue
                attempts.end(task.number)
                finished[record.number] = record
                dialogue.take(record)
                exports.add(record)
                progress.trials(list(finished.values()), dialogue.total)


def _may_begin(task: Task, running: Collection[Task], attempts: Attempts, at_a_time: int) -> bool:
    """Whether a worker is free. When one dies all running trials are suspects; each is tried again
    alone, so that only the trial that kills is blamed."""
    alone = any(attempts.suspect(other.number) for other in (task, *running))
    return len(running) < (1 if alone else at_a_time)


def _submit(
    get_executor: GetExecutor, task: Task, spec: StudySpec, folder: StudyFolder, attempts: Attempts
) -> Future[TrialRecord]:
    if attempts.exhausted(task.number):  # in earlier runs
        future: Future[TrialRecord] = Future()
        future.set_exception(workers.WorkerDied())
        return future
    attempts.begin(task.number)
    while True:
        try:
            return get_executor().submit(workers.evaluate, task, spec, folder)
        except workers.WorkerDied:  # an idle worker was killed just now; the next executor is new
            continue


def _result(
    future: Future[TrialRecord], task: Task, folder: StudyFolder, attempts: Attempts
) -> TrialRecord | None:
    """The record of a finished future; None when its worker died and it may be tried again."""
    try:
        return future.result()
    except workers.WorkerDied:
        if folder.overdue() - {task.number}:  # it died with the process of one that took too long
            attempts.spared(task.number)
            return None
        attempts.died(task.number)
        if not attempts.exhausted(task.number):
            return None
        reason = f"its worker process died {MOST} times (killed, or out of memory?)"
    except InputError:
        raise  # the study's input vanished or changed: no trial can succeed
    except CancelledError:
        raise InputError("the scheduler went away; run the same command again to go on") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise  # not the trial's fault, and the next would fail as well
        reason = f"{type(error).__name__}: {error}"
    return workers.fail(task, reason, folder)
