"""Widths: what is too wide to matter is not proposed, but can be told and stays in the space."""

from __future__ import annotations

import optuna
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.config import LayerConfig
from dse.search import sampler
from dse.search.sensitivity import FINE
from dse.search.widths import useful
from dse.study.record import LayerSensitivity
from dse.study.spec import BitChoices, LayerSpace, RatioRange, SamplerSpec

RATIO = RatioRange(0.0, 0.9)
SPACE = {
    "conv": LayerSpace(RATIO, BitChoices(tuple(range(1, 17))), BitChoices(tuple(range(1, 17)))),
    "fc": LayerSpace(RATIO, BitChoices((2, 4, 8, 16)), BitChoices((4, 8))),
}


def measured(*enough: int) -> dict[str, LayerSensitivity]:
    """Layers that lose too much below `enough` bits: conv's weights, activations, fc's."""
    found = {}
    for index, (name, layer) in enumerate(SPACE.items()):
        weights, activations = enough[2 * index : 2 * index + 2]
        found[name] = LayerSensitivity(
            tuple(
                (ratio, bits, ratio + (0 if bits >= weights else 2 * FINE), 100 * bits)
                for ratio in (0.0, 0.5)
                for bits in layer.weight_bits.bits
            ),
            tuple((b, 0.0 if b >= activations else 2 * FINE) for b in layer.activation_bits.bits),
        )
    return found


def test_the_narrowest_width_that_loses_nothing_is_the_widest_useful() -> None:
    assert useful(measured(5, 3, 8, 4), SPACE) == {
        "conv.weight_bits": 5,
        "conv.activation_bits": 3,
        "fc.weight_bits": 2,  # the index of 8 among 2, 4, 8, 16
        "fc.activation_bits": 0,
    }


def test_a_layer_that_always_loses_keeps_all_its_widths() -> None:
    assert useful(measured(99, 99, 99, 99), SPACE)["conv.weight_bits"] == 16


def test_of_a_group_the_most_sensitive_layer_counts() -> None:
    layer = LayerSpace(RATIO, SPACE["conv"].weight_bits, SPACE["conv"].activation_bits, group="g")
    scans = {"a": measured(5, 3, 8, 4)["conv"], "b": measured(2, 7, 8, 4)["conv"]}
    assert useful(scans, {"a": layer, "b": layer}) == {"g.weight_bits": 5, "g.activation_bits": 7}


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_tpe_stays_below_it_after_wider_configs_were_told(seed: int) -> None:
    widest = useful(measured(5, 3, 8, 4), SPACE)
    study = optuna.create_study(directions=["maximize", "minimize"])
    for number in range(16):
        chosen = sampler.sampler_for(SamplerSpec(), seed, number, widest)
        wide = {layer: LayerConfig(0.5, 16, 8) for layer in SPACE}
        fixed = number < 12
        study.sampler = sampler.fixed_to(wide, SPACE, chosen) if fixed else chosen
        trial = study.ask()
        config = sampler.suggest(trial, SPACE)
        study.tell(trial, [number / 20, 3.0])
        assert trial.distributions["conv.weight_bits"].high == 16  # type: ignore[attr-defined]
        if fixed:
            assert config == wide
        else:
            assert config["conv"].weight_bits <= 5
            assert config["conv"].activation_bits <= 3
            assert config["fc"].weight_bits <= 8
            assert config["fc"].activation_bits == 4
