"""Reader `onnxruntime`: model.onnx run by onnxruntime, every intermediate tensor compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dse.export._deployment import Deployment, Unavailable, optional
from dse.export.onnx import MODEL
from dse.export.verify._comparison import Finding, first_wrong_image, traced_alone
from dse.integer.network import INPUT

BATCH = 250


def check(deployment: Deployment, folder: Path) -> Finding:
    """Run the file as it is for all logits, and with every tensor as an output for the traced."""
    if not (folder / MODEL).exists():
        raise Unavailable(f"{MODEL} was not written")
    runtime, onnx = optional("onnxruntime"), optional("onnx")
    finding = Finding(f"onnxruntime {runtime.__version__}")
    data, codes = (folder / MODEL).read_bytes(), deployment.codes
    session = _session(runtime, data)
    batches = [codes[start : start + BATCH] for start in range(0, len(codes), BATCH)]
    outputs = np.concatenate([session.run(None, {INPUT: batch})[0] for batch in batches])
    tracing = _session(runtime, _with_all_outputs(onnx, data, deployment))
    finding.tensors(deployment, _tensors(tracing, codes[: len(deployment.traced[INPUT])]))
    image = first_wrong_image(deployment.outputs, outputs)
    if image is not None and not finding.mismatches:
        alone = traced_alone(deployment, image)
        finding.tensors(alone, _tensors(tracing, alone.codes))
    finding.outputs(deployment, outputs)
    return finding


def _session(runtime: Any, data: bytes) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _with_all_outputs(onnx: Any, data: bytes, deployment: Deployment) -> bytes:
    model = onnx.load_from_string(data)
    made = {name for node in model.graph.node for name in node.output}
    present = {output.name for output in model.graph.output}
    for name, values in deployment.traced.items():
        if name in made and name not in present:
            info = onnx.helper.make_tensor_value_info(
                name, onnx.TensorProto.INT64, ["N", *values.shape[1:]]
            )
            model.graph.output.append(info)
    text: bytes = model.SerializeToString()
    return text


def _tensors(session: Any, codes: Any) -> dict[str, Any]:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {INPUT: codes}), strict=True))
