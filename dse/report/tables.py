"""The tables of a study, trials.csv and pareto.csv, as pandas frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from dse.report.results import Results, read_results
from dse.study.folder import StudyFolder, write_atomically
from dse.study.record import TrialRecord

FLOATS = (
    "accuracy",
    "test_accuracy",
    "test_accuracy_low",
    "test_accuracy_high",
    "compression",
    "latency_s",
    "fps",
    "prune_ratio",
    "channel_ratio",
    "density",
)
TEXTS = ("state", "format", "origin", "reason", "template", "device_type")
METRICS = (
    "memory_bytes",
    "compression",
    "lut",
    "ff",
    "dsp",
    "bram18",
    "latency_s",
    "fps",
    "bytes_per_inference",
)


def trials_frame(folder: StudyFolder) -> pd.DataFrame:
    """Every finished trial by number; what a trial does not have is missing.

    Columns are those of design section 9 (trial, state, accuracy in [0, 1] on validation, ...),
    six per layer, then origin, reason, template, each layer's channel_ratio and device_type, what
    the trial was trained on. Test columns are filled for the front. Raises InputError when the
    folder is no study or damaged.
    """
    results = read_results(folder)
    return frame(results, results.trials)


def pareto_frame(folder: StudyFolder) -> pd.DataFrame:
    """The front by memory ascending, with the columns of `trials_frame`."""
    results = read_results(folder)
    return frame(results, results.front)


def write_tables(folder: StudyFolder) -> None:
    """Write trials.csv and pareto.csv; the same records give the same bytes."""
    write_tables_of(folder, read_results(folder))


def write_tables_of(folder: StudyFolder, results: Results) -> None:
    """`write_tables` for results already read."""
    write_atomically(folder.trials_csv, to_csv(frame(results, results.trials)))
    write_atomically(folder.pareto_csv, to_csv(frame(results, results.front)))


def to_csv(table: pd.DataFrame) -> str:
    """CSV text: floats in their shortest exact form, missing cells empty, lines end in one LF."""
    return table.to_csv(index=False, lineterminator="\n")


def frame(results: Results, trials: Iterable[TrialRecord]) -> pd.DataFrame:
    """One row per trial in the order given, with the columns of `trials_frame`."""
    rows = [_row(results, record) for record in trials]
    columns = _row_columns(results.layer_names)
    return pd.DataFrame({name: _column(name, [row[name] for row in rows]) for name in columns})


def _row_columns(layer_names: Sequence[str]) -> list[str]:
    score = ("accuracy", "test_accuracy", "test_accuracy_low", "test_accuracy_high")
    of_layer = (
        "prune_ratio", "density", "weight_bits", "activation_bits", "format", "packed_bits"
    )  # fmt: skip
    layers = [f"{layer}.{name}" for layer in layer_names for name in of_layer]
    appended = [f"{layer}.channel_ratio" for layer in layer_names]
    first, last = ("trial", "state", *score, *METRICS, "fits"), ("origin", "reason", "template")
    return [*first, *layers, *last, *appended, "device_type"]


def _row(results: Results, record: TrialRecord) -> dict[str, Any]:
    test, fits = results.tests.get(record.number), record.metrics.get("fits")
    row: dict[str, Any] = {
        "trial": record.number,
        "state": record.state,
        "accuracy": record.metrics.get("accuracy"),
        "test_accuracy": test and test.accuracy,
        "test_accuracy_low": test and test.low,
        "test_accuracy_high": test and test.high,
        **{name: record.metrics.get(name) for name in METRICS},
        "fits": None if fits is None else bool(fits),
        "origin": record.origin,
        "reason": record.reason,
        "template": record.cost.get("template"),
        "device_type": record.device_type,
    }
    for name in results.layer_names:
        row.update(_layer_cells(name, record))
    return row


def _layer_cells(name: str, record: TrialRecord) -> Mapping[str, Any]:
    chosen, packed = record.config.get(name), record.layers.get(name)
    return {
        f"{name}.prune_ratio": chosen and chosen.prune_ratio,
        f"{name}.density": packed and packed.density,
        f"{name}.weight_bits": chosen and chosen.weight_bits,
        f"{name}.activation_bits": chosen and chosen.activation_bits,
        f"{name}.format": packed and packed.format,
        f"{name}.packed_bits": packed and packed.packed_bits,
        f"{name}.channel_ratio": chosen and chosen.channel_ratio,
    }


def _column(name: str, values: list[Any]) -> pd.Series[Any]:
    kind = name.rpartition(".")[2]  # a layer's name may hold dots, its columns' names do not
    if kind in TEXTS:
        return pd.Series(values, dtype=object)
    if kind == "fits":
        return pd.Series(values, dtype="boolean")
    # JSON may hold a count as 1234.0; it is written as a count unless a value really is broken.
    if kind in FLOATS or any(
        value is not None and not float(value).is_integer() for value in values
    ):
        return pd.Series(values, dtype="float64")
    counts = [value if value is None else int(value) for value in values]
    return pd.Series(counts, dtype="Int64")
