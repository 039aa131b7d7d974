"""Advice: who is asked for which trial, and which studies are neither refined nor screened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dse.search.advice import REFINED, Advice
from dse.search.guesses import Guess
from dse.study.load import load_study
from dse.study.record import TrialRecord
from dse.study.spec import SamplerSpec, StudySpec

from . import tiny
from .test_prediction import MEASURED, SPACE, result, some_results

FIRST = [Guess(some_results(1)[0].config, "by hand")]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> StudySpec:
    study = load_study(tiny.write(tmp_path_factory.mktemp("study")))
    return replace(study, search_space=SPACE, sampler=SamplerSpec(refine=0.5))


def origins(advice: Advice, results: list[TrialRecord]) -> list[str | None]:
    found = (advice.guess(number, results, []) for number in range(6))
    return [guess and guess.origin for guess in found]


def test_guesses_come_first_then_refined_ones_in_turn_with_the_sampler(spec: StudySpec) -> None:
    advice = Advice(spec, FIRST, MEASURED)
    assert origins(advice, some_results(20)) == ["by hand", REFINED, None, REFINED, None, REFINED]


@pytest.mark.parametrize(("refine", "count"), [(0.0, 0), (0.25, 25), (0.75, 75), (1.0, 100)])
def test_refine_is_the_share_of_refined_guesses(spec: StudySpec, refine: float, count: int) -> None:
    advice = Advice(replace(spec, sampler=SamplerSpec(refine=refine)), [], MEASURED)
    assert sum(advice._refines(number) for number in range(100)) == count


def test_too_few_results_refine_nothing(spec: StudySpec) -> None:
    assert origins(Advice(spec, FIRST, MEASURED), some_results(3))[1:] == [None] * 5


@pytest.mark.parametrize(
    "change",
    [
        {"measured": {}},
        {"objectives": {"accuracy": "maximize", "fps": "maximize"}},
        {"objectives": {"accuracy": "maximize", "memory_bytes": "minimize", "lut": "minimize"}},
    ],
    ids=["not scanned", "other objectives", "three objectives"],
)
def test_what_cannot_be_predicted_is_neither_refined_nor_screened(
    spec: StudySpec, change: dict[str, Any]
) -> None:
    measured = change.pop("measured", MEASURED)
    advice, results = Advice(replace(spec, **change), [], measured), some_results(30)
    assert origins(advice, results) == [None] * 6
    worst = max(results, key=lambda record: 1 - record.metrics["accuracy"])
    assert advice.screen(40, worst.config, results) is None


def test_only_trials_after_the_guesses_are_screened(spec: StudySpec) -> None:
    results = some_results(40)
    worst = max(results, key=lambda record: 1 - record.metrics["accuracy"]).config
    advice = Advice(spec, FIRST, MEASURED)
    assert advice.screen(0, worst, results) is None
    assert advice.screen(1, worst, results) is not None
    trained_all = Advice(replace(spec, sampler=SamplerSpec(screen=False)), FIRST, MEASURED)
    assert trained_all.screen(1, worst, results) is None


def test_advice_depends_on_nothing_but_the_results(spec: StudySpec) -> None:
    """An advisor that advised on other trials before says the same as a new one."""
    results = some_results(30)
    seasoned = Advice(spec, FIRST, MEASURED)
    for number in range(10, 30):
        seasoned.guess(number, results[:number], [])
    fresh = Advice(spec, FIRST, MEASURED)
    pending = [result(99, FIRST[0].config).config]
    for number in (31, 32, 33):
        assert seasoned.guess(number, results, pending) == fresh.guess(number, results, pending)
