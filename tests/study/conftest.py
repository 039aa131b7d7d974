"""A small study file to add lines to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a study of lenet5 on digits with more lines, or with `whole` as all there is."""
    monkeypatch.chdir(tmp_path)

    def written(more: str = "", whole: str | None = None) -> Path:
        path = tmp_path / "mine.yml"
        path.write_text(f"model: lenet5\ndataset: digits\n{more}" if whole is None else whole)
        return path

    return written
