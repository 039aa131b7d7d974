"""The study folder most report tests read."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.study.folder import StudyFolder

from .studies import random_trials, write_study


@pytest.fixture
def searched(tmp_path: Path) -> StudyFolder:
    """A study of 60 trials: complete, infeasible and failed ones."""
    return write_study(tmp_path / "study", random_trials(60))
