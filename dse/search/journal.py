"""The study's journal: Optuna's storage in one file that survives kill -9."""

from __future__ import annotations

import fcntl
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.storages.journal._storage import JournalOperation

from dse.errors import InputError
from dse.study.spec import Direction


class _OneWriteBackend(BaseJournalBackend):
    """Optuna's journal file, except that what belongs together is one write.

    Optuna's own backend waits for the disk after every parameter: 68 ms a trial of 15, 1.4 s of
    300, measured on a busy disk where one write takes 4 ms. Its lock outlives a killed holder for
    30 s; the kernel releases this one.
    """

    def __init__(self, path: Path) -> None:
        """Append to the file at `path`, made when missing; `together` holds writes back."""
        path.touch()
        self._path, self._end = path, 0
        self._unread: list[dict[str, Any]] = []
        self._unwritten: list[dict[str, Any]] = []
        self.together = False

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write operations, or keep them until `flush`."""
        self._unwritten += logs
        self._unread += logs
        if not self.together:
            self.flush()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """What was not read before: Optuna asks for every operation once."""
        if not self.together:
            self._read_on()
        unread, self._unread = self._unread, []
        return iter(unread)

    def flush(self, lasting: bool = True) -> None:
        """Write what was kept, whole lines at once; wait until it is on the disk if `lasting`."""
        lines = [json.dumps(log, separators=(",", ":")) + "\n" for log in self._unwritten]
        content = "".join(lines).encode()
        with self._path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._read_on()
            file.write(content)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        self._end += len(content)
        self._unwritten.clear()

    def _read_on(self) -> None:
        """Read what others have appended, an optuna-dashboard for example."""
        with self._path.open("rb") as file:
            file.seek(self._end)
            found = file.read()
        whole = found[: found.rfind(b"\n") + 1]
        self._unread += [json.loads(line) for line in whole.splitlines()]
        self._end += len(whole)


@contextmanager
def in_one_write(study: optuna.Study, lasting: bool = True) -> Iterator[None]:
    """What the block does to the study reaches the file together, or not at all when it fails.

    What need not be `lasting` may be lost with the machine's power, never with this process, until
    something after it is.
    """
    storage = study._storage
    backend = storage._backend if isinstance(storage, JournalStorage) else None
    if not isinstance(backend, _OneWriteBackend):  # kept in memory
        yield
        return
    backend.together = True
    try:
        yield
        backend.flush(lasting)
    finally:
        backend.together = False


def open_journal(path: Path, directions: Mapping[str, Direction], dimensions: int) -> optuna.Study:
    """The Optuna study in `path` (absolute), created when missing.

    `directions` maps each objective to maximize or minimize; each trial has `dimensions`
    parameters. What a killed run left half written is cut off. Raises InputError for a damaged
    journal.
    """
    if path.exists():
        _cut_half_written(path, dimensions)
    study = optuna.create_study(
        study_name="dse",
        storage=JournalStorage(_OneWriteBackend(path)),
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
