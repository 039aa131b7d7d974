"""Prediction: how well a config will do after finetuning, learned from the results so far - to
propose better configs, and to skip those that are sure to be beaten.

The logarithm of the error is taken to be linear in what each layer gives up of its capacity (see
`given_up`); Bayesian regression finds the factors. Linear means additive over layers, so the best
config within a memory budget is still found exactly. What a layer loses before finetuning, which
the sensitivity scan measures, is no part of it: finetuning mends most of a pruned layer's loss and
little of what coarse activations lose (docs/search.md).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.config import Config, LayerConfig
from dse.study.record import LayerSensitivity, TrialRecord
from dse.study.spec import SearchSpace
from dse.trial import Screen

Vector = npt.NDArray[np.float64]
Table = npt.NDArray[np.float64]

LEAST_RESULTS = 6
"""Trained results before anything is predicted: one more than there are factors that all layers
share and a constant."""

TYPICAL = np.array([0.15, 0.8, 0.14])
"""Factors that all layers share, before any result: about those of three cheap LeNet-5 studies with
other seeds than any number in docs/ (0.05 to 0.16, 0.80 to 0.97, 0.05 to 0.22)."""

TRUST = 0.02
"""Weight of TYPICAL, as a share of the results'."""

LEAST_SHARE = 0.25
"""Factors are at least this share of the typical ones: nothing is given up for free."""

UNLIKE = 0.5
"""Standard deviation of a layer's factors around the shared ones, as a share of them. Where layers
were told apart it was 0.5 to 0.7."""

SPARSEST = 50.0
"""Densities are given as shares of 1 / SPARSEST, and no layer is taken to be sparser."""

LEAST_NOISE = 0.05
"""Standard deviation of a log error, at least: counting 4 % errors among 4,000 images alone."""

SURE = 3.0
"""Standard deviations by which a config must be beaten to be skipped. Cross-validated, results were
0.8 to 1.2 predicted deviations off."""


@dataclass(frozen=True)
class Fit:
    """Posterior of the factors: mean (k,), covariance (k, k), and the variance of a result."""

    mean: Vector
    covariance: Table
    noise: float

    def predict(self, features: Vector) -> tuple[float, float]:
        """Mean and standard deviation of the log error of one result."""
        variance = features @ self.covariance @ features + self.noise
        return float(features @ self.mean), math.sqrt(variance)

    def expected(self, features: Vector) -> tuple[float, float]:
        """Mean and standard deviation of the log error, but for the noise of one result."""
        return float(features @ self.mean), math.sqrt(features @ self.covariance @ features)


class Predictor:
    """Predicts from the results it is given; remembers their features alone."""

    def __init__(self, measured: Mapping[str, LayerSensitivity], space: SearchSpace) -> None:
        """Predict configs of `space`, whose layers all were measured."""
        self.space = space
        self.layers = {name: MeasuredLayer(measured[name]) for name in space}
        self.keys = list(dict.fromkeys(layer.group or n for n, layer in space.items()))
        self._rows: dict[int, Vector] = {}
        self._overheads: dict[int, float] = {}

    def features(self, config: Config) -> Vector:
        """(1 + 3 groups,): one, then what a group's layers give up, group by group."""
        row = np.zeros((len(self.keys), len(TYPICAL)))
        for name, layer in self.space.items():
            row[self.keys.index(layer.group or name)] += given_up(config[name])
        return np.concatenate([[1.0], row.ravel()])

    def packed_bits(self, config: Config) -> float:
        """Size of the weights, interpolated."""
        return sum(self.layers[name].bits(choice) for name, choice in config.items())

    def overhead_bits(self, trained: Sequence[TrialRecord]) -> float:
        """What models have beside their weights, and what interpolation is off by: the median."""
        for record in trained:
            if record.number not in self._overheads:
                size = 8 * record.metrics["memory_bytes"]
                self._overheads[record.number] = size - self.packed_bits(record.config)
        return float(np.median([self._overheads[record.number] for record in trained]))

    def fit(self, results: Sequence[TrialRecord]) -> Fit | None:
        """The factors after `results`; None before there are enough that were trained."""
        trained = [record for record in results if record.state == "complete"]
        if len(trained) < LEAST_RESULTS:
            return None
        for record in trained:
            if record.number not in self._rows:
                self._rows[record.number] = self.features(record.config)
        table = np.array([self._rows[record.number] for record in trained])
        return _regression(table, np.log([error(record) for record in trained]))

    def screen(self, config: Config, results: Sequence[TrialRecord], fit: Fit) -> Screen | None:
        """From which size on a config is beaten by a result, beyond the prediction's doubt."""
        mean, deviation = fit.predict(self.features(config))
        least = math.exp(mean - SURE * deviation)
        better = [r for r in results if r.state == "complete" and error(r) <= least]
        if not better:
            return None
        rival = min(better, key=lambda record: (record.metrics["memory_bytes"], record.number))
        size = rival.metrics["memory_bytes"]
        return Screen(
            size,
            f"predicted to be beaten by trial {rival.number} ({error(rival):.2%} error in "
            f"{size:.0f} bytes): error {math.exp(mean):.2%}, hardly below {least:.2%}",
        )


