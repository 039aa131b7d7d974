"""A shared study: several runs on a real PostgreSQL server, and messages where there is none."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.storages._heartbeat import BaseHeartbeat

from dse import run, search
from dse.errors import InputError
from dse.search import shared
from dse.study.folder import StudyFolder
from dse.study.load import load_study

from . import tiny

TRIALS = 6


def programs() -> Path | None:
    """Where initdb and pg_ctl are: Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if found is None else []
    return Path(found).parent if found else folders[-1] if folders else None


BIN = programs()
psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed: not run")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BIN is None, reason="PostgreSQL is not installed: not run"),
]


def as_nobody_special(command: list[str]) -> None:
    """Run as the user of Debian's package where we are root, as which PostgreSQL refuses to."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    done = subprocess.run(
        [*prefix, *command], capture_output=True, text=True, timeout=60, cwd="/", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of a database on loopback whose user `dse` needs a password, which is in PGPASSWORD."""
    with running_server() as (url, _):
        yield url


@contextmanager
def running_server() -> Iterator[tuple[str, Callable[[str], None]]]:
    """URL of a database, and a function that stops or starts its server."""
    assert BIN is not None
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    # not pytest's folder: only root may enter that
    with tempfile.TemporaryDirectory(prefix="dse-postgres-") as name:
        place = Path(name)
        (place / "password").write_text("secret\n")
        if os.getuid() == 0:
            for path in (place, place / "password"):
                shutil.chown(path, "postgres")
        login = ["--username=dse", "--auth=scram-sha-256", f"--pwfile={place / 'password'}"]
        as_nobody_special([str(BIN / "initdb"), "-D", str(place / "data"), "--no-sync", *login])
        control = [str(BIN / "pg_ctl"), "-D", str(place / "data"), "-w", "-t", "30"]
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {place} -c fsync=off"

        def act(what: str) -> None:
            how = ["-l", str(place / "log"), "-o", options] if what == "start" else []
            as_nobody_special([*control, "-m", "immediate", *how, what])

        act("start")
        try:
            yield f"postgresql://dse@127.0.0.1:{port}/postgres", act
        finally:
            act("stop")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PGPASSWORD", "secret")
    tiny.write(
        tmp_path,
        budget={"trials": TRIALS},
        sampler={"name": "tpe", "warm_start": ["uniform", "sensitivity"]},
    )
    return tmp_path


def command(url: str) -> list[str]:
    return ["tiny.yml", "--out", "results", "--set", f"parallel.journal={url}"]


def told(url: str, folder: StudyFolder) -> list[optuna.trial.FrozenTrial]:
    spec = load_study(folder.path.parent / "tiny.yml", [f"parallel.journal={url}"])
    return shared.open_shared(url, spec, folder).get_trials()


def test_two_runs_share_one_study(place: Path, server: str) -> None:
    folder = StudyFolder(place / "results")
    both = [tiny.started(*command(server), cwd=place) for _ in range(2)]
    for process in both:
        output, errors = process.communicate(timeout=5 * tiny.PATIENCE_S)
        assert process.returncode == 0, output + errors
    trials = told(server, folder)
    assert TRIALS <= len(trials) <= TRIALS + 1  # two may begin the last one at once
    assert all(trial.state.is_finished() for trial in trials)
    assert folder.finished() == list(range(len(trials)))
    for trial in trials:
        record = folder.read_trial(trial.number)
        if record.state == "complete":
            assert trial.values[0] == record.metrics["accuracy"]
    assert "uniform 8 bit, 0% pruned" in {record.origin for record in folder.read_trials()}


def test_the_trial_of_a_killed_run_is_tried_by_another(
    place: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StudyFolder(place / "results")
    killed = tiny.started(*command(server), cwd=place)
    tiny.wait_until(lambda: len(folder.finished()) >= 2, "two trials")
    killed.kill()
    killed.communicate()
    before = len(folder.finished())
    # the grace that a silent run is given is over at once
    monkeypatch.setattr(shared, "HEARTBEAT_S", 1)
    monkeypatch.setattr(shared, "GRACE_S", 2)
    time.sleep(2.5)
    study = load_study(place / "tiny.yml", [f"parallel.journal={server}"])
    search.optimize(study, folder, Silent())
    states = [trial.state.name for trial in told(server, folder)]
    assert "RUNNING" not in states
    assert len(folder.finished()) >= TRIALS > before
    assert states.count("FAIL") <= 1


class Silent:
    def stage(self, text: str) -> None: ...

    def trials(self, finished: object, total: object) -> None: ...


def test_a_wrong_password_is_one_message(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(InputError, match="password authentication failed") as caught:
        shared.check(server)
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("PGPASSWORD", "secret")
    shared.check(server)


def test_a_database_that_cannot_be_reached_is_one_message() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"postgresql://dse@127.0.0.1:{held.getsockname()[1]}/dse"
        with pytest.raises(InputError, match=r"journal: .* cannot be used: .*refused") as caught:
            shared.check(url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["wrong password", "unknown user", "unknown database"])
def test_a_run_that_may_not_use_the_database_ends_with_status_2(
    place: Path,
    server: str,
    change: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, reason = server, "password authentication failed for user"
    if change == "unknown database":
        url, reason = server.rpartition("/")[0] + "/none", 'database "none" does not exist'
    elif change == "unknown user":
        url = server.replace("//dse@", "//nobody@")
    else:
        monkeypatch.setenv("PGPASSWORD", "wrong")
    monkeypatch.chdir(place)
    assert run.main(command(url)) == 2
    errors = capsys.readouterr().err
    assert reason in errors
    assert errors.count("\n") == 1
    assert not (place / "results").exists()


def test_heartbeats_go_on_where_a_database_was_away(place: Path) -> None:
    spec = load_study(place / "tiny.yml")
    folder = StudyFolder(place / "results")
    folder.path.mkdir()
    with running_server() as (url, act):
        study = shared.open_shared(url, spec, folder)
        trial, storage = study.ask(), study._storage
        assert isinstance(storage, BaseHeartbeat)
        act("stop")
        storage.record_heartbeat(trial._trial_id)
        act("start")
        assert beats(url) == 0
        storage.record_heartbeat(trial._trial_id)
        assert beats(url) == 1


def beats(url: str) -> int:
    """Trials with a heartbeat, as the database has them."""
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from trial_heartbeats").fetchone()
    assert row
    return int(row[0])


def test_a_database_that_goes_away_leaves_a_study_to_go_on_with(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StudyFolder(place / "results")
    with running_server() as (url, act):
        process = tiny.started(*command(url), cwd=place)
        tiny.wait_until(lambda: len(folder.finished()) >= 2, "two trials")
        act("stop")
        _, errors = process.communicate(timeout=tiny.PATIENCE_S)
        act("start")
        assert process.returncode == 2, errors
        assert "parallel.journal: " in errors
        assert errors.count("\n") == 1
        kept = len(folder.finished())
        # the grace that the trial which was running then is given is over at once
        monkeypatch.setattr(shared, "HEARTBEAT_S", 1)
        monkeypatch.setattr(shared, "GRACE_S", 2)
        time.sleep(2.5)
        monkeypatch.chdir(place)
        assert run.main(command(url)) == 0
        # one that began and found no database for its first heartbeat is never known to be dead
        assert len(folder.finished()) >= TRIALS - 1 >= kept >= 2
