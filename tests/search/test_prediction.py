"""Prediction: factors are found again, proposals are best under them, screens beyond doubt."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.config import Config, LayerConfig
from dse.search import prediction
from dse.search.prediction import POWER, SURE, Predictor
from dse.study.folder import LayerSensitivity, TrialRecord
from dse.study.spec import BitChoices, LayerSpace, RatioRange

from .test_sampler import lies_in

RATIOS, WIDTHS = (0.0, 0.5, 0.75, 0.9), (1, 2, 4, 8)
SPACE = {
    name: LayerSpace(RatioRange(0.0, 0.9), BitChoices(WIDTHS), BitChoices((2, 4, 8)))
    for name in ("conv", "fc")
}
FACTORS = {"conv": 2.0, "fc": 0.5}
WEIGHTS = {"conv": 100, "fc": 1000}


def loss(ratio: float, bits: int) -> float:
    return ratio**3 + 4.0**-bits


MEASURED = {
    name: LayerSensitivity(
        tuple(
            (ratio, bits, loss(ratio, bits), round(count * bits * (1 - ratio)))
            for ratio, bits in itertools.product(RATIOS, WIDTHS)
        ),
        ((2, 0.01), (4, 0.001), (8, 0.0)),
    )
    for name, count in WEIGHTS.items()
}


def log_error(config: Config) -> float:
    """What the predictor has to find out."""
    return math.log(0.02) + sum(
        FACTORS[name] * loss(c.prune_ratio, c.weight_bits) ** POWER for name, c in config.items()
    )


def size_bytes(config: Config) -> float:
    """An overhead, and the weights as they were measured."""
    return 50 + sum(
        round(WEIGHTS[name] * c.weight_bits * (1 - c.prune_ratio)) / 8 for name, c in config.items()
    )


def result(number: int, config: Config, noise: float = 0.0) -> TrialRecord:
    metrics = {
        "accuracy": 1 - min(math.exp(log_error(config) + noise), 1.0),
        "memory_bytes": size_bytes(config),
    }
    return TrialRecord(number, "complete", "", "", config, metrics)


def some_config(generator: np.random.Generator) -> Config:
    return {
        name: LayerConfig(float(generator.choice(RATIOS)), int(generator.choice(WIDTHS)), 8)
        for name in SPACE
    }


def some_results(count: int, seed: int = 0, noise: float = 0.02) -> list[TrialRecord]:
    generator = np.random.default_rng(seed)
    return [
        result(number, some_config(generator), noise * generator.standard_normal())
        for number in range(count)
    ]


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(MEASURED, SPACE)


def test_features_are_the_measured_losses_to_a_power(predictor: Predictor) -> None:
    config = {"conv": LayerConfig(0.5, 4, 2), "fc": LayerConfig(0.0, 8, 8)}
    # one; conv: weights (0.5^3 + 4^-4)^0.75, activations 0.01^0.75; fc: (4^-8)^0.75, 0
    expected = [1.0, (0.125 + 1 / 256) ** 0.75, 0.01**0.75, 4.0**-6, 0.0]
    assert predictor.features(config) == pytest.approx(expected)
    assert predictor.packed_bits(config) == pytest.approx(100 * 4 * 0.5 + 1000 * 8)


def test_sizes_between_measured_ratios_are_between_them(predictor: Predictor) -> None:
    def bits(ratio: float) -> float:
        return predictor.packed_bits({"fc": LayerConfig(ratio, 4, 8)})

    # log size is linear in log density, so at density 0.5^1.5 it is 4000 / 2^1.5
    assert bits(1 - 0.5**1.5) == pytest.approx(4000 / 2**1.5)


def test_nothing_is_predicted_from_a_few_results(predictor: Predictor) -> None:
    assert predictor.fit(some_results(prediction.LEAST_RESULTS - 1)) is None
    untrained = [TrialRecord(n, "infeasible", "", "", {}) for n in range(50)]
    assert predictor.fit(untrained) is None


@pytest.mark.parametrize("count", [20, 200])
def test_the_factors_are_found(predictor: Predictor, count: int) -> None:
    fit = predictor.fit(some_results(count))
    assert fit is not None
    # constant, then weights and activations of conv, of fc; activations never varied
    assert fit.mean[[0, 1, 3]] == pytest.approx([math.log(0.02), 2.0, 0.5], abs=0.15)


@pytest.mark.parametrize("seed", range(5))
def test_results_lie_within_the_predicted_deviation(predictor: Predictor, seed: int) -> None:
    fit = predictor.fit(some_results(40, seed))
    assert fit is not None
    fresh = some_results(100, seed + 100)
    inside = 0
    for record in fresh:
        mean, deviation = fit.predict(predictor.features(record.config))
        inside += abs(math.log(1 - record.metrics["accuracy"]) - mean) < 2 * deviation
    assert inside >= 90


def front_of(results: Sequence[TrialRecord]) -> set[int]:
    """Numbers of the results that none beats."""
    return {
        r.number
        for r in results
        if not any(
            o.metrics["accuracy"] >= r.metrics["accuracy"]
            and o.metrics["memory_bytes"] <= r.metrics["memory_bytes"]
            and o.metrics != r.metrics
            for o in results
        )
    }


def test_proposals_are_new_lie_in_the_space_and_extend_the_front(predictor: Predictor) -> None:
    results, won = some_results(12), 0
    for number in range(12, 24):
        fit = predictor.fit(results)
        assert fit is not None
        config = predictor.propose(results, [], fit, np.random.default_rng(number))
        if config is None:  # nothing is left to gain
            break
        assert lies_in(config, SPACE)
        assert config not in [record.config for record in results]
        results.append(result(number, config))
        won += number in front_of(results)
    assert won >= 0.7 * (len(results) - 12) > 0


def test_what_is_pending_is_not_proposed_again(predictor: Predictor) -> None:
    results = some_results(12)
    fit = predictor.fit(results)
    assert fit is not None

    def proposed(pending: list[Config]) -> Config | None:
        return predictor.propose(results, pending, fit, np.random.default_rng(0))

    first = proposed([])
    assert first is not None
    assert proposed([first]) != first
    assert proposed([]) == first


def test_a_screen_names_the_smallest_result_that_beats_the_prediction(
    predictor: Predictor,
) -> None:
    small = {"conv": LayerConfig(0.0, 8, 8), "fc": LayerConfig(0.5, 4, 8)}
    bad = {"conv": LayerConfig(0.9, 1, 8), "fc": LayerConfig(0.0, 8, 8)}
    results = [*some_results(40), result(40, small)]
    fit = predictor.fit(results)
    assert fit is not None
    screen = predictor.screen(bad, results, fit)
    assert screen is not None
    mean, deviation = fit.predict(predictor.features(bad))
    sure = [r for r in results if 1 - r.metrics["accuracy"] <= math.exp(mean - SURE * deviation)]
    assert screen.memory_bytes == min(r.metrics["memory_bytes"] for r in sure)
    assert "predicted to be beaten by trial" in screen.reason
    assert f"error {math.exp(mean):.2%}" in screen.reason


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_on_the_front_is_not_screened(seed: int) -> None:
    """A config as good as its prediction that nothing beats is always trained."""
    predictor = Predictor(MEASURED, SPACE)
    results = some_results(30, seed)
    fit = predictor.fit(results)
    assert fit is not None
    for number in front_of(results):
        record = results[number]
        screen = predictor.screen(record.config, results, fit)
        assert screen is None or screen.memory_bytes > record.metrics["memory_bytes"]


def test_groups_share_their_factors() -> None:
    tied = {
        name: LayerSpace(s.prune_ratio, s.weight_bits, s.activation_bits, group="all")
        for name, s in SPACE.items()
    }
    predictor = Predictor(MEASURED, tied)
    same = {name: LayerConfig(0.5, 4, 4) for name in SPACE}
    assert predictor.features(same)[1] == pytest.approx(2 * (0.125 + 1 / 256) ** POWER)
    results = [
        result(n, dict.fromkeys(SPACE, r.config["fc"])) for n, r in enumerate(some_results(12))
    ]
    fit = predictor.fit(results)
    assert fit is not None
    config = predictor.propose(results, [], fit, np.random.default_rng(0))
    assert config is not None
    assert config["conv"] == config["fc"]
