"""Crashes, full disks, jumping clocks: one message, nothing lost, the same study in the end."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dse import search
from dse.errors import InputError
from dse.search.attempts import MOST
from dse.study.folder import StudyFolder
from dse.study.load import load_study

from . import tiny
from .test_workers import Silent

TRIALS = 10

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("crashes")
    tiny.write(
        place,
        budget={"trials": TRIALS},
        sampler={"name": "tpe", "warm_start": ["uniform", "sensitivity"]},
    )
    return place


def results(folder: StudyFolder) -> dict[int, str]:
    return {record.number: record.to_json() for record in folder.read_trials()}


def finish(place: Path, name: str, *overrides: str) -> dict[int, str]:
    folder = StudyFolder(place / name)
    search.optimize(load_study(place / "tiny.yml", overrides), folder, Silent())
    return results(folder)


@pytest.fixture(scope="module")
def undisturbed(place: Path) -> dict[int, str]:
    """Results by number of a run that nobody disturbs."""
    return finish(place, "undisturbed")


DEADLY = """
import os, signal, sys
from dse import run
from dse.search import workers
evaluate = workers.run
def evaluate_or_die(task, *rest):
    if task.number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate(task, *rest)
workers.run = evaluate_or_die
sys.exit(run.main(sys.argv[1:]))
"""


def test_a_trial_that_kills_its_only_process_is_requeued_three_times(
    place: Path, undisturbed: dict[int, str]
) -> None:
    arguments = ["tiny.yml", "--out", "deadly", "--workers", "1"]
    for _ in range(MOST):
        done = subprocess.run([sys.executable, "-c", DEADLY, *arguments], cwd=place, check=False)
        assert done.returncode == -9
    found = finish(place, "deadly")
    record = StudyFolder(place / "deadly").read_trial(2)
    assert (record.state, f"died {MOST} times" in record.reason) == ("failed", True)
    asked_before = range(6)  # trial 6 is asked for after trial 2 was told
    assert {n: found[n] for n in asked_before if n != 2} == {
        n: undisturbed[n] for n in asked_before if n != 2
    }
    assert len(found) == TRIALS


@pytest.mark.parametrize("size", [2_000, 12_000], ids=["at once", "after some trials"])
def test_a_full_disk_is_one_message_and_costs_nothing(
    place: Path, undisturbed: dict[int, str], size: int
) -> None:
    name = f"full-{size}"
    with tiny.no_file_above(size):
        process = tiny.started("tiny.yml", "--out", name, "--workers", "1", cwd=place)
    _, errors = process.communicate(timeout=2 * tiny.PATIENCE_S)
    assert process.returncode == 2, errors
    assert f"{name}: cannot be written to (File too large); what is finished is kept" in errors
    assert "Traceback" not in errors
    before = results(StudyFolder(place / name))
    after = finish(place, name)
    assert before.items() <= after.items()
    assert after == undisturbed


def mounted(*options: object) -> bool:
    """Whether `mount` could do it; only root may, and not in every container."""
    return subprocess.run(["mount", *map(str, options)], check=False, timeout=10).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts; tests/test_run.py has the others'")
def test_a_disk_that_became_read_only_is_one_message_and_costs_nothing(
    place: Path, undisturbed: dict[int, str]
) -> None:
    finish(place, "mounted", "budget.trials=4")
    folder = place / "mounted"
    if not mounted("--bind", folder, folder):
        pytest.skip("nothing can be mounted here")
    try:
        assert mounted("-o", "remount,bind,ro", folder)
        with pytest.raises(InputError, match=r"mounted: cannot be written to \(Read-only file"):
            finish(place, "mounted")
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=10)
    assert len(results(StudyFolder(folder))) == 4
    assert finish(place, "mounted") == undisturbed


def test_a_second_coordinator_is_refused_while_the_first_goes_on(
    place: Path, undisturbed: dict[int, str]
) -> None:
    first = tiny.started("tiny.yml", "--out", "both", "--workers", "1", cwd=place)
    tiny.wait_until((place / "both" / "study.yml").exists, "the first one's start")
    with pytest.raises(InputError, match="another process is running this study"):
        finish(place, "both")
    _, errors = first.communicate(timeout=2 * tiny.PATIENCE_S)
    assert (first.returncode, errors) == (0, "")
    assert results(StudyFolder(place / "both")) == undisturbed


def test_a_clock_that_jumps_changes_nothing(
    place: Path, undisturbed: dict[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: clock.uniform(0, 4e9))
    assert finish(place, "jumping", "budget.timeout=1 h") == undisturbed


def test_coordinator_and_workers_killed_at_random_instants(
    place: Path, undisturbed: dict[int, str]
) -> None:
    """Eight runs with one worker or two; each ends, or it or a worker is killed at any moment."""
    folder, kept, moments = StudyFolder(place / "storm"), {}, random.Random(1)
    for strike in range(8):
        workers = 1 + strike % 2  # a second one makes the same trials, and costs two more starts
        process = tiny.started("tiny.yml", "--out", "storm", "--workers", workers, cwd=place)
        before = len(folder.finished())
        tiny.wait_until(
            lambda b=before, p=process: len(folder.finished()) > b or p.poll() is not None, "news"
        )
        time.sleep(moments.uniform(0, 0.4))
        processes = tiny.workers_of(process.pid) if process.poll() is None else []
        if processes:
            tiny.kill(moments.choice(processes))
            time.sleep(moments.uniform(0, 1.0))
        process.kill()
        process.communicate()
        now = results(folder)
        assert kept.items() <= now.items()
        kept = now
    assert finish(place, "storm", "parallel.workers=2") == undisturbed
    assert not folder.attempts.exists()
    assert sorted(os.listdir(folder.path / "trials"), key=int) == [str(n) for n in range(TRIALS)]
