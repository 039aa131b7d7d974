"""Workers: a result that lies there is taken, errors are handed on, the environment is ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dse import search
from dse.errors import InputError
from dse.search import workers
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.study.record import TrialRecord
from dse.study.spec import ParallelSpec
from dse.trial import Context, Task

from . import tiny


class Silent:
    def stage(self, text: str) -> None: ...

    def trials(self, finished: Sequence[TrialRecord], total: int | None) -> None: ...


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Context, StudyFolder]:
    return tiny.prepared(tmp_path_factory.mktemp("study"))


@pytest.fixture
def task(study: tuple[Context, StudyFolder], monkeypatch: pytest.MonkeyPatch) -> Task:
    key = study[1], study[1].baseline.stat().st_mtime_ns
    monkeypatch.setattr(workers, "_contexts", {key: study[0]})
    return Task(0, "here", {name: tiny.choice(0.5, 4) for name in study[0].spec.search_space})


def left(folder: StudyFolder, record: TrialRecord) -> None:
    with folder.new_trial(record.number) as scratch:
        (scratch / "result.json").write_text(record.to_json())


def test_a_result_of_the_same_config_is_taken(
    study: tuple[Context, StudyFolder], task: Task
) -> None:
    kept = TrialRecord(0, "failed", "as it was left", "before", task.config)
    left(study[1], kept)
    assert workers.evaluate(task, study[0].spec, study[1]) == kept


def test_a_result_of_another_config_is_replaced(
    study: tuple[Context, StudyFolder], task: Task
) -> None:
    other = {name: tiny.choice(0.1, 9) for name in task.config}
    left(study[1], TrialRecord(0, "failed", "of another", "before", other))
    record = workers.evaluate(task, study[0].spec, study[1])
    assert (record.config, record.state) == (task.config, "complete")
    assert study[1].read_trial(0) == record


def test_the_inline_executor_hands_on_what_is_raised() -> None:
    future = workers.InlineExecutor().submit(int, "x")
    with pytest.raises(ValueError, match="invalid literal"):
        future.result()


def test_the_inline_executor_lets_ctrl_c_through() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workers.InlineExecutor().submit(interrupted)


def test_an_unexpected_error_fails_the_trial_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(workers, "run", broken)
    folder = StudyFolder(tmp_path / "results")
    search.optimize(load_study(tiny.write(tmp_path, budget={"trials": 2})), folder, Silent())
    assert {(r.state, r.reason) for r in folder.read_trials()} == {
        ("failed", "ZeroDivisionError: of ours")
    }


def test_the_environment_of_the_user_is_put_back(
    study: tuple[Context, StudyFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(workers.os.environ)
    with workers.executor(ParallelSpec(2), study[0], study[1]):
        assert workers.os.environ["OMP_NUM_THREADS"] == "1"
    assert dict(workers.os.environ) == before


def test_a_process_that_finds_other_images_refuses_to_work(tmp_path: Path) -> None:
    """As a worker would whose download fails: the fallback must not be taken in silence."""
    context, folder = tiny.prepared(tmp_path)
    other = replace(context.data, name="digits", fingerprint="f" * 64)
    with pytest.raises(InputError, match="finds other images than the study began with, digits"):
        workers.load_context(context.spec, folder, other)
