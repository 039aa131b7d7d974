"""First guesses: configs worth trying before a sampler knows anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dse.config import Config, LayerConfig
from dse.errors import InputError
from dse.search import sensitivity
from dse.search.prepare import Stage
from dse.study.folder import StudyFolder, write_atomically
from dse.study.spec import BitChoices, LayerSpace, SearchSpace, StudySpec
from dse.trial import Context

UNIFORM = ((8, 0.0), (4, 0.5), (3, 0.8))
"""(bits, prune ratio) in every layer, from safe to bold; 8 bits unpruned is the usual yardstick."""

SENSITIVITY_GUESSES = 6
"""With the uniform ones enough for the refined guesses to begin right after them: those know what
was told a lag earlier, and need LEAST_RESULTS."""


@dataclass(frozen=True)
class Guess:
    """A config and what to call where it came from."""

    config: Config
    origin: str


def first_guesses(context: Context, folder: StudyFolder, stage: Stage) -> Sequence[Guess]:
    """The study's own configs, then its warm start, without repetitions; computed once and kept.

    Raises InputError when what was kept is damaged.
    """
    if folder.guesses.exists():
        return _kept(folder.guesses)
    own = context.spec.start
    found = [Guess(config, f"start {number}") for number, config in enumerate(own, start=1)]
    for kind in context.spec.sampler.warm_start:
        if kind == "uniform":
            found += uniform_guesses(context.spec.search_space)
        else:
            stage("measuring each layer's sensitivity")
            measured = sensitivity.scan(context)
            folder.write_sensitivity(measured)
            configs = sensitivity.guesses(context, _count(context.spec), measured)
            found += [Guess(config, "sensitivity") for config in configs]
    unique = [g for i, g in enumerate(found) if g.config not in [f.config for f in found[:i]]]
    write_atomically(folder.guesses, json.dumps([asdict(g) for g in unique], indent=1) + "\n")
    return unique


def _count(spec: StudySpec) -> int:
    """How many configs to guess by sensitivity: all the trials where nobody proposes others."""
    if spec.sampler.name == "sensitivity":
        return spec.trials or 2 * SENSITIVITY_GUESSES
    return SENSITIVITY_GUESSES


def _kept(path: Path) -> list[Guess]:
    try:
        return [
            Guess({n: LayerConfig(**c) for n, c in item["config"].items()}, item["origin"])
            for item in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read as first guesses ({error})") from error


def uniform_guesses(space: SearchSpace) -> list[Guess]:
    """The same bits and ratio in every layer, or the nearest that its space allows."""
    return [
        Guess(
            {name: nearest_choice(layer, ratio, bits, bits) for name, layer in space.items()},
            f"uniform {bits} bit, {ratio:.0%} pruned",
        )
        for bits, ratio in UNIFORM
    ]


def nearest_choice(
    layer: LayerSpace, ratio: float, weight_bits: int, activation_bits: int
) -> LayerConfig:
    """The choice in a layer's space that is nearest to the wanted one."""
    return LayerConfig(
        float(np.clip(ratio, layer.prune_ratio.low, layer.prune_ratio.high)),
        _nearest(layer.weight_bits, weight_bits),
        _nearest(layer.activation_bits, activation_bits),
        layer.channel_ratio.low,
    )


def _nearest(choices: BitChoices, bits: int) -> int:
    return min(choices.bits, key=lambda choice: (abs(choice - bits), choice))
