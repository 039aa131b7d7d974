"""Traces a network once: its forward becomes a graph, or a message that names what cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from dse.errors import InputError
from dse.quantize.fold import fold
from dse.quantize.graph import Graph
from dse.quantize.layers import QuanLayer
from dse.quantize.operations import Builder
from dse.quantize.refusals import describe
from dse.quantize.vocabulary import MODULES

BATCH = 2
"""Images that run through the network while it is traced; an axis of 1 would hide the batch's."""


@dataclass(frozen=True)
class Traced:
    """A network's graph, and by layer call the batch normalization that is folded into it."""

    graph: Graph
    norms: Mapping[str, str]


def trace(net: nn.Module, input_shape: tuple[int, ...], forward: str = "forward") -> Traced:
    """Graph of the method `forward` of `net` for images of `input_shape` (channels, y, x).

    Raises InputError naming module and operation when it cannot be traced, does not fit the input,
    or holds something the integer network cannot compute.
    """
    where = f"{type(net).__name__}.{forward}"
    try:
        module = fx.GraphModule(net, _Tracer(forward).trace(net))
        with torch.no_grad():
            _ShapeRecorder(module, net).run(example(net, input_shape))
    except InputError:
        raise
    except Exception as error:  # whatever the user's code or torch raises on these shapes
        raise InputError(
            f"{where} cannot be traced for images of shape {input_shape}: {_reason(error)}"
        ) from error
    builder = Builder(dict(net.named_modules()))
    for node in module.graph.nodes:
        builder.add(node)
    folded = fold(builder.nodes, builder.output)
    graph = Graph(input_shape, folded.nodes)
    if not graph.calls:
        raise InputError(f"{where} uses no convolution and no linear layer")
    return Traced(graph, folded.norms)


def layer_calls(net: nn.Module) -> tuple[str, ...]:
    """Paths of the layers a plain module uses, in its own order, found without an image.

    Raises InputError when its forward cannot be traced.
    """
    try:
        traced = _Tracer("forward").trace(net)
    except Exception as error:  # whatever the user's code raises
        message = f"{type(net).__name__}.forward cannot be traced: {_reason(error)}"
        raise InputError(message) from error
    used = {str(node.target) for node in traced.nodes if node.op == "call_module"}
    kinds = tuple(kind for kind, name in MODULES.items() if name == "layer")
    return tuple(
        path for path, module in net.named_modules() if path in used and isinstance(module, kinds)
    )


def example(net: nn.Module, input_shape: tuple[int, ...]) -> Tensor:
    """A batch of random images, the same ones each time, as `net` takes them."""
    parameter = next(net.parameters(), torch.zeros(0))
    values = torch.rand(BATCH, *input_shape, generator=torch.Generator().manual_seed(0))
    return values.to(dtype=parameter.dtype, device=parameter.device)


class _Tracer(fx.Tracer):
    def __init__(self, forward: str) -> None:
        super().__init__()
        self.traced_func_name = forward

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = any(isinstance(m, kind) and type(m).forward is kind.forward for kind in MODULES)
        return isinstance(m, QuanLayer) or known or super().is_leaf_module(m, module_qualified_name)


class _ShapeRecorder(fx.Interpreter):
    """Runs the module once and leaves each node's output shape in its meta data."""

    def __init__(self, module: fx.GraphModule, net: nn.Module) -> None:
        super().__init__(module)
        self.extra_traceback = False  # else torch appends its own advice to our message
        self._modules = dict(net.named_modules())

    def run_node(self, n: fx.Node) -> Any:
        try:
            result = super().run_node(n)
        except Exception as error:
            message = f"{describe(n, self._modules)}: {_reason(error)}"
            raise InputError(message) from error
        if isinstance(result, Tensor):
            n.meta["shape"] = tuple(result.shape)
        return result


_CONTROL_FLOW = "symbolically traced variables cannot be used as inputs to control flow"


def _reason(error: Exception) -> str:
    text = str(error).strip()
    if _CONTROL_FLOW in text:
        return (
            "it branches or loops on a value that depends on the image or its size (dynamic "
            "control flow); decide by a constant of the module instead"
        )
    return text.splitlines()[0] if text else type(error).__name__
