"""A result that was lost, with the machine's power for example, is named and can be had again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dse import search
from dse.errors import InputError
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from search import tiny


class Silent:
    """Hears nothing."""

    def stage(self, text: str) -> None: ...

    def trials(self, *_: object) -> None: ...


def test_a_lost_result_comes_again_once_its_folder_and_the_journal_are_deleted(
    tmp_path: Path,
) -> None:
    spec = load_study(tiny.write(tmp_path, budget={"trials": 8}))
    folder = StudyFolder(tmp_path / "results")
    search.optimize(spec, folder, Silent())
    results = [folder.trial(number) / "result.json" for number in range(8)]
    before = [result.read_bytes() for result in results]
    written = [result.stat().st_mtime_ns for result in results]

    results[3].write_text("")  # what a file system may leave of a file it has not written yet
    with pytest.raises(
        InputError, match=r"3/result\.json: cannot .* delete its folder and study\.j"
    ):
        search.optimize(spec, folder, Silent())
    shutil.rmtree(folder.trial(3))
    with pytest.raises(InputError, match=r"trials/3: is gone, but study\.journal has its result"):
        search.optimize(spec, folder, Silent())
    folder.journal.unlink()
    search.optimize(spec, folder, Silent())

    assert [result.read_bytes() for result in results] == before
    again = [result.stat().st_mtime_ns for result in results]
    assert [n for n in range(8) if again[n] != written[n]] == [3]
