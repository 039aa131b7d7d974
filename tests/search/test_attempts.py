"""Attempts: only processes that died are counted, and the next run knows of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.errors import InputError
from dse.search import coordinator
from dse.search.attempts import MOST, SUSPECT, Attempts, counted
from dse.study.folder import StudyFolder
from dse.study.record import TrialRecord
from dse.trial import Task


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path)


def crashed(folder: StudyFolder, number: int) -> None:
    """A run that dies while it evaluates a trial."""
    Attempts(folder).begin(number)


def test_a_trial_that_kills_every_run_is_exhausted(folder: StudyFolder) -> None:
    for done in range(MOST):
        assert not Attempts(folder).exhausted(7)
        assert Attempts(folder).suspect(7) is (done >= SUSPECT)
        crashed(folder, 7)
    assert Attempts(folder).exhausted(7)
    assert not Attempts(folder).exhausted(6)


def test_a_run_that_ends_in_good_order_counts_nothing(folder: StudyFolder) -> None:
    crashed(folder, 3)
    with counted(folder) as attempts:
        attempts.begin(3)  # and the block is left while it runs
    for _ in range(MOST - 1):
        assert not Attempts(folder).exhausted(3)
        crashed(folder, 3)
    assert Attempts(folder).exhausted(3)


def test_nothing_is_left_when_every_trial_ended(folder: StudyFolder) -> None:
    with counted(folder) as attempts:
        for number in range(3):
            attempts.begin(number)
            attempts.died(number)
            attempts.begin(number)
            attempts.end(number)
    assert list(folder.path.iterdir()) == []


def test_a_worker_that_died_makes_a_suspect_at_once(folder: StudyFolder) -> None:
    with counted(folder) as attempts:
        attempts.begin(0)
        attempts.died(0)
        assert attempts.suspect(0)
        assert not attempts.exhausted(0)


def test_a_trial_that_died_for_another_is_not_counted(folder: StudyFolder) -> None:
    with counted(folder) as attempts:
        attempts.begin(0)
        attempts.spared(0)
        assert not attempts.suspect(0)
    assert list(folder.path.iterdir()) == []


def test_a_trial_with_a_result_killed_nobody(folder: StudyFolder) -> None:
    for _ in range(MOST):
        crashed(folder, 2)
    with folder.new_trial(2) as scratch:
        (scratch / "result.json").write_text(TrialRecord(2, "failed", "", "", {}).to_json())
    assert not Attempts(folder).exhausted(2)


@pytest.mark.parametrize("text", ["", "[", "[1]", '{"a": 1}', '{"1": null}'])
def test_damaged_counts_are_named(folder: StudyFolder, text: str) -> None:
    folder.attempts.write_text(text)
    with pytest.raises(InputError, match=r"attempts\.json: cannot be read .*delete it"):
        Attempts(folder)


@pytest.mark.parametrize(
    ("next_one", "running", "died", "begins"),
    [
        (2, [0], [], True),
        (2, [0, 1], [], False),
        (2, [0], [2], False),
        (2, [], [2], True),
        (2, [0], [0], False),
    ],
    ids=["a worker is free", "none is free", "suspect waits", "suspect alone", "beside a suspect"],
)
def test_a_trial_whose_worker_died_runs_alone(
    folder: StudyFolder, next_one: int, running: list[int], died: list[int], begins: bool
) -> None:
    attempts = Attempts(folder)
    for number in died:
        attempts.died(number)
    tasks = [Task(number, "", {}) for number in running]
    assert coordinator._may_begin(Task(next_one, "", {}), tasks, attempts, 2) is begins
