"""Widths: a sampler is not asked for bits that the sensitivity scan saw buy nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from dse.search import sampler
from dse.search.sensitivity import FINE
from dse.study.folder import LayerSensitivity
from dse.study.spec import SearchSpace


def useful(measured: Mapping[str, LayerSensitivity], space: SearchSpace) -> dict[str, int]:
    """By parameter, Optuna's value for the widest width worth proposing.

    It is the narrowest at which the layer alone, post-training and unpruned, loses no more than
    FINE: wider ones cost bytes or hardware for what no image tells apart. Of a group's layers the
    widest counts.
    """
    widest: dict[str, int] = {}
    for name, layer in space.items():
        least = min(ratio for ratio, *_ in measured[name].weights)
        weights = [
            (bits, loss) for ratio, bits, loss, _ in measured[name].weights if ratio == least
        ]
        for key, losses, allowed in (
            (sampler.WEIGHT_BITS, weights, layer.weight_bits),
            (sampler.ACTIVATION_BITS, measured[name].activations, layer.activation_bits),
        ):
            enough = min((b for b, loss in losses if loss <= FINE), default=max(allowed.bits))
            parameter = f"{layer.group or name}.{key}"
            widest[parameter] = max(widest.get(parameter, 0), sampler.index(allowed, enough))
    return widest


class UsefulWidths(BaseSampler):
    """Has `inner` sample integers no larger than the `widest` of their parameter.

    The trial still records the whole range, so wider configs of others can be told.
    """

    def __init__(self, inner: BaseSampler, widest: Mapping[str, int]) -> None:
        """Narrow what `inner` samples one by one; what it samples together it may take as it is."""
        self._inner, self._widest = inner, widest

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As the inner sampler's."""
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the inner sampler's."""
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """One value, from the narrower range."""
        if isinstance(param_distribution, IntDistribution) and param_name in self._widest:
            param_distribution = IntDistribution(param_distribution.low, self._widest[param_name])
        return self._inner.sample_independent(study, trial, param_name, param_distribution)
