"""The page in a real browser: no errors, no requests; hover, click, keys, sort and filter work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dse.report import write_report
from dse.report.results import Results, read_results
from dse.study.folder import StudyFolder
from dse.study.record import LayerSensitivity

from .browser import Browser, chromium, needs_chromium
from .studies import random_trials, unfinished_trial, write_study

pytestmark = [needs_chromium, pytest.mark.slow]

PLACE_OF = """
const dot = document.querySelector(`#front-plot .mark[data-n="${arguments[0]}"]`);
dot.scrollIntoView({block: "center", behavior: "instant"});
const box = dot.getBoundingClientRect();
return [box.x + box.width / 2, box.y + box.height / 2];
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    pytest.importorskip("selenium")
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    folder = write_study(tmp_path_factory.mktemp("study") / "a study's", random_trials(60))
    scan = LayerSensitivity(((0.0, 8, 0.01, 90), (0.0, 2, 1.0, 30), (0.9, 8, 2.0, 20)), ((8, 0.1),))
    folder.write_sensitivity({"conv1": scan, "fc1": scan})
    write_report(folder)
    return folder


@pytest.fixture
def page(browser: Browser, study: StudyFolder) -> Browser:
    browser.open(study.report)
    return browser


@pytest.fixture(scope="module")
def results(study: StudyFolder) -> Results:
    return read_results(study)


def texts(page: Browser, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent.trim())"
    found: list[str] = page.run(script, selector)
    return found


def column(page: Browser, place: int) -> list[str]:
    return texts(page, f"#trial-table tbody td:nth-child({place})")


def set_value(page: Browser, selector: str, value: Any) -> None:
    page.run(
        """const input = document.querySelector(arguments[0]);
        input[input.type === "checkbox" ? "checked" : "value"] = arguments[1];
        input.dispatchEvent(new Event("input", {bubbles: true}));""",
        selector,
        value,
    )


def test_the_names_of_stars_cover_no_trial(page: Browser) -> None:
    covered = """
    const box = (node) => node.getBoundingClientRect();
    const names = [...document.querySelectorAll("#front-plot .name")];
    const dots = [...document.querySelectorAll("#front-plot .mark")].map(box);
    const middle = (dot) => [dot.x + dot.width / 2, dot.y + dot.height / 2];
    const hits = names.map(box).map((name) => dots.map(middle).filter(([x, y]) =>
      name.left <= x && x <= name.right && name.top <= y && y <= name.bottom).length);
    return [names.length, dots.length, hits];
    """
    names, dots, hits = page.run(covered)
    assert names == len(hits) > 0
    assert dots > 10
    assert sum(hits) == 0


def test_it_opens_without_errors_or_requests(page: Browser, study: StudyFolder) -> None:
    assert page.run("return document.documentElement.dataset.ready") == "true"
    assert page.errors() == []
    assert page.requests() == [study.report.resolve().as_uri()]


def test_every_picture_is_drawn(page: Browser) -> None:
    for box in ("front-plot", "history-trials", "parallel"):
        assert page.run(f"return document.querySelectorAll('#{box} svg path').length") > 0, box
    assert page.run("return document.querySelectorAll('#sensitivity-plots svg').length") == 3
    for box in ("heat", "parts", "formats", "cost-table", "importances"):
        assert page.run(f"return document.querySelectorAll('#{box} tbody tr').length") > 0, box


def test_hover_tells_the_config(page: Browser, results: Results) -> None:
    record = results.front[2]
    page.move(*page.run(PLACE_OF, record.number))
    words = page.run("return document.getElementById('tip').innerText")
    assert f"Trial {record.number}, on the front" in words
    assert f"{100 * record.metrics['accuracy']:.2f} % validation" in words
    assert f"{record.config['conv1'].weight_bits} b" in words
    page.move(2, 2)
    assert page.run("return document.getElementById('tip').hidden")


def test_what_the_close_up_leaves_out_is_said_beside_the_picture(
    page: Browser, results: Results
) -> None:
    """Text within the picture hid the lowest point of the front on a phone."""
    complete = [r.metrics["accuracy"] for r in results.trials if r.state == "complete"]
    drawn = page.run("return document.querySelectorAll('#front-plot svg [data-n]').length")
    left_out = page.run("return frontView(true).hidden")
    assert 0 < left_out < len(complete)
    note = [line for line in texts(page, "#front-plot p") if "Less accurate" in line]
    assert note == [f"Less accurate trials that lie below the picture: {left_out}, see All trials."]
    assert drawn >= len(complete) - left_out


