"""Limits: the process of a trial that takes too long is ended, and says where it was."""

from __future__ import annotations

import faulthandler
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def limited(seconds: float | None, trace: Path) -> Iterator[None]:
    """End this process when the block takes longer than `seconds`; None sets no limit.

    Where it was is then left in `trace`, a file that is else there only as long as the block. An
    exception would spare the process, but some code it may be raised in never recovers: torch half
    imported was the first that we met. Nor does it reach what never comes back to Python.
    """
    if seconds is None:
        yield
        return
    trace.parent.mkdir(parents=True, exist_ok=True)
    with trace.open("w") as file:
        faulthandler.dump_traceback_later(seconds, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            trace.unlink()


def place_in(trace: Path, function: str) -> str | None:
    """Where the thread that ran `function` was when its process was ended; None if it was not."""
    if not trace.exists():
        return None
    for thread in trace.read_text(encoding="utf-8").split("\n\n"):
        frames = re.findall(r'File "(.+)", line (\d+) in (.+)', thread)
        if any(name == function for _, _, name in frames):
            file, line, name = frames[0]
            return f"in {name}, line {line} of {file}"
    return None
