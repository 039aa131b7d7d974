"""Verification: independent readers of a deploy folder, each compared with its vectors.

The folder is a registry: `c.py` is the reader `c`. Such a file defines
`check(deployment, folder) -> Finding` and raises Unavailable where it cannot run; files that begin
with an underscore are not readers.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dse.export._deployment import Deployment, Unavailable
from dse.export.verify._comparison import Finding

__all__ = ["Check", "Finding", "reader_names", "verify"]

Status = Literal["passed", "failed", "not run"]


@dataclass(frozen=True)
class Check:
    """What one reader found, as written to `verify.json`.

    `images` is how many images' logits were compared and `values` how many integers in all.
    `first_difference` names the first layer that differs; `note` says why a reader did not run, or
    how it differs from the others.
    """

    reader: str
    version: str
    status: Status
    images: int
    values: int
    mismatches: int
    first_difference: str
    note: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def reader_names() -> tuple[str, ...]:
    """Names in the registry, sorted."""
    return tuple(sorted(file.stem for file in Path(__file__).parent.glob("[!_]*.py")))


def verify(deployment: Deployment, folder: Path) -> Iterator[Check]:
    """Run every reader on the deploy folder, one after the other."""
    for name in reader_names():
        yield check(name, deployment, folder)


def check(name: str, deployment: Deployment, folder: Path) -> Check:
    """Run one reader; whatever it raises is a failed check, not a crash."""
    reader = importlib.import_module(f"{__name__}.{name}")
    try:
        finding: Finding = reader.check(deployment, folder)
    except Unavailable as reason:
        return Check(name, "", "not run", 0, 0, 0, "", str(reason))
    except Exception as error:  # readers are other people's programs and may raise anything
        text = " ".join(str(error).split())[:500]
        return Check(name, "", "failed", 0, 0, 1, f"{type(error).__name__}: {text}", "")
    status: Status = "failed" if finding.mismatches or not finding.values else "passed"
    return Check(name, status=status, **vars(finding))
