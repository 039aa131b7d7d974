"""Reader `binary`: weights.bin unpacked with its manifest, evaluated by the int64 reference."""

from __future__ import annotations

import json
from pathlib import Path

import dse
from dse import storage
from dse.export._deployment import Deployment
from dse.export.verify._comparison import Finding, compare_networks
from dse.export.weights import MANIFEST, WEIGHTS


def check(deployment: Deployment, folder: Path) -> Finding:
    """Compare the unpacked network with the deployed one, integers and logits."""
    finding = Finding(f"dse {dse.__version__}")
    content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    read = storage.load(content, (folder / WEIGHTS).read_bytes())
    compare_networks(finding, deployment, read)
    return finding
