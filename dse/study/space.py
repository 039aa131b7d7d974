"""The search space of a study file: defaults for every layer, and what differs per layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from typing import Any

from dse.config import MAX_BITS, MIN_BITS
from dse.errors import nearest
from dse.study.document import LAYER_KEYS
from dse.study.section import Bounds, Section, shown_key, whole_number
from dse.study.spec import BitChoices, LayerSpace, RatioRange, SearchSpace
from dse.study.units import number, shown

RATIOS = Bounds(0, 1)
BITS = Bounds(MIN_BITS, MAX_BITS)

DEFAULTS: dict[str, Mapping[str, Any]] = {
    "prune_ratio": {"low": 0.0, "high": 0.98},
    "channel_ratio": {"low": 0.0, "high": 0.0},
    "weight_bits": {"low": MIN_BITS, "high": MAX_BITS},
    "activation_bits": {"low": MIN_BITS, "high": MAX_BITS},
}

Choice = Mapping[str, Any]
"""One entry in its long form: `{low, high}`, or `{choices}` for bits, every value checked."""


def search_space(
    section: Section, layers: tuple[str, ...] | None, pattern: tuple[int, int] | None = None
) -> SearchSpace:
    """What may be chosen for each of `layers`, the network's, in its order.

    A key under `layers` is a layer's name or a pattern of names; the later changes the earlier.
    Without them (the model itself is wrong) the values are checked, the layers' names are not.
    A `pattern` (N of every M weights are kept) leaves no choice of prune ratio.
    """
    section.known_keys("defaults", "layers")
    start = DEFAULTS if pattern is None else DEFAULTS | {"prune_ratio": _only_ratio(pattern)}
    defaults = _entries(section.section("defaults"), start)
    per_layer = section.section("layers")
    entries = dict.fromkeys(layers or (), defaults)
    for name in per_layer.values:
        matched = _matching(per_layer, shown_key(name), str(name), layers)
        layer = per_layer.child(shown_key(name), per_layer.get(name))
        for match in matched:
            entries[match] = _entries(layer, entries[match])
        if not matched:  # its values are checked all the same
            _entries(layer, defaults)
    if pattern and any(entry["prune_ratio"] != _only_ratio(pattern) for entry in entries.values()):
        ratio = _only_ratio(pattern)["low"]
        section.wrong("", f"prune_ratio must be {ratio:g} or left out: prune.structure fixes it")
    return {name: _layer_space(entries[name]) for name in layers or ()}


def grouped(section: Section, space: SearchSpace) -> SearchSpace:
    """The space with the layers of each group tied: `name: pattern` or a list of patterns."""
    groups: dict[str, str] = {}
    for name, value in section.values.items():
        patterns = value if isinstance(value, list) else [value]
        if not isinstance(name, str) or name in space:
            section.wrong(shown_key(name), "must be a name that is not a layer's")
            continue
        if not patterns or not all(isinstance(pattern, str) for pattern in patterns):
            message = f"must be a pattern of layer names or a list of them, but got {shown(value)}"
            section.wrong(name, message)
            continue
        members = [m for p in patterns for m in _matching(section, name, p, tuple(space) or None)]
        for member in dict.fromkeys(members):
            if member in groups:
                section.wrong(name, f"layer {member!r} is in group {groups[member]!r} already")
            elif space[member] != space[members[0]]:
                differs = f"{members[0]!r} and {member!r} have different search spaces"
                section.wrong(name, f"{differs}, so they cannot be given the same choice")
            else:
                groups[member] = name
    return {name: replace(layer, group=groups.get(name)) for name, layer in space.items()}


def _matching(
    section: Section, key: str, pattern: str, layers: tuple[str, ...] | None
) -> list[str]:
    """The layers whose name is `pattern`, or matches it (`*`, `?`); noted when there is none."""
    if layers is None or pattern in layers:
        return [pattern] if layers else []
    matched = [name for name in layers if fnmatchcase(name, pattern)]
    if not matched:
        hint = nearest(pattern, layers)
        section.wrong(key, f"the model has no layer {shown(pattern)}{hint}")
    return matched


def space_values(space: SearchSpace) -> dict[str, Any]:
    """The section of a study file that says exactly `space`."""
    return {
        "layers": {
            name: {
                "prune_ratio": asdict(layer.prune_ratio),
                "channel_ratio": asdict(layer.channel_ratio),
                "weight_bits": {"choices": list(layer.weight_bits.bits)},
                "activation_bits": {"choices": list(layer.activation_bits.bits)},
            }
            for name, layer in space.items()
        }
    }


def _only_ratio(pattern: tuple[int, int]) -> Choice:
    kept, of = pattern
    return {"low": (of - kept) / of, "high": (of - kept) / of}


def group_values(space: SearchSpace) -> dict[str, Any]:
    """The section of a study file that ties exactly the layers that `space` ties."""
    groups: dict[str, list[str]] = {}
    for name, layer in space.items():
        if layer.group is not None:
            groups.setdefault(layer.group, []).append(name)
    return groups


def _entries(layer: Section, defaults: Mapping[str, Choice]) -> Mapping[str, Choice]:
    layer.known_keys(*LAYER_KEYS)
    return {
        "prune_ratio": _range(layer, "prune_ratio", defaults["prune_ratio"], _ratio),
        "channel_ratio": _range(layer, "channel_ratio", defaults["channel_ratio"], _ratio),
        "weight_bits": _bits(layer, "weight_bits", defaults["weight_bits"]),
        "activation_bits": _bits(layer, "activation_bits", defaults["activation_bits"]),
    }


def _layer_space(entries: Mapping[str, Choice]) -> LayerSpace:
    return LayerSpace(
        RatioRange(**entries["prune_ratio"]),
        _bit_choices(entries["weight_bits"]),
        _bit_choices(entries["activation_bits"]),
        RatioRange(**entries["channel_ratio"]),
    )


def _bit_choices(entry: Choice) -> BitChoices:
    if "choices" in entry:
        return BitChoices(tuple(sorted(entry["choices"])))
    return BitChoices(tuple(range(entry["low"], entry["high"] + 1)))


Reader = Callable[[Any], float | None]


def _ratio(value: Any) -> float | None:
    ratio = number(value)
    return ratio if ratio is not None and ratio in RATIOS else None


def _bit_width(value: Any) -> int | None:
    bits = whole_number(value)
    return bits if bits is not None and bits in BITS else None


def _rule(read: Reader) -> str:
    return f"a number {RATIOS}" if read is _ratio else f"a whole number {BITS}"


def _range(layer: Section, key: str, default: Choice, read: Reader) -> Choice:
    """`{low, high}` at `key`, each end from `default` when left out; a single number is both."""
    value = layer.get(key)
    if value is None:
        return default
    if not isinstance(value, dict):
        single = read(value)
        if single is None:
            example = "{low: 0.0, high: 0.9}" if read is _ratio else "{low: 2, high: 8}"
            message = f"must be {_rule(read)}, or like {example}, but got {shown(value)}"
            layer.wrong(key, message)
            return default
        return {"low": single, "high": single}
    entry = layer.child(key, value)
    entry.known_keys("low", "high", *(("choices",) if read is _bit_width else ()))
    return _ends(entry, default, read)


def _ends(entry: Section, default: Choice, read: Reader) -> Choice:
    ends: dict[str, Any] = {}
    for end in ("low", "high"):
        value = entry.get(end)
        if value is None and end not in default:
            entry.wrong(end, "is missing: what it would add to is a list of choices, not a range")
            return default
        ends[end] = default[end] if value is None else read(value)
        if ends[end] is None:
            entry.wrong(end, f"must be {_rule(read)}, but got {shown(value)}")
            return default
    if ends["low"] > ends["high"]:
        inherited = [end for end in ("low", "high") if entry.get(end) is None]
        note = f" ({inherited[0]} is inherited)" if len(inherited) == 1 else ""
        entry.wrong("", f"low {ends['low']:g} is above high {ends['high']:g}{note}")
        return default
    return ends


def _bits(layer: Section, key: str, default: Choice) -> Choice:
    """`{choices}` or `{low, high}` at `key`; a single number is the only choice."""
    value = layer.get(key)
    if not isinstance(value, dict) or value.get("choices") is None:
        return _range(layer, key, default, _bit_width)
    entry = layer.child(key, value)
    entry.known_keys("choices", "low", "high")
    choices = value["choices"]
    widths = [_bit_width(item) for item in choices] if isinstance(choices, list) else []
    if not widths or None in widths:
        message = f"must be a list of whole numbers {BITS}, but got {shown(choices)}"
        entry.wrong("choices", message)
    elif len(set(widths)) < len(widths):
        entry.wrong("choices", f"must be different bit widths, but got {shown(choices)}")
    elif value.get("low") is not None or value.get("high") is not None:
        entry.wrong("", "must be either choices, or low and high, but got both")
    else:
        return {"choices": widths}
    return default
