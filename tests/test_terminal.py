"""What a running study shows: plain lines in a log, a table of 80 columns on a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from search import tiny

from dse import terminal
from dse.config import LayerConfig
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.study.record import LayerRecord, Reference, TestScore, TrialRecord
from dse.study.spec import StudySpec
from dse.terminal import LiveProgress, PlainProgress, status_line

ANSI = "\x1b"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> StudySpec:
    return load_study(tiny.write(tmp_path_factory.mktemp("study")))


def record(number: int, state: str = "complete", layers: int = 5) -> TrialRecord:
    """The higher its number, the larger and the better a trial is."""
    names = [f"layer{index}" for index in range(layers)]
    return TrialRecord(
        number,
        state,
        "" if state == "complete" else "does not fit: [lut] 120%",
        "tpe",
        dict.fromkeys(names, LayerConfig(0.5, 16, 16)),
        {"accuracy": 0.5 + number / 1000, "memory_bytes": 1024 * (number + 1)},
        dict.fromkeys(names, LayerRecord(0.5, "csr", 1, {})),
    )


def console(width: int = 80, is_terminal: bool = False) -> Console:
    return Console(
        file=io.StringIO(), width=width, height=24, force_terminal=is_terminal, markup=False
    )


def printed(to: Console) -> list[str]:
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue().splitlines()


def plain(spec: StudySpec) -> tuple[PlainProgress, Console]:
    to = console()
    return PlainProgress(to, spec, StudyFolder(Path("reports/tiny"))), to


def drawn(spec: StudySpec, trials: list[TrialRecord], total: int | None = 100) -> list[str]:
    """The lines of the live table."""
    to = console()
    progress = LiveProgress(to, spec, StudyFolder(Path("reports/tiny")))
    progress.trials(trials, total)
    to.print(progress._draw())
    return printed(to)


@pytest.mark.parametrize(
    ("states", "total", "left", "expected"),
    [
        ([], 10, "", "0/10 trials, 0 complete"),
        (["complete"], None, "", "1/? trials, 1 complete"),
        (
            ["complete", "failed", "infeasible", "failed"],
            9,
            "3 s left",
            "4/9 trials, 1 complete, 1 infeasible, 2 failed, 3 s left",
        ),
    ],
)
def test_the_status_line_counts_what_ended_how(
    states: list[str], total: int | None, left: str, expected: str
) -> None:
    records = [record(number, state) for number, state in enumerate(states)]
    assert status_line(records, total, left) == expected


def test_a_log_names_the_study_first(spec: StudySpec) -> None:
    assert printed(plain(spec)[1]) == ["study tiny on xc7z020, results in reports/tiny"]


def test_a_log_has_one_line_per_trial(spec: StudySpec) -> None:
    progress, to = plain(spec)
    with progress:
        for count in range(4):
            progress.trials([record(number) for number in range(count)], 3)
    assert [line.split("  (")[0] for line in printed(to)[1:]] == [
        "trial 0: 50.00% in 1.00 KiB",
        "trial 1: 50.10% in 2.00 KiB",
        "trial 2: 50.20% in 3.00 KiB",
    ]


def test_a_log_says_nothing_when_nothing_is_new(spec: StudySpec) -> None:
    progress, to = plain(spec)
    for _ in range(3):
        progress.trials([record(0)], 5)
    assert len(printed(to)) == 2


def test_a_log_gives_the_reason_of_a_refused_trial_as_it_is(spec: StudySpec) -> None:
    progress, to = plain(spec)
    progress.trials([record(0, "infeasible")], 5)
    assert printed(to)[1].startswith("trial 0 infeasible: does not fit: [lut] 120%")


def test_a_log_has_no_colours_and_no_wrapped_lines(spec: StudySpec) -> None:
    progress, to = plain(spec)
    progress.stage("a long stage " * 20)
    assert printed(to)[1:] == ["a long stage " * 20]
    assert ANSI not in "".join(printed(to))


@pytest.mark.parametrize("layers", [2, 5, 50])
@pytest.mark.parametrize("count", [1, 8, 100])
def test_the_table_has_a_line_per_front_point(spec: StudySpec, layers: int, count: int) -> None:
    lines = drawn(spec, [record(number, layers=layers) for number in range(count)])
    rows = [line for line in lines if "%" in line and "KiB" not in line]
    assert min(count, terminal.ROWS) - 1 <= len(rows) <= terminal.ROWS
    assert f" {count - 1} " in rows[-1]
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24


def test_the_table_cuts_the_bits_of_a_deep_network(spec: StudySpec) -> None:
    assert "…" in "".join(drawn(spec, [record(0, layers=50)]))


def test_the_bits_of_a_small_network_are_whole(spec: StudySpec) -> None:
    assert "16/16/16/16/16" in "".join(drawn(spec, [record(0)]))


def test_without_a_front_only_the_status_is_shown(spec: StudySpec) -> None:
    _bar, status = drawn(spec, [record(0, "failed")])
    assert status == "1/100 trials, 0 complete, 1 failed"


def test_a_stage_takes_the_place_of_the_status(spec: StudySpec) -> None:
    to = console()
    progress = LiveProgress(to, spec, StudyFolder(Path("reports/tiny")))
    progress.stage("loading npz")
    to.print(progress._draw())
    assert printed(to) == ["loading npz"]


def test_the_fallback_stays_on_the_screen(spec: StudySpec) -> None:
    to = console(is_terminal=True)
    with LiveProgress(to, spec, StudyFolder(Path("reports/tiny"))) as progress:
        progress.stage("FALLBACK: these are 'digits' images, not 'mnist'")
        progress.stage("training")
    assert sum("FALLBACK" in line for line in printed(to)) == 1


def test_the_time_left_counts_only_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    clock = terminal._Clock()
    assert clock.left(50, 100) == ""
    now = 10.0
    assert clock.left(60, 100) == "40 s left"
    now = 100.0
    assert clock.left(60, 100) == "7 min left"


@pytest.mark.parametrize(("done", "total"), [(5, None), (5, 5), (5, 3)])
def test_no_time_is_invented(done: int, total: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = terminal._Clock()
    clock.left(1, total)
    assert clock.left(done, total) == ""


def test_the_rate_counts_only_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    clock = terminal._Clock()
    assert clock.rate(50) == ""
    clock.left(50, 100)
    assert clock.rate(50) == ""
    now = 120.0
    assert clock.rate(55) == "2.5 trials/min"
    assert clock.rate(150) == "50 trials/min"


def test_the_best_within_half_a_point_of_the_float_network(spec: StudySpec) -> None:
    # 80.0, 80.1, ... 80.9 %: half a point below 80.99 % is 80.49 %: the smallest there is trial 305
    trials = [record(number) for number in range(300, 310)]
    line = terminal.best_within_wish(trials, spec, 0.8099)
    assert line == "within 0.5 points of float (80.99%): trial 305, 80.50% in 306.00 KiB"
    assert terminal.best_within_wish(trials, spec, 0.9).endswith(": none yet")
    assert terminal.best_within_wish(trials, spec, None) == ""


def test_the_wish_of_the_study_comes_first(tmp_path: Path) -> None:
    spec = load_study(tiny.write(tmp_path, constraints={"accuracy": ">= 80.2 %"}))
    line = terminal.best_within_wish([record(301), record(303)], spec, 0.5)
    assert line == "at least 80.20%: trial 303, 80.30% in 304.00 KiB"


def test_quiet_says_only_that_other_images_were_used(spec: StudySpec) -> None:
    to = console()
    with terminal.Quiet(to) as progress:
        progress.stage("training")
        progress.stage("FALLBACK: these are 'digits' images, not 'mnist'")
        progress.trials([record(0)], 10)
    assert printed(to) == ["FALLBACK: these are 'digits' images, not 'mnist'"]


def test_the_table_shows_how_far_the_study_is(spec: StudySpec, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    folder.write_references([Reference("dense float", 0.504, 10, TestScore(0.5, 0.4, 0.6, 9))])
    to = console()
    progress = LiveProgress(to, spec, folder)
    progress.trials([record(0), record(1)], 4)
    to.print(progress._draw())
    assert "within 0.5 points of float (50.40%): trial 0, 50.00% in 1.00 KiB" in printed(to)
