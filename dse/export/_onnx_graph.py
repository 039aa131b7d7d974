"""An ONNX graph under construction, shared by the exporters `onnx` and `qonnx`."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


class Graph:
    """Nodes and constants of an ONNX graph under construction."""

    def __init__(self, onnx: Any) -> None:
        """An empty graph made with the package `onnx`."""
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append a node and return its output tensor, with a fresh name where none is given."""
        name = output or self.fresh()
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        """A constant tensor; equal ones, such as shared weights, are stored once."""
        array = np.array(values, dtype=dtype)
        key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._known:
            self._known[key] = self.fresh()
            self.constants.append(self.onnx.numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def cast(self, tensor: str, kind: str) -> str:
        """`tensor` as another type, such as UINT8."""
        return self.add("Cast", tensor, to=getattr(self.onnx.TensorProto, kind))

    def fresh(self) -> str:
        """A name for a tensor that no module of torch has: they have no slash."""
        self._count += 1
        return f"/{self._count}"
