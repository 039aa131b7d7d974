"""The sections of a study's page: what is words and tables, and boxes the script draws into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from dse.report import text
from dse.report.boards import BoardMatrix, board_cells
from dse.report.choices import Recommendation
from dse.report.history import POINTS_BELOW, busy_seconds, corner_of, history, hypervolume
from dse.report.html import Column, table
from dse.report.results import Results
from dse.report.summary import SummaryRow, rows_of
from dse.study.record import Reference


@dataclass(frozen=True)
class Section:
    """A part of the page; `link` is its name in the navigation, empty for none."""

    name: str
    link: str
    html: str


def study_sections(
    results: Results, chosen: Sequence[Recommendation], boards: BoardMatrix
) -> list[Section]:
    """Every section there is data for, in the order a reader decides: answer, front, why, all."""
    found = [_answer(results, chosen), _front(results)]
    if results.front:
        found += [LAYERS, BYTES, COST]
    if boards.fits or boards.note:
        found.append(_boards(boards, chosen))
    if results.sensitivity:
        found.append(SENSITIVITY)
    found += [_search(results), _trials(results), _study(results)]
    return found


def section(name: str, link: str, title: str, body: str) -> Section:
    """A section with its heading; `body` is HTML."""
    return Section(
        name, link, f'<section id="{name}">\n<h2>{escape(title)}</h2>\n{body}\n</section>'
    )


LAYERS = section(
    "layers",
    "Layers",
    "What the front chose per layer",
    '<p class="soft">Rows are the front by memory, the darker the larger. A click selects a row '
    'everywhere on the page.</p><div class="row" id="heat-controls"></div>'
    '<figure id="heat"></figure>',
)
BYTES = section(
    "bytes",
    "Bytes",
    "Where the bytes are",
    '<p class="soft">Indices are all that a sparse format stores beside the values: positions, '
    "counts, fillers. Coded weights are both in one stream. Nothing is left out: the parts add up "
    "to the length of model.bin.</p>"
    '<figure id="parts"></figure><figure id="formats"></figure>',
)
COST = section(
    "cost",
    "Cost",
    "Resources and cycles per layer",
    '<p class="soft">Estimates of the cost model for the selected point; docs/cost_model.md says '
    'how far to trust them.</p><figure id="cost-table"></figure>',
)
SENSITIVITY = section(
    "sensitivity",
    "Sensitivity",
    "What each layer alone can take",
    '<p class="soft">One layer compressed after training, the others in float: divergence from the '
    "float network's answers. First at the least pruning, then at the most weight bits, then with "
    "only the layer's inputs quantized. No finetuning, so it shows where to be careful, not what "
    'is lost.</p><div class="pair" id="sensitivity-plots"></div>',
)


def _answer(results: Results, chosen: Sequence[Recommendation]) -> Section:
    cards = "".join(_card(results, item) for item in chosen)
    if not chosen:
        cards = '<p class="note">No trial is complete, so there is nothing to recommend.</p>'
    return Section(
        "answer",
        "Answer",
        f'<section id="answer" class="plain"><h2>Points worth deploying</h2>'
        f'<div class="cards">{cards}</div></section>',
    )


def _card(results: Results, item: Recommendation) -> str:
    number, metrics = item.record.number, item.record.metrics
    test = results.tests.get(number)
    measured = "not scored on test" if test is None else f"{text.interval(test)} % on test"
    return (
        f'<article class="card"><h3><span class="badge">{item.letter}</span>{escape(item.title)}'
        f'</h3><div class="figures"><span class="big">{text.memory(metrics["memory_bytes"])}</span>'
        f'<span class="big">{text.percent(metrics["accuracy"])} %</span></div>'
        f'<p class="soft">{escape(measured)}</p><p class="why">{escape(item.reason)}</p>'
        f'<div class="row" data-deploy="{number}"><button type="button" data-select="{number}">'
        f"Show trial {number}</button></div></article>"
    )


def _front(results: Results) -> Section:
    body = (
        '<div class="row" id="front-controls"></div><div class="plot-grid">'
        '<figure id="front-plot"></figure><div class="detail" id="detail"></div></div>'
        f"<h3>The front as a table</h3>{front_table(rows_of(results))}"
        '<p class="soft">Weight bits, activation bits and density are per layer, in the order: '
        f"{escape(', '.join(results.layer_names))}. Test was scored once, for the front, with its "
        "95 % interval: points whose intervals overlap may be ties.</p>"
        f"<h3>To compare with</h3>{references_table(results.references)}"
    )
    return section("front", "Front", "Accuracy against memory", body)


def front_table(rows: Sequence[SummaryRow]) -> str:
    """The front as HTML."""
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
        text.per_layer(map(text.two_digits, row.density)),
    ]


def references_table(references: Sequence[Reference]) -> str:
    """What the front is compared with, as HTML."""
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


def _boards(boards: BoardMatrix, chosen: Sequence[Recommendation]) -> Section:
    """Devices by size against the recommended points."""
    if boards.note:
        return section(
            "boards", "Boards", "Which boards", f'<p class="note">{escape(boards.note)}</p>'
        )
    letters: dict[str, str] = {}
    for item in chosen:
        key = str(item.record.number)
        letters[key] = letters.get(key, "") + item.letter
    heads = ("fits", "fullest, free", "frames/s", "latency")
    columns = [Column("device", "text")]
    for number, letter in letters.items():
        columns += [Column(f"{letter} #{number} {heads[0]}", "text"), *map(Column, heads[1:])]
    rows = []
    for device in dict.fromkeys(fit.device for fit in boards.fits):
        fits = {fit.network: fit for fit in boards.fits if fit.device == device}
        cells = [cell for number in letters for cell in board_cells(fits[number])]
        rows.append([escape(device), *map(escape, cells)])
    note = (
        '<p class="soft">The recommended points on every device dse knows, smallest device first. '
        "Free is what is left of the fullest resource; tight fits, but above the share at which "
        "timing gets hard. Your own board: device: myboard.yml.</p>"
    )
    return section("boards", "Boards", "Which boards", note + table(columns, rows))


def _search(results: Results) -> Section:
    steps = history(results)
    body = ""
    if steps:
        body += (
            f'<p class="soft">Hypervolume: the area between the front and a corner at the float '
            f"network's memory, {100 * POINTS_BELOW:.0f} points below its accuracy, in halvings of "
            f"memory times points of accuracy. Now {steps[-1].hypervolume:.1f}."
            f"{_guessed(results)}</p>"
            '<div class="pair"><figure id="history-trials"></figure>'
            '<figure id="history-time"></figure></div>'
        )
    body += (
        '<div class="pair" id="importances"></div><h3>All complete trials, choice by choice</h3>'
        '<p class="soft">The front is thick, the selected trial thicker.</p>'
        '<div class="row" id="parallel-controls"></div><figure class="wide" id="parallel"></figure>'
    )
    return section("search", "Search", "How the search went", body)


def _guessed(results: Results) -> str:
    """What the guesses alone reached: how much the search itself was worth."""
    corner = corner_of(results)
    guesses = [record for record in results.trials if record.origin == "sensitivity"]
    if corner is None or not guesses:
        return ""
    return (
        f" The {len(guesses)} guesses from sensitivity alone: {hypervolume(guesses, corner):.1f}."
    )


def _trials(results: Results) -> Section:
    body = (
        '<p class="soft">A heading sorts, a row selects; Copy config and Copy deploy command are '
        'beside the plot.</p><div class="row" id="trial-controls"></div>'
        '<div class="wide tall" id="trial-table"></div>'
    )
    return section("trials", "Trials", f"All {len(results.trials)} trials", body)


def _study(results: Results) -> Section:
    body = (
        f"{_pairs(_timings(results))}<details><summary>study.yml, resolved: every default filled in"
        f"</summary><pre>{escape(results.study_text)}</pre></details>"
    )
    return section("study", "Study", "Study file, versions, timings", body)


def _timings(results: Results) -> dict[str, str]:
    versions: Mapping[str, object] = results.study.get("versions") or {}
    facts = {
        "seed": str(results.study.get("seed")),
        "dataset fingerprint": results.heading.fingerprint,
        "versions": ", ".join(f"{name} {value}" for name, value in versions.items()),
    }
    seconds = sorted(timing.seconds for timing in results.timings.values())
    if seconds:
        facts["a trial took"] = (
            f"{seconds[len(seconds) // 2]:.1f} s in the median, {seconds[0]:.1f} to "
            f"{seconds[-1]:.1f} s"
        )
    busy = busy_seconds(results)
    if busy is not None:
        facts["all trials took"] = f"{busy / 60:.1f} min, not counting pauses"
    return facts


def _pairs(facts: Mapping[str, str]) -> str:
    rows = ([escape(name), escape(value)] for name, value in facts.items())
    return table([Column("", "text"), Column("", "text long")], rows)
