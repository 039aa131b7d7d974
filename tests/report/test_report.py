"""The whole report and its verb: files, exit status, time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dse.report import write_report
from dse.report.__main__ import main
from dse.study.folder import StudyFolder

from .studies import random_trials, unfinished_trial, write_study

FILES = (
    "trials.csv", "pareto.csv", "pareto.png", "pareto.svg", "layers.png", "layers.svg",
    "report.html",
)  # fmt: skip


def contents(folder: StudyFolder) -> dict[str, bytes]:
    return {name: (folder.path / name).read_bytes() for name in FILES}


def test_the_same_study_gives_the_same_files_in_any_folder(tmp_path: Path) -> None:
    written = []
    for name in ("first", "second"):
        folder = write_study(tmp_path / name, random_trials(20))
        write_report(folder)
        written.append(contents(folder))
    assert written[0] == written[1]


def test_only_the_named_files_are_written(searched: StudyFolder) -> None:
    before = {path.name for path in searched.path.iterdir()}
    write_report(searched)
    assert {path.name for path in searched.path.iterdir()} - before == set(FILES)


def test_the_journal_is_not_read(searched: StudyFolder) -> None:
    searched.journal.mkdir()  # reading it as a file would raise
    write_report(searched)


@pytest.mark.slow
def test_500_trials_take_less_than_ten_seconds(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study", random_trials(500))
    start = time.process_time()  # not wall-clock: other tests share the machine
    write_report(folder)
    assert time.process_time() - start < 10.0


def test_verb_prints_the_front_and_the_paths(
    searched: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(searched.path)]) == 0
    output = capsys.readouterr().out
    assert "lenet5 on mnist, xc7z020" in output
    assert all(str(searched.path / name) in output.splitlines() for name in FILES)


def damage(folder: StudyFolder, how: str) -> Path:
    """The folder to ask a report of after something went wrong."""
    if how == "missing folder":
        return folder.path / "nowhere"
    if how == "no study file":
        folder.study.unlink()
    if how == "damaged result":
        (folder.trial(folder.finished()[0]) / "result.json").write_text('{"number": 0')
    if how == "no finished trial":
        for number in folder.finished():
            (folder.trial(number) / "result.json").unlink()
    return folder.path


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing folder", "no such folder"),
        ("no study file", "holds no study.yml"),
        ("damaged result", "cannot be read as a trial's result"),
        ("no finished trial", "no trial has finished yet"),
    ],
)
def test_the_users_mistakes_take_one_line(
    searched: StudyFolder, capsys: pytest.CaptureFixture[str], how: str, message: str
) -> None:
    assert main([str(damage(searched, how))]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_a_study_whose_trials_all_failed_is_reported(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study", [unfinished_trial(0, "failed", "x")])
    assert main([str(folder.path)]) == 0


def test_verb_from_the_shell(searched: StudyFolder) -> None:
    command = [sys.executable, "-m", "dse.report"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "80"}
    good = subprocess.run(
        [*command, str(searched.path)], capture_output=True, text=True, env=environment, check=False
    )
    assert (good.returncode, good.stderr) == (0, "")
    bad = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert bad.returncode == 2
    assert "Traceback" not in bad.stderr
