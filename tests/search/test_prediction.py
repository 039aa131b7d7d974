"""Prediction: factors are found again, results lie within its doubt, screens are beyond it."""

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
from dse.search.prediction import SURE, Predictor
from dse.study.record import LayerSensitivity, TrialRecord
from dse.study.spec import BitChoices, LayerSpace, RatioRange

RATIOS, WIDTHS, READS = (0.0, 0.5, 0.75, 0.9), (1, 2, 4, 8), (2, 4, 8)
SPACE = {
    name: LayerSpace(RatioRange(0.0, 0.9), BitChoices(WIDTHS), BitChoices(READS))
    for name in ("conv", "fc")
}
FACTORS = {"conv": (0.5, 2.0, 0.4), "fc": (0.2, 0.5, 0.1)}
"""Of activation steps, of a fiftieth of the reciprocal density, of weight steps over its root."""

WEIGHTS = {"conv": 100, "fc": 1000}
MEASURED = {
    name: LayerSensitivity(
        tuple(
            (ratio, bits, ratio**3 + 4.0**-bits, round(count * bits * (1 - ratio)))
            for ratio, bits in itertools.product(RATIOS, WIDTHS)
        ),
        ((2, 0.01), (4, 0.001), (8, 0.0)),
    )
    for name, count in WEIGHTS.items()
}


def log_error(config: Config) -> float:
    """What the predictor has to find out."""
    return math.log(0.02) + sum(
        reads * 2.0**-c.activation_bits
        + sparse / (50 * (1 - c.prune_ratio))
        + coarse * 2.0**-c.weight_bits / math.sqrt(1 - c.prune_ratio)
        for (reads, sparse, coarse), c in zip(FACTORS.values(), config.values(), strict=True)
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
        name: LayerConfig(
            float(generator.choice(RATIOS)),
            int(generator.choice(WIDTHS)),
            int(generator.choice(READS)),
        )
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


def test_what_a_config_gives_up(predictor: Predictor) -> None:
    config = {"conv": LayerConfig(0.75, 4, 2), "fc": LayerConfig(0.0, 8, 8)}
    # one; conv: 2^-2, 1 / (50 * 1/4), 2^-4 / sqrt(1/4); fc: 2^-8, 1 / 50, 2^-8
    expected = [1.0, 0.25, 0.08, 0.125, 1 / 256, 0.02, 1 / 256]
    assert predictor.features(config) == pytest.approx(expected)
    assert predictor.packed_bits(config) == pytest.approx(100 * 4 * 0.25 + 1000 * 8)


def test_nothing_is_sparser_than_a_fiftieth() -> None:
    assert prediction.given_up(LayerConfig(1.0, 4, 4)) == pytest.approx(
        prediction.given_up(LayerConfig(0.98, 4, 4))
    )


def test_sizes_between_measured_ratios_are_between_them(predictor: Predictor) -> None:
    def bits(ratio: float) -> float:
        return predictor.packed_bits({"fc": LayerConfig(ratio, 4, 8)})

    # log size is linear in log density, so at density 0.5^1.5 it is 4000 / 2^1.5
    assert bits(1 - 0.5**1.5) == pytest.approx(4000 / 2**1.5)


def test_a_layer_of_which_nothing_may_stay_has_a_size() -> None:
    """A study may fix the ratio at 1, and then only that was measured."""
    layer = prediction.MeasuredLayer(LayerSensitivity(((1.0, 4, 2.0, 7),), ((4, 0.1),)))
    assert layer.bits(LayerConfig(1.0, 4, 4)) == pytest.approx(7)


def test_nothing_is_predicted_from_a_few_results(predictor: Predictor) -> None:
    assert predictor.fit(some_results(prediction.LEAST_RESULTS - 1)) is None
    untrained = [TrialRecord(n, "infeasible", "", "", {}) for n in range(50)]
    assert predictor.fit(untrained) is None


@pytest.mark.parametrize("count", [20, 200])
def test_the_factors_are_found(predictor: Predictor, count: int) -> None:
    fit = predictor.fit(some_results(count))
    assert fit is not None
    assert fit.mean == pytest.approx([math.log(0.02), *FACTORS["conv"], *FACTORS["fc"]], abs=0.2)


def test_typical_factors_hold_where_nothing_was_varied(predictor: Predictor) -> None:
    """Two activations widths that were never tried apart are still told apart."""
    fit = predictor.fit([result(n, r.config) for n, r in enumerate(some_results(1) * 8)])
    assert fit is not None
    assert fit.mean[1:] == pytest.approx([*prediction.TYPICAL, *prediction.TYPICAL], rel=0.05)


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


def test_a_group_gives_up_what_its_layers_do() -> None:
    tied = {
        name: LayerSpace(s.prune_ratio, s.weight_bits, s.activation_bits, group="all")
        for name, s in SPACE.items()
    }
    same = {name: LayerConfig(0.75, 4, 4) for name in SPACE}
    # twice 2^-4, 1 / (50 * 1/4), 2^-4 / sqrt(1/4)
    assert Predictor(MEASURED, tied).features(same) == pytest.approx([1.0, 0.125, 0.16, 0.25])
