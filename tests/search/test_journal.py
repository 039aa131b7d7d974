"""The journal: one coordinator, and nothing half written survives."""

from __future__ import annotations

import fcntl
import io
import json
from pathlib import Path

import optuna
import pytest

from dse.errors import InputError
from dse.search import journal, sampler
from dse.study.spec import BitChoices, LayerSpace, RatioRange, SamplerSpec

BITS = BitChoices((2, 4, 8))
SPACE = {name: LayerSpace(RatioRange(0, 0.9), BITS, BITS) for name in ("conv", "fc")}
DIRECTIONS = {"accuracy": "maximize", "memory_bytes": "minimize"}


def opened(path: Path) -> optuna.Study:
    return journal.open_journal(path, DIRECTIONS, sampler.dimensions(SPACE))


def ask(study: optuna.Study) -> dict[str, object]:
    """Parameters of the next trial, from a sampler of its own as in a run."""
    study.sampler = sampler.sampler_for(SamplerSpec("tpe"), 0, len(study.trials))
    trial = study.ask()
    sampler.suggest(trial, SPACE)
    return trial.params


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with two trials asked, the first told."""
    path = tmp_path / "study.journal"
    study = opened(path)
    ask(study)
    study.tell(0, [0.5, 3.0])
    ask(study)
    return path


def test_a_journal_holds_its_trials(path: Path) -> None:
    study = opened(path)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "RUNNING"]
    assert study.metric_names == list(DIRECTIONS)


def test_opening_a_whole_journal_cuts_nothing(path: Path) -> None:
    before = path.read_bytes()
    opened(path)
    assert path.read_bytes().startswith(before)


def test_a_journal_torn_anywhere_goes_on_as_if_it_never_was(path: Path) -> None:
    """Cut after any byte of the second trial: the same trials are proposed again."""
    whole = path.read_bytes()
    trials = [trial.params for trial in opened(path).trials]
    third = ask(opened(path))
    second = next(
        end
        for end in range(len(whole))
        if whole[:end].count(b"\n") == whole.count(b"\n") - sampler.dimensions(SPACE) - 1
    )
    for end in range(second, len(whole), 29):
        path.write_bytes(whole[:end])
        study = opened(path)
        asked = [trial.params for trial in study.trials]
        while len(asked) < 3:
            asked.append(ask(study))
        assert asked == [*trials, third], f"cut after {end} bytes"


def test_a_damaged_journal_is_the_users_to_delete(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"\x00\x00\n", *lines[4:]]))
    with pytest.raises(InputError, match=r"study\.journal: is damaged .*delete it"):
        opened(path)


def test_a_trial_is_asked_and_told_in_one_write_each(path: Path) -> None:
    study = opened(path)
    before = path.read_bytes()
    with journal.in_one_write(study):
        ask(study)
        assert path.read_bytes() == before
    asked = path.read_bytes()
    assert asked.startswith(before)
    assert asked.count(b"\n") == before.count(b"\n") + 1 + sampler.dimensions(SPACE)
    with journal.in_one_write(study):
        study.tell(2, [0.25, 4.0])
        assert path.read_bytes() == asked
    assert opened(path).trials == study.trials
    assert opened(path).trials[2].values == [0.25, 4.0]


def test_what_fails_half_way_leaves_the_journal_as_it_was(path: Path) -> None:
    study = opened(path)
    before = path.read_bytes()

    def interrupted() -> None:
        with journal.in_one_write(study):
            ask(study)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == before


def test_the_journal_is_what_optunas_own_storage_reads(path: Path) -> None:
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    theirs = optuna.load_study(study_name="dse", storage=optuna.storages.JournalStorage(backend))
    assert theirs.trials == opened(path).trials


def test_what_others_append_meanwhile_is_kept_and_read(path: Path) -> None:
    """As the notes of a user of optuna-dashboard are."""
    ours, theirs = opened(path), opened(path)
    with journal.in_one_write(ours):
        third = ask(ours)
        theirs.set_user_attr("note", "theirs")
    assert ours.user_attrs == {"note": "theirs"}
    assert [study.trials[2].params for study in (ours, theirs, opened(path))] == [third] * 3
    assert ours.trials == opened(path).trials


def test_a_second_coordinator_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "study.lock"
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with (
            pytest.raises(InputError, match="another process is running this study"),
            journal.only_coordinator(lock),
        ):
            pass


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    lock = tmp_path / "study.lock"
    with pytest.raises(KeyboardInterrupt), journal.only_coordinator(lock):
        raise KeyboardInterrupt
    with journal.only_coordinator(lock):
        assert lock.exists()


@pytest.mark.parametrize("place", ["file/study.lock", "/proc/none/study.lock"])
def test_a_folder_that_cannot_be_made_is_the_users_mistake(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="cannot be written to"),
        journal.only_coordinator(tmp_path / place),
    ):
        pass


def test_the_journal_opens_in_optuna_dashboard(path: Path) -> None:
    """Asked as the page asks: `optuna-dashboard study.journal`, without its server."""
    dashboard = pytest.importorskip("optuna_dashboard", reason="optuna-dashboard: not run")
    statuses: list[str] = []
    answer = dashboard.wsgi(str(path))(
        {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/api/studies",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
        },
        lambda status, *_: statuses.append(status),
    )
    (study,) = json.loads(b"".join(answer))["study_summaries"]
    assert statuses == ["200 OK"]
    assert (study["study_name"], study["directions"]) == ("dse", ["maximize", "minimize"])


def test_a_shared_lock_keeps_a_coordinator_out_and_other_runs_in(tmp_path: Path) -> None:
    lock = tmp_path / "study.lock"
    with (
        journal.only_coordinator(lock, shared=True),
        journal.only_coordinator(lock, shared=True),
        pytest.raises(InputError, match="another process is running this study"),
        journal.only_coordinator(lock),
    ):
        pass


def test_only_what_must_outlast_a_power_cut_waits_for_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, waited = opened(path), []
    monkeypatch.setattr(journal.os, "fsync", waited.append)
    with journal.in_one_write(study, lasting=False):
        study.tell(1, [0.6, 2.0])
    assert not waited
    assert opened(path).trials[1].values == [0.6, 2.0]  # in the file, for every process
    waited.clear()
    with journal.in_one_write(study):
        ask(study)
    assert len(waited) == 1
