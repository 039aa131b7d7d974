"""Icarus Verilog, which two readers run: whether it is there, and which version."""

from __future__ import annotations

import re
import shutil
import subprocess

from dse.export._deployment import Unavailable


def icarus() -> str:
    """Name and version of the simulator. Raises Unavailable where it is not installed."""
    for program in ("iverilog", "vvp"):
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed")
    said = subprocess.run(["iverilog", "-V"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"version (\S+)", said)
    return f"iverilog {version[1] if version else ''}".strip()
