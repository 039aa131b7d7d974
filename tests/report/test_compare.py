"""Several studies side by side: labels, one corner, warnings, files, the verb."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from rich.console import Console

from dse.errors import InputError
from dse.report.__main__ import main
from dse.report.compare import compare, comparison_table, page
from dse.study.folder import StudyFolder

from .browser import chromium, needs_chromium
from .studies import complete_trial, random_trials, references, unfinished_trial, write_study

OTHER_IMAGES = {"name": "digits", "fallback": False, "fingerprint": "99"}


def two(tmp_path: Path, **changes: object) -> list[Path]:
    """The same study twice, the second one changed and with a better front."""
    first = write_study(tmp_path / "first", [complete_trial(0, 0.98, 61_706)])
    second = write_study(tmp_path / "second", [complete_trial(0, 0.99, 30_853)], **changes)
    return [first.path, second.path]


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({}, ["lenet5 (first)", "lenet5 (second)"]),
        ({"name": "night"}, ["lenet5", "night"]),
        ({"device": "ecp5-85"}, ["lenet5, xc7z020", "lenet5, ecp5-85"]),
        ({"sampler": {"name": "gp"}}, ["lenet5, ", "lenet5, gp"]),
        ({"model": "net.py:Net", "name": "x"}, ["lenet5", "x, net.py:Net"]),
    ],
)
def test_studies_are_named_apart_by_what_differs(
    tmp_path: Path, changes: dict[str, object], labels: list[str]
) -> None:
    assert [study.label for study in compare(two(tmp_path, **changes)).studies] == labels


def test_hypervolumes_have_one_corner_by_hand(tmp_path: Path) -> None:
    # Float networks: 99.12 % in 246,824 bytes and 95 % in half of that, so the corner is at the
    # larger memory and 85 %. First: 2 halvings x 13 points; second: 3 halvings x 14 points.
    base = dataclasses.replace(references()[0], accuracy=0.95, memory_bytes=123_412)
    folders = two(tmp_path)
    StudyFolder(folders[1]).write_references([base])
    comparison = compare(folders)
    assert comparison.corner is not None
    assert comparison.corner.memory_bytes == 246_824
    assert comparison.corner.accuracy == pytest.approx(0.85)
    assert [study.hypervolume for study in comparison.studies] == pytest.approx([26, 42])
    assert [study.smallest_bytes for study in comparison.studies] == [None, 30_853]


def test_other_images_are_warned_about(tmp_path: Path) -> None:
    assert compare(two(tmp_path)).warning == ""
    changed = compare(two(tmp_path / "..", dataset_used=OTHER_IMAGES))
    assert "different images (digits, mnist)" in changed.warning
    assert "different images" in page(changed)


def test_without_a_baseline_there_is_no_hypervolume(tmp_path: Path) -> None:
    folders = two(tmp_path)
    for folder in folders:
        StudyFolder(folder).write_references([])
    comparison = compare(folders)
    assert comparison.corner is None
    assert [study.hypervolume for study in comparison.studies] == [None, None]


def test_the_table_fits_80_columns(tmp_path: Path) -> None:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(comparison_table(compare(two(tmp_path, device="xczu9eg"))))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert max(map(len, lines)) <= 80
    assert any(line.split()[-2:] == ["30.1", "KiB"] for line in lines)


def test_a_study_named_twice_is_refused(tmp_path: Path) -> None:
    folders = two(tmp_path)
    with pytest.raises(InputError, match="named twice"):
        compare([folders[0], folders[0] / ".." / "first"])


def test_the_verb_writes_page_and_plots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main([*map(str, two(tmp_path)), "--out", str(out)]) == 0
    names = {"comparison.html", "comparison.png", "comparison.svg", "comparison.pdf"}
    assert {path.name for path in out.iterdir()} == names
    assert "hypervolume" in capsys.readouterr().out


def test_studies_without_a_front_are_compared_too(tmp_path: Path) -> None:
    trials = [unfinished_trial(0, "failed", "x")]
    folders = [write_study(tmp_path / name, trials).path for name in ("a", "b")]
    assert main([*map(str, folders), "--out", str(tmp_path / "out")]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["comparison.html"]


def test_a_folder_that_is_no_study_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(two(tmp_path)[0]), str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "holds no study.yml" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@needs_chromium
@pytest.mark.slow
def test_the_page_draws_every_front_without_errors_or_requests(tmp_path: Path) -> None:
    pytest.importorskip("selenium")
    folders = [
        write_study(tmp_path / f"s{seed}", random_trials(30, seed)).path for seed in range(3)
    ]
    assert main([*map(str, folders), "--out", str(tmp_path / "out")]) == 0
    with chromium(tmp_path / "profile") as browser:
        browser.open(tmp_path / "out" / "comparison.html")
        assert browser.errors() == []
        assert browser.requests() == [(tmp_path / "out" / "comparison.html").resolve().as_uri()]
        lines = (
            "return document.querySelectorAll('#fronts-plot > svg > path[stroke-dasharray]').length"
        )
        assert browser.run(lines) == 3
