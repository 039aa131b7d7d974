"""Limits: real networks that sleep or hang end their trial, not their study."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dse import search
from dse.search import limits
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.study.spec import StudySpec

from . import tiny
from .test_workers import Silent

LIMIT_S = 8.0


def test_a_block_that_ends_in_time_is_left_alone(tmp_path: Path) -> None:
    trace = tmp_path / "trials" / "trace"
    with limits.limited(0.5, trace):
        assert limits.place_in(trace, "evaluate") is None
    time.sleep(0.6)  # and this process goes on
    assert not trace.exists()


def test_no_limit_leaves_no_trace(tmp_path: Path) -> None:
    with limits.limited(None, tmp_path / "trace"):
        assert list(tmp_path.iterdir()) == []


HANGS = """
import collections, itertools, sys
from pathlib import Path
from dse.search import limits

def stuck():
    collections.deque(itertools.repeat(0), maxlen=0)  # in C, deaf to signals

def evaluate():
    with limits.limited(0.1, Path(sys.argv[1])):
        stuck()

evaluate()
"""


def test_a_process_that_never_comes_back_to_python_is_ended(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", HANGS, str(trace)], check=False)
    assert done.returncode == 1
    assert time.monotonic() - begin < 40
    assert limits.place_in(trace, "evaluate") == "in stuck, line 7 of <string>"
    assert limits.place_in(trace, "other") is None
    assert limits.place_in(tmp_path / "none", "evaluate") is None


WAITS = """
import collections, itertools, multiprocessing, os, time

def wait_once():
    \"\"\"In the first worker that is here while there is a file `slow`.\"\"\"
    if multiprocessing.parent_process() is not None:
        try:
            os.rename("SLOW", "SLOW-once")
        except OSError:
            return
        HOW

class Slow(Tiny):
    def forward_(self, x):
        wait_once()
        return super().forward_(x)
"""

SLEEPS = "time.sleep(600)"
STUCK = "collections.deque(itertools.repeat(0), maxlen=0)"


def slow_study(place: Path, how: str) -> StudySpec:
    """A study whose network is slow once, in a worker; a trial may take LIMIT_S."""
    parallel = {"trial_timeout": LIMIT_S}
    study = tiny.write(place, model="net.py:Slow", budget={"trials": 4}, parallel=parallel)
    slow = place / "slow"
    slow.touch()
    network = (tiny.NETWORK + WAITS).replace("SLOW", str(slow)).replace("HOW", how)
    (place / "net.py").write_text(network)
    return load_study(study)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "workers"), [(SLEEPS, 1), (STUCK, 2)], ids=["asleep", "stuck"])
def test_a_slow_trial_fails_and_the_study_goes_on(tmp_path: Path, how: str, workers: int) -> None:
    spec, folder = slow_study(tmp_path, how), StudyFolder(tmp_path / "results")
    parallel = replace(spec.parallel, workers=workers)
    search.optimize(replace(spec, parallel=parallel), folder, Silent())
    check_one_was_slow(folder)


def check_one_was_slow(folder: StudyFolder) -> None:
    """On a busy machine others may take too long as well, but not where this one does."""
    records = folder.read_trials()
    assert [record.number for record in records] == [0, 1, 2, 3]
    place = r"took longer than parallel.trial_timeout; it was in wait_once, line \d+ of .*net.py"
    (failed,) = [record for record in records if re.fullmatch(place, record.reason)]
    assert failed.state == "failed"
    assert "complete" in {record.state for record in records}
    assert not list(folder.path.rglob(".*-overdue"))
