"""A finished or running study as pandas frames, to compute with instead of to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dse.report.results import Results, read_results
from dse.report.tables import frame
from dse.study.folder import StudyFolder
from dse.study.record import TrialRecord

CHOICES = ("prune_ratio", "channel_ratio", "weight_bits", "activation_bits")
COSTS = (
    "macs", "nonzeros", "cycles", "pe", "simd", "lut", "ff", "dsp", "bram18", "uram", "binds",
)  # fmt: skip


@dataclass(frozen=True)
class StudyFrames:
    """A study as data; `docs/data.md` names every column with its unit.

    - `trials`: a row per finished trial, by number, as in trials.csv, and its `seconds`.
    - `front`: the rows of `trials` on the front, by memory ascending.
    - `layers`: a row per trial and layer: what was chosen, how it was packed, what it costs.
    """

    trials: pd.DataFrame
    front: pd.DataFrame
    layers: pd.DataFrame


def load_study(folder: str | Path) -> StudyFrames:
    """Read a study's folder, also while it runs. Raises InputError when it is none or damaged."""
    results = read_results(StudyFolder(Path(folder)))
    return StudyFrames(
        trials=_with_seconds(results, results.trials),
        front=_with_seconds(results, results.front),
        layers=_layers(results),
    )


def _with_seconds(results: Results, trials: tuple[TrialRecord, ...]) -> pd.DataFrame:
    table = frame(results, trials)
    timings = [results.timings.get(record.number) for record in trials]
    seconds = [None if timing is None else timing.seconds for timing in timings]
    return table.assign(seconds=pd.Series(seconds, dtype="float64"))


def _layers(results: Results) -> pd.DataFrame:
    rows = [
        _layer_row(record, name)
        for record in results.trials
        for name in results.layer_names
        if name in record.config
    ]
    columns = ("trial", "layer", *CHOICES, "density", "format", "packed_bits", *COSTS)
    return pd.DataFrame(
        {name: pd.Series([row[name] for row in rows], dtype=_dtype(name)) for name in columns}
    )


def _dtype(column: str) -> str:
    if column in ("layer", "format", "binds"):
        return "object"
    return "float64" if column in ("prune_ratio", "channel_ratio", "density") else "Int64"


def _layer_row(record: TrialRecord, name: str) -> dict[str, Any]:
    costs = {layer["name"]: layer for layer in record.cost.get("layers", [])}.get(name, {})
    packed = record.layers.get(name)
    return {
        "trial": record.number,
        "layer": name,
        **{choice: getattr(record.config[name], choice) for choice in CHOICES},
        "density": packed and packed.density,
        "format": packed and packed.format,
        "packed_bits": packed and packed.packed_bits,
        **{cost: costs.get(cost) for cost in COSTS},
    }
