"""report.html: one escaped, well-formed file that needs no network."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dse.report import write_report
from dse.report.page import ascii_only, inline_svg, page, table
from dse.report.results import read_results
from dse.study.folder import StudyFolder

from .studies import complete_trial, references, unfinished_trial, write_study

SVG = '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg width="10"><path d="M0"/></svg>\n'
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Outline(HTMLParser):
    """Collects the text and checks that every element is closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def outline(html: str) -> Outline:
    parsed = Outline()
    parsed.feed(html)
    parsed.close()
    assert parsed.open == []
    return parsed


def drawn(folder: StudyFolder) -> str:
    return page(read_results(folder), SVG)


def test_written_page_is_well_formed_and_self_contained(searched: StudyFolder) -> None:
    write_report(searched)
    html = searched.report.read_text(encoding="ascii")
    assert outline(html).tags.count("svg") == 1
    assert not re.search(r'(?:src|href)="(?!#)', html)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_everything_from_the_study_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('&')</script>"
    trial = dataclasses.replace(complete_trial(0, 0.98, 5000), origin=evil)
    point = dataclasses.replace(references()[0], name=evil)
    trials = [trial, unfinished_trial(1, "failed", evil)]
    changes = {"name": evil, "model": evil, "device": evil}
    html = drawn(write_study(tmp_path / "study", trials, [point], **changes))
    assert "<script" not in html
    parsed = outline(html)
    assert "script" not in parsed.tags
    assert evil in parsed.text


def test_dollar_signs_of_the_study_survive(tmp_path: Path) -> None:
    html = drawn(write_study(tmp_path / "study", [], name="costs $5 and $title"))
    assert "costs $5 and $title: lenet5 on mnist" in html


def test_fallback_is_in_the_heading(tmp_path: Path) -> None:
    used = {"name": "digits", "fallback": True, "fingerprint": "1"}
    html = drawn(write_study(tmp_path / "study", [], dataset_used=used))
    note = '<p class="alarm">FALLBACK: digits (mnist was not available)</p>'
    assert note in html[: html.index("<main>")]
    assert "alarm" not in drawn(write_study(tmp_path / "other", [])).partition("<body>")[2]


def test_bytes_by_part_by_hand(tmp_path: Path) -> None:
    # 5000 bytes: header 512 bits = 64, biases 3776 = 472, requantization 2048 = 256, rest 4208.
    html = drawn(write_study(tmp_path / "study", [complete_trial(7, 0.98, 5000)]))
    section = html[html.index('id="bytes"') : html.index('id="references"')]
    cells = re.findall(r'<td class="">([^<]*)</td>', section)
    assert cells == ["7", "4,208", "472", "256", "64", "5,000"]
    assert 'style="width:84.16%"' in section


def test_a_study_without_a_front_says_so(tmp_path: Path) -> None:
    trials = [unfinished_trial(0, "failed", "diverged")]
    text = outline(drawn(write_study(tmp_path / "study", trials, []))).text
    assert "No trial is complete, so there is no front." in text
    assert "1 finished: 0 complete, 0 infeasible, 1 failed" in text
    assert "None yet." in text
    assert "diverged" in text


@pytest.mark.parametrize(("fits", "word"), [(1, "yes"), (0, "no"), (None, "–")])
def test_fits_is_a_word(tmp_path: Path, fits: int | None, word: str) -> None:
    metrics = {} if fits is None else {"fits": fits}
    trials = [unfinished_trial(0, "infeasible", "", metrics)]
    html = drawn(write_study(tmp_path / "study", trials))
    row = html[html.index("infeasible</td>") :]
    assert ascii_only(f'<td class="text">{word}</td>') in row[: row.index("</tr>")]


def test_study_file_is_shown_whole(searched: StudyFolder) -> None:
    text = "".join(outline(drawn(searched)).text)
    assert searched.study.read_text() in text


def test_inline_svg_has_a_name_and_no_prologue() -> None:
    assert inline_svg(SVG, 'a "b"').startswith('<svg role="img" aria-label="a &quot;b&quot;" width')


def test_ascii_only_keeps_the_meaning() -> None:
    assert ascii_only("3 – 4 ×") == "3 &#8211; 4 &#215;"


def test_table_refuses_a_row_of_other_length() -> None:
    with pytest.raises(ValueError, match="zip"):
        table([], [["1"]])
