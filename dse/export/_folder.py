"""The deploy folder: written and verified in a scratch folder, then moved into place whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dse.errors import InputError
from dse.export.verify import Check
from dse.export.weights import MANIFEST

VERIFY = "verify.json"
MARK = "deploy"
"""Key of the manifest that only deploy folders have."""


@contextmanager
def new_deploy_folder(target: Path) -> Iterator[Path]:
    """A scratch folder that becomes `target` in one move when the block succeeds.

    Raises InputError when something is there that is no deploy folder of ours, or when nothing can
    be written there. An earlier deploy folder is replaced.
    """
    refuse_other_folder(target)
    scratch = target.parent / f".{target.name}-{uuid.uuid4().hex}"
    try:
        scratch.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{scratch.parent}: cannot be written ({error.strerror})") from error
    old = scratch.with_name(f"{scratch.name}-old")
    try:
        yield scratch
        if target.exists():
            os.replace(target, old)
        os.replace(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def refuse_other_folder(target: Path) -> None:
    """Raise InputError when `target` holds anything but an earlier deploy folder."""
    if not target.exists() and not target.is_symlink():
        return
    if target.is_dir() and not target.is_symlink():
        if not any(target.iterdir()):
            return
        try:
            if MARK in json.loads((target / MANIFEST).read_text(encoding="utf-8")):
                return
        except (OSError, ValueError, TypeError):
            pass  # no manifest of ours: refused below
    raise InputError(f"{target}: is no deploy folder, so it is not overwritten; give another --out")


def seal(folder: Path, checks: list[Check], extra: Mapping[str, Any]) -> None:
    """Write verify.json, and the sha256 of every file into the manifest.

    `extra` joins verify.json beside the readers.
    """
    content = {**extra, "readers": [check.to_json() for check in checks]}
    (folder / VERIFY).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    path = folder / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest[MARK] = 1
    manifest["files"] = {
        file.relative_to(folder).as_posix(): {
            "bytes": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file != path
    }
    path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
