"""The plots: what is on them, every odd study, the same bytes twice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure

from dse.config import LayerConfig
from dse.report.figures import write_figures
from dse.report.front_plot import front_plot
from dse.report.layers_plot import layers_plot
from dse.report.results import read_results
from dse.study.folder import StudyFolder
from dse.study.record import LayerRecord, TrialRecord

from .studies import complete_trial, random_trials, unfinished_trial, write_study

FALLBACK = {"name": "digits", "fallback": True, "fingerprint": "1"}
REFUSED = [
    unfinished_trial(0, "infeasible", "x", {"memory_bytes": 5000}),
    unfinished_trial(1, "infeasible", "x"),
]
ODD_STUDIES: dict[str, list[TrialRecord]] = {
    "nothing": [],
    "only failed": [unfinished_trial(0, "failed", "x")],
    "all infeasible": REFUSED,
    "one": [complete_trial(0, 0.98, 5000)],
    "perfect": [complete_trial(0, 1.0, 5000)],
    "hopeless": [complete_trial(0, 0.0, 5000)],
    "same point": [complete_trial(number, 0.98, 5000) for number in range(3)],
    "wide": [complete_trial(0, 0.1, 100), complete_trial(1, 1.0, 10_000_000)],
}


def words(figure: Figure) -> list[str]:
    """Every text of a figure and of its legends."""
    found = [text.get_text() for text in figure.findobj(matplotlib.text.Text)]
    return [text for text in found if text]


def plot(folder: StudyFolder) -> Figure:
    return front_plot(read_results(folder))


@pytest.mark.parametrize("with_references", [True, False])
@pytest.mark.parametrize("name", ODD_STUDIES)
def test_every_odd_study_is_drawn(tmp_path: Path, name: str, with_references: bool) -> None:
    points = None if with_references else []
    folder = write_study(tmp_path / "study", ODD_STUDIES[name], points)
    write_figures(folder, read_results(folder))
    for figure in ("pareto", "layers"):
        assert folder.figure(figure, "png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in folder.figure(figure, "svg").read_text()


def test_dollar_signs_in_names_are_no_formula(tmp_path: Path) -> None:
    names = [f"${name}\\frac$" for name in ("a", "b")]
    trial = dataclasses.replace(
        complete_trial(0, 0.9, 4000),
        config=dict.fromkeys(names, LayerConfig(0.5, 4, 4)),
        layers=dict.fromkeys(names, LayerRecord(0.5, "csr", 8, {})),
    )
    folder = write_study(tmp_path / "study", [trial], layer_names=names, name=names[0])
    write_figures(folder, read_results(folder))


def test_legend_counts_what_cannot_be_drawn(tmp_path: Path) -> None:
    trials = [*REFUSED, unfinished_trial(2, "failed", "x"), complete_trial(3, 0.9, 4000)]
    trials.append(unfinished_trial(4, "skipped", "x", {"memory_bytes": 4500}))
    found = words(plot(write_study(tmp_path / "study", trials)))
    assert "infeasible (2, 1 of unknown memory), no accuracy" in found
    assert "skipped (1), no accuracy" in found
    assert "failed (1), not drawn" in found


def test_legend_leaves_out_what_there_is_not(tmp_path: Path) -> None:
    found = words(plot(write_study(tmp_path / "study", [complete_trial(0, 0.9, 4000)])))
    assert "front, validation accuracy (1, with trial number)" in found
    assert not [text for text in found if text.startswith(("failed", "infeasible", "dominated"))]


def test_markers_of_the_kinds_differ(tmp_path: Path) -> None:
    trials = [*random_trials(60)]
    figure = plot(write_study(tmp_path / "study", trials))
    lines = figure.axes[0].get_lines()
    markers = {line.get_marker() for line in lines if line.get_marker() not in ("None", None)}
    assert {"o", "D", "s", "|", "v", "*"} <= markers


def test_front_line_is_drawn_on_validation(searched: StudyFolder) -> None:
    results = read_results(searched)
    (line,) = [
        line
        for line in front_plot(results).axes[0].get_lines()
        if str(line.get_label()).startswith("front, validation")
    ]
    assert list(line.get_ydata()) == [record.metrics["accuracy"] for record in results.front]
    assert list(line.get_xdata()) == [record.metrics["memory_bytes"] for record in results.front]


def test_title_is_loud_about_the_fallback(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study", random_trials(5), dataset_used=FALLBACK)
    results = read_results(folder)
    note = "FALLBACK: digits (mnist was not available)"
    assert note in words(front_plot(results))
    assert any(note in text for text in words(layers_plot(results)))


def test_references_are_named(searched: StudyFolder) -> None:
    found = words(plot(searched))
    assert {"dense float32", "uniform 8 bit", "lenet5 on mnist, xc7z020"} <= set(found)


def test_names_lie_inside_the_figure(searched: StudyFolder) -> None:
    figure = plot(searched)
    figure.draw_without_rendering()
    for axes in figure.axes:
        for text in axes.texts:
            box = text.get_window_extent()
            assert figure.bbox.x0 <= box.x0
            assert box.x1 <= figure.bbox.x1
            assert box.y1 <= figure.bbox.y1


def test_figures_in_the_cells_of_small_maps_only(tmp_path: Path) -> None:
    small = layers_plot(read_results(write_study(tmp_path / "small", ODD_STUDIES["one"])))
    assert len(small.axes) == 2
    assert [text.get_text() for text in small.axes[0].texts] == ["4"] * 5
    names = [f"stage1.block{index}.conv" for index in range(80)]
    deep = dataclasses.replace(
        complete_trial(0, 0.9, 4000),
        config=dict.fromkeys(names, LayerConfig(0.5, 4, 4)),
        layers=dict.fromkeys(names, LayerRecord(0.5, "csr", 8, {})),
    )
    folder = write_study(tmp_path / "deep", [deep], layer_names=names)
    drawn = layers_plot(read_results(folder))
    assert len(drawn.axes) == 4  # two maps and their scales
    assert [len(axes.texts) for axes in drawn.axes[:2]] == [0, 0]


def test_same_results_same_bytes_and_settings_are_put_back(searched: StudyFolder) -> None:
    results = read_results(searched)
    written = []
    for size in (10.0, 17.0):
        with matplotlib.rc_context({"font.size": size}):  # a user's own matplotlibrc
            write_figures(searched, results)
            assert matplotlib.rcParams["font.size"] == size
        written.append(
            [
                searched.figure(n, e).read_bytes()
                for n in ("pareto", "layers")
                for e in ("png", "svg")
            ]
        )
    assert written[0] == written[1]
