"""The front for the terminal: values, text, 80 columns."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from rich.console import Console

from dse.config import LayerConfig
from dse.report import front_table, summary_rows, text
from dse.study.folder import StudyFolder
from dse.study.record import LayerRecord, TrialRecord

from .studies import complete_trial, score_near, unfinished_trial, write_study


def printed(folder: StudyFolder, width: int = 80) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(front_table(folder))
    return [line.rstrip() for line in capture.get().splitlines()]


def deep_trial(names: list[str]) -> TrialRecord:
    return dataclasses.replace(
        complete_trial(123, 1.0, 246_824, 16),
        config=dict.fromkeys(names, LayerConfig(0.5, 16, 16)),
        layers=dict.fromkeys(names, LayerRecord(0.5, "csr", 8, {})),
    )


def test_rows_are_values(tmp_path: Path) -> None:
    (row,) = summary_rows(write_study(tmp_path / "study", [complete_trial(3, 0.98, 6171)]))
    assert (row.trial, row.accuracy, row.memory_bytes) == (3, 0.98, 6171)
    assert row.test == score_near(0.979)
    assert row.weight_bits == row.activation_bits == (4, 4, 4, 4, 4)
    assert row.lut_share == pytest.approx(11_800 / 53_200)


def test_table_by_hand(tmp_path: Path) -> None:
    # 6171 B = 6.03 KiB; 246,824 / 6171 = 40.0; 11,800 of 53,200 LUTs = 22.2 %; fps 2439 + 3.
    lines = printed(write_study(tmp_path / "study", [complete_trial(3, 0.98, 6171)]))
    assert lines[0] == "lenet5 on mnist, xc7z020"
    row = next(line.split() for line in lines if line.strip().startswith("3 "))
    assert row[:4] == ["3", "98.00", "97.90", "(97.60–98.16)"]
    assert row[4:] == ["6.03", "40.0", "22.2", "2,442", "4/4/4/4/4"]


def test_a_deep_network_is_cut_and_the_rest_is_whole(tmp_path: Path) -> None:
    names = [f"conv{index}" for index in range(54)]
    folder = write_study(tmp_path / "study", [deep_trial(names)], layer_names=names)
    lines = printed(folder)
    assert max(map(len, lines)) <= 80
    row = next(line for line in lines if "123" in line)
    assert "99.90 (99.82–99.95)" in row
    assert row.endswith("…")


def test_lenet_at_sixteen_bits_fits_uncut(tmp_path: Path) -> None:
    lines = printed(write_study(tmp_path / "study", [complete_trial(499, 1.0, 246_824, 16)]))
    assert max(map(len, lines)) <= 80
    assert any(line.endswith("16/16/16/16/16") for line in lines)


def test_fallback_is_above_the_table(tmp_path: Path) -> None:
    used = {"name": "digits", "fallback": True, "fingerprint": "1"}
    lines = printed(
        write_study(tmp_path / "study", [complete_trial(3, 0.98, 6171)], dataset_used=used)
    )
    assert lines[1] == "FALLBACK: digits (mnist was not available)"


def test_empty_front_says_so(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study", [unfinished_trial(0, "failed", "")])
    assert summary_rows(folder) == []
    assert "no complete trial" in "\n".join(printed(folder))


def test_square_brackets_are_not_markup(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study", [complete_trial(3, 0.98, 6171)], name="[bold]x[/]")
    assert printed(folder)[0].startswith("[bold]x[/]: lenet5")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (512, "512 B"),
        (5970, "5.83 KiB"),
        (62_950, "61.5 KiB"),
        (246_824, "241 KiB"),
        (1_572_864, "1.50 MiB"),
    ],
)
def test_memory_text(size: int, expected: str) -> None:
    assert text.memory(size) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.004, "0.00"), (9.994, "9.99"), (9.996, "10.0"), (99.96, "100"), (12345.6, "12,346")],
)
def test_three_digits(value: float, expected: str) -> None:
    assert text.three_digits(value) == expected


def test_missing_values_are_dashes() -> None:
    assert (text.optional(None), text.interval(None)) == ("–", "–")
