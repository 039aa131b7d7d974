"""Prediction: how well a config will do after finetuning, learned from the sensitivity scan and the
results so far - to propose better configs, and to skip those that are sure to be beaten.

The logarithm of the error is taken to be linear in what each layer's weights and activations lose
alone (Kullback-Leibler divergence, post-training) to the power of 0.75; Bayesian regression finds
the factors. Linear means additive over layers, so the best config within a memory budget is still
found exactly. The best by the prediction is where it errs most in its favour, so factors are drawn
close to their mean, and what is chosen must be good even if they are a little worse. Trained on the
23 first guesses of LeNet-5 (4,000 images of MNIST), it ranks 300 random configs with Spearman's
0.75; of a refined guess it was off by e**0.83 with power 1, e**1.1 with square roots.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from dse import pareto
from dse.config import Config, LayerConfig
from dse.search.sensitivity import Choice, cheapest, tied
from dse.study.folder import LayerSensitivity, TrialRecord
from dse.study.spec import LayerSpace, SearchSpace
from dse.trial import Screen

Vector = npt.NDArray[np.float64]

LEAST_RESULTS = 8
"""Trained results before anything is predicted: as many as uniform guesses, and one."""

POWER = 0.75

SPREAD = 0.5
"""Factors are drawn with this share of their standard deviation, more when that brings nothing new.
With the draws as they are and no doubt, 60 simulated trials reached hypervolume 0.355, so 0.367."""

LEAST_NOISE = 0.05
"""Standard deviation of a log error, at least: counting 4 % errors among 4,000 images alone."""

SURE = 3.0
"""Standard deviations by which a config must be beaten to be skipped. With few results residuals
are up to 1.6 times as wide as predicted (random configs), so this is about two real ones."""

USEFUL = 4.0
"""Errors beyond this many times the least one are not searched for."""

BUDGETS, OCTAVES = 40, 5
SLACK = 0.01
"""Log error that may be lost to fewer activation bits; they cost no memory, but hardware."""

DRAWS = 12
"""Draws to find a config that was not tried before; each is wider than the last."""


@dataclass(frozen=True)
class Fit:
    """Posterior of the factors: mean (k,), covariance (k, k), and the variance of a result."""

    mean: Vector
    covariance: npt.NDArray[np.float64]
    noise: float

    def predict(self, features: Vector) -> tuple[float, float]:
        """Mean and standard deviation of the log error."""
        variance = features @ self.covariance @ features + self.noise
        return float(features @ self.mean), math.sqrt(variance)

    def doubted(self, features: Vector) -> float:
        """Log error, a standard deviation of the factors above its mean."""
        return float(features @ self.mean) + math.sqrt(features @ self.covariance @ features)


class Predictor:
    """Predicts from the results it is given; remembers their features alone."""

    def __init__(self, measured: Mapping[str, LayerSensitivity], space: SearchSpace) -> None:
        """Predict configs of `space`, whose layers all were measured."""
        self._space = space
        self._layers = {name: _Layer(measured[name]) for name in space}
        self._keys = list(dict.fromkeys(layer.group or n for n, layer in space.items()))
        self._rows: dict[int, Vector] = {}

    def features(self, config: Config) -> Vector:
        """(1 + 2 groups,): one, then the losses to POWER of weights and of activations by group."""
        row = np.zeros((len(self._keys), 2))
        for name, layer in self._space.items():
            row[self._keys.index(layer.group or name)] += self._layers[name].losses(config[name])
        return np.concatenate([[1.0], row.ravel()])

    def packed_bits(self, config: Config) -> float:
        """Size of the weights, interpolated."""
        return sum(self._layers[name].bits(choice) for name, choice in config.items())

    def fit(self, results: Sequence[TrialRecord]) -> Fit | None:
        """The factors after `results`; None before there are enough that were trained."""
        trained = [record for record in results if record.state == "complete"]
        if len(trained) < LEAST_RESULTS:
            return None
        for record in trained:
            if record.number not in self._rows:
                self._rows[record.number] = self.features(record.config)
        table = np.array([self._rows[record.number] for record in trained])
        return _regression(table, np.log([_error(record) for record in trained]))

    def screen(self, config: Config, results: Sequence[TrialRecord], fit: Fit) -> Screen | None:
        """From which size on a config is beaten by a result, beyond the prediction's doubt."""
        mean, deviation = fit.predict(self.features(config))
        least = math.exp(mean - SURE * deviation)
        better = [r for r in results if r.state == "complete" and _error(r) <= least]
        if not better:
            return None
        rival = min(better, key=lambda record: (record.metrics["memory_bytes"], record.number))
        size = rival.metrics["memory_bytes"]
        return Screen(
            size,
            f"predicted to be beaten by trial {rival.number} ({_error(rival):.2%} error in "
            f"{size:.0f} bytes): error {math.exp(mean):.2%}, hardly below {least:.2%}",
        )

    def propose(
        self,
        results: Sequence[TrialRecord],
        pending: Collection[Config],
        fit: Fit,
        generator: np.random.Generator,
    ) -> Config | None:
        """Of the configs that are best at some size were the factors as drawn from their posterior,
        the one that can be counted on to add most to the front; None when all were tried."""
        trained = [record for record in results if record.state == "complete"]
        overhead = float(
            np.median([8 * r.metrics["memory_bytes"] - self.packed_bits(r.config) for r in trained])
        )
        points = [(_error(r), math.log(r.metrics["memory_bytes"])) for r in trained]
        points += [self._point(config, fit, overhead) for config in pending]
        corner = (USEFUL * min(e for e, _ in points), max(m for _, m in points))
        best = [points[index] for index in pareto.front(points)]
        tried = {tuple(config.values()) for config in [*(r.config for r in results), *pending]}
        for attempt in range(DRAWS):
            spread = fit.covariance * (SPREAD * (1 + attempt)) ** 2
            drawn = generator.multivariate_normal(fit.mean, spread, method="eigh")
            candidates = [c for c in self._cheapest(drawn) if tuple(c.values()) not in tried]
            gains = [
                pareto.hypervolume([*best, self._point(c, fit, overhead)], corner)
                for c in candidates
            ]
            if gains and max(gains) > pareto.hypervolume(best, corner):
                return candidates[int(np.argmax(gains))]
        return None

    def _point(self, config: Config, fit: Fit, overhead: float) -> tuple[float, float]:
        """Error and log bytes that a config may be counted on for."""
        error = math.exp(min(fit.doubted(self.features(config)), 0.0))
        return error, math.log(max(self.packed_bits(config) + overhead, 8.0) / 8)

    def _cheapest(self, factors: Vector) -> list[Config]:
        """For each of BUDGETS sizes, the config of least log error within it."""
        of_key = dict(zip(self._keys, factors[1:].reshape(-1, 2).clip(min=1e-3), strict=True))
        each = {
            name: self._layers[name].choices(of_key[layer.group or name], layer)
            for name, layer in self._space.items()
        }
        choices = tied(each, self._space)
        least, most = (
            sum(end(choice.bits for choice in layer) for layer in choices.values())
            for end in (min, max)
        )
        budgets = np.geomspace(max(least, 1), max(most, 2), BUDGETS)
        configs = [
            {name: config[layer.group or name] for name, layer in self._space.items()}
            for octave in np.array_split(budgets, OCTAVES)  # each with its own rounding
            for config in cheapest(choices, octave.tolist())
        ]
        return [config for i, config in enumerate(configs) if config not in configs[:i]]


