"""The page report.html: one file that needs no network, made from the results and page/."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Any

from dse.report.axes import ACCURACY_TICKS, ERROR_KNEE, IMPORTANT_TICKS
from dse.report.boards import BoardMatrix
from dse.report.choices import Recommendation
from dse.report.html import ascii_only
from dse.report.page_data import METRICS, page_data, script_json
from dse.report.results import STATES, Results
from dse.report.sections import Section, study_sections
from dse.study.folder import StudyFolder, write_atomically

DRAWING = ("draw.js", "trials.js", "front.js", "curves.js")
SCRIPTS = (*DRAWING, "layers.js", "search.js", "table.js", "main.js")


def write_page(
    folder: StudyFolder,
    results: Results,
    chosen: Sequence[Recommendation],
    boards: BoardMatrix,
) -> None:
    """Write report.html."""
    write_atomically(folder.report, page(results, chosen, boards))


def page(
    results: Results,
    chosen: Sequence[Recommendation] = (),
    boards: BoardMatrix = BoardMatrix(),  # noqa: B008  # frozen
) -> str:
    """The whole page as HTML; everything that comes from the study is escaped."""
    heading = results.heading
    note = heading.fallback_note
    data = {**page_data(results, chosen), "metrics": METRICS, "axis": axis_data()}
    return assembled(
        study_sections(results, chosen, boards),
        SCRIPTS,
        data,
        kind="study report",
        title=escape(heading.title),
        fallback=f'<p class="alarm">{escape(note)}</p>' if note else "",
        facts=_facts(results),
    )


def assembled(
    sections: Sequence[Section], scripts: Sequence[str], data: dict[str, Any], **parts: str
) -> str:
    """page/page.html with its style, `scripts`, `data` and `sections` in it; `parts` are HTML.

    As ASCII with character references the page reads alike whatever encoding it is served with; a
    script must be ASCII as it is.
    """
    content = resources.files("dse.report").joinpath("page")
    script = "\n".join(content.joinpath(name).read_text(encoding="ascii") for name in scripts)
    links = "".join(f'<a href="#{s.name}">{escape(s.link)}</a>' for s in sections if s.link)
    return ascii_only(
        Template(content.joinpath("page.html").read_text(encoding="ascii")).substitute(
            style=content.joinpath("page.css").read_text(encoding="ascii"),
            links=links,
            sections="\n".join(section.html for section in sections),
            data=script_json(data),
            script=script.replace('"use strict";\n', ""),
            **parts,
        )
    )


def axis_data() -> dict[str, object]:
    """The accuracy axis of the plots, so that page and figures are stretched alike."""
    rest = [tick for tick in ACCURACY_TICKS if tick not in IMPORTANT_TICKS]
    return {"knee": ERROR_KNEE, "ticks": [*IMPORTANT_TICKS, *rest]}


def _facts(results: Results) -> str:
    heading, study = results.heading, results.study
    counts = ", ".join(f"{len(results.with_state(s))} {s}" for s in STATES)
    facts = {
        "Network": heading.model,
        "Dataset": heading.dataset,
        "Device": heading.device,
        "Trials": f"{len(results.trials)} ({counts})",
        "Tried": tried(results),
    }
    if isinstance(study.get("sampler"), dict):
        facts["Sampler"] = str(study["sampler"].get("name"))
    return "".join(f"<li>{key} <b>{escape(value)}</b></li>" for key, value in facts.items())


def tried(results: Results) -> str:
    """What the trials had of what the study lets them choose, in a few words."""
    configs = [choice for record in results.trials for choice in record.config.values()]
    layers = f"{len(results.layer_names)} layers"
    if not configs:
        return layers
    bits = [choice.weight_bits for choice in configs]
    ratios = [choice.prune_ratio for choice in configs]
    activations = [choice.activation_bits for choice in configs]
    return (
        f"{layers}, prune ratio {min(ratios):.2g} to {max(ratios):.2g}, weights {min(bits)} to "
        f"{max(bits)} bit, activations {min(activations)} to {max(activations)} bit"
    )
