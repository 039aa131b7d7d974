"""Reader `vectors`: vectors.npz read back and compared with the reference, every tensor in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dse.export._deployment import Deployment
from dse.export.vectors import VECTORS
from dse.export.verify._comparison import Finding


def check(deployment: Deployment, folder: Path) -> Finding:
    """Compare the file's arrays."""
    finding = Finding(f"numpy {np.__version__}")
    with np.load(folder / VECTORS, allow_pickle=False) as arrays:
        finding.compare("input", deployment.codes, arrays["input"])
        finding.tensors(deployment, arrays)
        finding.outputs(deployment, arrays["logits"])
        missing = {*deployment.traced, "logits"} - set(arrays.files)
    if missing:
        finding.fail(f"{', '.join(sorted(missing))}: not in the file")
    return finding