def test_a_click_shows_the_trial_everywhere(page: Browser, results: Results) -> None:
    number = results.front[-2].number
    page.move(*page.run(PLACE_OF, number), click=True)
    assert texts(page, "#detail h3")[0].startswith(f"Trial {number}")
    assert f"Bytes of each layer by format, trial {number}" in texts(page, "#formats h3")
    assert texts(page, "#trial-table tr.selected td:first-child")[0].split()[0] == str(number)


def test_the_deploy_command_names_the_folder_it_was_opened_from(
    page: Browser, study: StudyFolder, results: Results
) -> None:
    quoted = str(study.path.resolve()).replace("'", "'\\''")
    number = results.front[1].number
    page.run("select(arguments[0])", number)
    assert texts(page, "#detail pre") == [f"python -m dse.deploy '{quoted}' --trial {number}"]


def test_the_config_to_copy_is_a_search_space(page: Browser, results: Results) -> None:
    import yaml

    record = results.front[0]
    text = page.run("return configText(trials.get(arguments[0]))", record.number)
    layers = yaml.safe_load(text)["search_space"]["layers"]
    assert list(layers) == list(results.layer_names)
    assert layers["fc1"]["weight_bits"] == record.config["fc1"].weight_bits
    assert layers["fc1"]["prune_ratio"] == pytest.approx(record.config["fc1"].prune_ratio, rel=1e-5)


def test_keys_go_along_the_front_and_select(page: Browser, results: Results) -> None:
    first, second = (record.number for record in results.front[-2:])
    page.run("select(arguments[0])", first)
    page.run("document.querySelector('#front-plot svg').focus()")
    page.key("ArrowRight")
    assert f"Trial {second}," in page.run("return document.getElementById('tip').innerText")
    page.key("Enter")
    assert texts(page, "#detail h3")[0].startswith(f"Trial {second}")
    page.key("Escape")
    assert page.run("return document.getElementById('tip').hidden")


def test_all_trials_are_shown_when_asked_for(page: Browser, results: Results) -> None:
    page.run("document.querySelectorAll('#front-controls button')[1].click()")
    drawn = page.run("return document.querySelectorAll('#front-plot .mark[data-n]').length")
    assert drawn == len(results.trials)
    kinds = {"front", "dominated", "infeasible", "skipped", "failed"}
    shapes = {
        kind: page.run(
            "return document.querySelector(arguments[0]).getAttribute('d')",
            f"#front-plot .mark.{kind}[data-n]",
        )
        for kind in kinds
    }
    assert len(set(shapes.values())) == len(kinds)  # told apart without colour


def test_a_heading_sorts_and_missing_values_stay_last(page: Browser) -> None:
    click = "document.querySelectorAll('#trial-table th button')[2].click()"
    for sign in (1, -1):
        page.run(click)
        values = [float(value) for value in column(page, 3) if value != "–"]
        assert values == sorted(values, key=lambda value: sign * value)
        assert column(page, 3)[-1] == "–"
    assert page.run("return document.querySelectorAll('th[aria-sort=descending]').length") == 1


def test_filters_leave_what_passes_all(page: Browser, results: Results) -> None:
    set_value(page, "#trial-controls input[value=infeasible]", False)
    assert "infeasible" not in column(page, 2)
    set_value(page, "#trial-controls input[type=number]", 98.5)
    kept = column(page, 3)
    assert len(kept) == sum(r.metrics.get("accuracy", 0) >= 0.985 for r in results.trials)
    set_value(page, "#trial-controls input[type=search]", "no such word")
    assert column(page, 1) == []
    assert texts(page, "#trial-controls span")[-1] == "0 of 60 trials"


def test_a_phone_scrolls_down_only(page: Browser) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    page.command("Emulation.setDeviceMetricsOverride", **size)
    try:
        assert page.run("return document.documentElement.scrollWidth") <= 390
    finally:
        page.command("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize(
    "trials", [[], [unfinished_trial(0, "failed", "x")], random_trials(1)], ids=["0", "failed", "1"]
)
def test_odd_studies_open_too(browser: Browser, tmp_path: Path, trials: list[Any]) -> None:
    for name, points in (("with", None), ("without", [])):
        folder = write_study(tmp_path / name, trials, points)
        write_report(folder)
        browser.open(folder.report)
        assert browser.errors() == []
        assert browser.run("return document.documentElement.dataset.ready") == "true"
