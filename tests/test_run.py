"""The verb `run`: what it writes, how it resumes, and what it says to a mistake."""

from __future__ import annotations

import csv
import fcntl
import os
from pathlib import Path

import pytest
import yaml
from search import tiny

from dse import run
from dse.study.folder import StudyFolder

FILES = {
    "study.yml",
    "study.journal",
    "baseline.pt",
    "trials.csv",
    "pareto.csv",
    "pareto.png",
    "pareto.svg",
    "report.html",
}
SHORT = {"budget": {"trials": 3}, "baseline": {"epochs": 1}}


class Outcome:
    """Exit status and what was printed."""

    def __init__(self, status: int, output: str, errors: str) -> None:
        self.status, self.output, self.errors = status, output, errors


class Command:
    """`python -m dse.run tiny.yml ...` in this process, in a folder with a study."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.results = StudyFolder(folder / "reports" / "tiny")

    def __call__(self, *arguments: str) -> Outcome:
        status = run.main(["tiny.yml", *arguments])
        return Outcome(status, *self._capsys.readouterr())


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    tiny.write(tmp_path, **SHORT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return Command(tmp_path, capsys)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def times(folder: StudyFolder) -> dict[str, int]:
    """When each result was written: a recomputed one is newer."""
    paths = [folder.baseline, *folder.path.glob("trials/*/result.json")]
    return {str(path): path.stat().st_mtime_ns for path in paths}


def test_a_run_leaves_every_promised_file(command: Command) -> None:
    outcome = command()
    assert (outcome.status, outcome.errors) == (0, "")
    assert {path.name for path in command.results.path.iterdir()} >= FILES
    assert command.results.finished() == [0, 1, 2]
    assert len(rows(command.results.trials_csv)) == 3
    assert all(row["test_accuracy"] for row in rows(command.results.pareto_csv))
    assert "\x1b" not in outcome.output


def test_running_again_computes_nothing_anew(command: Command) -> None:
    command()
    before, outputs = times(command.results), tiny.outputs(command.results.path)
    assert command().status == 0
    assert times(command.results) == before
    assert tiny.outputs(command.results.path) == outputs


def test_a_larger_total_adds_trials(command: Command) -> None:
    command()
    before = times(command.results)
    assert command("--trials", "5").status == 0
    assert command.results.finished() == [0, 1, 2, 3, 4]
    assert before.items() <= times(command.results).items()


def test_a_total_that_is_exceeded_already_is_said(command: Command) -> None:
    command()
    outcome = command("--trials", "2")
    assert outcome.status == 0
    assert "3 trials were done before, more than 2" in outcome.output
    assert command.results.finished() == [0, 1, 2]


def test_fresh_starts_over_but_keeps_what_is_not_the_studys(command: Command) -> None:
    command()
    (command.results.path / "notes.txt").write_text("mine")
    assert command("--fresh", "--trials", "1", "--set", "seed=4").status == 0
    assert command.results.finished() == [0]
    assert (command.results.path / "notes.txt").read_text() == "mine"


def test_results_go_where_they_are_told(command: Command) -> None:
    assert command("--out", "a/b", "--trials", "1").status == 0
    assert StudyFolder(command.folder / "a" / "b").finished() == [0]
    assert not (command.folder / "reports").exists()


def test_set_changes_any_key(command: Command) -> None:
    assert command("--trials", "1", "--set", "finetune.lr=0.25", "--set", "name=other").status == 0
    content = yaml.safe_load((command.folder / "reports" / "other" / "study.yml").read_text())
    assert (content["finetune"]["lr"], content["name"]) == (0.25, "other")


def test_a_dry_run_shows_the_study_and_writes_nothing(command: Command) -> None:
    outcome = command("--dry-run", "--set", "search_space.layers.fc.weight_bits={choices: [2, 8]}")
    assert outcome.status == 0
    assert "2 layers, 6 dimensions, about 10^" in outcome.output
    for words in ("uniform 8 bit", "smallest", "a trial takes about", "nothing was written"):
        assert words in outcome.output
    assert "fc: prune ratio 0..0.98, weight bits 2, 8, activation bits 1..16" in outcome.output
    assert not (command.folder / "reports").exists()


def test_a_quiet_run_prints_nothing_and_writes_everything(command: Command) -> None:
    outcome = command("--quiet")
    assert (outcome.status, outcome.output, outcome.errors) == (0, "", "")
    assert {path.name for path in command.results.path.iterdir()} >= FILES


def test_the_last_words_say_what_to_do_next(command: Command) -> None:
    output = command().output
    assert f"report: {command.results.report.relative_to(command.folder)}" in output
    assert "python -m dse.deploy reports/tiny --trial" in output


@pytest.mark.parametrize("timeout", ["0.001", "0.01 s"])
def test_a_time_that_is_up_at_once_leaves_a_study_to_go_on_with(
    command: Command, timeout: str
) -> None:
    outcome = command("--timeout", timeout)
    assert outcome.status == 0
    assert "time is up after 0 trials; run again to go on" in outcome.output
    assert command().status == 0
    assert command.results.finished() == [0, 1, 2]


def test_a_timeout_ends_a_study_without_a_number_of_trials(command: Command) -> None:
    assert command("--timeout", "2 s", "--set", "budget.trials=null").status == 0
    assert len(command.results.finished()) > 3


def test_all_mistakes_are_told_at_once(command: Command) -> None:
    outcome = command(
        "--trials", "0", "--timeout", "soon", "--set", "modle=x", "--set", "device=xc7z02"
    )
    assert outcome.status == 2
    for part in ("budget.trials", "budget.timeout", "modle", "did you mean 'xc7z020'"):
        assert part in outcome.errors
    assert not (command.folder / "reports").exists()


def test_a_study_file_that_is_not_there_is_wrong_input(command: Command) -> None:
    (command.folder / "tiny.yml").rename(command.folder / "tony.yml")
    outcome = command()
    assert outcome.status == 2
    assert "no study file 'tiny.yml'; did you mean 'tony.yml'?" in outcome.errors


@pytest.mark.parametrize("arguments", [["--colour"], ["--trials", "many"], ["a.yml", "b.yml"]])
def test_an_unknown_option_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run.main(["tiny.yml", *arguments])
    assert "usage: python -m dse.run" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["tiny.yml", "tiny.yml/below", "/proc/none"])
def test_a_folder_that_cannot_be_written_is_wrong_input(command: Command, out: str) -> None:
    outcome = command("--out", out)
    assert outcome.status == 2
    assert "cannot be written to" in outcome.errors


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_wrong_input(command: Command) -> None:
    (command.folder / "closed").mkdir(mode=0o500)
    outcome = command("--out", "closed")
    assert (outcome.status, "Permission denied" in outcome.errors) == (2, True)


@pytest.mark.parametrize("arguments", [[], ["--fresh"]])
def test_a_study_that_another_process_runs_is_left_alone(
    command: Command, arguments: list[str]
) -> None:
    command()
    with command.results.lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        outcome = command(*arguments)
    assert outcome.status == 2
    assert "another process is running this study" in outcome.errors
    assert command.results.finished() == [0, 1, 2]


def test_another_study_in_the_folder_is_refused(command: Command) -> None:
    command()
    outcome = command("--set", "seed=1", "--set", "device=ecp5-85")
    assert outcome.status == 2
    assert "seed: was 0, is 1" in outcome.errors
    assert "device: was 'xc7z020', is 'ecp5-85'" in outcome.errors


def test_a_damaged_study_file_is_refused_until_fresh(command: Command) -> None:
    command()
    command.results.study.write_text("a: [")
    outcome = command()
    assert (outcome.status, "study.yml: cannot be read" in outcome.errors) == (2, True)
    assert command("--fresh").status == 0


def test_a_damaged_result_is_named(command: Command) -> None:
    command()
    (command.results.trial(1) / "result.json").write_text("{")
    outcome = command()
    assert outcome.status == 2
    assert "1/result.json: cannot be read" in outcome.errors


def test_fresh_deletes_no_folder_that_is_not_a_study(command: Command) -> None:
    (command.folder / "thesis").mkdir()
    (command.folder / "thesis" / "chapter.tex").write_text("")
    outcome = command("--fresh", "--out", "thesis")
    assert (outcome.status, "holds no study" in outcome.errors) == (2, True)
    assert (command.folder / "thesis" / "chapter.tex").exists()


def test_fresh_does_not_delete_the_study_file_it_was_given(command: Command) -> None:
    path = command.folder / "tiny.yml"
    path.rename(command.folder / "study.yml")
    path.symlink_to("study.yml")
    outcome = command("--fresh", "--out", ".")
    assert (outcome.status, "--fresh would delete" in outcome.errors) == (2, True)


@pytest.mark.parametrize("state", ["infeasible", "failed"])
def test_a_study_with_nothing_complete_is_reported(command: Command, state: str) -> None:
    """Refusing every config is an answer; failing every trial is not."""
    wish = "constraints.memory_bytes=<= 10" if state == "infeasible" else "finetune.lr=1e38"
    outcome = command("--set", wish, "--set", "finetune.epochs=3")
    assert outcome.status == (1 if state == "failed" else 0)
    assert {record.state for record in command.results.read_trials()} == {state}
    assert rows(command.results.pareto_csv) == []
    assert ("every trial failed" in outcome.output) is (state == "failed")


def test_a_resolved_study_file_runs_the_same_study(command: Command) -> None:
    command()
    outputs = tiny.outputs(command.results.path)
    (command.folder / "tiny.yml").write_text(command.results.study.read_text())
    assert command("--out", "again").status == 0
    assert tiny.outputs(command.folder / "again") == outputs
