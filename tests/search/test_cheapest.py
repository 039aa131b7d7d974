"""The exact choice per layer within a memory budget, against trying everything."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.config import LayerConfig
from dse.search.sensitivity import STEPS, Choice, cheapest


def layer_choices(values: list[tuple[float, int]]) -> list[Choice]:
    """Choices told apart by their prune ratio."""
    return [
        Choice(LayerConfig(index / 100, 8, 8), loss, bits)
        for index, (loss, bits) in enumerate(values)
    ]


options = st.lists(st.tuples(st.floats(0, 10), st.integers(1, 400)), min_size=1, max_size=5).map(
    layer_choices
)


@given(st.lists(options, min_size=1, max_size=4), st.integers(1, STEPS))
def test_no_other_config_within_the_budget_loses_less(
    layers: list[list[Choice]], budget: int
) -> None:
    choices = {f"layer{index}": layer for index, layer in enumerate(layers)}
    # one bit is one step, so nothing is rounded
    chosen, _ = cheapest(choices, [budget, STEPS])
    of_config = {
        name: next(c for c in layer if c.config == chosen[name]) for name, layer in choices.items()
    }
    within = [
        sum(choice.loss for choice in combination)
        for combination in itertools.product(*layers)
        if sum(choice.bits for choice in combination) <= budget
    ]
    if within:
        assert sum(choice.bits for choice in of_config.values()) <= budget
        assert sum(choice.loss for choice in of_config.values()) == pytest.approx(min(within))
    else:
        for name, layer in choices.items():
            assert of_config[name].bits == min(choice.bits for choice in layer)


def test_a_point_off_the_convex_hull_is_found() -> None:
    # (bits, loss): (10, 5), (50, 4), (100, 0). No price per bit ever picks the middle one: from 10
    # to 100 bits the hull passes 5 - 5 * 40 / 90 = 2.8 at 50 bits, below its 4.
    choices = {"layer": layer_choices([(5.0, 10), (4.0, 50), (0.0, 100)])}
    picked = [config["layer"].prune_ratio for config in cheapest(choices, [20, 60, STEPS])]
    assert picked == [0.0, 0.01, 0.02]
