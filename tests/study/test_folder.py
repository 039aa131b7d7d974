"""The study folder: whole files or none, and damage is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dse.errors import InputError
from dse.study.folder import StudyFolder, write_atomically
from dse.study.record import (
    LayerSensitivity,
    Reference,
    TestScore,
    Timing,
)
from tests.study.test_record import RECORD


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path / "study")


def write_trial(folder: StudyFolder, number: int, text: str) -> None:
    with folder.new_trial(number) as scratch:
        (scratch / "result.json").write_text(text)


def entries(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_a_written_trial_reads_back_equal(folder: StudyFolder) -> None:
    write_trial(folder, 7, RECORD.to_json())
    assert folder.read_trials() == [RECORD]


def test_trials_are_in_numerical_order(folder: StudyFolder) -> None:
    for number in (10, 9, 100):
        write_trial(folder, number, RECORD.to_json())
    assert folder.finished() == [9, 10, 100]


def test_a_trial_without_result_is_not_finished(folder: StudyFolder) -> None:
    folder.trial(4).mkdir(parents=True)
    assert folder.finished() == []


def test_a_trial_appears_only_when_whole(folder: StudyFolder) -> None:
    with folder.new_trial(1) as scratch:
        (scratch / "result.json").write_text("{}")
        assert folder.finished() == []
    assert folder.finished() == [1]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_leaves_no_trial_behind(folder: StudyFolder, error: type[BaseException]) -> None:
    def broken_off() -> None:
        with folder.new_trial(1) as scratch:
            (scratch / "model.bin").write_text("half")
            raise error

    with pytest.raises(error):
        broken_off()
    assert entries(folder.path / "trials") == []


def test_a_half_attempt_is_replaced(folder: StudyFolder) -> None:
    folder.trial(1).mkdir(parents=True)
    (folder.trial(1) / "model.bin").write_text("half")
    write_trial(folder, 1, "{}")
    assert entries(folder.trial(1)) == ["result.json"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", RECORD.to_json()[:-30], RECORD.to_json().replace("0.30", "3.30")],
    ids=["empty", "brace", "list", "null", "no keys", "cut off", "ratio beyond 1"],
)
def test_a_damaged_result_is_named(folder: StudyFolder, text: str) -> None:
    write_trial(folder, 3, text)
    with pytest.raises(InputError, match=r"3/result\.json: cannot be read as a trial's result"):
        folder.read_trials()


def test_a_result_that_is_not_text_is_named(folder: StudyFolder) -> None:
    write_trial(folder, 3, "")
    (folder.trial(3) / "result.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match=r"3/result\.json: cannot be read"):
        folder.read_trial(3)


def test_a_test_score_reads_back_equal(folder: StudyFolder) -> None:
    write_trial(folder, 0, RECORD.to_json())
    assert folder.read_test_score(0) is None
    folder.write_test_score(0, TestScore(0.5, 0.4, 0.6, 100))
    assert folder.read_test_score(0) == TestScore(0.5, 0.4, 0.6, 100)


@pytest.mark.parametrize("text", ["", "[]", '{"accuracy": 1}'])
def test_a_damaged_test_score_is_named(folder: StudyFolder, text: str) -> None:
    write_trial(folder, 0, RECORD.to_json())
    (folder.trial(0) / "test.json").write_text(text)
    with pytest.raises(InputError, match=r"test\.json: cannot be read"):
        folder.read_test_score(0)


def test_references_read_back_equal(folder: StudyFolder) -> None:
    folder.path.mkdir()
    assert folder.read_references() == []
    references = [Reference("dense float", 0.9, 1000, TestScore(0.8, 0.7, 0.9, 50))]
    folder.write_references(references)
    assert folder.read_references() == references


def test_an_atomic_write_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    for text in ("first, long", "second"):
        write_atomically(tmp_path / "a.txt", text)
        assert (tmp_path / "a.txt").read_text() == text
    assert entries(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("step", ["write_bytes", "replace"])
def test_an_atomic_write_that_fails_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((Path, step) if step == "write_bytes" else (os, step)), full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(target, "new")
    monkeypatch.undo()
    assert (target.read_text(), entries(tmp_path)) == ("old", ["a.txt"])


def test_scraps_of_killed_runs_are_removed(folder: StudyFolder) -> None:
    write_trial(folder, 0, "{}")
    scrap = "f" * 32
    (folder.path / "trials" / f".1-{scrap}").mkdir()
    (folder.path / f".study.yml-{scrap}").write_text("")
    (folder.path / ".git-notes").write_text("the user's")
    folder.remove_scraps()
    assert entries(folder.path) == [".git-notes", "trials"]
    assert entries(folder.path / "trials") == ["0"]


def test_deleting_a_study_keeps_what_is_not_its_own(folder: StudyFolder) -> None:
    write_trial(folder, 0, "{}")
    for name in ("study.yml", "study.journal", "baseline.pt", "pareto.png", "thesis.tex"):
        (folder.path / name).write_text("")
    (folder.path / "deploy").mkdir()
    folder.delete()
    assert entries(folder.path) == ["deploy", "thesis.tex"]


def test_the_journal_has_an_absolute_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert StudyFolder(Path("here")).journal == tmp_path / "here" / "study.journal"


def test_a_timing_reads_back_and_damage_is_named(folder: StudyFolder) -> None:
    write_trial(folder, 7, RECORD.to_json())
    path = folder.trial(7) / "timing.json"
    assert folder.read_timing(7) is None
    path.write_text('{"started": 1.5, "seconds": 2}')
    assert folder.read_timing(7) == Timing(1.5, 2)
    path.write_text('{"started": 1.5')
    with pytest.raises(InputError, match=r"timing\.json: cannot be read"):
        folder.read_timing(7)


def test_a_sensitivity_scan_reads_back_and_damage_is_named(folder: StudyFolder) -> None:
    assert folder.read_sensitivity() == {}
    folder.path.mkdir()
    scan = {"conv": LayerSensitivity(((0.5, 4, 0.25, 120), (0.9, 1, 2.0, 30)), ((4, 0.125),))}
    folder.write_sensitivity(scan)
    assert folder.read_sensitivity() == scan
    folder.sensitivity.write_text('{"conv": {"weights": 3}}')
    with pytest.raises(InputError, match=r"sensitivity\.json: cannot be read"):
        folder.read_sensitivity()
