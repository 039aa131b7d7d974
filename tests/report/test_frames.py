"""A study as data: the frames' columns are those docs/data.md names, and its code runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dse
from dse import run
from dse.errors import InputError
from dse.report.frames import load_study
from dse.study.folder import StudyFolder

from .studies import WEIGHTS, complete_trial, unfinished_trial, write_study

DOCUMENT = Path(__file__).parents[2] / "docs" / "data.md"


def documented(heading: str) -> list[str]:
    """Column names in the table under a heading of docs/data.md."""
    section = DOCUMENT.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    first_cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in first_cells for name in re.findall("`([^`]+)`", cell)]


def test_the_columns_are_the_documented_ones(searched: StudyFolder) -> None:
    study = load_study(searched.path)
    wanted = set(documented("Columns of `trials` and `front`"))
    for frame in (study.trials, study.front):
        found = {re.sub(f"^({'|'.join(WEIGHTS)})[.]", "<layer>.", name) for name in frame.columns}
        assert found == wanted
    assert list(study.layers.columns) == documented("Columns of `layers`")


def test_rows_by_hand(tmp_path: Path) -> None:
    trials = [
        complete_trial(0, 0.99, 9000), complete_trial(1, 0.98, 5000),
        unfinished_trial(2, "failed", "x"), complete_trial(3, 0.97, 8000),
    ]  # fmt: skip
    folder = write_study(tmp_path / "study", trials)
    (folder.trial(1) / "timing.json").write_text('{"started": 1.0, "seconds": 2.5}')
    study = dse.load_study(folder.path)
    assert study.trials["trial"].tolist() == [0, 1, 2, 3]
    assert study.front["trial"].tolist() == [1, 0]
    assert study.front["seconds"].tolist()[0] == 2.5
    assert study.trials["seconds"].isna().tolist() == [True, False, True, True]
    assert len(study.layers) == 4 * len(WEIGHTS)
    first = study.layers.iloc[0]
    assert (first["layer"], first["weight_bits"], first["format"]) == ("conv1", 4, "bitmap")
    assert study.layers[study.layers["trial"] == 2]["density"].isna().all()


def test_a_study_without_trials_has_every_column(tmp_path: Path) -> None:
    study = load_study(write_study(tmp_path / "study", []).path)
    assert (len(study.trials), len(study.front), len(study.layers)) == (0, 0, 0)
    assert list(study.layers.columns) == documented("Columns of `layers`")


def test_no_study_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no study\.yml"):
        dse.load_study(tmp_path)


@pytest.mark.slow
def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Path(__file__).parents[2] / "studies" / "digits.yml"
    monkeypatch.chdir(tmp_path)
    short = ["--set", "baseline.epochs=2", "--set", "finetune.epochs=1", "--trials", "5"]
    short += ["--set", "sampler.warm_start=[uniform]"]
    assert run.main([str(study), "--quiet", "--workers", "1", *short]) == 0
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)
    assert len(blocks) >= 4
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    assert len(names["front"]) >= 1  # type: ignore[arg-type]
