"""Records of trials: the same text for the same trial, and which of them are the front."""

from __future__ import annotations

import pytest

from dse.config import LayerConfig
from dse.study.record import LayerRecord, TrialRecord, front_of

CONFIG = {"conv": LayerConfig(0.1 + 0.2, 3, 4)}
RECORD = TrialRecord(
    7,
    "complete",
    "",
    "tpe",
    CONFIG,
    {"accuracy": 0.1, "memory_bytes": 12},
    {"conv": LayerRecord(0.7, "csr", 90, {"csr": 90, "dense": 120})},
    {"weights": 90},
    {"lut": 3},
    (3, 5),
)


def point(number: int, accuracy: float, memory: int, state: str = "complete") -> TrialRecord:
    return TrialRecord(
        number, state, "", "", CONFIG, {"accuracy": accuracy, "memory_bytes": memory}
    )


def test_a_record_reads_back_equal() -> None:
    assert TrialRecord.from_json(RECORD.to_json()) == RECORD


def test_a_record_of_before_lineages_reads_back() -> None:
    text = RECORD.to_json().replace('"lineage": [\n  3,\n  5\n ],\n ', "")
    assert "lineage" not in text
    assert TrialRecord.from_json(text).lineage == ()


def test_the_same_record_is_the_same_text() -> None:
    assert TrialRecord.from_json(RECORD.to_json()).to_json() == RECORD.to_json()


def test_the_front_is_what_no_other_trial_beats() -> None:
    trials = [point(0, 0.9, 100), point(1, 0.8, 200), point(2, 0.95, 300), point(3, 0.1, 10)]
    assert [record.number for record in front_of(trials)] == [3, 0, 2]


@pytest.mark.parametrize("state", ["infeasible", "failed"])
def test_only_complete_trials_are_on_the_front(state: str) -> None:
    assert front_of([point(0, 1.0, 1, state)]) == ()


def test_of_equal_trials_the_first_is_on_the_front() -> None:
    assert [r.number for r in front_of([point(5, 0.5, 10), point(2, 0.5, 10)])] == [2]
