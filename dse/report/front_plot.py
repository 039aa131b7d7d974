"""The plot of accuracy against memory: front, other trials, reference points."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from dse.report.axes import accuracy_axis, memory_axis
from dse.report.labels import box_places, drawn_places, free_place
from dse.report.results import Results
from dse.study.record import Reference, TrialRecord

# Okabe & Ito 2008: told apart with every kind of colour blindness; shapes differ as well.
BLUE, VERMILLION, PURPLE, GREY, INK = "#0072B2", "#D55E00", "#AA4499", "#8A8A8A", "#1A1A1A"
OCHRE = "#8A6D00"
RUGS = {"infeasible": ("|", PURPLE, 0.025, 13), "skipped": ("v", OCHRE, 0.07, 6)}
"""Marker, colour, height on the axis and size of the states whose trials have no accuracy."""
LIGHT_BLUE = "#7FB8D8"
HALO = withStroke(linewidth=3, foreground="white")
LABEL_GAP_POINTS = 16.0
TITLE_LETTERS = 64


def front_plot(results: Results) -> Figure:
    """Accuracy (log error axis) against memory (log axis, bytes); legible without any trial."""
    figure = Figure(figsize=(8.6, 6.2), layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.1))
    axes = figure.subplots()
    _titles(axes, results)
    accuracies = _accuracies(results)
    sizes = _sizes(results)
    if not sizes:
        axes.text(0.5, 0.5, "no trial has a memory yet", ha="center", transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])
    else:
        memory_axis(axes, sizes)
        accuracy_axis(axes, accuracies or [0.9, 1.0])
    if sizes and not accuracies:
        axes.text(0.5, 0.5, "no complete trial", ha="center", transform=axes.transAxes)
    handles = [
        _front(axes, results),
        _tests(axes, results),
        _dominated(axes, results),
        _without_accuracy(axes, results, "infeasible"),
        _without_accuracy(axes, results, "skipped"),
        _failed(results),
    ]
    _references(axes, results.references)
    figure.legend(
        handles=[handle for handle in handles if handle is not None],
        loc="outside lower center", ncols=2, frameon=False, fontsize=9,
    )  # fmt: skip
    figure.draw_without_rendering()  # settles the layout, so that distances are final
    _number_front(figure, axes, results.front)
    name_references(axes, results.references, figure.dpi)
    return figure


def _titles(axes: Axes, results: Results) -> None:
    heading = results.heading
    note = heading.fallback_note
    axes.set_title(
        fill(heading.title, TITLE_LETTERS), loc="left", fontsize=12, weight="bold",
        pad=26 if note else 10,
    )  # fmt: skip
    if note:
        axes.annotate(
            note, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points",
            color=VERMILLION, weight="bold", fontsize=11,
        )  # fmt: skip
    axes.set_xlabel("memory of the packed model (weights, biases, requantization, header)")
    axes.set_ylabel("accuracy (axis logarithmic in the error)")
    axes.grid(color="#E3E3E3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _accuracies(results: Results) -> list[float]:
    values = [record.metrics["accuracy"] for record in results.with_state("complete")]
    values += [bound for test in results.tests.values() for bound in (test.low, test.high)]
    return values + [reference.accuracy for reference in results.references]


def _sizes(results: Results) -> list[float]:
    values = [
        record.metrics["memory_bytes"]
        for record in results.trials
        if record.state != "failed" and record.metrics.get("memory_bytes", 0) > 0
    ]
    return values + [float(reference.memory_bytes) for reference in results.references]


def _xy(records: Sequence[TrialRecord]) -> tuple[list[float], list[float]]:
    return (
        [record.metrics["memory_bytes"] for record in records],
        [record.metrics["accuracy"] for record in records],
    )


def _front(axes: Axes, results: Results) -> Line2D | None:
    if not results.front:
        return None
    count = len(results.front)
    (line,) = axes.plot(
        *_xy(results.front), drawstyle="steps-post", color=LIGHT_BLUE, marker="o", markersize=6.5,
        markerfacecolor=BLUE, markeredgecolor=BLUE, linewidth=1.6, zorder=3,
        label=f"front, validation accuracy ({count}, with trial number)",
    )  # fmt: skip
    return line


def _tests(axes: Axes, results: Results) -> ErrorbarContainer | None:
    scored = [record for record in results.front if record.number in results.tests]
    if not scored:
        return None
    tests = [results.tests[record.number] for record in scored]
    # A little beside the front's points: on them, the two colours cannot be told apart.
    left, right = axes.get_xlim()
    beside = (right / left) ** 0.009
    bars = axes.errorbar(
        [record.metrics["memory_bytes"] * beside for record in scored],
        [test.accuracy for test in tests],
        yerr=[
            [max(test.accuracy - test.low, 0.0) for test in tests],
            [max(test.high - test.accuracy, 0.0) for test in tests],
        ],
        fmt="D", color=VERMILLION, markerfacecolor="white", markersize=5, elinewidth=1.2,
        capsize=2.5, zorder=4, label="front, test accuracy with 95 % interval (drawn beside)",
    )  # fmt: skip
    return bars


def _dominated(axes: Axes, results: Results) -> Line2D | None:
    on_front = {record.number for record in results.front}
    rest = [r for r in results.with_state("complete") if r.number not in on_front]
    if not rest:
        return None
    (line,) = axes.plot(
        *_xy(rest), linestyle="", marker="s", markersize=4, markerfacecolor="none",
        markeredgecolor=GREY, alpha=0.8, zorder=2,
        label=f"dominated, validation accuracy ({len(rest)})",
    )  # fmt: skip
    return line


def _without_accuracy(axes: Axes, results: Results, state: str) -> Line2D | None:
    """Refused or skipped before training: a rug on the lower edge, a row for each state."""
    records = results.with_state(state)
    if not records:
        return None
    marker, colour, height, size = RUGS[state]
    sizes = [r.metrics["memory_bytes"] for r in records if r.metrics.get("memory_bytes", 0) > 0]
    axes.plot(
        sizes, [height] * len(sizes), linestyle="", marker=marker, markersize=size, color=colour,
        markerfacecolor="none", alpha=0.7, zorder=2, transform=axes.get_xaxis_transform(),
    )  # fmt: skip
    unknown = len(records) - len(sizes)
    without = f", {unknown} of unknown memory" if unknown else ""
    return Line2D(
        [], [], linestyle="", marker=marker, markersize=size - 2, color=colour,
        markerfacecolor="none", label=f"{state} ({len(records)}{without}), no accuracy",
    )  # fmt: skip


def _failed(results: Results) -> Line2D | None:
    count = len(results.with_state("failed"))
    if not count:
        return None
    return Line2D(
        [], [], linestyle="", marker="x", color=INK, markersize=6,
        label=f"failed ({count}), not drawn",
    )  # fmt: skip


def _references(axes: Axes, references: Sequence[Reference]) -> None:
    """A star for each point that no search is needed for."""
    for reference in references:
        axes.plot(
            reference.memory_bytes, reference.accuracy, linestyle="", marker="*", markersize=13,
            color=INK, markeredgecolor="white", zorder=5,
        )  # fmt: skip


def name_references(
    axes: Axes, references: Sequence[Reference], dpi: float, size: float = 9
) -> None:
    """Names of the stars in letters of `size` points, where they cover nothing that is drawn."""
    taken = drawn_places(axes)
    for reference in references:
        point = (reference.memory_bytes, reference.accuracy)
        name = axes.annotate(
            reference.name, point, (0, 0), textcoords="offset points", fontsize=size, color=INK,
            path_effects=[HALO], zorder=6,
        )  # fmt: skip
        at = axes.transData.transform(point)
        box = free_place(at, np.array(name.get_window_extent().size), taken, axes.bbox)
        right, up = (box.min - at) * 72 / dpi
        name.set_position((right, up))
        taken = np.concatenate([taken, box_places(box)])


def _number_front(figure: Figure, axes: Axes, front: Sequence[TrialRecord]) -> None:
    """Trial numbers up and left of the front's points, where no trial can lie."""
    last = np.array([-LABEL_GAP_POINTS, -LABEL_GAP_POINTS])
    for record in front:
        x, y = record.metrics["memory_bytes"], record.metrics["accuracy"]
        at = axes.transData.transform((x, y)) * 72 / figure.dpi
        if np.max(at - last) < LABEL_GAP_POINTS:
            continue
        last = at
        axes.annotate(
            str(record.number), (x, y), (-4, 4), textcoords="offset points", ha="right",
            fontsize=8, color=BLUE, path_effects=[HALO], zorder=6,
        )  # fmt: skip
