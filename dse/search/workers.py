"""Workers: where trials run - in this process, or in others that may die."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch
import yaml
from joblib.externals import loky

from dse import data, device_type, fpga, models, train
from dse.errors import InputError, first_sentence
from dse.quantize import convert
from dse.search import arrays, limits
from dse.study.folder import StudyFolder
from dse.study.record import TrialRecord
from dse.study.spec import ParallelSpec, StudySpec
from dse.trial import Context, Task, run

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal this process gets when its parent dies."""

WorkerDied = BrokenProcessPool
"""Raised by a future whose worker process was killed."""


class InlineExecutor(Executor):
    """Runs each task at once in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` now and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # handed on to whoever asks for the result
            future.set_exception(error)
        return future


def load_context(
    spec: StudySpec, folder: StudyFolder, dataset: data.Dataset | None = None
) -> Context:
    """Dataset (unless at hand), baseline and teacher of a study, the same in every process."""
    teacher = None
    if dataset is None and folder.arrays.is_dir():
        dataset, teacher = arrays.mapped(folder.arrays)
    dataset = dataset or load_data(spec)
    recorded = yaml.load(folder.study.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    if dataset.fingerprint != recorded["dataset_used"]["fingerprint"]:
        # a worker that cannot reach the data must not quietly go on with the fallback's
        raise InputError(
            f"this process finds other images than the study began with, {dataset.name} instead of "
            f"{recorded['dataset_used']['name']}: {dataset.note or 'they changed'}"
        )
    baseline = convert(models.build(spec.model, spec.args), dataset.train.images[:2])
    try:
        state = torch.load(folder.baseline, weights_only=True, map_location="cpu")
        baseline.load_state_dict(state)
    except Exception as error:  # a damaged file leaves torch as one of many types
        raise InputError(
            f"{folder.baseline}: is damaged or does not fit {spec.model}; use --fresh to start "
            f"over ({first_sentence(error)})"
        ) from error
    baseline.eval()
    baseline.sparse_storage = any(name != "dense" for name in spec.storage)
    if teacher is None:
        place = device_type.ready(spec.parallel.device_type)
        teacher = train.logits_of(copy.deepcopy(baseline).to(place), dataset.train.images)
    return Context(spec, baseline, dataset, teacher, fpga.load_device(spec.device))


def load_data(spec: StudySpec) -> data.Dataset:
    """The dataset a study names, split with its seed."""
    source = spec.dataset
    return data.load(
        source.name,
        fallback=source.fallback,
        path=source.path,
        validation_fraction=source.validation_fraction,
        seed=spec.seed,
    )


_contexts: dict[tuple[StudyFolder, int], Context] = {}
"""Context of the study this process works for, by folder and age of its baseline; kept between its
tasks. A worker of a cluster outlives studies, and one begun afresh has the same folder."""


def evaluate(task: Task, spec: StudySpec, folder: StudyFolder) -> TrialRecord:
    """Run one trial in this process, or take its result when an earlier attempt left one."""
    if (folder.trial(task.number) / "result.json").exists():
        record = folder.read_trial(task.number)
        if record.config == task.config:
            return record
    limit, trace = spec.parallel.trial_timeout_s, folder.overdue_trial(task.number)
    place = limits.place_in(trace, evaluate.__name__)  # of an attempt whose process was ended
    if place:
        trace.unlink()
        return fail(task, f"took longer than parallel.trial_timeout; it was {place}", folder)
    with limits.limited(limit, trace):
        return run(task, _context(spec, folder), folder)


def fail(task: Task, reason: str, folder: StudyFolder) -> TrialRecord:
    """Leave the record of a trial that failed."""
    record = TrialRecord(task.number, "failed", reason, task.origin, task.config)
    with folder.new_trial(task.number) as scratch:
        (scratch / "result.json").write_text(record.to_json())
    return record


def _context(spec: StudySpec, folder: StudyFolder) -> Context:
    """The study's context, loaded unless this process has it already."""
    key = folder, folder.baseline.stat().st_mtime_ns
    if key not in _contexts or _contexts[key].spec != spec:
        _contexts.clear()
        _contexts[key] = load_context(spec, folder)
    return _contexts[key]


def start_worker(coordinator: int) -> None:
    """Set up a worker process: one torch thread, dies with its parent, leaves Ctrl-C to it.

    `coordinator` is the parent's process id.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != coordinator:  # it died before the signal was asked for
        os._exit(1)


GetExecutor = Callable[[], Executor]


@contextlib.contextmanager
def executor(
    parallel: ParallelSpec, context: Context, folder: StudyFolder
) -> Iterator[GetExecutor]:
    """A function that gives a working executor, a new one after the last one broke.

    `context` is used when the trials run in this process; workers map its images. A trial whose
    time is limited runs in another process, that can be ended.
    """
    if parallel.workers == 1 and parallel.trial_timeout_s is None:
        _contexts.clear()
        _contexts[folder, folder.baseline.stat().st_mtime_ns] = context
        inline = InlineExecutor()
        yield lambda: inline
        return

    def processes() -> Any:
        return loky.get_reusable_executor(
            max_workers=parallel.workers,
            timeout=None,
            initializer=start_worker,
            initargs=(os.getpid(),),
            reuse="auto",
        )

    with _environment(CHILDREN), arrays.on_disk(context, folder.arrays):
        try:
            yield processes
        finally:
            processes().shutdown(wait=True, kill_workers=True)


CHILDREN = {
    # read before torch is imported; later it would be too late for OpenMP
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # a killed worker cannot give back its locks; the tracker does, and would print a warning
    "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",
}


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for child processes; the user's own are put back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
