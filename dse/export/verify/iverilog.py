"""Reader `iverilog`: $readmemh reads every layer's .mem files and Verilog computes with them."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from dse.export._deployment import Deployment
from dse.export.mem import FOLDER, bias_bits, weight_bits, words
from dse.export.verify._comparison import Finding
from dse.export.verify._icarus import icarus
from dse.integer import ConvGeometry, IntegerNetwork, Layer

TEMPLATE = Path(__file__).parents[1] / "templates" / "layer.v"
MACS = 100_000
"""Per layer; iverilog does about half a million a second. Positions of the output image are spread
evenly and fewer where it is larger; every weight is read for each of them."""
TIMEOUT_S = 600


def check(deployment: Deployment, folder: Path) -> Finding:
    """Compare accumulators of the first image, layer by layer; no logits are computed."""
    finding = Finding(icarus())
    finding.images, finding.note = 1, "accumulators of every layer, no logits"
    for layer in deployment.network.layers:
        with tempfile.TemporaryDirectory() as scratch:
            _check_layer(finding, deployment, layer, folder / FOLDER, Path(scratch))
    return finding


def _check_layer(
    finding: Finding, deployment: Deployment, layer: Layer, folder: Path, scratch: Path
) -> None:
    network = deployment.network
    shutil.copyfile(folder / f"{layer.shares or layer.name}.mem", scratch / "weights.mem")
    shutil.copyfile(folder / f"{layer.name}_bias.mem", scratch / "bias.mem")
    codes = deployment.traced[layer.source][0].ravel().tolist()
    (scratch / "codes.mem").write_text("\n".join(words(codes, 16)) + "\n")
    expected = deployment.traced[f"{layer.name}.accumulators"][0].reshape(layer.rows, -1)
    pixels = expected.shape[1]
    positions = max(1, min(pixels, MACS // layer.weights.values.size))
    options = [
        f"-Player.{name}={value}" for name, value in _parameters(network, layer, positions).items()
    ]
    command = ["iverilog", "-g2005", *options, "-o", "layer.vvp", str(TEMPLATE)]
    for step in (command, ["vvp", "-n", "layer.vvp"]):
        done = subprocess.run(
            step, cwd=scratch, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        if done.returncode:
            finding.fail(f"layer {layer.name}: {' '.join((done.stderr + done.stdout).split())}")
            return
    picked = [position * pixels // positions for position in range(positions)]
    printed = done.stdout.split()
    numbers = [int(word) for word in printed if re.fullmatch(r"-?\d+", word)]
    if len(numbers) != layer.rows * positions or len(printed) != len(numbers):
        finding.fail(f"layer {layer.name}: {' '.join(printed)[:200]}")
        return
    actual = np.array(numbers, dtype=np.int64).reshape(layer.rows, positions)
    finding.compare(f"layer {layer.name}, accumulators", expected[:, picked], actual)


def _parameters(network: IntegerNetwork, layer: Layer, positions: int) -> dict[str, int]:
    geometry = layer.geometry or ConvGeometry()
    source, out = network.shapes[layer.source], network.shapes[layer.name]
    iy, ix, oy, ox = (*source[1:], *out[1:]) if layer.geometry else (1, 1, 1, 1)
    ky, kx = layer.weights.shape[2:] if layer.geometry else (1, 1)
    (sy, sx), (py, px), (dy, dx) = geometry.stride, geometry.padding, geometry.dilation
    assert math.prod(source) == layer.weights.shape[1] * geometry.groups * iy * ix
    sizes = {"KY": ky, "KX": kx, "IY": iy, "IX": ix, "OY": oy, "OX": ox}
    steps = {"SY": sy, "SX": sx, "PY": py, "PX": px, "DY": dy, "DX": dx}
    return {
        "ROWS": layer.rows,
        "GROUPS": geometry.groups,
        "CHANNELS": layer.weights.shape[1],
        "WEIGHT_BITS": weight_bits(layer),
        "BIAS_BITS": bias_bits(layer),
        "ZERO": network.input_grid_of(layer).zero_point,
        "POSITIONS": positions,
        **sizes,
        **steps,
    }
