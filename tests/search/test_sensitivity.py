"""Sensitivity: the predicted loss follows bits and pruning, and guesses go from small to large."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise

import pytest

from dse.config import Config, LayerConfig
from dse.errors import InputError
from dse.search import sensitivity
from dse.study.spec import BitChoices, RatioRange
from dse.trial import Context, evaluate

from . import tiny
from .test_sampler import lies_in

LAYERS = ("conv", "fc")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return tiny.prepared(tmp_path_factory.mktemp("study"))[0]


@pytest.fixture(scope="module")
def choices(context: Context) -> dict[str, list[sensitivity.Choice]]:
    space, measured = context.spec.search_space, sensitivity.scan(context)
    return {name: sensitivity._choices(layer, space[name]) for name, layer in measured.items()}


def loss(
    choices: dict[str, list[sensitivity.Choice]], layer: str, bits: int, least_pruned: bool
) -> float:
    """Predicted loss of a width at the layer's smallest or largest prune ratio."""
    with_bits = [c for c in choices[layer] if c.config.weight_bits == bits]
    pick = min if least_pruned else max
    return pick(with_bits, key=lambda choice: choice.config.prune_ratio).loss


def guesses(context: Context, count: int) -> list[Config]:
    return sensitivity.guesses(context, count, sensitivity.scan(context))


@pytest.mark.parametrize("layer", LAYERS)
def test_sixteen_bits_unpruned_lose_next_to_nothing(
    choices: dict[str, list[sensitivity.Choice]], layer: str
) -> None:
    assert loss(choices, layer, 16, least_pruned=True) <= sensitivity.FINE + 1e-4


def test_guessed_activations_lose_nothing_with_a_bit_fewer_they_would(context: Context) -> None:
    measured = sensitivity.scan(context)
    for config in sensitivity.guesses(context, 4, measured):
        for name, choice in config.items():
            losses = dict(measured[name].activations)
            fewer = [loss for bits, loss in losses.items() if bits < choice.activation_bits]
            assert losses[choice.activation_bits] <= sensitivity.FINE < min(fewer, default=1.0)


@pytest.mark.parametrize("layer", LAYERS)
def test_one_bit_loses_more_than_sixteen(
    choices: dict[str, list[sensitivity.Choice]], layer: str
) -> None:
    few, many = (loss(choices, layer, bits, least_pruned=True) for bits in (1, 16))
    assert few > 100 * abs(many)


@pytest.mark.parametrize("layer", LAYERS)
def test_pruning_almost_everything_loses_more_than_nothing(
    choices: dict[str, list[sensitivity.Choice]], layer: str
) -> None:
    assert loss(choices, layer, 16, least_pruned=False) > 0.01


def test_the_baseline_is_not_touched(context: Context) -> None:
    before = {name: value.clone() for name, value in context.baseline.state_dict().items()}
    guesses(context, 2)
    assert all(
        (before[name] == value).all() for name, value in context.baseline.state_dict().items()
    )


def test_guesses_lie_in_the_search_space(context: Context) -> None:
    space = context.spec.search_space
    space = {**space, "fc": replace(space["fc"], weight_bits=BitChoices((3, 7)))}
    changed = replace(context, spec=replace(context.spec, search_space=space))
    assert all(lies_in(config, space) for config in guesses(changed, 5))


def test_guesses_go_from_small_to_large_memory(context: Context) -> None:
    training_free = replace(context.spec.finetune, epochs=0)
    context = replace(context, spec=replace(context.spec, finetune=training_free))
    sizes = [evaluate(config, context).metrics["memory_bytes"] for config in guesses(context, 6)]
    assert all(small <= large + 8 for small, large in pairwise(sizes))
    assert sizes[-1] > 2 * sizes[0]


def test_the_same_study_makes_the_same_guesses(context: Context) -> None:
    assert guesses(context, 4) == guesses(context, 4)


def test_a_layer_no_format_can_store_is_named(context: Context) -> None:
    space = context.spec.search_space
    binary = replace(space["fc"], weight_bits=BitChoices((1,)), prune_ratio=RatioRange(0.5, 0.9))
    spec = replace(context.spec, search_space={**space, "fc": binary}, storage=("dense",))
    with pytest.raises(InputError, match=r"layers\.fc: pruned 1-bit weights.* cannot be stored"):
        guesses(replace(context, spec=spec), 2)


def test_layers_of_a_group_are_guessed_alike(context: Context) -> None:
    space = {name: replace(layer, group="all") for name, layer in context.spec.search_space.items()}
    tied = replace(context, spec=replace(context.spec, search_space=space))
    found = guesses(tied, 5)
    assert all(config["conv"] == config["fc"] for config in found)
    assert len({str(config) for config in found}) > 1


def test_a_group_loses_and_needs_what_its_layers_do_together() -> None:
    def choice(bits: int, reads: int, loss: float, size: int) -> sensitivity.Choice:
        return sensitivity.Choice(LayerConfig(0.5, bits, reads), loss, size)

    first = [choice(4, 3, 1.0, 100), choice(8, 5, 0.25, 200)]
    second = [choice(8, 4, 0.5, 20), choice(2, 2, 9.0, 5)]  # 4 bits cannot be stored there
    assert sensitivity.added(first, second) == [choice(8, 5, 0.75, 220)]


def test_what_a_change_cannot_reach_is_not_computed_again(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, images = copy.deepcopy(context.baseline), context.data.train.images[:50]
    losses, weight = sensitivity._Losses(net, images), 2 * net.layers["fc"].weight.detach().numpy()
    calls: list[str] = []
    for name, layer in net.layers.items():
        layer.register_forward_hook(lambda *_, name=name: calls.append(name))
    after_fc = losses.of_weights("fc", weight)
    assert "conv" not in calls
    losses.of_activations("conv", 2)
    assert "conv" in calls
    assert losses.of_weights("fc", weight) == after_fc  # nor is anything changed kept

    monkeypatch.setattr(sensitivity, "KEPT_VALUES", 0)
    assert sensitivity._Losses(net, images).of_weights("fc", weight) == after_fc
