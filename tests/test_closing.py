"""What a run says in the end, and what a dry run says instead."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from report.studies import complete_trial, unfinished_trial, write_study
from search import tiny

from dse.closing import closing, preview_lines
from dse.search import Estimate, Preview
from dse.study.load import load_study
from dse.study.spec import Constraint, StudySpec


def test_points_paths_and_the_next_command(tmp_path: Path) -> None:
    trials = [complete_trial(3, 0.95, 2048), complete_trial(8, 0.99, 4096)]
    folder = write_study(tmp_path / "study", trials)
    lines = closing(folder)
    assert lines[0] == "Nearly the baseline's accuracy: trial 8, 99.00 % in 4.00 KiB"
    assert lines[1] == "The smallest that meets the wishes: trial 3, 95.00 % in 2.00 KiB"
    assert f"report: {folder.report}" in lines
    next_lines = lines[lines.index("what next:") + 1 :]
    assert next_lines[0].startswith(f"  python -m dse.deploy {folder.path} --trial 8 ")


def test_with_nothing_complete_it_says_what_stands_in_the_way(tmp_path: Path) -> None:
    trials = [unfinished_trial(n, "infeasible", "does not fit: lut 120 %") for n in range(3)]
    trials.append(unfinished_trial(3, "failed", "the loss became nan"))
    lines = closing(write_study(tmp_path / "study", trials))
    assert "  3 of 4 trials: does not fit: lut 120 %" in lines
    assert not any("dse.deploy" in line for line in lines)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> StudySpec:
    return load_study(tiny.write(tmp_path_factory.mktemp("study")))


def ahead(log10_configs: float) -> Preview:
    metrics = {"memory_bytes": 2048, "lut": 1234, "dsp": 5, "bram18": 6, "fps": 7890.0}
    return Preview(4, log10_configs, (Estimate("smallest", {}, metrics, "fits"),), 0.0125, 6.0)


@pytest.mark.parametrize(("log10", "words"), [(2.5, "316 configs"), (22.3, "about 10^22 configs")])
def test_a_dry_run_tells_the_size_of_the_space(spec: StudySpec, log10: float, words: str) -> None:
    lines = preview_lines(spec, ahead(log10))
    assert lines[1].startswith(f"2 layers, 4 dimensions, {words}")


def test_a_dry_run_tells_costs_and_time(spec: StudySpec) -> None:
    lines = preview_lines(dataclasses.replace(spec, trials=20), ahead(3))
    (row,) = [line for line in lines if line.startswith("  smallest")]
    assert row.split()[1:] == [
        "2.00", "KiB", "LUT", "1,234", "DSP", "5", "BRAM18", "6", "7,890", "frames/s", "fits"
    ]  # fmt: skip
    # 20 trials of 6 s, one at a time, are 2 minutes
    assert "a trial takes about 6.00 s on this machine (12.5 ms per step of finetuning)" in lines
    assert "20 trials, 1 at a time: about 2 min with a free core for each," in lines
    assert lines[-1] == "nothing was written"


def test_no_more_workers_are_counted_than_there_are_trials(spec: StudySpec) -> None:
    many = dataclasses.replace(spec.parallel, workers=1000)
    lines = preview_lines(dataclasses.replace(spec, trials=20, parallel=many), ahead(3))
    assert "20 trials, 20 at a time: about 6 s with a free core for each," in lines


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Constraint("fps", ">=", 7_890.0), []),
        (Constraint("accuracy", ">=", 0.99), []),  # nothing is known of it before training
        (
            Constraint("fps", ">=", 1e5),
            ["  none of these meets fps >= 100000: trials may all be infeasible"],
        ),
        (
            Constraint("memory_bytes", "<=", 100.0),
            ["  none of these meets memory_bytes <= 100: trials may all be infeasible"],
        ),
    ],
)
def test_a_dry_run_tells_what_no_config_is_likely_to_meet(
    spec: StudySpec, asked: Constraint, said: list[str]
) -> None:
    lines = preview_lines(dataclasses.replace(spec, constraints=(asked,)), ahead(3))
    assert [line for line in lines if "none of these" in line] == said
