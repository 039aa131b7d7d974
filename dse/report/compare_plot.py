"""The plot of several fronts, told apart by shape and dash as well as colour."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from dse.report.axes import accuracy_axis, memory_axis
from dse.study.record import TrialRecord

# Okabe and Ito 2008
LOOKS = (
    ("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", "-."), ("#AA4499", "D", ":"),
    ("#E69F00", "v", (0, (6, 1))), ("#56B4E9", "P", (0, (3, 1, 1, 1))), ("#1A1A1A", "X", "-"),
)  # fmt: skip
POINTS_BELOW = 0.1
"""What is further below the best accuracy is left out: it decides nothing and flattens the rest."""


def comparison_plot(fronts: Sequence[tuple[str, Sequence[TrialRecord]]]) -> Figure | None:
    """Accuracy on validation against memory, a stepped line per (label, front)."""
    best = max((r.metrics["accuracy"] for _, front in fronts for r in front), default=None)
    if best is None:
        return None
    figure = Figure(figsize=(3.5, 2.7), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    kept = [
        (label, [r.metrics for r in front if r.metrics["accuracy"] >= best - POINTS_BELOW])
        for label, front in fronts
    ]
    memory_axis(axes, [m["memory_bytes"] for _, points in kept for m in points])
    accuracy_axis(axes, [m["accuracy"] for _, points in kept for m in points])
    for place, (label, points) in enumerate(kept):
        colour, marker, dash = LOOKS[place % len(LOOKS)]
        axes.plot(
            [m["memory_bytes"] for m in points], [m["accuracy"] for m in points],
            drawstyle="steps-post", color=colour, marker=marker, linestyle=dash, ms=3.2,
            label=label,
        )  # fmt: skip
    axes.set(xlabel="memory of the packed model", ylabel="accuracy on validation")
    figure.legend(loc="outside lower center", frameon=False, ncols=1)
    return figure
