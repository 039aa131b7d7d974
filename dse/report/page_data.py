"""What the page's script draws from: the results as plain JSON values, once and small."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from dse.report import text
from dse.report.choices import Recommendation
from dse.report.history import history
from dse.report.importances import importances
from dse.report.results import STATES, Results
from dse.study.record import TrialRecord

METRICS = (
    "compression", "lut", "ff", "dsp", "bram18", "latency_s", "fps", "bytes_per_inference", "fits",
)  # fmt: skip
COSTS = ("cycles", "lut", "ff", "dsp", "bram18", "uram", "pe", "simd")
CODED_TOGETHER = "arithmetic"
"""The storage format that codes positions and values as one stream."""
DIGITS = 6
"""Significant digits of what is only drawn; tables beside the page have all."""


def page_data(results: Results, chosen: Sequence[Recommendation]) -> dict[str, Any]:
    """Everything the script needs, JSON types alone; per-layer values are in `layers`' order."""
    return {
        "name": results.heading.name,
        "layers": list(results.layer_names),
        "states": list(STATES),
        "trials": [_trial(results, record) for record in results.trials],
        "front": [_front_point(results, record) for record in results.front],
        "chosen": [{"letter": c.letter, "title": c.title, "n": c.record.number} for c in chosen],
        "references": [
            {
                "name": item.name,
                "accuracy": item.accuracy,
                "memory": item.memory_bytes,
                "test": _test(item.test),
            }
            for item in results.references
        ],
        "history": [asdict(step) for step in history(results)],
        "sensitivity": {name: asdict(layer) for name, layer in results.sensitivity.items()},
        "importances": [asdict(item) for item in importances(results)],
    }


def script_json(value: object) -> str:
    """JSON that may stand in a script element: nothing in it can end the element."""
    content = json.dumps(_rounded(value), ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return content.replace("<", "\\u003c")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        # JSON knows no infinity; a device that is never done has none of the metric
        return float(f"{value:.{DIGITS}g}") if abs(value) < float("inf") else None
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def _trial(results: Results, record: TrialRecord) -> dict[str, Any]:
    """One row of the table; `config` is (prune ratio, weight bits, activation bits, channel
    ratio) per layer, `packed` (density, format, packed bits)."""
    names, metrics = results.layer_names, record.metrics
    timing = results.timings.get(record.number)
    return {
        "n": record.number,
        "state": record.state,
        "accuracy": metrics.get("accuracy"),
        "memory": metrics.get("memory_bytes"),
        "test": _test(results.tests.get(record.number)),
        "metrics": [metrics.get(name) for name in METRICS],
        "config": [
            [choice.prune_ratio, choice.weight_bits, choice.activation_bits, choice.channel_ratio]
            for choice in (record.config[name] for name in names if name in record.config)
        ],
        "packed": [
            [layer.density, layer.format, layer.packed_bits]
            for layer in (record.layers[name] for name in names if name in record.layers)
        ],
        "origin": record.origin,
        "reason": record.reason,
        "seconds": None if timing is None else timing.seconds,
    }


def _front_point(results: Results, record: TrialRecord) -> dict[str, Any]:
    """What only the front's points show: bytes by part and format, the cost of each layer."""
    layers = [record.layers[name] for name in results.layer_names]
    costs = {layer["name"]: layer for layer in record.cost.get("layers", [])}
    return {
        "n": record.number,
        "bytes": bytes_by_part(record),
        "sizes": [dict(layer.sizes) for layer in layers],
        "cost": [_cost_row(layer, costs.get(layer, {})) for layer in results.layer_names]
        + [_cost_row(part["name"], part) for part in record.cost.get("parts", [])],
        "utilization": dict(record.cost.get("utilization", {})),
        "binding": record.cost.get("binding"),
        "label": text.memory(record.metrics["memory_bytes"]),
    }


def _cost_row(name: str, cost: Mapping[str, Any]) -> dict[str, Any]:
    """A layer, or a part of the design beside the layers: a pool, an add, an engine's array."""
    return {"name": name, **{key: cost.get(key) for key in (*COSTS, "binds", "weight_memory")}}


def bytes_by_part(record: TrialRecord) -> dict[str, float]:
    """Bytes of the packed model by what they are, in the order they are shown.

    The packed weights are split: a dense layer holds values alone; a sparse format `nonzeros`
    values of `weight_bits` each, and the rest are indices (positions, counts, fillers); where both
    are coded together, they cannot be told apart.
    """
    parts = dict(record.memory_bits)
    packed = parts.pop("weights", 0)
    nonzeros = {layer["name"]: layer["nonzeros"] for layer in record.cost.get("layers", [])}
    if record.layers.keys() <= nonzeros.keys():
        indices = coded = 0
        for name, layer in record.layers.items():
            if layer.format == CODED_TOGETHER:
                coded += layer.packed_bits
            elif layer.format != "dense":
                indices += layer.packed_bits - nonzeros[name] * record.config[name].weight_bits
        split = {"weight values": packed - indices - coded, "indices": indices}
        split |= {"coded weights": coded} if coded else {}
    else:
        split = {"weights": packed}
    order = ("biases", "requantization", "header")
    known = {name: parts.pop(name) for name in order if name in parts}
    return {name: bits / 8 for name, bits in {**split, **known, **parts}.items()}


def _test(score: Any) -> list[float] | None:
    return None if score is None else [score.accuracy, score.low, score.high]
