"""Attempts: how often each trial was begun and not finished, on disk, so that a crash counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from dse.errors import InputError
from dse.study.folder import StudyFolder, write_atomically

MOST = 4
"""A trial whose process died this often, so was requeued three times, is failed: most likely it is
the trial that kills."""

SUSPECT = 2
"""A trial that an earlier run began this often and never finished is tried alone. Once may well
be a power cut, or somebody's kill -9."""


class Attempts:
    """Counts the processes that died while they evaluated a trial.

    The file holds, beside those, one for each trial that is running now: should this process die
    with them, the next run finds them counted.
    """

    def __init__(self, folder: StudyFolder) -> None:
        """Read what an earlier run left. Raises InputError when that is damaged."""
        self._path = folder.attempts
        self._running: set[int] = set()
        self._deaths = Counter(_read(folder))
        for number in folder.finished():  # the run died after the trial had
            del self._deaths[number]
        self._suspects = {number for number, count in self._deaths.items() if count >= SUSPECT}

    def exhausted(self, number: int) -> bool:
        """Whether a trial must not be tried again."""
        return self._deaths[number] >= MOST

    def suspect(self, number: int) -> bool:
        """Whether a trial may be one that kills its process."""
        return number in self._suspects

    def begin(self, number: int) -> None:
        """A trial is about to be evaluated."""
        self._running.add(number)
        self._write()

    def died(self, number: int) -> None:
        """The process that evaluated the trial died."""
        self._running.discard(number)
        self._deaths[number] += 1
        self._suspects.add(number)

    def spared(self, number: int) -> None:
        """The process that evaluated the trial died for a reason that is known to be another's."""
        self._running.discard(number)

    def end(self, number: int) -> None:
        """The trial has a result."""
        self._running.discard(number)
        del self._deaths[number]
        self._suspects.discard(number)

    def stop(self) -> None:
        """This process ends in good order, whatever its trials' state: they did not kill it."""
        self._running.clear()
        self._write()

    def _write(self) -> None:
        counts = self._deaths + Counter(self._running)
        if counts:
            write_atomically(self._path, json.dumps(dict(sorted(counts.items()))) + "\n")
        else:
            self._path.unlink(missing_ok=True)


@contextmanager
def counted(folder: StudyFolder) -> Iterator[Attempts]:
    """The study's attempts; however the block is left, only a process that dies is counted."""
    attempts = Attempts(folder)
    try:
        yield attempts
    finally:
        attempts.stop()


def _read(folder: StudyFolder) -> dict[int, int]:
    if not folder.attempts.exists():
        return {}
    try:
        counts = json.loads(folder.attempts.read_text(encoding="utf-8"))
        return {int(number): int(count) for number, count in counts.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder.attempts}: cannot be read ({error}); delete it and run again"
        ) from error
