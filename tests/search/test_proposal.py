"""Proposals: new, within the space, on the front; the expected gain is that of a simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from dse import pareto
from dse.config import Config
from dse.search.prediction import Fit, Predictor
from dse.search.proposal import SLACK, expected_gain, propose
from dse.study.record import TrialRecord
from dse.study.spec import LayerSpace

from .test_prediction import FACTORS, MEASURED, SPACE, result, some_results
from .test_sampler import lies_in

FRONT = np.array([[1.0, 0.08], [2.0, 0.05], [4.0, 0.03]])
CORNER = (5.0, 0.1)


def fitted(predictor: Predictor, results: Sequence[TrialRecord]) -> Fit:
    fit = predictor.fit(results)
    assert fit is not None
    return fit


def proposed(
    results: Sequence[TrialRecord], pending: Sequence[Config] = (), seed: int = 0
) -> Config | None:
    predictor = Predictor(MEASURED, SPACE)
    generator = np.random.default_rng(seed)
    return propose(predictor, results, pending, fitted(predictor, results), generator)


def gain(size: float, mean: float, deviation: float) -> float:
    return float(expected_gain(np.array([[size, mean, deviation]]), FRONT, CORNER)[0])


def test_sure_gains_are_areas() -> None:
    # from size 3 to 4 it lowers 0.05 to 0.04, and no more: from 4 on 0.03 is there
    assert gain(3.0, math.log(0.04), 0.0) == pytest.approx(0.01)
    # from 0 to 1 below the corner's 0.1, from 1 to 2 below 0.08: 0.04 + 0.02
    assert gain(0.0, math.log(0.06), 0.0) == pytest.approx(0.06)
    assert gain(3.0, math.log(0.06), 0.0) == pytest.approx(0.0, abs=1e-12)
    assert gain(6.0, math.log(0.01), 0.0) == pytest.approx(0.0)


def test_without_a_front_all_below_the_corner_is_gained() -> None:
    sure = np.array([[3.0, math.log(0.04), 0.0]])
    assert expected_gain(sure, np.zeros((0, 2)), CORNER) == pytest.approx(2 * 0.06)


@settings(max_examples=10, deadline=None)
@given(st.floats(-1, 6), st.floats(0.01, 0.12), st.floats(0.05, 1.0))
def test_doubtful_gains_are_the_mean_over_all_errors(size: float, error: float, sd: float) -> None:
    """Over quantiles, evenly: drawn errors miss the rare ones that gain at all."""
    quantiles = norm.ppf((np.arange(1000) + 0.5) / 1000)
    before = pareto.hypervolume(FRONT, CORNER)
    errors = np.exp(math.log(error) + sd * quantiles)
    gains = [pareto.hypervolume([*FRONT, (size, e)], CORNER) - before for e in errors]
    assert gain(size, math.log(error), sd) == pytest.approx(np.mean(gains), rel=2e-2, abs=1e-4)


def test_proposals_are_new_lie_in_the_space_and_extend_the_front() -> None:
    results, won = some_results(12), 0
    for number in range(12, 24):
        config = proposed(results, seed=number)
        assert config is not None
        assert lies_in(config, SPACE)
        assert config not in [record.config for record in results]
        results.append(result(number, config))
        points = [(r.metrics["memory_bytes"], 1 - r.metrics["accuracy"]) for r in results]
        won += len(results) - 1 in pareto.front(points)
    assert won >= 0.7 * 12


def test_what_is_pending_is_not_proposed_again() -> None:
    results = some_results(12)
    first = proposed(results)
    assert first is not None
    assert proposed(results, [first]) != first
    assert proposed(results) == first


def test_nothing_is_proposed_when_all_was_tried() -> None:
    results, tried = some_results(12), 0
    while (config := proposed(results)) is not None:
        results.append(result(len(results), config))
        tried += 1
        assert tried < 500


def test_activations_are_as_wide_as_their_doubtful_loss_wants() -> None:
    """Of a network that suffers from coarse activations no proposal has any."""
    config = proposed(some_results(100))
    assert config is not None
    for name, (reads, *_) in FACTORS.items():
        assert reads * 2.0 ** -config[name].activation_bits <= SLACK + reads * 2.0**-8


def test_groups_are_given_one_choice() -> None:
    tied = {
        name: LayerSpace(s.prune_ratio, s.weight_bits, s.activation_bits, group="all")
        for name, s in SPACE.items()
    }
    predictor = Predictor(MEASURED, tied)
    results = [
        result(n, dict.fromkeys(SPACE, r.config["fc"])) for n, r in enumerate(some_results(12))
    ]
    fit, generator = fitted(predictor, results), np.random.default_rng(0)
    config = propose(predictor, results, [], fit, generator)
    assert config is not None
    assert config["conv"] == config["fc"]
