"""Exports: the YAML of trials that others beat is deleted, where the study asks for that."""

from __future__ import annotations

from collections.abc import Iterable

from dse.study.folder import StudyFolder
from dse.study.record import TrialRecord, front_of
from dse.study.spec import Keep


class Exports:
    """Knows the front so far, and so whose files are not worth their room any more."""

    def __init__(self, keep: Keep, folder: StudyFolder, finished: Iterable[TrialRecord]) -> None:
        """Begin with the results of earlier runs."""
        self._keep, self._folder = keep, folder
        self._front: tuple[TrialRecord, ...] = ()
        for record in finished:
            self.add(record)

    def add(self, record: TrialRecord) -> None:
        """Take a result into account; its files, or those of trials that it beats, may go."""
        if self._keep == "all" or record.state != "complete":
            return
        rivals = [*self._front, record]
        self._front = front_of(rivals)
        for rival in rivals:
            if rival not in self._front:
                self._folder.delete_exports(rival.number)
