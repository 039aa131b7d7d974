"""Several studies side by side: their fronts on one plot, hypervolumes from one corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rich import box
from rich.table import Table

from dse.errors import InputError
from dse.report import text
from dse.report.choices import POINTS_BELOW
from dse.report.compare_plot import comparison_plot
from dse.report.history import Corner, corner_of, hypervolume
from dse.report.html import Column, table
from dse.report.page import DRAWING, assembled, axis_data
from dse.report.paper import rendered
from dse.report.results import Results, read_results
from dse.report.sections import section
from dse.study.folder import StudyFolder, write_atomically, write_bytes_atomically

PAGE, FIGURES = "comparison.html", ("png", "svg", "pdf")


@dataclass(frozen=True)
class Compared:
    """One of the studies. `label` names it apart from the others; `hypervolume` is None where no
    baseline was scored, as is `smallest_bytes` where nothing on the front is within half a point
    of it."""

    label: str
    results: Results
    hypervolume: float | None
    smallest_bytes: float | None


@dataclass(frozen=True)
class Comparison:
    """Studies in the order given. `corner` bounds all hypervolumes: the largest float network, ten
    points below the least accurate one; `warning` says where that compares unlike things."""

    studies: tuple[Compared, ...]
    corner: Corner | None
    warning: str


def compare(folders: Sequence[Path]) -> Comparison:
    """Read and compare the studies. Raises InputError for a folder that holds none."""
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError("the same study is named twice; name each folder once")
    read = [read_results(StudyFolder(folder)) for folder in folders]
    corners = [corner for results in read if (corner := corner_of(results)) is not None]
    corner = None
    if corners:
        corner = Corner(
            max(item.memory_bytes for item in corners), min(item.accuracy for item in corners)
        )
    labels = apart(read, [folder.resolve().name for folder in folders])
    studies = tuple(
        Compared(
            label,
            results,
            None if corner is None else hypervolume(results.trials, corner),
            _smallest(results),
        )
        for label, results in zip(labels, read, strict=True)
    )
    return Comparison(studies, corner, _warning(read))


def apart(studies: Sequence[Results], names: Sequence[str]) -> list[str]:
    """A label per study: its name and whatever differs among them; its folder's name where all
    that is the same."""
    facts = [
        (s.heading.name, s.heading.model, s.heading.dataset, s.heading.device, _sampler(s))
        for s in studies
    ]
    differ = [place for place in range(1, 5) if len({fact[place] for fact in facts}) > 1]
    labels = [
        ", ".join(dict.fromkeys([fact[0], *(fact[place] for place in differ)])) for fact in facts
    ]
    return [
        label if labels.count(label) == 1 else f"{label} ({name})"
        for label, name in zip(labels, names, strict=True)
    ]


def _sampler(results: Results) -> str:
    sampler = results.study.get("sampler")
    return str(sampler.get("name")) if isinstance(sampler, dict) else ""


def _smallest(results: Results) -> float | None:
    if results.baseline is None:
        return None
    least = results.baseline.accuracy - POINTS_BELOW
    near = [r.metrics["memory_bytes"] for r in results.front if r.metrics["accuracy"] >= least]
    return min(near, default=None)


def _warning(studies: Sequence[Results]) -> str:
    """Accuracies on other images are no yardstick for one another."""
    images = {(results.heading.dataset, results.heading.fingerprint) for results in studies}
    if len(images) == 1:
        return ""
    names = ", ".join(sorted({name for name, _ in images}))
    return f"The studies saw different images ({names}): their accuracies do not compare."


def _cells(study: Compared) -> list[str]:
    results = study.results
    best = max((record.metrics["accuracy"] for record in results.front), default=None)
    return [
        study.label,
        str(len(results.trials)),
        str(len(results.front)),
        text.NOTHING if study.hypervolume is None else f"{study.hypervolume:.1f}",
        text.NOTHING if best is None else text.percent(best),
        text.NOTHING if study.smallest_bytes is None else text.memory(study.smallest_bytes),
    ]


HEADS = ("study", "trials", "on front", "hypervolume", "best val %", "within 0.5 points")


def comparison_table(comparison: Comparison) -> Table:
    """A row per study, for the terminal."""
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for place, head in enumerate(HEADS):
        shown.add_column(head, justify="right" if place else "left", overflow="fold")
    for study in comparison.studies:
        shown.add_row(*_cells(study))
    return shown


def write_comparison(comparison: Comparison, out: Path) -> list[Path]:
    """Write the page and the plot in every format into `out`; return the paths."""
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / PAGE, page(comparison))
    paths = [out / PAGE]
    for extension in FIGURES:
        fronts = [(study.label, study.results.front) for study in comparison.studies]
        content = rendered(lambda fronts=fronts: comparison_plot(fronts), extension)  # type: ignore[misc]
        if content is not None:
            paths.append(out / f"comparison.{extension}")
            write_bytes_atomically(paths[-1], content)
    return paths


def page(comparison: Comparison) -> str:
    """comparison.html: the table and the fronts, to hover over."""
    columns = [Column(HEADS[0], "text"), *map(Column, HEADS[1:])]
    rows = [[escape(cell) for cell in _cells(study)] for study in comparison.studies]
    corner = comparison.corner
    note = ""
    if corner is not None:
        note = (
            '<p class="soft">Hypervolume: halvings of memory times points of accuracy, from one '
            f"corner for all: {text.memory(corner.memory_bytes)} and "
            f"{text.percent(corner.accuracy)} %. Within 0.5 points: the smallest of the front that "
            "close to its own float network. Accuracy is on validation.</p>"
        )
    warning = f'<p class="alarm">{escape(comparison.warning)}</p>' if comparison.warning else ""
    data = {
        "axis": axis_data(),
        "fronts": [
            {
                "name": study.label,
                "points": [
                    [r.metrics["memory_bytes"], r.metrics["accuracy"], r.number]
                    for r in study.results.front
                ],
            }
            for study in comparison.studies
        ],
    }
    fronts = section(
        "fronts",
        "Fronts",
        "Fronts",
        f'{note}{table(columns, rows)}<figure id="fronts-plot"></figure>',
    )
    return assembled(
        [fronts],
        (*(name for name in DRAWING if name not in ("trials.js", "front.js")), "compare.js"),
        data,
        kind="comparison",
        title=f"{len(comparison.studies)} studies",
        fallback=warning,
        facts="".join(f"<li><b>{escape(s.label)}</b></li>" for s in comparison.studies),
    )
