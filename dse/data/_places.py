"""Where datasets are kept: the user's own folder, and the cache that downloads go to."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "DSE_DATA_DIR"


def user_folder(name: str) -> Path | None:
    """`$DSE_DATA_DIR/name`, whether it exists or not; None when the variable is not set."""
    root = os.environ.get(VARIABLE)
    return Path(root) / name if root else None


def cache_folder(name: str) -> Path:
    """`~/.cache/dse/name`, or that of `$XDG_CACHE_HOME`."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "dse" / name


def sought(name: str) -> str:
    """Where a dataset was sought in vain, for a message."""
    user = user_folder(name)
    if user is None:
        return f"{cache_folder(name)} (${VARIABLE} is not set)"
    return f"{user} or {cache_folder(name)}"
