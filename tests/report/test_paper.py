"""Figures for papers: one column wide, whatever the study, the same bytes twice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import matplotlib
import pytest
from matplotlib.legend import Legend

from dse.report import paper
from dse.report.__main__ import main
from dse.report.results import read_results
from dse.study.folder import StudyFolder

from .studies import random_trials, write_study
from .test_figures import ODD_STUDIES, words

HEAD = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


def test_the_verb_writes_every_figure(searched: StudyFolder) -> None:
    asked = [word for format in paper.FORMATS for word in ("--format", format)]
    assert main([str(searched.path), *asked]) == 0
    written = {path.name for path in searched.figures.iterdir()}
    assert written == {f"{name}.{format}" for name in paper.FIGURES for format in paper.FORMATS}
    for path in searched.figures.iterdir():
        assert path.read_bytes().startswith(HEAD[path.suffix[1:]])


@pytest.mark.parametrize("name", ODD_STUDIES)
def test_odd_studies_give_the_figures_there_is_data_for(tmp_path: Path, name: str) -> None:
    folder = write_study(tmp_path / "study", ODD_STUDIES[name])
    written = paper.write_paper_figures(folder, read_results(folder), "png")
    drawn = {Path(path).stem for path in written}
    complete = any(trial.state == "complete" for trial in ODD_STUDIES[name])
    wanted = {"front", "layers", "bytes"} if complete else set()
    assert drawn - {"hypervolume"} == wanted
    assert ("hypervolume" in drawn) is bool(ODD_STUDIES[name])


@pytest.mark.parametrize("name", paper.FIGURES)
def test_a_figure_is_one_column_wide_and_legible_there(searched: StudyFolder, name: str) -> None:
    with matplotlib.rc_context(paper.STYLE):
        figure = paper.FIGURES[name](read_results(searched))
        assert figure is not None
        assert figure.get_size_inches()[0] == 3.5
        figure.draw_without_rendering()
        sizes = [
            text.get_fontsize() for text in figure.findobj(matplotlib.text.Text) if text.get_text()
        ]
    assert min(sizes) >= 5
    assert sorted(sizes)[len(sizes) // 2] >= 5


def test_names_of_the_parts_are_in_the_legend(searched: StudyFolder) -> None:
    figure = paper.bytes_by_parts(read_results(searched))
    assert figure is not None
    assert {"weights", "biases", "requantization", "header"} <= set(words(figure))


@pytest.mark.parametrize("name", paper.FIGURES)
def test_no_name_is_cut_off(searched: StudyFolder, name: str) -> None:
    """Names in legends and beside points; the longest are the parts of a compressed model."""
    results = read_results(searched)
    parts = {"weight values": 8, "indices": 8, "coded weights": 8, "biases": 8}
    parts |= {"requantization": 8, "header": 8}
    front = tuple(dataclasses.replace(record, memory_bits=parts) for record in results.front)
    with matplotlib.rc_context(paper.STYLE):
        figure = paper.FIGURES[name](dataclasses.replace(results, front=front))
        assert figure is not None
        figure.draw_without_rendering()
        legends = figure.findobj(Legend)
        names = [name for legend in legends for name in legend.get_texts()]
        for name in [*names, *(note for axes in figure.axes for note in axes.texts)]:
            box = name.get_window_extent()
            assert 0 <= box.x0 <= box.x1 <= figure.bbox.x1, name.get_text()
            assert 0 <= box.y0 <= box.y1 <= figure.bbox.y1, name.get_text()


def test_every_interval_of_the_front_is_inside_the_axes(searched: StudyFolder) -> None:
    results = read_results(searched)
    figure = paper.front(results)
    assert figure is not None
    low, high = figure.axes[0].get_ylim()
    assert results.tests
    for score in results.tests.values():
        assert low <= score.low <= score.high <= high


def test_a_long_front_is_thinned_and_keeps_its_ends() -> None:
    records = tuple(random_trials(100))
    kept = paper.thinned(records)
    assert len(kept) == paper.MOST_ROWS
    assert (kept[0], kept[-1]) == (records[0], records[-1])
    assert paper.thinned(records[:5]) == list(records[:5])


@pytest.mark.parametrize("format", paper.FORMATS)
def test_same_results_same_bytes_and_settings_are_put_back(
    searched: StudyFolder, format: str
) -> None:
    results, size = read_results(searched), matplotlib.rcParams["font.size"]
    first, second = (paper.rendered(lambda: paper.front(results), format) for _ in range(2))
    assert first == second
    assert matplotlib.rcParams["font.size"] == size


def test_an_unknown_format_is_a_usage_error(
    searched: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(searched.path), "--format", "gif"])
    assert "invalid choice: 'gif'" in capsys.readouterr().err
