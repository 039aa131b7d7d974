"""The front in a few columns, as values and as a table for the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from dse.report import text
from dse.report.results import Results, lut_share, read_results
from dse.study.folder import StudyFolder
from dse.study.record import TestScore


@dataclass(frozen=True)
class SummaryRow:
    """One trial of the front.

    `accuracy` is on validation and `test` on test where it was scored, both in [0, 1];
    `lut_share` is the share of the device's LUTs; bits are per layer in the network's order.
    None stands for a metric the trial does not have.
    """

    trial: int
    accuracy: float
    test: TestScore | None
    memory_bytes: int
    compression: float | None
    lut: float | None
    lut_share: float | None
    fps: float | None
    weight_bits: tuple[int, ...]
    activation_bits: tuple[int, ...]
    density: tuple[float, ...]


def summary_rows(folder: StudyFolder) -> list[SummaryRow]:
    """The front by memory ascending. Raises InputError when the folder is no study or damaged."""
    return rows_of(read_results(folder))


def rows_of(results: Results) -> list[SummaryRow]:
    """`summary_rows` for results already read."""
    names = results.layer_names
    return [
        SummaryRow(
            trial=record.number,
            accuracy=record.metrics["accuracy"],
            test=results.tests.get(record.number),
            memory_bytes=int(record.metrics["memory_bytes"]),
            compression=record.metrics.get("compression"),
            lut=record.metrics.get("lut"),
            lut_share=lut_share(record),
            fps=record.metrics.get("fps"),
            weight_bits=tuple(record.config[name].weight_bits for name in names),
            activation_bits=tuple(record.config[name].activation_bits for name in names),
            density=tuple(record.layers[name].density for name in names),
        )
        for record in results.front
    ]


def front_table(folder: StudyFolder) -> Table:
    """The front as a table that fits 80 columns; a deep network's bits are cut with an ellipsis."""
    results = read_results(folder)
    rows = rows_of(results)
    title = Text(results.heading.title, style="bold")
    if results.heading.fallback_note:
        title.append(f"\n{results.heading.fallback_note}", style="bold red")
    table = Table(
        title=title,
        title_justify="left",
        caption=None if rows else "no complete trial",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("val %", justify="right", no_wrap=True)
    table.add_column("test % (95 %)", justify="right", no_wrap=True)
    table.add_column("KiB", justify="right", no_wrap=True)
    table.add_column("x", justify="right", no_wrap=True)
    table.add_column("LUT %", justify="right", no_wrap=True)
    table.add_column("fps", justify="right", no_wrap=True)
    table.add_column("weight bits", overflow="ellipsis")  # the one that may be cut
    for row in rows:
        table.add_row(
            str(row.trial),
            text.percent(row.accuracy),
            text.interval(row.test),
            text.three_digits(row.memory_bytes / text.KIB),
            text.optional(row.compression),
            text.NOTHING if row.lut_share is None else text.percent(row.lut_share, 1),
            text.optional(row.fps),
            text.per_layer(row.weight_bits),
        )
    return table
