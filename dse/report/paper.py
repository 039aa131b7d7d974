"""Figures for papers and slides: one column wide, legible there, told apart without colour."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from dse.config import MAX_BITS
from dse.report import text
from dse.report.axes import accuracy_axis, memory_axis
from dse.report.figures import NO_METADATA
from dse.report.front_plot import BLUE, GREY, INK, VERMILLION, name_references
from dse.report.history import history
from dse.report.page_data import bytes_by_part
from dse.report.results import Results
from dse.study.folder import StudyFolder, write_bytes_atomically
from dse.study.record import TrialRecord

FORMATS = ("pdf", "svg", "png")
WIDTH = 3.5
"""Inches of one column of an IEEE page; fonts are then read at the size they have here."""
STYLE: dict[Any, Any] = {
    "font.size": 7.5, "axes.titlesize": 7.5, "legend.fontsize": 6.5, "axes.linewidth": 0.6,
    "lines.linewidth": 1.2, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "hatch.linewidth": 0.5, "pdf.fonttype": 42,  # letters stay letters: some journals insist
    "svg.hashsalt": "dse", "text.parse_math": False, "figure.dpi": 100,
}  # fmt: skip
DPI = 300
PARTS = {
    "weight values": (BLUE, ""), "weights": (BLUE, ""), "indices": ("#56B4E9", "////"),
    "coded weights": ("#AA4499", "xxxx"), "biases": ("#E69F00", ""),
    "requantization": ("#009E73", "...."), "header": (GREY, ""),
}  # fmt: skip
"""Colour and hatch of each part, the same whichever others there are."""
NAMES = 6
"""Points of the letters beside a point."""
MOST_ROWS = 24
"""Front points in a figure of rows; a longer front is thinned evenly."""


def write_paper_figures(folder: StudyFolder, results: Results, format: str) -> list[str]:
    """Write every figure there is data for into figures/; return their paths."""
    written = []
    for name, draw in FIGURES.items():
        content = rendered(lambda draw=draw: draw(results), format)  # type: ignore[misc]
        if content is not None:
            path = folder.figures / f"{name}.{format}"
            path.parent.mkdir(exist_ok=True)
            write_bytes_atomically(path, content)
            written.append(str(path))
    return written


def rendered(draw: Callable[[], Figure | None], format: str) -> bytes | None:
    """A figure in STYLE as the bytes of a file; the same results give the same bytes."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = draw()
        if figure is None:
            return None
        buffer = io.BytesIO()
        metadata = {"png": {"Software": None}, "svg": NO_METADATA}.get(
            format, {"Creator": None, "Producer": None, "CreationDate": None}
        )
        figure.savefig(buffer, format=format, dpi=DPI, metadata=metadata)
        return buffer.getvalue()


def front(results: Results) -> Figure | None:
    """Accuracy against memory with 95 % intervals and what it is compared with."""
    complete = results.with_state("complete")
    if not complete:
        return None
    figure, axes = _figure(2.5)
    # a figure has room for the part that decides: what is far below the front is left out
    least = results.front[-1].metrics["accuracy"] - 0.1
    shown = [record for record in complete if record.metrics["accuracy"] >= least]
    on_front = [record for record in results.front if record in shown]
    points = [_xy(record) for record in shown]
    points += [(float(item.memory_bytes), item.accuracy) for item in results.references]
    memory_axis(axes, [size for size, _ in points])
    ticks, names = axes.get_xticks(), [label.get_text() for label in axes.get_xticklabels()]
    axes.set_xticks(ticks[::2], labels=names[::2])  # all of them touch in a narrow figure
    scored = [record for record in on_front if record.number in results.tests]
    tests = [results.tests[record.number] for record in scored]
    bounds = [bound for test in tests for bound in (test.low, test.high)]
    accuracy_axis(axes, [accuracy for _, accuracy in points] + bounds)
    others = [_xy(record) for record in shown if record not in on_front]
    axes.plot(*_columns(others), "s", ms=2.6, mfc="none", mec=GREY, mew=0.6, label="dominated")
    axes.plot(
        *_columns([_xy(record) for record in on_front]), "o-", drawstyle="steps-post", ms=3.4,
        color=BLUE, label="front, validation",
    )  # fmt: skip
    if scored:
        axes.errorbar(
            [1.04 * record.metrics["memory_bytes"] for record in scored],
            [test.accuracy for test in tests],
            yerr=[
                [max(test.accuracy - test.low, 0) for test in tests],
                [max(test.high - test.accuracy, 0) for test in tests],
            ],
            fmt="D", ms=2.8, mfc="white", color=VERMILLION, elinewidth=0.8, capsize=1.5,
            label="front, test (95 %)",
        )  # fmt: skip
    for item in results.references:
        axes.plot(item.memory_bytes, item.accuracy, "*", ms=7, color=INK, mec="white", mew=0.4)
    axes.legend(loc="lower right", frameon=False)
    axes.set(xlabel="memory of the packed model", ylabel="accuracy")
    figure.draw_without_rendering()  # settles the layout, so that distances are final
    name_references(axes, results.references, figure.dpi, NAMES)
    return figure


