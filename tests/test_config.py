"""A layer's config: its limits and its density."""

from __future__ import annotations

import dataclasses
import math

import pytest

from dse.config import LayerConfig


@pytest.mark.parametrize("bits", [1, 16])
@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_the_limits_are_allowed(ratio: float, bits: int) -> None:
    config = LayerConfig(ratio, bits, bits)
    assert (config.prune_ratio, config.weight_bits, config.activation_bits) == (ratio, bits, bits)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, math.nan])
def test_a_ratio_outside_its_limits_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match=rf"prune_ratio must be in \[0, 1\], but got {ratio}"):
        LayerConfig(ratio, 8, 8)
    with pytest.raises(ValueError, match=rf"channel_ratio must be in \[0, 1\], but got {ratio}"):
        LayerConfig(0.5, 8, 8, ratio)


@pytest.mark.parametrize("name", ["weight_bits", "activation_bits"])
@pytest.mark.parametrize("bits", [0, 17])
def test_bits_outside_their_limits_are_refused_by_name(name: str, bits: int) -> None:
    config = LayerConfig(0.5, 8, 8)
    with pytest.raises(ValueError, match=rf"{name} must be in 1\.\.16, but got {bits}"):
        dataclasses.replace(config, **{name: bits})


def test_density_is_one_minus_the_prune_ratio() -> None:
    assert LayerConfig(0.75, 8, 8).density == 0.25
