"""The study's journal: Optuna's storage in one file that survives kill -9."""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

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


def open_journal(path: Path, directions: Mapping[str, Direction]) -> optuna.Study:
    """The Optuna study in `path` (absolute), created when missing.

    `directions` maps each objective to maximize or minimize. A last line torn by a crash is cut
    off: Optuna loads it, then fails on the line after.
    """
    if path.exists():
        _cut_torn_line(path)
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


def _cut_torn_line(path: Path) -> None:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)


@contextmanager
def only_coordinator(path: Path) -> Iterator[None]:
    """Hold the study's lock. Raises InputError when another process does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{path.parent}: another process is running this study; wait for it, or give "
                "this one another --out"
            ) from None
        yield