def layers(results: Results) -> Figure | None:
    """Weight bits and density of every front point as two maps."""
    records, names = thinned(results.front), results.layer_names
    if not records:
        return None
    figure, (left, right) = _figure(0.75 + 0.13 * len(records), columns=2)
    bits = [[record.config[name].weight_bits for name in names] for record in records]
    density = [[100 * record.layers[name].density for name in names] for record in records]
    for axes, values, top, title in (
        (left, bits, float(MAX_BITS), "weight bits"), (right, density, 100.0, "density in %")
    ):  # fmt: skip
        table = np.array(values, dtype=float)
        axes.imshow(np.sqrt(table / top), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_title(title)
        axes.set_xticks(range(len(names)), labels=names, rotation=45, ha="right", fontsize=6)
        axes.tick_params(length=0)
        for (row, column), value in np.ndenumerate(table) if len(names) <= 12 else ():
            dark = np.sqrt(value / top) > 0.6
            shown = f"{value:.1f}" if value < 9.95 and value % 1 else f"{value:.0f}"
            axes.text(
                column, row, shown, ha="center", va="center", fontsize=5,
                color="white" if dark else "black",
            )  # fmt: skip
    left.set_yticks(range(len(records)), labels=[_row_label(r) for r in records], fontsize=6)
    right.set_yticks([])
    return figure


def bytes_by_parts(results: Results) -> Figure | None:
    """Stacked bars: where the bytes of each front point are."""
    records = thinned(results.front)
    if not records:
        return None
    figure, axes = _figure(0.9 + 0.13 * len(records))
    split = [bytes_by_part(record) for record in records]
    parts = list(dict.fromkeys(part for sizes in split for part in sizes))
    start = np.zeros(len(records))
    for part in parts:
        colour, hatch = PARTS.get(part, (INK, ""))
        sizes = np.array([item.get(part, 0.0) for item in split]) / text.KIB
        axes.barh(
            range(len(records)), sizes, left=start, color=colour, hatch=hatch, label=part,
            edgecolor="white", linewidth=0.3,
        )  # fmt: skip
        start += sizes
    axes.invert_yaxis()
    axes.set_yticks(range(len(records)), labels=[_row_label(r) for r in records], fontsize=6)
    axes.set_xlabel("KiB")
    figure.legend(frameon=False, ncols=3, loc="outside upper center")
    return figure


def hypervolume(results: Results) -> Figure | None:
    """Hypervolume against trials."""
    steps = history(results)
    if not steps:
        return None
    figure, axes = _figure(1.9)
    axes.step(
        [0, *(step.trials for step in steps)], [0, *(step.hypervolume for step in steps)],
        where="post", color=BLUE,
    )  # fmt: skip
    axes.set(xlabel="trials", ylabel="hypervolume\n(halvings × points)", ylim=(0, None))
    return figure


FIGURES: Mapping[str, Callable[[Results], Figure | None]] = {
    "front": front,
    "layers": layers,
    "bytes": bytes_by_parts,
    "hypervolume": hypervolume,
}


def thinned(records: tuple[TrialRecord, ...]) -> list[TrialRecord]:
    """At most MOST_ROWS of them, evenly, both ends among them."""
    if len(records) <= MOST_ROWS:
        return list(records)
    places = np.linspace(0, len(records) - 1, MOST_ROWS).round().astype(int)
    return [records[place] for place in places]


def _figure(height: float, columns: int = 1) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(1, columns)
    for one in np.atleast_1d(axes):
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _xy(record: TrialRecord) -> tuple[float, float]:
    return record.metrics["memory_bytes"], record.metrics["accuracy"]


def _columns(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _row_label(record: TrialRecord) -> str:
    accuracy = text.percent(record.metrics["accuracy"], 1)
    return f"{text.memory(record.metrics['memory_bytes'])}, {accuracy} %"