class _Layer:
    """What was measured of one layer, between the measured points as well."""

    def __init__(self, measured: LayerSensitivity) -> None:
        self._widths = sorted({bits for _, bits, _, _ in measured.weights})
        self._rows = {
            width: sorted(
                (-math.log(1 - ratio), max(loss, 0.0) ** POWER, math.log(max(size, 1)))
                for ratio, bits, loss, size in measured.weights
                if bits == width
            )
            for width in self._widths
        }
        self._activations = sorted(
            (bits, max(loss, 0.0) ** POWER) for bits, loss in measured.activations
        )

    def losses(self, choice: LayerConfig) -> tuple[float, float]:
        """Losses to POWER of weights and of activations."""
        widths, roots = zip(*self._activations, strict=True)
        return self._at(choice, 1), float(np.interp(choice.activation_bits, widths, roots))

    def bits(self, choice: LayerConfig) -> float:
        """Packed bits."""
        return math.exp(self._at(choice, 2))

    def choices(self, factors: Vector, space: LayerSpace) -> list[Choice]:
        """The measured choices and those halfway between two prune ratios, with their log error."""
        weight_factor, activation_factor = factors
        floor = min(root for _, root in self._activations)
        reads = next(
            bits for bits, root in self._activations if activation_factor * (root - floor) <= SLACK
        )
        lost = activation_factor * dict(self._activations)[reads]
        found = []
        for width, rows in self._rows.items():
            points = np.array(rows)
            halves = (points[1:] + points[:-1]) / 2
            for depth, root, size in [*points, *halves]:
                ratio = float(np.clip(1 - math.exp(-depth), *astuple(space.prune_ratio)))
                config = LayerConfig(ratio, width, reads, space.channel_ratio.low)
                found.append(Choice(config, weight_factor * root + lost, round(math.exp(size))))
        return found

    def _at(self, choice: LayerConfig, column: int) -> float:
        """A column of the table at a choice, linear in log density and in width."""
        depth = -math.log(max(1 - choice.prune_ratio, 1e-6))
        values = [
            np.interp(depth, [row[0] for row in rows], [row[column] for row in rows])
            for rows in self._rows.values()
        ]
        return float(np.interp(choice.weight_bits, self._widths, values))


def _error(record: TrialRecord) -> float:
    """Share of wrong answers; never 0, whose logarithm would say more than any image can."""
    return max(1 - record.metrics["accuracy"], 1e-4)


def _regression(table: npt.NDArray[np.float64], wanted: Vector) -> Fit:
    """Bayesian linear regression. Before seeing which layer matters, each has the one factor that
    explains the sum of all best, give or take as much; the noise is found by iteration."""
    total = table[:, 1:].sum(axis=1)
    spread = float(total.var())
    slope = float(np.mean((total - total.mean()) * (wanted - wanted.mean()))) / (spread or 1.0)
    slope = max(slope, 1e-2)
    prior = np.full(table.shape[1], slope)
    prior[0] = float(wanted.mean() - slope * total.mean())
    precision = np.diag([1e-4, *[slope**-2] * (table.shape[1] - 1)])
    noise = 2 * LEAST_NOISE
    mean, inverse = prior, precision
    for _ in range(4):
        inverse = precision + table.T @ table / noise
        mean = prior + np.linalg.solve(inverse, table.T @ (wanted - table @ prior) / noise)
        residual = wanted - table @ mean
        noise = max(float(residual @ residual) / len(wanted), LEAST_NOISE**2)
    return Fit(mean, np.linalg.inv(inverse), noise)
