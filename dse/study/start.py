"""Configs a study file wants tried before all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dse.config import Config, LayerConfig
from dse.errors import nearest
from dse.study.document import LAYER_KEYS
from dse.study.section import Section, shown_key, whole_number
from dse.study.spec import BitChoices, LayerSpace, RatioRange, SearchSpace
from dse.study.units import number, shown


def start_configs(section: Section, space: SearchSpace) -> tuple[Config, ...]:
    """The configs listed under `start`, each with a choice per layer that lies in its space.

    What a layer's entry leaves out is taken where the space has a single choice.
    """
    listed = section.get("start")
    if listed is None:
        return ()
    if not isinstance(listed, list):
        section.wrong("start", f"must be a list of configs, but got {shown(listed)}")
        return ()
    if not space:  # the model itself is wrong: nothing to check against
        return ()
    return tuple(
        _config(section.child(f"start[{index}]", item), space) for index, item in enumerate(listed)
    )


def start_values(configs: Sequence[Config]) -> list[dict[str, Any]]:
    """The section of a study file that lists exactly `configs`."""
    return [{name: asdict(choice) for name, choice in config.items()} for config in configs]


def _config(entry: Section, space: SearchSpace) -> Config:
    for name in entry.values:
        if name not in space:
            hint = nearest(shown_key(name), space)
            entry.wrong(shown_key(name), f"the model has no layer {shown(name)}{hint}")
    return {name: _choice(entry.section(name), layer) for name, layer in space.items()}


def _choice(entry: Section, space: LayerSpace) -> LayerConfig:
    entry.known_keys(*LAYER_KEYS)
    return LayerConfig(
        _ratio(entry, "prune_ratio", space.prune_ratio),
        _bits(entry, "weight_bits", space.weight_bits),
        _bits(entry, "activation_bits", space.activation_bits),
        _ratio(entry, "channel_ratio", space.channel_ratio),
    )


def _ratio(entry: Section, key: str, allowed: RatioRange) -> float:
    value = entry.get(key)
    if value is None and allowed.low == allowed.high:
        return allowed.low
    ratio = number(value)
    if ratio is None or not allowed.low <= ratio <= allowed.high:
        _refuse(entry, key, f"a number {allowed.low:g} to {allowed.high:g}")
        return allowed.low
    return ratio


def _bits(entry: Section, key: str, allowed: BitChoices) -> int:
    value = entry.get(key)
    if value is None and len(allowed.bits) == 1:
        return allowed.bits[0]
    bits = whole_number(value)
    if bits is None or bits not in allowed.bits:
        _refuse(entry, key, f"one of {', '.join(map(str, allowed.bits))}")
        return allowed.bits[0]
    return bits


def _refuse(entry: Section, key: str, wanted: str) -> None:
    found = "is missing" if entry.get(key) is None else f"but got {shown(entry.get(key))}"
    entry.wrong(key, f"must be {wanted}, as search_space says, {found}")