class MeasuredLayer:
    """What was measured of one layer, between the measured points as well."""

    def __init__(self, measured: LayerSensitivity) -> None:
        self._widths = sorted({bits for _, bits, _, _ in measured.weights})
        self.rows = {
            width: np.array(
                sorted(
                    (_depth(ratio), math.log(max(size, 1)))
                    for ratio, bits, _, size in measured.weights
                    if bits == width
                )
            )
            for width in self._widths
        }
        self.activation_widths = sorted(bits for bits, _ in measured.activations)
        self._bits: dict[tuple[float, int], float] = {}

    def bits(self, choice: LayerConfig) -> float:
        """Packed bits, their logarithm linear in log density and in width.

        Kept: candidates are made of the same few choices.
        """
        key = choice.prune_ratio, choice.weight_bits
        if key not in self._bits:
            self._bits[key] = self._interpolated(choice)
        return self._bits[key]

    def _interpolated(self, choice: LayerConfig) -> float:
        depth = _depth(choice.prune_ratio)
        sizes = [np.interp(depth, rows[:, 0], rows[:, 1]) for rows in self.rows.values()]
        return math.exp(np.interp(choice.weight_bits, self._widths, sizes))


def _depth(ratio: float) -> float:
    """How deeply a prune ratio prunes: minus the logarithm of what it leaves, which may be none."""
    return -math.log(max(1 - ratio, 1e-6))


@functools.lru_cache(maxsize=1 << 16)
def given_up(choice: LayerConfig) -> Vector:
    """(3,): a layer's activation step as a share of the range, its reciprocal density, and its
    weight step over the root of its density."""
    density = max(1 - choice.prune_ratio, 1 / SPARSEST)
    coarse = 2.0**-choice.weight_bits / math.sqrt(density)
    return np.array([2.0**-choice.activation_bits, 1 / (SPARSEST * density), coarse])


def error(record: TrialRecord) -> float:
    """Share of wrong answers; never 0, whose logarithm would say more than any image can."""
    return max(1 - record.metrics["accuracy"], 1e-4)


def _regression(table: Table, wanted: Vector) -> Fit:
    """Bayesian linear regression. Before seeing which layer matters, each has the factors that
    explain the sums over all of them best, give or take; the noise is found by iteration."""
    groups = (table.shape[1] - 1) // len(TYPICAL)
    shared = np.tile(_shared(table, wanted), groups)
    prior = np.concatenate([[0.0], shared])
    prior[0] = float(np.mean(wanted - table @ prior))
    precision = np.diag([1e-4, *(UNLIKE * shared) ** -2])
    noise = 2 * LEAST_NOISE
    mean, inverse = prior, precision
    for _ in range(4):
        inverse = precision + table.T @ table / noise
        mean = prior + np.linalg.solve(inverse, table.T @ (wanted - table @ prior) / noise)
        residual = wanted - table @ mean
        noise = max(float(residual @ residual) / len(wanted), LEAST_NOISE**2)
    return Fit(mean, np.linalg.inv(inverse), noise)


def _shared(table: Table, wanted: Vector) -> Vector:
    """(3,) factors, one for all layers: ridge regression towards TYPICAL."""
    sums = table[:, 1:].reshape(len(table), -1, len(TYPICAL)).sum(axis=1)
    sums, wanted = sums - sums.mean(axis=0), wanted - wanted.mean()
    ridge = np.diag(TRUST * (sums**2).sum(axis=0) + 1e-9)
    beyond = np.linalg.solve(sums.T @ sums + ridge, sums.T @ (wanted - sums @ TYPICAL))
    found: Vector = (TYPICAL + beyond).clip(min=LEAST_SHARE * TYPICAL)
    return found
