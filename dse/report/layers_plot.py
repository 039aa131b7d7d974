"""The plot of what the front chose per layer: weight bits and density as two heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure

from dse.config import MAX_BITS
from dse.report import text
from dse.report.results import Results

CELL_WIDTH, CELL_HEIGHT = 0.62, 0.3
LARGEST_WIDTH, LARGEST_HEIGHT = 18.0, 24.0
MOST_FIGURES = 1000
"""Cells of one map beyond which shades alone are shown: figures would be slow and unread."""
DARK = 0.55
"""Share of the colour scale from which white figures are easier to read than black."""


@dataclass(frozen=True)
class Shade:
    """How the cells of one map are shaded: its title, value to [0, 1], ticks of its scale."""

    title: str
    norm: Normalize
    ticks: tuple[int, ...]


def layers_plot(results: Results) -> Figure:
    """Rows are the front's trials by memory ascending, columns the layers in network order."""
    rows, columns = max(len(results.front), 1), max(len(results.layer_names), 1)
    width = min(max(7.0, 3.4 + 2 * CELL_WIDTH * columns), LARGEST_WIDTH)
    longest = max((len(name) for name in results.layer_names), default=0)
    height = min(1.5 + CELL_HEIGHT * rows + 0.07 * longest, LARGEST_HEIGHT)
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(_title(results), fontsize=11, weight="bold", ha="left", x=0.01)
    if not results.front:
        figure.text(0.5, 0.4, "no complete trial", ha="center")
        return figure
    left, right = figure.subplots(1, 2, sharey=True)
    names = results.layer_names
    bits = np.array([[r.config[name].weight_bits for name in names] for r in results.front])
    density = np.array([[r.layers[name].density for name in names] for r in results.front])
    column_width = (width - 3.4) / (2 * columns)
    legible = column_width >= 0.3 and height / rows >= 0.2 and rows * columns <= MOST_FIGURES
    _heat_map(left, bits, Shade("weight bits", Normalize(0, MAX_BITS), (1, 4, 8, 12, 16)), legible)
    # The square root spreads the densities below 20 %, where most layers of a front lie.
    shade = Shade("density in %", PowerNorm(0.5, 0, 100), (1, 10, 25, 50, 100))
    _heat_map(right, 100 * density, shade, legible)
    for axes in (left, right):
        _name_layers(axes, names, column_width)
    labels = [
        f"#{r.number}   {text.memory(r.metrics['memory_bytes'])}   "
        f"{text.percent(r.metrics['accuracy'])} %"
        for r in results.front
    ]
    left.set_yticks(range(rows), labels=labels, fontsize=9 if legible else 6)
    return figure


def _title(results: Results) -> str:
    heading = results.heading
    lines = [f"{heading.name}: layers of the front (trial, memory, validation accuracy)"]
    return "\n".join(lines + ([heading.fallback_note] if heading.fallback_note else []))


def _name_layers(axes: Axes, names: Sequence[str], column_width: float) -> None:
    """Name the columns, each `column_width` inches wide, turning the names where they are long."""
    level = max(map(len, names)) * 0.09 <= column_width
    steep = column_width < 0.25
    axes.set_xticks(
        range(len(names)), labels=names, rotation=0 if level else 90 if steep else 45,
        ha="center" if level else "right", va="center" if steep else "top",
        rotation_mode="anchor", fontsize=6.5 if steep else 9,
    )  # fmt: skip


def _heat_map(axes: Axes, values: npt.NDArray[np.generic], shade: Shade, legible: bool) -> None:
    image = axes.imshow(values, cmap="Blues", norm=shade.norm, aspect="auto")
    axes.set_title(shade.title, fontsize=10)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(values.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(values.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2)
    axes.tick_params(which="minor", length=0)
    if not legible:  # too many cells for figures in them: a scale instead
        scale = axes.figure.colorbar(image, ax=axes, location="bottom", fraction=0.03, aspect=40)
        scale.set_ticks(list(shade.ticks))
        return
    for (row, column), value in np.ndenumerate(values):
        axes.text(
            column, row, _cell(float(value)), ha="center", va="center", fontsize=8.5,
            color="white" if shade.norm(float(value)) > DARK else "black",
        ).set_in_layout(False)  # fmt: skip  # thousands of figures slow the layout down


def _cell(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 or value == int(value) else f"{value:.1f}"
