"""The page report.html: one file that needs no network, made from the results and page.html."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from string import Template

from dse.report import text
from dse.report.results import Results
from dse.report.summary import SummaryRow, rows_of
from dse.study.folder import Reference, StudyFolder, TrialRecord, write_atomically


@dataclass(frozen=True)
class Column:
    """One column of a table: its heading and the class of its cells (`text`, `text long`)."""

    heading: str
    kind: str = ""


def write_page(folder: StudyFolder, results: Results, figure_svg: str) -> None:
    """Write report.html with `figure_svg`, the front's plot, drawn into it."""
    write_atomically(folder.report, page(results, figure_svg))


def page(results: Results, figure_svg: str) -> str:
    """The whole page as HTML; everything that comes from the study is escaped."""
    heading = results.heading
    note = heading.fallback_note
    template = resources.files("dse.report").joinpath("page.html").read_text(encoding="utf-8")
    # As ASCII with character references the page reads alike whatever encoding it is served with.
    return ascii_only(
        Template(template).substitute(
            title=escape(heading.title),
            fallback=f'<p class="alarm">{escape(note)}</p>' if note else "",
            facts=_facts(results),
            figure=inline_svg(figure_svg, f"Accuracy against memory, {heading.title}"),
            front=_front(rows_of(results)),
            layer_names=escape(", ".join(results.layer_names)),
            bytes=_bytes(results.front),
            references=_references(results.references),
            trial_count=_count(results),
            trials=_trials(results),
            study=escape(results.study_text),
        )
    )


def inline_svg(document: str, label: str) -> str:
    """The `<svg>` element of an SVG document, without prologue, named for screen readers."""
    start = document.index("<svg")
    return f'<svg role="img" aria-label="{escape(label)}"' + document[start + len("<svg") :]


def ascii_only(html: str) -> str:
    """The same HTML with everything beyond ASCII as numeric character references."""
    return html.encode("ascii", "xmlcharrefreplace").decode("ascii")


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table in a box that scrolls sideways; cells are HTML already."""
    head = "".join(f'<th class="{c.kind}">{escape(c.heading)}</th>' for c in columns)
    body = "\n".join(
        "<tr>"
        + "".join(f'<td class="{c.kind}">{cell}</td>' for c, cell in zip(columns, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _facts(results: Results) -> str:
    heading = results.heading
    facts = {
        "Network": heading.model,
        "Dataset": heading.dataset,
        "Device": heading.device,
        "Trials": _count(results),
    }
    pairs = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{pairs}</dl>"


def _count(results: Results) -> str:
    counts = [
        f"{len(results.with_state(state))} {state}"
        for state in ("complete", "infeasible", "failed")
    ]
    return f"{len(results.trials)} finished: {', '.join(counts)}"


def _front(rows: Sequence[SummaryRow]) -> str:
    if not rows:
        return "<p>No trial is complete, so there is no front.</p>"
    columns = [
        *map(Column, ("trial", "validation %", "test % (95 % interval)", "KiB", "compression")),
        *map(Column, ("LUT", "LUT %", "frames/s")),
        Column("weight bits", "text"),
        Column("activation bits", "text"),
        Column("density %", "text"),
    ]
    return table(columns, (_front_cells(row) for row in rows))


def _front_cells(row: SummaryRow) -> list[str]:
    return [
        str(row.trial),
        text.percent(row.accuracy),
        text.interval(row.test),
        text.three_digits(row.memory_bytes / text.KIB),
        text.optional(row.compression, "×"),
        text.NOTHING if row.lut is None else f"{row.lut:,.0f}",
        text.NOTHING if row.lut_share is None else text.percent(row.lut_share, 1),
        text.optional(row.fps),
        text.per_layer(row.weight_bits),
        text.per_layer(row.activation_bits),
        text.per_layer(f"{100 * density:.3g}" for density in row.density),
    ]


def _bytes(front: Sequence[TrialRecord]) -> str:
    parts = list(dict.fromkeys(part for record in front for part in record.memory_bits))
    # The four known parts in the order a reader cares for; a new part follows them.
    order = ["weights", "biases", "requantization", "header"]
    parts.sort(key=lambda part: order.index(part) if part in order else len(order))
    if not parts:
        return "<p>No trial of the front tells.</p>"
    columns = [Column("trial"), *map(Column, parts), Column("total"), Column("share", "text")]
    rows = (
        [
            str(record.number),
            *(f"{record.memory_bits.get(part, 0) / 8:,.10g}" for part in parts),
            f"{record.metrics['memory_bytes']:,.10g}",
            _bar([record.memory_bits.get(part, 0) for part in parts]),
        ]
        for record in front
    )
    legend = " ".join(
        f'<span class="part{place % 4}">&nbsp;&nbsp;&nbsp;</span> {escape(part)}'
        for place, part in enumerate(parts)
    )
    return table(columns, rows) + f'<p class="soft">In bytes. {legend}</p>'


def _bar(sizes: Sequence[int]) -> str:
    total = max(sum(sizes), 1)
    spans = "".join(
        f'<span class="part{place % 4}" style="width:{100 * size / total:.2f}%"></span>'
        for place, size in enumerate(sizes)
    )
    return f'<div class="bar">{spans}</div>'


def _references(references: Sequence[Reference]) -> str:
    if not references:
        return "<p>None yet.</p>"
    columns = [
        Column("network", "text"),
        *map(Column, ("validation %", "test % (95 % interval)", "test images", "KiB")),
    ]
    rows = (
        [
            escape(item.name),
            text.percent(item.accuracy),
            text.interval(item.test),
            f"{item.test.images:,}",
            text.three_digits(item.memory_bytes / text.KIB),
        ]
        for item in references
    )
    return table(columns, rows)


def _trials(results: Results) -> str:
    columns = [
        Column("trial"),
        Column("state", "text"),
        *map(Column, ("validation %", "bytes", "compression", "LUT", "frames/s")),
        Column("fits", "text"),
        Column("weight bits", "text"),
        Column("origin", "text"),
        Column("reason", "text long"),
    ]
    rows = (_trial_cells(record, results.layer_names) for record in results.trials)
    return table(columns, rows)


def _trial_cells(record: TrialRecord, layer_names: Sequence[str]) -> list[str]:
    metrics = record.metrics
    accuracy, memory, lut = (metrics.get(name) for name in ("accuracy", "memory_bytes", "lut"))
    fits = {None: text.NOTHING, 0.0: "no"}.get(metrics.get("fits"), "yes")
    chosen = (record.config[name].weight_bits for name in layer_names if name in record.config)
    return [
        str(record.number),
        escape(record.state),
        text.NOTHING if accuracy is None else text.percent(accuracy),
        text.NOTHING if memory is None else f"{memory:,.0f}",
        text.optional(metrics.get("compression"), "×"),
        text.NOTHING if lut is None else f"{lut:,.0f}",
        text.optional(metrics.get("fps")),
        fits,
        text.per_layer(chosen),
        escape(record.origin),
        escape(record.reason),
    ]
