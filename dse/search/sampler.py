"""Samplers: between configs and Optuna's parameters, one seeded sampler per trial."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.samplers._tpe.sampler import _split_trials, default_gamma, default_gamma_multiobjective
from optuna.trial import FrozenTrial, TrialState

from dse.config import Config, LayerConfig
from dse.errors import InputError
from dse.study.running import sampler_class
from dse.study.spec import BitChoices, RatioRange, SamplerSpec, SearchSpace, StudySpec
from dse.user_code import cause

RATIO, CHANNEL_RATIO = "prune_ratio", "channel_ratio"
WEIGHT_BITS, ACTIVATION_BITS = "weight_bits", "activation_bits"

SAMPLERS: Mapping[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TpeOfOneTrial(seed, {}),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=20),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "sensitivity": lambda seed: optuna.samplers.RandomSampler(seed=seed),  # for guesses alone
}


class TpeOfOneTrial(optuna.samplers.TPESampler):
    """TPE that proposes one trial, and samples no integer above the `widest` of its parameter.

    Trials still record the whole range, so wider configs of others can be told. Proposes what
    Optuna's does, which divides the finished trials into good and bad ones anew for each parameter:
    so an ask of 300 parameters after 1,000 trials takes 1.1 s of CPU instead of 3.4.
    """

    def __init__(self, seed: int, widest: Mapping[str, int]) -> None:
        """Narrow the parameters that `widest` names."""
        super().__init__(seed=seed)
        self._widest = widest
        self._divided: tuple[list[FrozenTrial], list[FrozenTrial]] | None = None

    def _sample(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As Optuna's `_sample`, but for what is kept between the parameters."""
        if self._divided is None:
            self._divided = self._divide(study, trial)
        good, bad = (
            self._build_parzen_estimator(study, search_space, trials, handle_below=below)
            for trials, below in zip(self._divided, (True, False), strict=True)
        )
        samples = good.sample(self._rng.rng, self._n_ei_candidates)
        best = self._compare(samples, self._compute_acquisition_func(samples, good, bad))
        return {name: of.to_external_repr(best[name]) for name, of in search_space.items()}

    @staticmethod
    def _divide(
        study: optuna.Study, trial: FrozenTrial
    ) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        others = [
            other
            for other in study.get_trials(deepcopy=False, states=states)
            if other.number != trial.number
        ]
        finished = sum(other.state.is_finished() for other in others)
        gamma = default_gamma if len(study.directions) == 1 else default_gamma_multiobjective
        return _split_trials(study, others, gamma(finished))

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """One value, from the narrower range."""
        if param_name in self._widest:
            assert isinstance(param_distribution, IntDistribution)
            param_distribution = IntDistribution(param_distribution.low, self._widest[param_name])
        return super().sample_independent(study, trial, param_name, param_distribution)


def sampler_for(
    spec: SamplerSpec, seed: int, number: int, widest: Mapping[str, int] | None = None
) -> BaseSampler:
    """The sampler that proposes trial `number`; TPE no integers above those of `widest`.

    Each trial has a sampler of its own seed, so what it proposes depends on the finished trials
    alone, not on what the process has sampled before: a resumed study goes on as if undisturbed.
    A `seed` among a sampler's options is taken for every trial instead, as quasi-random sequences
    need, whose place is kept in the journal. Raises InputError when its class refuses the options.
    """
    digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()
    own_seed = int.from_bytes(digest[:4], "big")
    if spec.name == "tpe" and widest:
        return TpeOfOneTrial(own_seed, widest)
    if spec.name in SAMPLERS:
        return SAMPLERS[spec.name](own_seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            made = sampler_class(spec.name)(**{"seed": own_seed, **spec.options})
        except Exception as error:  # the class may be anybody's
            raise InputError(f"sampler: {spec.name} {cause(error)}") from error
    if not isinstance(made, BaseSampler):
        raise InputError(f"sampler.name: {spec.name} is no Optuna sampler")
    return made


def try_out(spec: StudySpec) -> None:
    """Have the study's sampler propose one config.

    Raises InputError when it cannot: some samplers know one objective only.
    """
    study = optuna.create_study(directions=list(spec.objectives.values()))
    study.sampler = sampler_for(spec.sampler, spec.seed, 0)
    try:
        suggest(study.ask(), spec.search_space)
    except Exception as error:  # the class may be anybody's
        raise InputError(f"sampler: {spec.sampler.name} {cause(error)}") from error


def fixed_to(guess: Config, space: SearchSpace, sampler: BaseSampler) -> BaseSampler:
    """A sampler that proposes `guess`, which must lie in `space`."""
    parameters: dict[str, float | int] = {}
    for name, layer in space.items():
        choice, prefix = guess[name], layer.group or name
        parameters[f"{prefix}.{RATIO}"] = choice.prune_ratio
        parameters[f"{prefix}.{CHANNEL_RATIO}"] = choice.channel_ratio
        parameters[f"{prefix}.{WEIGHT_BITS}"] = index(layer.weight_bits, choice.weight_bits)
        parameters[f"{prefix}.{ACTIVATION_BITS}"] = index(
            layer.activation_bits, choice.activation_bits
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler(parameters, sampler)


def dimensions(space: SearchSpace) -> int:
    """How many parameters are searched. A single choice is not one, layers of a group share."""
    different = {layer.group or name: layer for name, layer in space.items()}
    return sum(
        (layer.prune_ratio.low < layer.prune_ratio.high)
        + (layer.channel_ratio.low < layer.channel_ratio.high)
        + (len(layer.weight_bits.bits) > 1)
        + (len(layer.activation_bits.bits) > 1)
        for layer in different.values()
    )


def suggest(trial: optuna.Trial, space: SearchSpace) -> Config:
    """The config the sampler proposes for `trial`. A single choice is not a dimension.

    Layers of a group ask for the same parameters, and Optuna gives a trial one value for each.
    """
    config = {}
    for name, layer in space.items():
        prefix = layer.group or name
        config[name] = LayerConfig(
            _suggest_ratio(trial, f"{prefix}.{RATIO}", layer.prune_ratio),
            _suggest_bits(trial, f"{prefix}.{WEIGHT_BITS}", layer.weight_bits),
            _suggest_bits(trial, f"{prefix}.{ACTIVATION_BITS}", layer.activation_bits),
            _suggest_ratio(trial, f"{prefix}.{CHANNEL_RATIO}", layer.channel_ratio),
        )
    return config


def _suggest_ratio(trial: optuna.Trial, name: str, choices: RatioRange) -> float:
    if choices.low == choices.high:
        return choices.low
    return trial.suggest_float(name, choices.low, choices.high)


def _suggest_bits(trial: optuna.Trial, name: str, choices: BitChoices) -> int:
    """A width, searched by its index when there are gaps: widths are ordered either way."""
    if len(choices.bits) == 1:
        return choices.bits[0]
    first, last = index(choices, choices.bits[0]), index(choices, choices.bits[-1])
    chosen = trial.suggest_int(name, first, last)
    return choices.bits[chosen] if _has_gaps(choices) else chosen


def index(choices: BitChoices, bits: int) -> int:
    """Optuna's value for a width: the width itself, or its index among widths with gaps."""
    return choices.bits.index(bits) if _has_gaps(choices) else bits


def _has_gaps(choices: BitChoices) -> bool:
    return choices.bits[-1] - choices.bits[0] != len(choices.bits) - 1
