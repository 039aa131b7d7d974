"""report.html: one escaped, well-formed file that needs no network and says what there is."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dse.report import write_report
from dse.report.choices import recommendations
from dse.report.html import Column, ascii_only, table
from dse.report.page import page
from dse.report.page_data import bytes_by_part, script_json
from dse.report.results import read_results
from dse.study.folder import StudyFolder
from dse.study.record import LayerSensitivity

from .studies import complete_trial, random_trials, references, unfinished_trial, write_study

VOID = {"meta", "br", "hr", "img", "input", "link"}
MOST_BYTES = 1_500_000


class Outline(HTMLParser):
    """Collects the text and checks that every element is closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.scripts: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids |= {value for name, value in attrs if name == "id" and value}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.text.append(data)


def outline(html: str) -> Outline:
    parsed = Outline()
    parsed.feed(html)
    parsed.close()
    assert parsed.open == []
    return parsed


def drawn(folder: StudyFolder) -> str:
    results = read_results(folder)
    return page(results, recommendations(results))


def test_written_page_is_well_formed_and_self_contained(searched: StudyFolder) -> None:
    write_report(searched)
    html = searched.report.read_text(encoding="ascii")
    assert len(outline(html).scripts) == 2
    assert not re.search(r'(?:src|href)="(?!#)', html)
    assert "@import" not in html
    assert "url(" not in html
    assert "default-src 'none'" in html  # what is not forbidden here the browser would fetch
    assert "innerHTML" not in html
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_500_trials_stay_below_a_megabyte_and_a_half(tmp_path: Path) -> None:
    html = drawn(write_study(tmp_path / "study", random_trials(500)))
    assert len(html) < MOST_BYTES


def test_everything_from_the_study_is_escaped(tmp_path: Path) -> None:
    evil = "</script><script>alert('&')</script>"
    trial = dataclasses.replace(complete_trial(0, 0.98, 5000), origin=evil)
    point = dataclasses.replace(references()[0], name=evil)
    trials = [trial, unfinished_trial(1, "failed", evil)]
    changes = {"name": evil, "model": evil, "device": evil}
    html = drawn(write_study(tmp_path / "study", trials, [point], **changes))
    assert "<script>alert" not in html
    parsed = outline(html)
    assert len(parsed.scripts) == 2
    assert json.loads(parsed.scripts[0])["trials"][1]["reason"] == evil
    assert evil in parsed.text


def test_dollar_signs_of_the_study_survive(tmp_path: Path) -> None:
    html = drawn(write_study(tmp_path / "study", [], name="costs $5 and $title"))
    assert "costs $5 and $title: lenet5 on mnist" in html


def test_fallback_is_in_the_heading(tmp_path: Path) -> None:
    used = {"name": "digits", "fallback": True, "fingerprint": "1"}
    html = drawn(write_study(tmp_path / "study", [], dataset_used=used))
    note = '<p class="alarm">FALLBACK: digits (mnist was not available)</p>'
    assert note in html[: html.index("<main>")]
    assert '"alarm"' not in drawn(write_study(tmp_path / "other", []))


def test_sections_are_there_only_for_what_is_on_disk(searched: StudyFolder) -> None:
    without = outline(drawn(searched)).ids
    assert {"answer", "front", "layers", "bytes", "cost", "search", "trials", "study"} <= without
    assert "sensitivity" not in without
    searched.write_sensitivity({"conv1": LayerSensitivity(((0.0, 8, 0.1, 9),), ((8, 0.1),))})
    assert "sensitivity" in outline(drawn(searched)).ids


def test_every_box_the_script_fills_is_on_the_page(searched: StudyFolder) -> None:
    searched.write_sensitivity({"conv1": LayerSensitivity(((0.0, 8, 0.1, 9),), ((8, 0.1),))})
    parsed = outline(drawn(searched))
    main = parsed.scripts[1][parsed.scripts[1].index("Puts every picture") :]
    boxes = set(re.findall(r'"([a-z-]+)"\)?[,;)]', "".join(re.findall(r"fill\(.*", main))))
    assert len(boxes) > 12
    assert boxes <= parsed.ids


