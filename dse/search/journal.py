"""The study's journal: Optuna's storage in one file that survives kill -9."""

from __future__ import annotations

import fcntl
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.storages.journal._storage import JournalOperation

from dse.errors import InputError
from dse.study.spec import Direction


class _FlockLock(JournalFileOpenLock):
    """A lock the kernel releases when its holder dies; Optuna's own stay behind for 30 s."""

    def __init__(self, path: Path) -> None:
        """Lock by the file at `path`, made when missing."""
        super().__init__(str(path))
        self._path = path
        self._descriptor = -1

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)


def open_journal(path: Path, directions: Mapping[str, Direction], dimensions: int) -> optuna.Study:
    """The Optuna study in `path` (absolute), created when missing.

    `directions` maps each objective to maximize or minimize; each trial has `dimensions`
    parameters. What a killed run left half written is cut off. Raises InputError for a damaged
    journal.
    """
    if path.exists():
        _cut_half_written(path, dimensions)
    lock = _FlockLock(path.with_suffix(".journal-lock"))
    storage = JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    study = optuna.create_study(
        study_name="dse",
        storage=storage,
        directions=list(directions.values()),
        load_if_exists=True,
    )
    if study.metric_names != list(directions):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(directions))  # names the axes in optuna-dashboard
    return study


def _cut_half_written(path: Path, dimensions: int) -> None:
    """Cut off a torn last line, which Optuna loads but fails on the line after, and the last trial
    if it has not got all its parameters: a sampler that starts in the middle of a trial proposes
    something else than one that was never interrupted."""
    lines = path.read_bytes().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    try:
        operations = [json.loads(line)["op_code"] for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: is damaged ({error}); delete it and run again: finished trials are kept"
        ) from error
    if JournalOperation.CREATE_TRIAL in operations:
        last = len(lines) - 1 - operations[::-1].index(JournalOperation.CREATE_TRIAL)
        if operations[last:].count(JournalOperation.SET_TRIAL_PARAM) < dimensions:
            lines = lines[:last]
    with path.open("r+b") as file:
        file.truncate(sum(map(len, lines)))


@contextmanager
def only_coordinator(path: Path, shared: bool = False) -> Iterator[None]:
    """Hold the study's lock, alone or `shared` with others that do the same.

    Raises InputError when another process holds it otherwise, or none can be made.
    """
    with _opened(path) as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{path.parent}: another process is running this study; wait for it, or give "
                "this one another --out"
            ) from None
        yield


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Wait for a lock, then hold it. Raises InputError when none can be made."""
    with _opened(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _opened(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a")
    except OSError as error:
        raise InputError(f"{path.parent}: cannot be written to ({error.strerror})") from error
