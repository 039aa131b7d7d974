"""Reader `qonnx`: model.qonnx.onnx run by qonnx's own executor."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

from dse.export._deployment import Deployment, Unavailable, optional
from dse.export.qonnx import MODEL
from dse.export.verify._comparison import Finding

BATCH = 50
"""Thresholds are compared all at once: 255 numbers for each value of a batch."""


def check(deployment: Deployment, folder: Path) -> Finding:
    """Compare logits of all images."""
    if not (folder / MODEL).exists():
        raise Unavailable(f"{MODEL} was not written")
    optional("qonnx")
    onnx = optional("onnx")
    finding = Finding(f"qonnx {version('qonnx')}")
    model = onnx.load(folder / MODEL)
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = BATCH
    thresholds = sum(node.op_type == "MultiThreshold" for node in model.graph.node)
    if thresholds:
        finding.note = f"layers that count thresholds, for FINN and not for hls4ml: {thresholds}"
    network, images = deployment.network, len(deployment.codes)
    centred = (deployment.codes - network.input_grid.zero_point).astype(np.float32)
    filled = np.concatenate([centred, np.zeros((-images % BATCH, *network.input_shape), "f4")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # qonnx's own, about its dependencies
        wrapper = optional("qonnx.core.modelwrapper").ModelWrapper(model)
        wrapper = wrapper.transform(optional("qonnx.transformation.infer_shapes").InferShapes())
        execute = optional("qonnx.core.onnx_exec").execute_onnx
        output = np.concatenate(
            [
                execute(wrapper, {"input": filled[start : start + BATCH]})["output"]
                for start in range(0, len(filled), BATCH)
            ]
        )
    grid = network.grids[network.output]
    finding.outputs(deployment, output[:images].astype(np.int64) + (grid.zero_point if grid else 0))
    return finding
