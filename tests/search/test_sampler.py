"""Samplers: what they propose lies in the space, guesses are really tried, seeds decide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from dse.config import Config, LayerConfig
from dse.errors import InputError
from dse.search import sampler
from dse.study import running
from dse.study.load import load_study
from dse.study.spec import BitChoices, LayerSpace, RatioRange, SamplerSpec, SearchSpace

from . import tiny

widths = st.sets(st.integers(1, 16), min_size=1).map(lambda bits: BitChoices(tuple(sorted(bits))))
ratios = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda ends: RatioRange(*sorted(ends)))
spaces = st.dictionaries(
    st.sampled_from(["conv", "block.fc", "x"]),
    st.builds(LayerSpace, ratios, widths, widths, ratios),
    min_size=1,
)

SPACE = {
    "conv": LayerSpace(RatioRange(0.1, 0.9), BitChoices((2, 4, 8)), BitChoices((3, 4, 5))),
    "fc": LayerSpace(RatioRange(0.5, 0.5), BitChoices((4,)), BitChoices((1, 16))),
}


def new_study() -> optuna.Study:
    return optuna.create_study(directions=["maximize", "minimize"])


def proposed(space: SearchSpace, name: str, seed: int, count: int) -> list[Config]:
    """Configs as the coordinator asks for them, each told before the next."""
    study, configs = new_study(), []
    for number in range(count):
        study.sampler = sampler.sampler_for(SamplerSpec(name), seed, number)
        trial = study.ask()
        config = sampler.suggest(trial, space)
        kept = sum(choice.density * choice.weight_bits for choice in config.values())
        study.tell(trial, [kept + config[next(iter(config))].activation_bits, kept])
        configs.append(config)
    return configs


def lies_in(config: Config, space: SearchSpace) -> bool:
    return list(config) == list(space) and all(
        layer.prune_ratio.low <= config[name].prune_ratio <= layer.prune_ratio.high
        and layer.channel_ratio.low <= config[name].channel_ratio <= layer.channel_ratio.high
        and config[name].weight_bits in layer.weight_bits.bits
        and config[name].activation_bits in layer.activation_bits.bits
        for name, layer in space.items()
    )


@st.composite
def spaces_with_config(draw: st.DrawFn) -> tuple[SearchSpace, Config]:
    space = draw(spaces)
    config = {
        name: LayerConfig(
            draw(st.floats(layer.prune_ratio.low, layer.prune_ratio.high)),
            draw(st.sampled_from(layer.weight_bits.bits)),
            draw(st.sampled_from(layer.activation_bits.bits)),
            draw(st.floats(layer.channel_ratio.low, layer.channel_ratio.high)),
        )
        for name, layer in space.items()
    }
    return space, config


@settings(max_examples=50, deadline=None)
@given(spaces, st.integers(0, 2**32 - 1))
def test_every_proposed_config_lies_in_the_search_space(space: SearchSpace, seed: int) -> None:
    assert all(lies_in(config, space) for config in proposed(space, "tpe", seed, 3))


@settings(max_examples=50, deadline=None)
@given(spaces_with_config())
def test_a_sampler_fixed_to_a_config_proposes_exactly_it(case: tuple[SearchSpace, Config]) -> None:
    space, config = case
    study = new_study()
    study.sampler = sampler.fixed_to(config, space, sampler.sampler_for(SamplerSpec("tpe"), 0, 0))
    assert sampler.suggest(study.ask(), space) == config


@given(spaces)
def test_the_dimensions_counted_are_those_a_trial_is_asked_for(space: SearchSpace) -> None:
    trial = new_study().ask()
    sampler.suggest(trial, space)
    assert sampler.dimensions(space) == len(trial.params)


@pytest.mark.parametrize("name", sampler.SAMPLERS)
def test_every_sampler_goes_on_from_the_trials_before(name: str) -> None:
    configs = proposed(SPACE, name, 0, 12)  # more than the random start of tpe and gp
    assert all(lies_in(config, SPACE) for config in configs)
    assert len({str(config) for config in configs}) > 7


@pytest.mark.parametrize("name", sampler.SAMPLERS)
def test_the_same_seed_proposes_the_same_configs(name: str) -> None:
    assert proposed(SPACE, name, 5, 11) == proposed(SPACE, name, 5, 11)


def test_another_seed_proposes_other_configs() -> None:
    assert proposed(SPACE, "tpe", 5, 3) != proposed(SPACE, "tpe", 6, 3)


def test_each_trial_number_has_random_numbers_of_its_own() -> None:
    def first(number: int) -> Config:
        study = new_study()
        study.sampler = sampler.sampler_for(SamplerSpec("random"), 0, number)
        return sampler.suggest(study.ask(), SPACE)

    assert len({str(first(number)) for number in range(8)}) == 8


def test_a_study_file_may_name_exactly_these_samplers() -> None:
    assert set(running.SAMPLERS) == set(sampler.SAMPLERS)


def test_layers_of_a_group_are_given_the_same_choice() -> None:
    layer = replace(SPACE["conv"], group="all")
    space = {"a": layer, "b": SPACE["fc"], "c": layer}
    for config in proposed(space, "tpe", 0, 12):
        assert config["a"] == config["c"]
    trial = new_study().ask()
    sampler.suggest(trial, space)
    assert sampler.dimensions(space) == len(trial.params) == 3 + 1


def test_any_optuna_sampler_by_its_import_path() -> None:
    spec = SamplerSpec("optuna.samplers:QMCSampler", options={"seed": 1, "scramble": True})
    study, halves = new_study(), []
    for number in range(9):  # the first is drawn at random, for there is no space yet to go by
        study.sampler = sampler.sampler_for(spec, 0, number)
        trial = study.ask()
        halves.append(sampler.suggest(trial, SPACE)["conv"].prune_ratio < 0.5)
        study.tell(trial, [1.0, 1.0])
    assert sum(halves[1:]) == 4  # a Sobol sequence fills both halves alike


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("optuna.samplers:QMCSampler", {"qmc_type": "x"}, "sampler: .*QMCSampler raised ValueErr"),
        ("numpy.random:RandomState", {}, "sampler.name: numpy.random:RandomState is no Optuna"),
    ],
)
def test_a_class_that_cannot_be_made_is_refused(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        sampler.sampler_for(SamplerSpec(name, options=options), 0, 0)


def test_a_sampler_of_one_objective_is_refused_where_there_are_two(tmp_path: Path) -> None:
    spec = load_study(tiny.write(tmp_path, sampler={"name": "optuna.samplers:CmaEsSampler"}))
    with pytest.raises(InputError, match=r"CmaEsSampler raised ValueError.* multi-objective"):
        sampler.try_out(spec)
    sampler.try_out(replace(spec, objectives={"accuracy": "maximize"}))
    sampler.try_out(replace(spec, sampler=SamplerSpec()))


@pytest.mark.parametrize("objectives", [1, 2])
def test_tpe_proposes_what_optunas_own_does(objectives: int) -> None:
    """It keeps what Optuna computes anew for each parameter; nothing else may differ."""
    study = optuna.create_study(directions=["minimize"] * objectives)
    generator = np.random.default_rng(0)
    for number in range(40):
        study.sampler = optuna.samplers.RandomSampler(seed=number)
        trial = study.ask()
        sampler.suggest(trial, SPACE)
        trial.set_constraint("size", float(generator.normal()))
        if number % 7 == 3:
            study.tell(trial, state=TrialState.PRUNED)
        elif number % 7 == 5:
            study.tell(trial, state=TrialState.FAIL)
        elif number % 7 != 6:  # which are running
            study.tell(trial, generator.random(objectives).tolist())
    for seed in range(3):
        found = []
        for chosen in (
            optuna.samplers.TPESampler(seed=seed),
            sampler.TpeOfOneTrial(seed, {}),
        ):
            study.sampler = chosen
            found.append(study.ask())
            sampler.suggest(found[-1], SPACE)
            study.tell(found[-1], state=TrialState.FAIL)
        assert found[0].params == found[1].params
