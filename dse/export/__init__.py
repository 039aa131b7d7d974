"""Export: a network as files that other programs read, and the proof that they agree.

The folder is a registry: `c.py` is the exporter `c`. Such a file defines
`write(deployment, folder)` and raises Unavailable where it cannot write its files; files that begin
with an underscore are not exporters. `verify/` holds the readers.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from dse.export._deployment import Deployment, Disagreement, Unavailable
from dse.export._folder import new_deploy_folder, refuse_other_folder, seal
from dse.export.verify import Check, check, reader_names, verify

__all__ = [
    "Check",
    "Deployment",
    "Disagreement",
    "Unavailable",
    "check",
    "exporter_names",
    "new_deploy_folder",
    "reader_names",
    "refuse_other_folder",
    "seal",
    "verify",
    "write",
]


def exporter_names() -> tuple[str, ...]:
    """Names in the registry, sorted."""
    return tuple(sorted(file.stem for file in Path(__file__).parent.glob("[!_]*.py")))


def write(deployment: Deployment, folder: Path) -> dict[str, str]:
    """Run every exporter; returns why the files of some were left out, by exporter."""
    left_out = {}
    for name in exporter_names():
        try:
            importlib.import_module(f"{__name__}.{name}").write(deployment, folder)
        except Unavailable as reason:
            left_out[name] = str(reason)
    return left_out
