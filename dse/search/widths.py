"""Widths: a sampler is not asked for bits that the sensitivity scan saw buy nothing."""

from __future__ import annotations

from collections.abc import Mapping

from dse.search import sampler
from dse.search.sensitivity import FINE
from dse.study.record import LayerSensitivity
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
