"""Proposals: which config is worth a trial next, by the prediction and its doubt.

Candidates are the configs of least predicted error for their size, were the factors as the
regression has them or as drawn from its posterior: exact, because the prediction is additive over
layers. Of these the one is tried that is expected to add most to the hypervolume of error and log
bytes (Emmerich et al. 2011, with a size that is known and an error that is lognormal).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import astuple
from functools import lru_cache

import numpy as np
import torch

from dse import pareto
from dse.config import Config, LayerConfig
from dse.search.prediction import (
    TYPICAL,
    Fit,
    MeasuredLayer,
    Predictor,
    Table,
    Vector,
    error,
    given_up,
)
from dse.search.sensitivity import Choice, cheapest, tied, unbeaten
from dse.study.record import TrialRecord
from dse.study.spec import LayerSpace

USEFUL = 4.0
"""Errors beyond this many times the least one are not searched for."""

BUDGETS, OCTAVES = 40, 5

DRAWS = 3
"""Sets of factors drawn, besides their mean."""

LEAST_FACTOR = 1e-3
"""What is given up is never predicted to help."""

SLACK = 0.02
"""Log error that a layer may lose to fewer activation bits; they cost no memory, but hardware."""

CAREFUL = 2.0
"""Standard deviations above its mean at which the activations' factor is taken when their bits are
chosen: they are free of bytes, so a doubt is no reason to save them."""


def propose(
    predictor: Predictor,
    results: Sequence[TrialRecord],
    pending: Collection[Config],
    fit: Fit,
    generator: np.random.Generator,
) -> Config | None:
    """A config that was not tried yet; None when no candidate is new.

    `pending` are configs without a result yet; they are taken to end as predicted.
    """
    trained = [record for record in results if record.state == "complete"]
    overhead = predictor.overhead_bits(trained)
    points = [(math.log(r.metrics["memory_bytes"]), error(r)) for r in trained]
    points += [
        (size, math.exp(mean)) for size, mean, _ in _expected(predictor, pending, fit, overhead)
    ]
    front = np.array([points[index] for index in pareto.front(points)])
    corner = (max(size for size, _ in points), USEFUL * min(wrong for _, wrong in points))
    tried = {tuple(config.values()) for config in [*(r.config for r in results), *pending]}
    found = {tuple(config.values()): config for config in _candidates(predictor, fit, generator)}
    candidates = [config for choices, config in found.items() if choices not in tried]
    if not candidates:
        return None
    gains = expected_gain(_expected(predictor, candidates, fit, overhead), front, corner)
    return candidates[int(np.argmax(gains))]


def expected_gain(expected: Table, front: Table, corner: tuple[float, float]) -> Vector:
    """Hypervolume, (n,), that each of n configs is expected to add to a `front` (k, 2).

    `expected` (n, 3) are their sizes, and means and standard deviations of the logarithms of their
    errors; `front`, sorted, and `corner` are sizes and errors.
    """
    front = front[(front[:, 0] < corner[0]) & (front[:, 1] < corner[1])]
    sizes, means, deviations = expected.T[:, :, None]
    starts = np.concatenate([[-np.inf], front[:, 0]])
    ends = np.append(front[:, 0], corner[0])
    levels = np.concatenate([[corner[1]], front[:, 1]])  # of error, between start and end
    widths = (ends - np.maximum(starts, sizes)).clip(min=0)
    deviations = np.maximum(deviations, 1e-9)
    z = (np.log(levels) - means) / deviations
    wrong = np.exp(means + deviations**2 / 2) * _normal(z - deviations)  # where below the level
    gains: Vector = (widths * (levels * _normal(z) - wrong)).sum(axis=1)
    return gains


def _normal(z: Table) -> Table:
    """Cumulative distribution of the normal distribution."""
    shares: Table = torch.special.ndtr(torch.from_numpy(z)).numpy()
    return shares


def _expected(
    predictor: Predictor, configs: Collection[Config], fit: Fit, overhead: float
) -> Table:
    """(n, 3): log bytes, mean and standard deviation of the log error."""
    rows = []
    for config in configs:
        size = math.log(max(predictor.packed_bits(config) + overhead, 8.0) / 8)
        rows.append((size, *fit.expected(predictor.features(config))))
    return np.array(rows).reshape(-1, 3)


def _candidates(predictor: Predictor, fit: Fit, generator: np.random.Generator) -> list[Config]:
    """Of each set of factors, for each of BUDGETS sizes the config of least log error within it."""
    careful = fit.mean + CAREFUL * np.sqrt(np.diag(fit.covariance))
    drawn = generator.multivariate_normal(fit.mean, fit.covariance, DRAWS, method="eigh")
    return [
        config
        for factors in [fit.mean, *drawn]
        for config in _cheapest(predictor, _by_group(factors), _by_group(careful)[:, 0])
    ]


def _by_group(factors: Vector) -> Table:
    """(groups, 3)"""
    return factors[1:].reshape(-1, len(TYPICAL)).clip(min=LEAST_FACTOR)


def _cheapest(predictor: Predictor, factors: Table, of_activations: Vector) -> list[Config]:
    space = predictor.space
    each = {}
    for name, layer in space.items():
        key = predictor.keys.index(layer.group or name)
        measured = predictor.layers[name]
        reads = _fewest(measured.activation_widths, float(of_activations[key]))
        each[name] = _choices(measured, reads, factors[key], layer)
    choices = {key: unbeaten(choices) for key, choices in tied(each, space).items()}
    least, most = (
        sum(end(choice.bits for choice in layer) for layer in choices.values())
        for end in (min, max)
    )
    budgets = np.geomspace(max(least, 1), max(most, 2), BUDGETS)
    return [
        {name: config[layer.group or name] for name, layer in space.items()}
        for octave in np.array_split(budgets, OCTAVES)  # each with its own rounding
        for config in cheapest(choices, octave.tolist())
    ]


def _fewest(widths: Sequence[int], factor: float) -> int:
    """The fewest activation bits that lose no more than SLACK against the widest."""
    return next(bits for bits in widths if factor * (2.0**-bits - 2.0 ** -widths[-1]) <= SLACK)


def _choices(layer: MeasuredLayer, reads: int, factors: Vector, space: LayerSpace) -> list[Choice]:
    """The measured choices and those halfway between two prune ratios, with their log error."""
    configs, lost, bits = _points(layer, reads, space)
    return list(map(Choice, configs, (lost @ factors).tolist(), bits))


@lru_cache(maxsize=4096)  # layers times activation widths of one study
def _points(
    layer: MeasuredLayer, reads: int, space: LayerSpace
) -> tuple[list[LayerConfig], Table, list[int]]:
    """Configs, what they give up (n, 3), and packed bits."""
    configs, bits = [], []
    for width, rows in layer.rows.items():
        for depth, size in [*rows, *(rows[1:] + rows[:-1]) / 2]:
            ratio = float(np.clip(1 - math.exp(-depth), *astuple(space.prune_ratio)))
            configs.append(LayerConfig(ratio, width, reads, space.channel_ratio.low))
            bits.append(round(math.exp(size)))
    return configs, np.array([given_up(config) for config in configs]), bits