def test_bytes_by_part_by_hand() -> None:
    # 5000 bytes: biases 3776 bits = 472, requantization 2048 = 256, header 512 = 64, rest 4208.
    # conv1: bitmap of 150 weights with 15 left at 4 bits, 210 bits in all: 150 are indices.
    trial = complete_trial(7, 0.98, 5000)
    assert bytes_by_part(trial) == {
        "weights": 4208.0, "biases": 472.0, "requantization": 256.0, "header": 64.0
    }  # fmt: skip
    costs = {"layers": [{"name": name, "nonzeros": 15} for name in trial.layers]}
    one = dataclasses.replace(
        trial,
        cost={"layers": costs["layers"][:1]},
        layers={"conv1": dataclasses.replace(trial.layers["conv1"], packed_bits=210)},
        memory_bits={"weights": 210, "padding": 8},
    )
    assert bytes_by_part(one) == {"weight values": 60 / 8, "indices": 150 / 8, "padding": 1.0}


def test_a_dense_layer_has_no_indices() -> None:
    trial = complete_trial(7, 0.98, 5000)
    layers = {
        name: dataclasses.replace(layer, format="dense") for name, layer in trial.layers.items()
    }
    costs = {"layers": [{"name": name, "nonzeros": 1} for name in layers]}
    dense = dataclasses.replace(trial, layers=layers, cost=costs)
    assert bytes_by_part(dense)["indices"] == 0


def test_a_study_without_a_front_says_so(tmp_path: Path) -> None:
    trials = [unfinished_trial(0, "failed", "diverged")]
    parsed = outline(drawn(write_study(tmp_path / "study", trials, [])))
    assert "No trial is complete, so there is no front." in parsed.text
    assert "No trial is complete, so there is nothing to recommend." in parsed.text
    assert "1 (0 complete, 0 infeasible, 0 skipped, 1 failed)" in parsed.text
    assert "None yet." in parsed.text
    assert "layers" not in parsed.ids


def test_study_file_is_shown_whole(searched: StudyFolder) -> None:
    text = "".join(outline(drawn(searched)).text)
    assert searched.study.read_text() in text


def test_what_is_coded_together_is_not_split() -> None:
    trial = complete_trial(7, 0.98, 5000)
    layers = {
        "conv1": dataclasses.replace(trial.layers["conv1"], format="arithmetic", packed_bits=80),
        "fc1": dataclasses.replace(trial.layers["fc1"], format="dense", packed_bits=400),
    }
    costs = {"layers": [{"name": name, "nonzeros": 100} for name in layers]}
    both = dataclasses.replace(trial, layers=layers, cost=costs, memory_bits={"weights": 480})
    assert bytes_by_part(both) == {"weight values": 50.0, "indices": 0.0, "coded weights": 10.0}


def test_every_trial_is_in_the_data(searched: StudyFolder) -> None:
    data = json.loads(outline(drawn(searched)).scripts[0])
    results = read_results(searched)
    assert [trial["n"] for trial in data["trials"]] == [r.number for r in results.trials]
    assert [point["n"] for point in data["front"]] == [r.number for r in results.front]
    record = results.front[0]
    row = next(trial for trial in data["trials"] if trial["n"] == record.number)
    assert row["accuracy"] == record.metrics["accuracy"]
    assert row["memory"] == record.metrics["memory_bytes"]
    assert row["metrics"][data["metrics"].index("fps")] == record.metrics["fps"]
    first = record.config["conv1"]
    assert row["config"][0] == [
        pytest.approx(first.prune_ratio, rel=1e-5), first.weight_bits, first.activation_bits, 0.0,
    ]  # fmt: skip


def test_json_in_a_script_cannot_end_it_and_has_no_infinity() -> None:
    text = script_json({"a": "</script>", "b": [float("inf"), 1 / 3], "c": 12345678})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script>", "b": [None, 0.333333], "c": 12345678}


def test_ascii_only_keeps_the_meaning() -> None:
    assert ascii_only("3 – 4 ×") == "3 &#8211; 4 &#215;"


def test_table_refuses_a_row_of_other_length() -> None:
    with pytest.raises(ValueError, match="zip"):
        table([Column("a")], [["1", "2"]])
