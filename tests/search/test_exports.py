"""Exports: what is left is the front's, in whatever order trials end; nothing else is touched."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse import deploy, search
from dse.search.exports import Exports
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.study.record import TrialRecord, front_of

from . import tiny
from .test_workers import Silent


def finished(folder: StudyFolder, number: int, size: int, accuracy: int) -> TrialRecord:
    """A trial with its files, incomplete where its accuracy is 0."""
    metrics = {"memory_bytes": float(size), "accuracy": accuracy / 10}
    state = "complete" if accuracy else "skipped"
    record = TrialRecord(number, state, "", "", {}, metrics)
    with folder.new_trial(number) as scratch:
        for name in ("model_int.yml", "model_float_csr.yml", "model.bin", "manifest.json"):
            (scratch / name).write_text("kept")
    return record


def with_yaml(folder: StudyFolder) -> set[int]:
    return {int(path.parent.name) for path in folder.path.glob("trials/*/model_*.yml")}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=8), st.data())
def test_the_fronts_files_are_left(points: list[tuple[int, int]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        check_the_fronts_are_left(StudyFolder(Path(place)), points, data)


def check_the_fronts_are_left(
    folder: StudyFolder, points: list[tuple[int, int]], data: st.DataObject
) -> None:
    records = [finished(folder, number, *point) for number, point in enumerate(points)]
    before = data.draw(st.integers(0, len(records)))
    exports = Exports("front", folder, records[:before])  # an earlier run's
    for record in data.draw(st.permutations(records[before:])):
        exports.add(record)
    incomplete = {record.number for record in records if record.state != "complete"}
    front = {(r.metrics["memory_bytes"], r.metrics["accuracy"]) for r in front_of(records)}
    left = [records[number] for number in with_yaml(folder) - incomplete]
    # of equal trials any one may have come first
    assert {(r.metrics["memory_bytes"], r.metrics["accuracy"]) for r in left} == front
    assert len(list(folder.path.glob("trials/*/model.bin"))) == len(records)


def test_all_are_kept_by_default(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    records = [finished(folder, number, 10 + number, 5) for number in range(3)]
    Exports("all", folder, records)
    assert with_yaml(folder) == {0, 1, 2}


@pytest.mark.slow
def test_a_study_keeps_the_front_and_deploys_any_trial(tmp_path: Path) -> None:
    study = tiny.write(tmp_path, budget={"trials": 6}, keep="front")
    folder = StudyFolder(tmp_path / "results")
    search.optimize(load_study(study), folder, Silent())
    front = {record.number for record in front_of(folder.read_trials())}
    complete = {r.number for r in folder.read_trials() if r.state == "complete"}
    assert with_yaml(folder) == front != complete
    beaten = min(complete - front)
    out = tmp_path / "deployed"
    assert deploy.main([str(folder.path), "--trial", str(beaten), "--out", str(out)]) == 0
    assert (out / "model_int.yml").exists()
