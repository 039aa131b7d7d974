"""A cluster: trials on a real dask scheduler and worker processes, some of them killed."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dse import search
from dse.errors import InputError
from dse.search import cluster
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.study.record import TrialRecord
from dse.study.spec import ParallelSpec, StudySpec

from . import tiny
from .test_limits import STUCK, check_one_was_slow, slow_study

distributed = pytest.importorskip("distributed", reason="dask is not installed: not run")
pytestmark = pytest.mark.slow

TRIALS = 10


class Watched:
    """Does something when a number of trials is finished."""

    def __init__(self, when: int = -1, act: Any = None) -> None:
        self._when, self._act = when, act

    def stage(self, text: str) -> None: ...

    def trials(self, finished: Sequence[TrialRecord], total: int | None) -> None:
        if len(finished) == self._when:
            self._act()


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    """A scheduler with two worker processes, each watched by a nanny that replaces it."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as local:
        yield local


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("cluster")
    tiny.write(place, budget={"trials": TRIALS})
    return place


def study(place: Path, address: str | None, workers: int = 2) -> StudySpec:
    spec = load_study(place / "tiny.yml")
    return replace(spec, parallel=ParallelSpec(workers, address))


def results(folder: StudyFolder) -> dict[int, str]:
    return {record.number: record.to_json() for record in folder.read_trials()}


@pytest.fixture(scope="module")
def alone(place: Path) -> dict[int, str]:
    """Results by number of a run in one process."""
    folder = StudyFolder(place / "alone")
    search.optimize(study(place, None, 1), folder, Watched())
    return results(folder)


def test_a_killed_worker_costs_no_trial_and_changes_none(
    place: Path, running: Any, alone: dict[int, str]
) -> None:
    folder = StudyFolder(place / "killed")

    def kill_one() -> None:
        tiny.kill(next(iter(running.workers.values())).pid)

    search.optimize(study(place, running.scheduler_address), folder, Watched(3, kill_one))
    assert results(folder) == alone


def test_a_trial_that_hangs_is_ended_with_its_worker(running: Any, tmp_path: Path) -> None:
    spec, folder = slow_study(tmp_path, STUCK), StudyFolder(tmp_path / "results")
    parallel = replace(spec.parallel, workers=2, address=running.scheduler_address)
    search.optimize(replace(spec, parallel=parallel), folder, Watched())
    check_one_was_slow(folder)


def test_a_worker_with_other_code_is_refused(
    place: Path, running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = dict(cluster.versions())
    monkeypatch.setattr(cluster, "versions", lambda: ours | {"code": "0123456789ab"})
    with pytest.raises(InputError, match=r"has another version: code \w+ instead of 0123"):
        search.optimize(
            study(place, running.scheduler_address), StudyFolder(place / "other"), Watched()
        )


def test_a_worker_that_joins_late_is_checked_as_well(place: Path) -> None:
    wanted = dict(cluster.versions()) | {"torch": "1.0"}
    with pytest.raises(InputError, match=r"another version: torch \S+ instead of 1\.0; install"):
        cluster._evaluate(wanted, None, study(place, None), StudyFolder(place))


def test_a_worker_that_does_not_see_the_folder_says_so(place: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sees no .*study\.yml: .* all machines share"):
        cluster._evaluate(cluster.versions(), None, study(place, None), StudyFolder(tmp_path))


def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def test_a_scheduler_that_does_not_answer(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_S", 1)
    address = f"tcp://127.0.0.1:{closed_port()}"
    with pytest.raises(InputError, match=f"no dask scheduler answers at {address}"):
        search.optimize(study(place, address), StudyFolder(place / "none"), Watched())


def test_a_scheduler_without_workers(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_S", 1)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None, host="127.0.0.1") as empty,
        pytest.raises(InputError, match=r"scheduler at .* has no workers"),
    ):
        search.optimize(
            study(place, empty.scheduler_address), StudyFolder(place / "empty"), Watched()
        )


def test_workers_of_several_threads_are_refused(place: Path) -> None:
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, dashboard_address=None, host="127.0.0.1"
        ) as wide,
        pytest.raises(InputError, match=r"must have one thread each .* but have 2"),
    ):
        search.optimize(study(place, wide.scheduler_address), StudyFolder(place / "w"), Watched())


def test_a_scheduler_that_goes_away_leaves_a_study_to_go_on_with(
    place: Path, alone: dict[int, str]
) -> None:
    folder = StudyFolder(place / "gone")
    local = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    )
    try:
        spec = study(place, local.scheduler_address)
        with pytest.raises(InputError, match="scheduler went away; run the same command again"):
            search.optimize(spec, folder, Watched(2, lambda: local.close(timeout=5)))
    finally:
        local.close(timeout=5)
    assert 2 <= len(results(folder)) < TRIALS
    search.optimize(study(place, None, 1), folder, Watched())
    assert results(folder) == alone


@pytest.mark.parametrize("changed", ["images", "network"])
def test_workers_that_outlive_a_study_forget_it_when_it_is_begun_afresh(
    running: Any, tmp_path: Path, changed: str
) -> None:
    """The same folder and study file, but other images or another network behind its names."""
    tiny.write(tmp_path, budget={"trials": 3}, baseline={"epochs": 1})
    folder = StudyFolder(tmp_path / "results")
    spec = study(tmp_path, running.scheduler_address)
    search.optimize(spec, folder, Watched())
    before = results(folder)
    if changed == "network":
        (tmp_path / "net.py").write_text(
            tiny.NETWORK.replace("stride=(2, 2)", "stride=(2, 2), bias=False")
        )
    else:
        tiny.write_images(tmp_path, seed=1)
    folder.delete()
    search.optimize(spec, folder, Watched())
    search.optimize(study(tmp_path, None, 1), StudyFolder(tmp_path / "alone"), Watched())
    assert results(folder) == results(StudyFolder(tmp_path / "alone")) != before
