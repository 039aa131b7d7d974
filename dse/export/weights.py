"""Exporter `weights`: the packed model as `weights.bin`, and `manifest.json` that explains it."""

from __future__ import annotations

import json
from pathlib import Path

from dse import storage
from dse.export._deployment import Deployment

WEIGHTS, MANIFEST = "weights.bin", "manifest.json"


def write(deployment: Deployment, folder: Path) -> None:
    """Write both files; the list of all files joins the manifest when the folder is complete."""
    (folder / WEIGHTS).write_bytes(deployment.packed.data)
    content = storage.manifest(deployment.network, deployment.packed)
    content = {"origin": dict(deployment.origin), **content}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
