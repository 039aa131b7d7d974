"""HTML tables and text: cells come in as HTML, everything else is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Column:
    """One column of a table: its heading and the class of its cells (`text`, `text long`)."""

    heading: str
    kind: str = ""


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
