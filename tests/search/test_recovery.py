"""Killing and interrupting real runs: every finished trial is kept and the result is the same."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from dse import run

from . import tiny

TRIALS = 8

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study file; baseline and guesses take the usual way."""
    place = tmp_path_factory.mktemp("recovery")
    slow = {**tiny.STUDY["finetune"], "epochs": 6}  # leaves time to strike
    tiny.write(place, budget={"trials": TRIALS}, finetune=slow)
    return place


@pytest.fixture(scope="module")
def undisturbed(place: Path) -> dict[str, bytes]:
    """Outputs of a run with one worker that nobody disturbs."""
    assert resumed(place, "undisturbed") == 0
    return tiny.outputs(place / "undisturbed")


def resumed(place: Path, name: str, *options: str) -> int:
    """Exit status of a run from start to end, in this process."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        return run.main([str(place / "tiny.yml"), "--out", str(place / name), *options])
    finally:
        signal.signal(signal.SIGTERM, before)


def results(folder: Path) -> list[Path]:
    return list(folder.glob("trials/*/result.json"))


def test_two_workers_give_the_same_bytes(place: Path, undisturbed: dict[str, bytes]) -> None:
    assert resumed(place, "two", "--workers", "2") == 0
    assert tiny.outputs(place / "two") == undisturbed


def test_a_run_killed_at_any_instant_goes_on_to_the_same_bytes(
    place: Path, undisturbed: dict[str, bytes]
) -> None:
    """Each run is killed a random moment after its first news; the last one may finish."""
    folder, kept = place / "killed", {}
    moments = random.Random(0)
    for _ in range(3):
        before = len(results(folder))
        process = tiny.started("tiny.yml", "--out", "killed", cwd=place)
        tiny.wait_until(
            lambda b=before, p=process: len(results(folder)) > b or p.poll() is not None, "a trial"
        )
        time.sleep(moments.uniform(0, 0.5))
        process.kill()  # harmless when the run has just ended
        process.communicate()
        now = {path: path.stat().st_mtime_ns for path in results(folder)}
        assert kept.items() <= now.items()
        kept = now
    assert resumed(place, "killed") == 0
    assert tiny.outputs(folder) == undisturbed
    assert [path for path in folder.rglob(".*-*") if path.name[0] == "."] == []


def test_workers_die_with_a_killed_coordinator(place: Path, undisturbed: dict[str, bytes]) -> None:
    process = tiny.started("tiny.yml", "--out", "orphans", "--workers", "2", cwd=place)
    tiny.wait_until(lambda: results(place / "orphans"), "a trial")
    workers = tiny.workers_of(process.pid)
    assert len(workers) == 2
    tiny.kill(process.pid)
    process.communicate()
    tiny.wait_until(lambda: not any(map(tiny.alive, workers)), "the workers' end")
    assert resumed(place, "orphans") == 0
    assert tiny.outputs(place / "orphans") == undisturbed


def test_a_killed_worker_costs_no_trial(place: Path, undisturbed: dict[str, bytes]) -> None:
    process = tiny.started("tiny.yml", "--out", "worker", "--workers", "2", cwd=place)
    tiny.wait_until(lambda: results(place / "worker"), "a trial")
    tiny.kill(tiny.workers_of(process.pid)[0])
    output, errors = process.communicate(timeout=tiny.PATIENCE_S)
    assert process.returncode == 0, output + errors
    assert tiny.outputs(place / "worker") == undisturbed


@pytest.mark.parametrize(
    ("signum", "workers"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)], ids=["INT", "TERM"]
)
def test_an_interrupted_run_says_so_and_is_resumed(
    place: Path, undisturbed: dict[str, bytes], signum: signal.Signals, workers: int
) -> None:
    for attempt in range(5):  # a run may end before the signal comes, on a busy machine
        name = f"interrupted-{workers}-{attempt}"
        process = tiny.started("tiny.yml", "--out", name, "--workers", workers, cwd=place)
        tiny.wait_until(lambda: results(place / name), "a trial")  # noqa: B023  # called at once
        children = tiny.children(process.pid)
        process.send_signal(signum)
        _, errors = process.communicate(timeout=tiny.PATIENCE_S)
        if process.returncode != 0:
            break
    assert process.returncode == 130
    assert errors == "interrupted; run the same command again to go on\n"
    tiny.wait_until(lambda: not any(map(tiny.alive, children)), "the end of all children")
    assert len(results(place / name)) < TRIALS
    assert resumed(place, name) == 0
    assert tiny.outputs(place / name) == undisturbed


def test_what_a_killed_worker_was_writing_does_not_stay(
    place: Path, undisturbed: dict[str, bytes]
) -> None:
    process = tiny.started("tiny.yml", "--out", "writing", "--workers", "2", cwd=place)
    tiny.wait_until(lambda: results(place / "writing"), "a trial")
    half_written = place / "writing" / "trials" / f".3-{0:032x}"  # as a worker leaves it
    half_written.mkdir()
    (half_written / "model_float.yml").write_text("head: float")
    _, errors = process.communicate(timeout=tiny.PATIENCE_S)
    assert (process.returncode, errors) == (0, "")
    assert not half_written.exists()
    assert tiny.outputs(place / "writing") == undisturbed


def test_a_mistake_ends_with_status_2_and_no_traceback(place: Path) -> None:
    finished = tiny.run("tiny.yml", "--set", "modle=x", "--out", "none", cwd=place)
    assert finished.returncode == 2
    assert "modle: unknown key" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (place / "none").exists()
