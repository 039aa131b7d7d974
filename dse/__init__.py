"""Design-space exploration of pruned, quantized CNNs for FPGAs: search, cost, report, deploy."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dse.report.frames import StudyFrames

__version__ = "0.1.0"


def load_study(folder: str | Path) -> StudyFrames:
    """A study's trials, front and layers as pandas frames; `docs/data.md` names the columns.

    Raises InputError when the folder holds no study or a file in it is damaged.
    """
    # not imported above: most of the package must not need pandas
    frames: StudyFrames = importlib.import_module("dse.report.frames").load_study(folder)
    return frames
