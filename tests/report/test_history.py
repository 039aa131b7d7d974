"""Hypervolume after each trial and the time trials took, by hand."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import pytest

from dse.report.history import Corner, busy_seconds, corner_of, history, hypervolume
from dse.report.results import Results, read_results
from dse.study.folder import StudyFolder
from dse.study.record import Timing

from .studies import complete_trial, random_trials, references, unfinished_trial, write_study

CORNER = Corner(1024, 0.9)


def timed(folder: StudyFolder, spans: dict[int, tuple[float, float]]) -> Results:
    results = read_results(folder)
    return dataclasses.replace(results, timings={n: Timing(*s) for n, s in spans.items()})


def test_hypervolume_by_hand() -> None:
    # one halving and 5 points above the corner: 5; another at two halvings and 2 points adds 2
    half, quarter = complete_trial(0, 0.95, 512), complete_trial(1, 0.92, 256)
    assert hypervolume([half], CORNER) == pytest.approx(5)
    assert hypervolume([half, quarter], CORNER) == pytest.approx(7)


def test_what_is_beyond_the_corner_counts_nothing() -> None:
    trials = [complete_trial(0, 0.89, 10), complete_trial(1, 0.99, 2000)]
    assert hypervolume([*trials, unfinished_trial(2, "failed", "")], CORNER) == 0
    assert hypervolume([], CORNER) == 0


def test_the_corner_is_ten_points_below_the_float_network(tmp_path: Path) -> None:
    corner = corner_of(read_results(write_study(tmp_path / "study", [])))
    assert corner == Corner(246_824, pytest.approx(0.8912))


def test_a_step_per_improvement_and_one_at_the_end(tmp_path: Path) -> None:
    trials = [
        unfinished_trial(0, "infeasible", ""),
        complete_trial(1, 0.95, 123_412),  # one halving, 5.88 points
        complete_trial(2, 0.94, 200_000),  # dominated
        complete_trial(3, 0.95, 61_706),  # two halvings
        unfinished_trial(4, "failed", ""),
    ]
    steps = history(read_results(write_study(tmp_path / "study", trials)))
    assert [(step.trials, round(step.hypervolume, 2)) for step in steps] == [
        (2, 5.88), (4, 11.76), (5, 11.76)
    ]  # fmt: skip
    assert [step.seconds for step in steps] == [None, None, None]


def test_it_never_falls_and_ends_with_all_trials(tmp_path: Path) -> None:
    results = read_results(write_study(tmp_path / "study", random_trials(80)))
    steps = history(results)
    assert all(a.hypervolume <= b.hypervolume for a, b in pairwise(steps))
    corner = corner_of(results)
    assert corner is not None
    assert steps[-1].hypervolume == pytest.approx(hypervolume(results.trials, corner))


def test_without_a_baseline_there_is_no_history(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", random_trials(5), references()[1:])
    assert history(read_results(study)) == []


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ({0: (100.0, 5.0), 1: (105.0, 5.0)}, 10.0),
        ({0: (100.0, 5.0), 1: (102.0, 5.0)}, 7.0),  # two workers
        ({0: (100.0, 5.0), 1: (900.0, 5.0)}, 10.0),  # paused between
        ({0: (100.0, 9.0), 1: (102.0, 2.0)}, 9.0),
        ({0: (100.0, 5.0)}, None),  # the other's time is not known
    ],
)
def test_time_counts_while_a_trial_runs(
    tmp_path: Path, spans: dict[int, tuple[float, float]], expected: float | None
) -> None:
    trials = [complete_trial(number, 0.9, 1000) for number in range(2)]
    assert busy_seconds(timed(write_study(tmp_path / "study", trials), spans)) == expected


def test_no_trial_takes_no_known_time(tmp_path: Path) -> None:
    assert busy_seconds(read_results(write_study(tmp_path / "study", []))) is None
